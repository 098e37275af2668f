package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/load"
)

// Report is what a demo has shown. The first fields are those that tell
// whether anything was lost.
type Report struct {
	Requests           int64       `json:"requests"`            // sent by customers, openings of streams included
	Failed             int64       `json:"failed"`              // not answered as they should have been
	WrongRelease       int64       `json:"wrong_release"`       // answered by a release without a share, after the switch was acknowledged
	OrdersAcknowledged int64       `json:"orders_acknowledged"` // orders whose number a customer was told
	OrdersStored       int64       `json:"orders_stored"`       // of these, stored under that number
	OrdersDuplicated   int64       `json:"orders_duplicated"`   // stored once more than bought
	StreamsCut         int64       `json:"streams_cut"`         // event streams and WebSockets that ended without a goodbye
	UploadsLost        int64       `json:"uploads_lost"`        // acknowledged pictures that can not be read back
	Deploys            int         `json:"deploys"`             // asked for, those that came back included
	Rollbacks          int         `json:"rollbacks"`
	Crashes            int         `json:"crashes"` // parts of noon that were ended with kill -9
	RollbackMS         Spread      `json:"rollback_ms"`
	DeployOverheadMS   int64       `json:"deploy_overhead_ms"` // median over the deployments that nothing disturbed; see Overhead
	States             []StateTime `json:"states"`             // of the first deployment under load

	OrdersResent    int64 `json:"orders_resent"`    // reached the shop more often than they were sent
	OrdersUnhandled int64 `json:"orders_unhandled"` // the worker has lost
	OrdersTwice     int64 `json:"orders_twice"`     // the worker has handled twice
	Upgrades        int   `json:"upgrades"`         // of noon itself

	Seconds           float64          `json:"seconds"` // customers came for so long
	Rate              float64          `json:"rate"`    // journeys begun a second
	Journeys          int64            `json:"journeys"`
	Uploads           int64            `json:"uploads"` // acknowledged
	StreamsOpened     int64            `json:"streams_opened"`
	StreamsMoved      int64            `json:"streams_moved"` // told goodbye by one release, taken up again at another
	LatencyMS         Latency          `json:"latency_ms"`
	PerRelease        map[string]int64 `json:"per_release"` // answers
	DeployOverheadMax int64            `json:"deploy_overhead_max_ms"`
	Steps             []Step           `json:"steps"`
	Live              []Live           `json:"live"` // which release had all customers from when
	Failures          []string         `json:"failures,omitempty"`
	Unexpected        []string         `json:"unexpected,omitempty"` // what did not go as the script has it
	Version           string           `json:"version"`
	Kept              string           `json:"kept,omitempty"` // the directory, if it was not removed
}

// Spread is how much something varied, in milliseconds.
type Spread struct {
	P50 int64 `json:"p50"`
	Max int64 `json:"max"`
}

// Latency is how long customers waited for answers, in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// StepKind tells what a step was.
type StepKind string

// The kinds of steps.
const (
	StepDeploy   StepKind = "deploy"
	StepRollback StepKind = "rollback"
	StepUpgrade  StepKind = "upgrade"
)

// Step is one thing that was done while customers were there.
type Step struct {
	AtMS         int64    `json:"at_ms"` // since the first customer
	MS           int64    `json:"ms"`    // from the command to its result
	What         string   `json:"what"`
	Kind         StepKind `json:"kind"`
	Release      string   `json:"release,omitempty"`
	Disturbed    string   `json:"disturbed,omitempty"` // by what
	Outcome      string   `json:"outcome"`
	Reason       string   `json:"reason,omitempty"`
	LastAnswerMS int64    `json:"last_answer_ms,omitempty"` // of a rollback: from the command to the last answer of the release that was left
	Expected     bool     `json:"expected"`
}

// line tells of the step while the demo is played.
func (s Step) line() string {
	verb, rest, _ := strings.Cut(s.What, " ")
	text := fmt.Sprintf("%-8s %-36s %s after %s", verb, rest, s.Outcome, seconds(time.Duration(s.MS)*time.Millisecond))
	if s.Kind == StepRollback {
		text += fmt.Sprintf(", last answer of the release before after %d ms", s.LastAnswerMS)
	}
	if s.Reason != "" {
		text += "\n         " + s.Reason
	}
	return text
}

// Live is a release that has all customers from a moment on.
type Live struct {
	AtMS    int64  `json:"at_ms"`
	Release string `json:"release"`
}

// OK reports whether nothing was lost and all went as the script has it.
func (r *Report) OK() bool { return len(r.Losses()) == 0 }

// Losses names everything that was lost or not as expected.
func (r *Report) Losses() []string {
	var lost []string
	for _, l := range []struct {
		n    int64
		what string
	}{
		{r.Failed, "requests failed"},
		{r.WrongRelease, "answers of a release that was not to answer"},
		{r.OrdersAcknowledged - r.OrdersStored, "orders lost"},
		{r.OrdersDuplicated, "orders stored twice"},
		{r.OrdersResent, "orders sent to the shop once more than by the customer"},
		{r.OrdersUnhandled, "orders not handled by the worker"},
		{r.OrdersTwice, "orders handled twice by the worker"},
		{r.StreamsCut, "streams cut"},
		{r.UploadsLost, "pictures lost"},
	} {
		if l.n != 0 {
			lost = append(lost, fmt.Sprintf("%d %s", l.n, l.what))
		}
	}
	if r.Requests == 0 || r.OrdersAcknowledged == 0 {
		lost = append(lost, "no customer has bought anything: nothing was shown")
	}
	return append(lost, r.Unexpected...)
}

// undisturbed keeps a deployment for the numbers.
func (l *ledger) undisturbed(v api.DeploymentView) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deploys = append(l.deploys, v)
}

func (d *demo) report(context.Context) (*Report, error) {
	l := &d.book
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.report()
	r.Version = d.opts.Version
	return r, nil
}

func (l *ledger) report() *Report {
	r := &Report{
		Requests: l.load.Requests, Failed: l.load.Failed, WrongRelease: l.load.WrongRelease,
		OrdersAcknowledged: l.verified.Acknowledged, OrdersStored: l.verified.Stored, OrdersDuplicated: l.verified.Duplicated,
		OrdersResent: l.verified.Resent, OrdersUnhandled: l.verified.Unhandled, OrdersTwice: l.verified.HandledTwice,
		StreamsCut: l.load.StreamsCut, UploadsLost: l.verified.UploadsLost,
		Deploys: l.counts.deploys, Rollbacks: l.counts.rollbacks, Crashes: l.counts.crashes, Upgrades: l.counts.upgrades,
		States: []StateTime{}, Seconds: l.closed.Sub(l.opened).Seconds(), Rate: l.rate, Journeys: l.load.Journeys,
		Uploads: l.verified.Uploads, StreamsOpened: l.load.StreamsOpened, StreamsMoved: l.load.StreamsMoved,
		LatencyMS: latencyOf(l.load.Latency), PerRelease: l.load.PerRelease, Steps: l.steps, Live: l.lives, Unexpected: l.problems,
	}
	r.RollbackMS = spread(l.rollbacks)
	var overheads []time.Duration
	for _, v := range l.deploys {
		overheads = append(overheads, Overhead(v))
	}
	over := spread(overheads)
	r.DeployOverheadMS, r.DeployOverheadMax = over.P50, over.Max
	if len(l.deploys) > 0 {
		r.States = States(l.deploys[0])
	}
	for _, f := range l.load.Failures {
		r.Failures = append(r.Failures, f.String())
	}
	r.Failures = append(r.Failures, l.verified.Details...)
	return r
}

func latencyOf(l load.Latency) Latency {
	ms := func(d time.Duration) float64 {
		return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
	}
	return Latency{P50: ms(l.P50), P99: ms(l.P99), Max: ms(l.Max)}
}

// spread gives the median, the lower one of two, and the most.
func spread(list []time.Duration) Spread {
	if len(list) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(list))
	return Spread{P50: millis(sorted[(len(sorted)-1)/2]), Max: millis(sorted[len(sorted)-1])}
}

func releaseOf(revision string) string {
	name, _, _ := strings.Cut(revision, ".")
	return name
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// Write prints the report: for people, or as one JSON object.
func (r *Report) Write(w io.Writer, asJSON bool, p Paint) error {
	if !asJSON {
		if _, err := io.WriteString(w, r.Text(p)); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		return nil
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// Err is the error of a demo that has lost something, nil if it has not.
func (r *Report) Err() error {
	losses := r.Losses()
	if len(losses) == 0 {
		return nil
	}
	return &noon.Error{
		Kind: noon.Failure, Op: "play the demo", Err: fmt.Errorf("not as it should be: %s", strings.Join(losses, "; ")),
		Hint: kept(r.Kept),
	}
}
