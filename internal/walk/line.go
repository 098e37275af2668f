package walk

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
)

// Desk is where requests for a site's deployments arrive. It has five methods
// because each is one step in the life of a request.
type Desk interface {
	// Acquire takes the site: from now on every older epoch is refused.
	Acquire(ctx context.Context, site noon.Site, holder string) (int64, error)
	// Line lists the deployments of a site that are queued, under way or warm,
	// and the newest that was started and did not go back, oldest first.
	Line(ctx context.Context, site noon.Site) ([]noon.Deployment, error)
	// Plan computes the plan of a queued deployment against what the site is now.
	Plan(ctx context.Context, d noon.Deployment) (noon.Plan, error)
	// Start stores a deployment together with its plan.
	Start(ctx context.Context, d noon.Deployment, epoch int64, events ...noon.Event) error
	// Ended is told of a deployment that has come to rest, for what follows
	// from it: releases that are no longer needed, deployments it has left.
	Ended(ctx context.Context, d noon.Deployment, epoch int64) error
}

// supersededBy begins a WantAbort that stands for a newer request.
const supersededBy = "superseded by "

// SupersededBy is the WantAbort of a deployment that gives way to another.
func SupersededBy(d noon.Deployment) string { return supersededBy + d.Name() }

// How long to wait before trying again when the journal can not be written or
// the world not be seen.
const (
	retrySoon   = 50 * time.Millisecond
	retrySeldom = 5 * time.Second
)

// Line walks the deployments of one site, one after the other, in the order in
// which they were requested.
type Line struct {
	*Walker
	Desk   Desk
	Site   noon.Site
	Holder string        // who we are, for people who look at the lease
	Wake   chan struct{} // a token wakes the line: something was requested
}

// Run works until ctx ends or a newer epoch is acquired by somebody else.
func (l *Line) Run(ctx context.Context) error {
	epoch, err := l.Desk.Acquire(ctx, l.Site, l.Holder)
	if err == nil {
		epoch, err = l.overtake(ctx, epoch)
	}
	if err != nil {
		return fmt.Errorf("take %s: %w", l.Site, err)
	}
	pause := retrySoon
	var told *noon.Halt // with what the hosts know; nil: they are to be told
	for {
		var wait time.Duration
		told, err = l.hold(ctx, epoch, told)
		if err == nil {
			wait, err = l.step(ctx, epoch)
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // what was under way goes on when the next line runs
		}
		switch {
		case noon.KindOf(err) == noon.Stale && err != nil:
			return err
		case err != nil:
			l.Log.Error("deployment can not go on, trying again", "site", l.Site.String(), "in", pause.String(), "err", err)
			wait, pause = pause, min(2*pause, retrySeldom)
		default:
			pause = retrySoon
		}
		if wait != 0 && !l.rest(ctx, wait) {
			return nil
		}
	}
}

// overtake takes the site until the epoch is beyond what the hosts know. It is
// behind when the ledger was restored from a backup.
func (l *Line) overtake(ctx context.Context, epoch int64) (int64, error) {
	list, err := l.Desk.Line(ctx, l.Site)
	if err != nil {
		return epoch, err
	}
	for _, d := range list {
		for _, name := range (&run{d: d}).hosts() {
			host, err := l.Host(name)
			if err != nil {
				return epoch, err
			}
			seen, err := host.Observe(ctx, l.Site)
			for err == nil && epoch < seen.Accepted.Epoch {
				epoch, err = l.Desk.Acquire(ctx, l.Site, l.Holder)
			}
			if err != nil && noon.KindOf(err) != noon.Unavailable {
				return epoch, err
			}
		}
	}
	return epoch, nil
}

// hold tells the hosts once more what the site is if it is at rest: they may
// have been emptied, and what an older controller says is refused from now on.
// Later it does so only when people ask to keep users from the site, or to let
// them in again.
func (l *Line) hold(ctx context.Context, epoch int64, told *noon.Halt) (*noon.Halt, error) {
	var halt noon.Halt
	if l.Halt != nil {
		var err error
		if halt, err = l.Halt(ctx, l.Site); err != nil {
			return told, fmt.Errorf("read what halts %s: %w", l.Site, err)
		}
	}
	if told != nil && told.Equal(halt) {
		return told, nil
	}
	list, err := l.Desk.Line(ctx, l.Site)
	if err != nil {
		return told, err
	}
	for _, d := range slices.Backward(list) {
		if !d.Started.IsZero() {
			if err := l.Hold(ctx, d, epoch); err != nil {
				return told, err
			}
			break
		}
	}
	return &halt, nil
}

// rest waits for a token or for the time to pass; a negative time never does.
// It returns false when ctx has ended.
func (l *Line) rest(ctx context.Context, wait time.Duration) bool {
	var passed <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		passed = t.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-l.Wake:
	case <-passed:
	}
	return true
}

// step does the next thing there is to do. It returns how long to wait before
// the next step: 0 not at all, negative until there is a request.
func (l *Line) step(ctx context.Context, epoch int64) (time.Duration, error) {
	list, err := l.Desk.Line(ctx, l.Site)
	if err != nil {
		return 0, err
	}
	var queued, warm *noon.Deployment
	for i, d := range list {
		switch d.Status {
		case noon.Queued:
			if queued == nil {
				queued = &list[i]
			}
		case noon.Warm:
			if overtaken(d, list) {
				return 0, l.finish(ctx, d, epoch)
			}
			warm = &list[i]
		case noon.Walking, noon.Held, noon.Paused, noon.Returning:
			return 0, l.walk(ctx, d, epoch)
		default: // the newest that was started, and it has ended
		}
	}
	switch {
	case warm != nil && warm.At == len(warm.Plan.States)-1:
		return 0, l.walk(ctx, *warm, epoch) // a crash came while it was being contracted
	case warm != nil && queued != nil && endsWarmth(*warm, *queued):
		return 0, l.walk(ctx, *warm, epoch)
	case queued != nil:
		return 0, l.start(ctx, *queued, epoch)
	case warm != nil:
		if left := time.Until(warm.WarmUntil); left > 0 {
			return left, nil
		}
		return 0, l.walk(ctx, *warm, epoch)
	}
	return -1, nil
}

func (l *Line) walk(ctx context.Context, d noon.Deployment, epoch int64) error {
	d, err := l.Walk(ctx, d.ID, epoch)
	if err != nil {
		return err
	}
	return l.Desk.Ended(ctx, d, epoch)
}

// start takes the oldest request out of the queue. The plan is made anew: the
// site may be something else than when it was requested.
func (l *Line) start(ctx context.Context, d noon.Deployment, epoch int64) error {
	if d.WantAbort != "" {
		to := noon.Cancelled
		if strings.HasPrefix(d.WantAbort, supersededBy) {
			to = noon.Superseded
		}
		return l.drop(ctx, d, to, &noon.Error{Kind: noon.Conflict, Op: "deploy", Subject: l.Site.String(), Err: fmt.Errorf("%s", d.WantAbort)}, epoch)
	}
	plan, err := l.Desk.Plan(ctx, d)
	if err != nil {
		if k := noon.KindOf(err); k == noon.Invalid || k == noon.NotFound || k == noon.Conflict {
			return l.drop(ctx, d, noon.Cancelled, noon.AsError(err), epoch)
		}
		return err
	}
	d.Plan = plan
	d.Started = time.Now()
	d.Move(noon.Walking)
	l.Faults.Point("line.start.before")
	err = l.Desk.Start(ctx, d, epoch, l.event(d, epoch, "started"))
	l.Faults.Point("line.start.after")
	if err != nil {
		return fmt.Errorf("start %s: %w", d.Name(), err)
	}
	return l.walk(ctx, d, epoch)
}

// drop takes a request out of the queue without starting it.
func (l *Line) drop(ctx context.Context, d noon.Deployment, to noon.Status, why *noon.Error, epoch int64) error {
	d.Move(to)
	d.Error, d.Ended = why, time.Now()
	if err := l.Journal.Record(ctx, d, epoch, l.event(d, epoch, why.Error())); err != nil {
		return fmt.Errorf("drop %s: %w", d.Name(), err)
	}
	return l.Desk.Ended(ctx, d, epoch)
}

// endsWarmth reports whether a warm deployment has to be completed before the
// next one begins: a store serves two releases at a time, and the next one
// brings a third. Whoever goes back to what is warm does not.
func endsWarmth(warm, next noon.Deployment) bool {
	last := warm.Plan.States[len(warm.Plan.States)-1]
	holdsData := slices.ContainsFunc(last.Leave, func(n noon.Need) bool { return n.Data != nil })
	return holdsData && next.WantAbort == "" && next.Plan.To != warm.Plan.From
}

// overtaken reports whether a newer deployment has succeeded. One that is under
// way has not, and may go back to what is warm now.
func overtaken(warm noon.Deployment, list []noon.Deployment) bool {
	return slices.ContainsFunc(list, func(d noon.Deployment) bool { return d.ID > warm.ID && d.Status.Good() })
}

// finish ends the warm time of a deployment for a newer one.
func (l *Line) finish(ctx context.Context, d noon.Deployment, epoch int64) error {
	d.Move(noon.Succeeded)
	if err := l.Journal.Record(ctx, d, epoch, l.event(d, epoch, "a newer deployment goes on from here")); err != nil {
		return fmt.Errorf("finish %s: %w", d.Name(), err)
	}
	return nil
}

func (l *Line) event(d noon.Deployment, epoch int64, detail string) noon.Event {
	return noon.Event{
		Deployment: d.ID, Epoch: epoch, At: time.Now(), Kind: noon.Moved, State: d.At, Subject: "status",
		Detail: string(d.Status) + ": " + detail,
	}
}
