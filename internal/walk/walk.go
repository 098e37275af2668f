// Package walk takes an environment along a plan, state by state, and back
// when a state does not hold. It is level-triggered: it says "make it so" and
// looks whether it is so, never "do this once". Everything it is about to do
// and everything it saw done is in the journal, so that after a crash at any
// instant the next walker looks at the world and goes on.
package walk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
)

// Host is one machine that can be told what to hold. It has four methods
// because telling and looking come in pairs, for states and for tasks.
type Host interface {
	Apply(ctx context.Context, d noon.Desired) error
	Observe(ctx context.Context, site noon.Site) (noon.Observed, error)
	StartTask(ctx context.Context, t noon.Task) error
	TaskStatus(ctx context.Context, id string) (noon.TaskStatus, error)
}

// Catalog resolves what revisions are made of.
type Catalog interface {
	Resolve(ctx context.Context, site noon.Site, r noon.Revision) (Resolved, error)
}

// Resolved is a revision with everything that a host needs to run it.
type Resolved struct {
	Digest  string
	App     noon.App
	Env     map[string]string // variables and secrets; never logged
	Preview string            // token
	Pages   map[string]string // HTML by status, as in noon.Traffic
}

// Journal is the durable record of deployments.
type Journal interface {
	// Record stores the deployment and appends events in one transaction. It
	// fails with kind Stale when a newer epoch has been acquired.
	Record(ctx context.Context, d noon.Deployment, epoch int64, events ...noon.Event) error
	Deployment(ctx context.Context, id int64) (noon.Deployment, error)
	NextGeneration(ctx context.Context, site noon.Site, epoch int64) (int64, error)
}

// Walker walks deployments. All fields but Faults, Waiting, Halt, Schema and
// Rehearsed are required; Data is where a plan has stores that noon migrates itself.
type Walker struct {
	Journal  Journal
	Catalog  Catalog
	Host     func(name string) (Host, error)
	Smoke    func(ctx context.Context, site noon.Site, preview string, s noon.Smoke) error
	JobsBusy func(ctx context.Context, site noon.Site) (int, error) // scheduled jobs that run now
	// Data takes a store to a phase and tells how far it is. Called again after
	// a crash, it goes on; where the store is there already, it changes nothing.
	Data func(ctx context.Context, task noon.DataTask, progress func(string)) error
	// Schema looks what a store is made of; none if it can not be looked into.
	Schema  func(ctx context.Context, site noon.Site, r noon.Revision, store string) (noon.Schema, error)
	Log     *slog.Logger
	Faults  *fault.Points
	Waiting func(deployment int64, what string) // told what is being waited for
	// Halt is what people have asked for that keeps users from a site.
	Halt func(ctx context.Context, site noon.Site) (noon.Halt, error)
	// Rehearsed reports whether what a revision brings to a store has worked on a
	// copy of it, lately. It is asked where a plan requires that.
	Rehearsed func(ctx context.Context, site noon.Site, r noon.Revision, store string) (bool, error)
}

// run is one walk of one deployment by one walker.
type run struct {
	*Walker
	d     noon.Deployment
	epoch int64
	back  bool // on the way back: requests to abort mean nothing any more

	finishing bool // a command runs: requests to abort wait for its end

	fence   noon.Fence // of what the hosts were told last; zero: nothing yet
	told    noon.Halt  // with it
	telling bool       // they are being told: nothing is told in between
}

// turnBackError is the reason why a state does not hold.
type turnBackError struct{ why *noon.Error }

func (t turnBackError) Error() string { return t.why.Error() }
func (t turnBackError) Unwrap() error { return t.why }

// errBack says that a state does not hold and the walk has to go back.
func errBack(op, subject, hint string, err error) error {
	return turnBackError{&noon.Error{Kind: noon.Failure, Op: op, Subject: subject, Err: err, Hint: hint}}
}

// Walk goes on with a deployment from wherever it is until it has ended, is
// warm, or can not go on: the error then tells why, and a later Walk resumes.
// epoch must be the newest of the site.
func (w *Walker) Walk(ctx context.Context, id, epoch int64) (noon.Deployment, error) {
	d, err := w.Journal.Deployment(ctx, id)
	if err != nil {
		return d, fmt.Errorf("read deployment %d: %w", id, err)
	}
	r := &run{Walker: w, d: d, epoch: epoch}
	switch d.Status {
	case noon.Warm:
		err = r.contract(ctx)
	case noon.Returning:
		err = r.goBack(ctx)
	case noon.Walking, noon.Held, noon.Paused, noon.Queued:
		err = r.thereOrBack(ctx)
	default: // it has ended: there is nothing to walk
	}
	return r.d, err
}

// Hold tells the hosts what a site is whose newest deployment has come to
// rest. It changes nothing where nothing was lost.
func (w *Walker) Hold(ctx context.Context, d noon.Deployment, epoch int64) error {
	if !d.Status.Ended() {
		return nil // it is walked on, which says the same
	}
	r := &run{Walker: w, d: d, epoch: epoch, back: true}
	return r.tellAll(ctx)
}

func (r *run) thereOrBack(ctx context.Context) error {
	if r.d.Status != noon.Walking {
		if err := r.move(ctx, noon.Walking, "resumed"); err != nil {
			return err
		}
	}
	err := r.forward(ctx)
	var why turnBackError
	if !errors.As(err, &why) {
		return err
	}
	r.d.Error = why.why
	if err := r.move(ctx, noon.Returning, why.Error()); err != nil {
		return err
	}
	return r.goBack(ctx)
}

// forward enters state after state. The state at d.At is entered again: a
// crash may have come between the word and the deed.
func (r *run) forward(ctx context.Context) error {
	states := r.d.Plan.States
	for i := r.d.At; i < len(states); i++ {
		if states[i].Kind == noon.Contracted {
			return r.rest(ctx, i)
		}
		if i > r.d.At {
			if err := r.meet(ctx, i, states[i].Enter); err != nil {
				return err
			}
		}
		if err := r.enter(ctx, i); err != nil {
			return err
		}
		if err := r.meet(ctx, i, states[i].Leave); err != nil {
			return err
		}
	}
	r.d.Ended = time.Now()
	return r.move(ctx, noon.Succeeded, "")
}

// enter makes the world match state i and waits until it does.
func (r *run) enter(ctx context.Context, i int) error {
	r.d.At = i
	if err := r.record(ctx, noon.Intent, "enter", r.d.Plan.Label(i)); err != nil {
		return err
	}
	if err := r.apply(ctx); err != nil {
		return err
	}
	return r.record(ctx, noon.Done, "enter", r.d.Plan.Label(i))
}

// rest ends the part of the walk that its user waits for: from here on the
// release before is warm until the time of the gate has passed.
func (r *run) rest(ctx context.Context, i int) error {
	var warm time.Duration
	for _, n := range r.d.Plan.States[i].Enter {
		if n.Gate != nil && n.Gate.Kind == noon.GateWarm {
			warm = n.Gate.For
		}
	}
	r.d.Ended = time.Now()
	r.d.WarmUntil = r.d.Ended.Add(warm)
	return r.move(ctx, noon.Warm, "until "+r.d.WarmUntil.UTC().Format(time.RFC3339))
}

// contract enters the last state of a warm deployment. There is no way back
// from here, so that it is tried until it holds.
func (r *run) contract(ctx context.Context) error {
	r.back = true
	if err := r.enter(ctx, len(r.d.Plan.States)-1); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	if err := r.meet(ctx, r.d.At, r.state().Leave); err != nil {
		return err
	}
	return r.move(ctx, noon.Succeeded, "")
}

// goBack walks the states in reverse to the first.
func (r *run) goBack(ctx context.Context) error {
	r.back = true
	for i := r.d.At; i >= 0; i-- {
		if i == r.d.At && i > 0 {
			continue // the state that does not hold
		}
		if err := r.enter(ctx, i); err != nil {
			return err
		}
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	if err := r.withdraw(ctx); err != nil {
		return err
	}
	r.afterFailure(ctx)
	r.d.Ended = time.Now()
	return r.move(ctx, noon.Returned, "")
}

// afterFailure runs the on-failure hooks. They inform; what they return
// changes nothing.
func (r *run) afterFailure(ctx context.Context) {
	for _, f := range r.d.Plan.Failure {
		if err := r.fact(ctx, f); err != nil {
			r.Log.Warn("on-failure hook", "deployment", r.d.ID, "hook", f.Name, "err", err)
		}
	}
}

// move changes the status and records it.
func (r *run) move(ctx context.Context, to noon.Status, detail string) error {
	from := r.d.Status
	r.d.Move(to)
	if to == noon.Walking && r.d.Started.IsZero() {
		r.d.Started = time.Now()
	}
	text := string(to)
	if detail != "" {
		text += ": " + detail
	}
	if err := r.record(ctx, noon.Moved, "status", text); err != nil {
		r.d.Status = from
		return err
	}
	return nil
}

func (r *run) record(ctx context.Context, kind noon.EventKind, subject, detail string) error {
	r.Faults.Point("walk.record.before")
	err := r.Journal.Record(ctx, r.d, r.epoch, noon.Event{
		Deployment: r.d.ID, Epoch: r.epoch, At: time.Now(), Kind: kind, State: r.d.At, Subject: subject, Detail: detail,
	})
	r.Faults.Point("walk.record.after")
	if err != nil {
		return fmt.Errorf("record %s: %w", subject, err)
	}
	return nil
}

// hosts names every host that any state of the plan has something on.
func (r *run) hosts() []string {
	var names []string
	for _, st := range r.d.Plan.States {
		for _, p := range st.Presences {
			names = append(names, p.Hosts...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (r *run) state() noon.State { return r.d.Plan.States[r.d.At] }
