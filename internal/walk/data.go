package walk

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/noon-deploy/noon"
)

// data takes a store to a phase. It may take hours: people follow it, and who
// aborts has it stopped where it is.
func (r *run) data(ctx context.Context, n noon.Data) error {
	if !slices.Contains(r.d.Facts, n.Name()) {
		r.d.Facts = append(r.d.Facts, n.Name()) // begun: a way back has to undo it
	}
	if err := r.record(ctx, noon.Intent, n.Name(), ""); err != nil {
		return err
	}
	r.Faults.Point("walk.data.before")
	task := noon.DataTask{Data: n, Site: r.d.Site, Epoch: r.epoch, Left: r.other(n.Revision)}
	work := &dataWork{task: task, run: r.Data}
	defer work.stop()
	err := r.untilTelling(ctx, work.telling, 0, func(context.Context) (bool, error) {
		if r.back && r.d.Resolved[n.Name()] == noon.TakeAsDone {
			return true, nil
		}
		work.task.Lossy = r.d.Resolved[n.Name()] == noon.RunAgain
		done, err := work.look(ctx)
		if err != nil && r.back {
			work.trouble(r.wayOut(n, err))
			return false, nil // there is nowhere else to go: it is tried until it can be done
		}
		return done, err
	})
	r.Faults.Point("walk.data.after")
	if err != nil {
		return r.notReached(ctx, n, err)
	}
	return r.record(ctx, noon.Done, n.Name(), work.said())
}

// wayOut tells people what they can decide about a store that refuses.
func (r *run) wayOut(n noon.Data, err error) string {
	if noon.KindOf(err) != noon.Conflict {
		return err.Error()
	}
	return fmt.Sprintf("%v; `noon approve %s --resolve '%s=done'` leaves it as it is, `=retry` goes on and loses what is named", err, r.d.Name(), n.Name())
}

// other is the revision of the deployment that is not this one.
func (r *run) other(one noon.Revision) noon.Revision {
	if one == r.d.Plan.From {
		return r.d.Plan.To
	}
	return r.d.Plan.From
}

// notReached turns back for what the store refuses. What ended because noon
// does goes on when the next one runs.
func (r *run) notReached(ctx context.Context, n noon.Data, err error) error {
	if ctx.Err() != nil || noon.KindOf(err) == noon.Stale {
		return err
	}
	if rerr := r.record(ctx, noon.Failed, n.Name(), err.Error()); rerr != nil {
		return rerr
	}
	if _, turned := err.(turnBackError); turned { //nolint:errorlint // it is what until returned, not wrapped
		return err
	}
	return turnBackError{noon.AsError(fmt.Errorf("%s: %w", n.Name(), err))}
}

// withdraw takes from the stores what only the release that was turned back
// from needed. None of its instances is left.
func (r *run) withdraw(ctx context.Context) error {
	if r.d.Plan.From.IsZero() {
		return nil
	}
	var done []string
	for _, st := range r.d.Plan.States {
		for _, n := range slices.Concat(st.Enter, st.Leave) {
			if n.Data == nil || !slices.Contains(r.d.Facts, n.Name()) || slices.Contains(done, n.Data.Store) {
				continue
			}
			done = append(done, n.Data.Store)
			alone := noon.Data{Store: n.Data.Store, Phase: noon.DataAlone, Revision: r.d.Plan.From}
			if err := r.data(ctx, alone); err != nil {
				return err
			}
		}
	}
	return nil
}

// dataWork is one call of Walker.Data after the other until one succeeds.
type dataWork struct {
	task noon.DataTask
	run  func(context.Context, noon.DataTask, func(string)) error

	cancel context.CancelFunc
	ended  chan error    // nil: none is under way
	pause  time.Duration // before the next call, after one that failed
	next   time.Time     // not before

	mu   sync.Mutex
	last string // what it said last
	why  string // what kept the last call from succeeding
}

// look begins a call if none is under way, and reports whether one succeeded.
func (w *dataWork) look(ctx context.Context) (bool, error) {
	if w.ended == nil && time.Now().Before(w.next) {
		return false, nil
	}
	if w.ended == nil {
		ctx, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		w.cancel, w.ended = cancel, ended
		task := w.task // what people decide from now on is for the next call
		go func() { ended <- w.run(ctx, task, w.progress) }()
	}
	select {
	case err := <-w.ended:
		w.cancel()
		w.ended = nil
		w.pause = min(max(2*w.pause, retrySoon), retrySeldom)
		w.next = time.Now().Add(w.pause)
		return err == nil, err
	default:
		return false, nil
	}
}

// stop ends the call that is under way and waits for it.
func (w *dataWork) stop() {
	if w.ended != nil {
		w.cancel()
		if err := <-w.ended; err != nil {
			w.trouble(err.Error())
		}
		w.ended = nil
	}
}

func (w *dataWork) progress(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = text
}

func (w *dataWork) trouble(why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.why = why
}

func (w *dataWork) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// telling is what people see while they wait.
func (w *dataWork) telling() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := w.task.Name()
	if w.last != "" {
		text += ": " + w.last
	}
	if w.why != "" {
		text += " (tried and not possible yet: " + w.why + ")"
	}
	return text
}
