package noon

import "time"

// Desired is everything one host shall hold for one site. It is a whole
// snapshot: what it does not name is drained and stopped, and releases it does
// not name may be removed from the host.
type Desired struct {
	Site      Site              `json:"site"`
	Fence     Fence             `json:"fence"`
	Revisions []DesiredRevision `json:"revisions,omitempty"` // sorted by revision
	Domains   []string          `json:"domains,omitempty"`   // empty: any host name
	Traffic   Traffic           `json:"traffic,omitzero"`    // of the live release
	Segments  []Segment         `json:"segments,omitempty"`  // users that get a revision whatever its share
	Hold      *Hold             `json:"hold,omitempty"`      // new requests wait; it ends by itself
	Closed    *Closed           `json:"closed,omitempty"`    // everybody gets a page
	TLS       *TLS              `json:"tls,omitempty"`       // nil: plain HTTP
}

// DesiredRevision is one revision on one host. Without instances it means:
// unpacked, verified and complete.
type DesiredRevision struct {
	Revision  Revision          `json:"revision"`
	Digest    string            `json:"digest"`
	Instances []DesiredService  `json:"instances,omitempty"` // sorted by service name
	Env       map[string]string `json:"env,omitempty"`       // resolved variables and secrets; never logged
	Share     int               `json:"share"`               // of new requests, in PointsWhole
	Preview   string            `json:"preview,omitempty"`   // token that reaches this revision without a share
}

// DesiredService is a number of equal instances of one service.
type DesiredService struct {
	Service Service `json:"service"`
	Count   int     `json:"count"`
}

// PointsWhole is a whole share: shares are counted in hundredths of a percent.
const PointsWhole = 10_000

// Phase is where one instance is in its life.
type Phase string

// The phases of an instance, in order.
const (
	Starting Phase = "starting" // the process runs, this incarnation was not yet ready
	Ready    Phase = "ready"    // this incarnation has been ready
	Draining Phase = "draining" // the proxy sends it nothing new; in-flight work ends
	Stopping Phase = "stopping" // asked to stop
	Exited   Phase = "exited"   // gone; its exit is known or its absence is certain
	Waiting  Phase = "waiting"  // exited by itself; the next incarnation waits for its back-off
)

// Instance is one running copy of a service of a revision.
type Instance struct {
	ID          string    `json:"id"` // unique on its host for ever: "shop@production_r2.c1_web_0_3"
	Site        Site      `json:"site"`
	Revision    Revision  `json:"revision"`
	Service     string    `json:"service"`
	Index       int       `json:"index"`       // 0 … count-1
	Incarnation int       `json:"incarnation"` // grows with every start at this index
	Phase       Phase     `json:"phase"`
	PID         int       `json:"pid,omitempty"`
	Address     string    `json:"address,omitempty"` // "127.0.0.1:41234"
	Since       time.Time `json:"since"`             // when it entered its phase
	Started     time.Time `json:"started"`
	Probe       string    `json:"probe,omitempty"` // the last readiness answer that was not ready
	Exit        *Exit     `json:"exit,omitempty"`
	CrashLoop   bool      `json:"crash_loop,omitempty"` // it keeps exiting; see LastLines
	LastLines   []string  `json:"last_lines,omitempty"` // of output, when it exited or was not ready
}

// Exit is how a process ended.
type Exit struct {
	Code   int       `json:"code"`             // -1 when a signal ended it or when unknown
	Signal string    `json:"signal,omitempty"` // "SIGKILL"
	Reason string    `json:"reason"`           // one line for people, never empty
	Known  bool      `json:"known"`            // false: nobody saw it (power loss, its keeper killed)
	At     time.Time `json:"at"`
}

// OK reports a known exit with code 0.
func (e *Exit) OK() bool { return e != nil && e.Known && e.Code == 0 && e.Signal == "" }

// InFlight is what the proxy still has open to one revision.
type InFlight struct {
	Revision Revision `json:"revision"`
	Requests int      `json:"requests"` // ordinary requests
	Streams  int      `json:"streams"`  // upgraded connections and event streams
}

// Task is a command that is run once on one host: a hook, a migration, a run
// of a job. Its ID is the idempotency key: a host starts one ID at most once,
// for ever.
type Task struct {
	ID       string            `json:"id"` // file-name safe
	Site     Site              `json:"site"`
	Fence    Fence             `json:"fence"`
	Revision Revision          `json:"revision"`
	Digest   string            `json:"digest"`
	Command  []string          `json:"command"`
	Dir      string            `json:"dir,omitempty"`
	Env      map[string]string `json:"env,omitempty"` // never logged
	Timeout  time.Duration     `json:"timeout"`       // then SIGTERM, ten seconds later SIGKILL
}

// TaskStatus is what a host knows of a task it was given.
type TaskStatus struct {
	ID      string    `json:"id"`
	Running bool      `json:"running"`
	Started time.Time `json:"started"`
	Exit    *Exit     `json:"exit,omitempty"`
	Output  []string  `json:"output,omitempty"` // last lines of stdout and stderr
}

// Observed is what one host sees of one site.
type Observed struct {
	Site      Site           `json:"site"`
	Host      string         `json:"host"`
	Accepted  Fence          `json:"accepted"` // newest Desired it stored
	Routed    Fence          `json:"routed"`   // newest Desired whose shares the proxy has acknowledged
	Releases  []string       `json:"releases,omitempty"`
	Instances []Instance     `json:"instances,omitempty"` // sorted by ID
	InFlight  []InFlight     `json:"in_flight,omitempty"`
	Shares    map[string]int `json:"shares,omitempty"`  // revision → share, as the proxy routes now
	Halt      Halt           `json:"halt,omitzero"`     // as the proxy has acknowledged it
	Problem   *Error         `json:"problem,omitempty"` // why the host cannot make it so, if it cannot
}
