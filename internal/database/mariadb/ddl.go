package mariadb

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/noon-deploy/noon"
)

// left are the steps of a stage that are not done.
func (r *run) left(ctx context.Context, s Stage) ([]Step, error) {
	var list []Step
	for _, step := range s.Steps {
		if step.Object != Anything {
			there, err := r.e.exists(ctx, r.conn, step.Object, step.Name, s.Table)
			if err != nil {
				return nil, explain("look at "+string(step.Object), step.Name, err)
			}
			if there != step.Gone {
				continue
			}
		}
		list = append(list, step)
	}
	return list, nil
}

// define carries out what is left of a stage that defines something.
func (r *run) define(ctx context.Context, phase Phase, s Stage) error {
	if s.Kind == Altering {
		return r.alter(ctx, phase, s)
	}
	for i, step := range s.Steps {
		one := s
		one.Steps = s.Steps[i : i+1]
		if err := r.insist(ctx, phase, one, func([]Step) string { return step.SQL }); err != nil {
			return err
		}
		r.e.c.Fault.Point("mariadb.step.after")
	}
	return nil
}

// alter asks so that the server refuses instead of blocking those who use the
// table: without touching the rows, then beside those who write them.
func (r *run) alter(ctx context.Context, phase Phase, s Stage) error {
	var err error
	for _, how := range []string{"ALGORITHM=INSTANT", "ALGORITHM=NOCOPY, LOCK=NONE", "ALGORITHM=INPLACE, LOCK=NONE"} {
		if !r.e.maria && strings.Contains(how, "NOCOPY") {
			continue
		}
		err = r.insist(ctx, phase, s, func(left []Step) string {
			clauses := []string{}
			for _, step := range left {
				clauses = append(clauses, step.SQL)
			}
			return fmt.Sprintf("ALTER TABLE %s %s", qualified(r.plan.Database, s.Table), strings.Join(append(clauses, how), ", "))
		})
		if c := code(err); c != notSupported && c != notSupportedWhy {
			return err
		}
	}
	own := &noon.Error{Kind: noon.Invalid, Op: "change a table in use", Subject: s.Table, Err: fmt.Errorf("the server would copy it, or keep writers waiting: %w", err)}
	own.Hint = "The table is as it was. Withdraw the change, and bring this part in a release of its own, by a tool that copies online."
	return own
}

// insist tries the statement for what is left of a stage until it gets its
// locks or the budget is used up. No try keeps the table's users waiting for
// longer than LockTimeout.
func (r *run) insist(ctx context.Context, phase Phase, s Stage, text func(left []Step) string) error {
	until := time.Now().Add(r.e.c.LockBudget)
	for try := 1; ; try++ {
		steps, err := r.left(ctx, s) // each time: a try that was ended may have been done
		if err == nil && len(steps) == 0 {
			return nil
		}
		var blockers []Blocker
		if err == nil { // else it may be the end of the try before that came late
			blockers, err = r.attempt(ctx, s, text(steps))
		}
		if !busy(err) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(until) {
			return r.conflict(r.plan.name(), fmt.Errorf("the locks for %q were not free: %w%s", s.Name, err, describeAll(blockers)), "Try again when these sessions have ended: what was begun goes on from where it was.")
		}
		r.tell(Progress{Phase: phase, Stage: s.Name, Rows: -1, Try: try + 1, Blockers: blockers})
		wait := time.Duration(min(try, 10)) * r.e.c.LockTimeout / 2
		pause(ctx, wait+rand.N(wait)) //nolint:gosec // jitter is no secret
	}
}

// attempt runs a statement, and ends it when it waits for its locks too long.
func (r *run) attempt(ctx context.Context, s Stage, text string) (blockers []Blocker, err error) {
	limit := r.e.c.LockTimeout
	if s.Build { // all of its work would be lost
		limit += limit / 2
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	done := make(chan struct{})
	all.Go(func() { blockers = r.watch(ctx, done, limit) })
	_, err = r.conn.ExecContext(ctx, text)
	close(done)
	all.Wait()
	return blockers, err
}

// watch kills the statement of the engine's session when it has waited for a
// lock of a table for longer than limit, and returns who was in the way. The
// servers count such waits in seconds only.
func (r *run) watch(ctx context.Context, done <-chan struct{}, limit time.Duration) []Blocker {
	tick := time.NewTicker(max(limit/10, 5*time.Millisecond))
	defer tick.Stop()
	var since time.Time
	for {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var state sql.NullString
		err := r.db.QueryRowContext(ctx, "SELECT state FROM information_schema.processlist WHERE id = ?", r.id).Scan(&state)
		switch {
		case err != nil || !strings.Contains(state.String, "metadata lock"):
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) >= limit:
			select {
			case <-done:
				return nil
			default:
			}
			_, _ = r.db.ExecContext(ctx, fmt.Sprintf("KILL QUERY %d", r.id)) // it may have got its lock: then nothing is lost but a try
			return r.blockers(ctx)
		}
	}
}
