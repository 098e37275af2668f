package api

import (
	"time"

	"github.com/noon-deploy/noon"
)

// Version is the version of the paths: /v1/….
const Version = "v1"

// ListedRelease is a release as a list shows it: with what became of it.
type ListedRelease struct {
	noon.Release
	Live   []string `json:"live,omitempty"`   // environments it serves users in
	Warm   []string `json:"warm,omitempty"`   // environments it is kept up in
	Passed []string `json:"passed,omitempty"` // environments it has been deployed to with success
}

// DeployRequest asks for a deployment.
type DeployRequest struct {
	Site      noon.Site     `json:"site"`
	Kind      noon.PlanKind `json:"kind"`              // PlanDeploy or PlanRollback
	Release   string        `json:"release,omitempty"` // "r42"; empty: the newest, or for a rollback the previous good one
	Supersede bool          `json:"supersede,omitempty"`
	By        string        `json:"by,omitempty"`
	Reason    string        `json:"reason,omitempty"`
	Key       string        `json:"key,omitempty"` // idempotency key: the same key never makes two deployments
}

// Preview is what a DeployRequest would do.
type Preview struct {
	Plan    noon.Plan    `json:"plan"`
	Release noon.Release `json:"release"`
	Missing []string     `json:"missing,omitempty"` // variables and secrets that are declared and not set
	Behind  []string     `json:"behind,omitempty"`  // deployments that are under way or queued before it
}

// DeploymentView is a deployment with what only the running controller knows.
type DeploymentView struct {
	noon.Deployment
	Events []noon.Event `json:"events,omitempty"`
}

// Decision is a person's word on a deployment.
type Decision struct {
	By      string                     `json:"by,omitempty"`
	Reason  string                     `json:"reason,omitempty"`
	Resolve map[string]noon.Resolution `json:"resolve,omitempty"` // task ID → what has happened to it
}

// RehearseRequest asks for a rehearsal.
type RehearseRequest struct {
	Site    noon.Site     `json:"site"`
	Release string        `json:"release,omitempty"` // "r42"; empty: the newest
	Store   string        `json:"store,omitempty"`   // empty: the only one with migrations
	Copy    noon.CopyKind `json:"copy,omitempty"`    // empty: as noon.yaml of the release says
	Keep    bool          `json:"keep,omitempty"`    // the copy stays
	By      string        `json:"by,omitempty"`
}

// HaltAction is what a person does to the users of an environment.
type HaltAction string

// The actions.
const (
	HoldSite   HaltAction = "hold"   // new requests wait, for a time
	ResumeSite HaltAction = "resume" // they go on
	CloseSite  HaltAction = "close"  // everybody gets a page
	OpenSite   HaltAction = "open"   // nobody does any more
)

// HaltRequest keeps users from an environment, or lets them in again.
type HaltRequest struct {
	Site   noon.Site     `json:"site"`
	Action HaltAction    `json:"action"`
	For    time.Duration `json:"for,omitempty"`  // hold: it ends by itself after that
	Most   int           `json:"most,omitempty"` // hold: requests that wait; 0: noon.HoldMost
	Text   string        `json:"text,omitempty"` // close: what users are told
	By     string        `json:"by,omitempty"`
	Reason string        `json:"reason,omitempty"`
}

// SiteStatus is what an environment is now.
type SiteStatus struct {
	Site       noon.Site        `json:"site"`
	Live       string           `json:"live,omitempty"` // "r2.c1"
	Warm       []string         `json:"warm,omitempty"`
	State      string           `json:"state"`                // "S0 settled"
	Deployment *noon.Deployment `json:"deployment,omitempty"` // under way, or the last one
	Queued     []string         `json:"queued,omitempty"`
	Halt       noon.Halt        `json:"halt,omitzero"` // what people have asked for that keeps users away
	Hosts      []noon.Observed  `json:"hosts"`
	Problem    *noon.Error      `json:"problem,omitempty"`
	Addresses  []string         `json:"addresses,omitempty"` // where the proxy listens
	Preview    string           `json:"preview,omitempty"`   // URL path that opens the staged release
}

// ConfigView is an environment's configuration; secrets are named, never shown.
type ConfigView struct {
	Version   int               `json:"version"`
	Variables map[string]string `json:"variables,omitempty"`
	Secrets   []string          `json:"secrets,omitempty"`
	Missing   []string          `json:"missing,omitempty"` // declared by the newest release and not set
}

// ConfigChange sets or unsets one value.
type ConfigChange struct {
	Name   string `json:"name"`
	Value  string `json:"value,omitempty"`
	Secret bool   `json:"secret,omitempty"`
	Unset  bool   `json:"unset,omitempty"`
}

// LogLine is one line of output of an instance or task.
type LogLine struct {
	At       time.Time `json:"at"`
	Source   string    `json:"source"` // "web.0", "task migrate-db"
	Revision string    `json:"revision"`
	Instance string    `json:"instance"`
	Stream   string    `json:"stream,omitempty"`
	Text     string    `json:"text"`
}

// LogQuery chooses log lines.
type LogQuery struct {
	Site    noon.Site `json:"site"`
	Service string    `json:"service,omitempty"`
	Release string    `json:"release,omitempty"`
	Lines   int       `json:"lines"`
	Follow  bool      `json:"follow"`
}

// Finding is one thing that doctor looked at.
type Finding struct {
	Subject string `json:"subject"`
	OK      bool   `json:"ok"`
	Detail  string `json:"detail"`
	Hint    string `json:"hint,omitempty"`
}

// Health tells which parts run, in which version.
type Health struct {
	Version    string            `json:"version"`
	PID        int               `json:"pid"`
	Data       string            `json:"data"`
	Parts      map[string]string `json:"parts"`     // "host", "proxy", "sockets" → version, or why it can not be reached
	Addresses  []string          `json:"addresses"` // where the proxy listens
	Ledger     string            `json:"ledger"`
	StartedAt  time.Time         `json:"started_at"`
	Identities map[string]int    `json:"pids,omitempty"` // part → pid
}

// UpgradeRequest names the binary to go on with.
type UpgradeRequest struct {
	Binary string `json:"binary"` // absolute path
}
