package migration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/noon-deploy/noon"
)

// insist does something again as long as a lock is not to be had, until the
// budget is used up. What do has begun must be undone when it returns.
func (s *session) insist(ctx context.Context, note Progress, do func() error) error {
	limit := time.Now().Add(s.opts.Budget)
	for wait := s.opts.LockTimeout / 4; ; wait = min(2*wait, time.Second) {
		found, err := s.watched(ctx, do)
		switch {
		case err == nil || !s.explain(err).retry:
			return err
		case time.Now().After(limit):
			return s.blocked(err, found)
		}
		note.Waiting = "for a lock"
		s.see(note)
		// Half of the wait is random, so that two that collide do not meet again.
		if e := pause(ctx, wait/2+rand.N(wait/2+1)); e != nil {
			return e
		}
	}
}

// watched runs do, and looks who is in its way when it takes long.
func (s *session) watched(ctx context.Context, do func() error) (found []Blocker, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(max(10*time.Millisecond, s.opts.LockTimeout/2))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			// Looking is a courtesy: what it can not see it can not name.
			if seen, e := s.blockers(ctx, s.db, s.id); e == nil && len(seen) > 0 {
				found = seen
				s.endBlockers(ctx, seen)
			}
		}
	})
	err = do()
	cancel()
	watching.Wait()
	return found, err
}

// endBlockers ends who is in the way, if that is wanted and certain.
func (s *session) endBlockers(ctx context.Context, found []Blocker) {
	if !s.opts.EndBlockers {
		return
	}
	for _, b := range found {
		if !b.Sure && len(found) > 1 {
			continue // one of several: it may be the wrong one
		}
		if err := s.end(ctx, s.db, b); err != nil {
			s.opts.Log.WarnContext(ctx, "a blocking session could not be ended", "session", b.Session, "err", err)
			continue
		}
		s.opts.Log.WarnContext(ctx, "ended a blocking session", "session", b.Session, "user", b.User, "query", b.Query)
	}
}

// blocked is the end of the budget.
func (s *session) blocked(err error, found []Blocker) error {
	e := &noon.Error{
		Kind: noon.Conflict, Op: "wait for a lock of", Subject: s.name,
		Err:  fmt.Errorf("it was not to be had within %v: %v", s.opts.Budget, err), //nolint:errorlint // what it was is no problem of its own any more
		Hint: "Nothing of this step was changed. Look who holds locks for long, or try again when there is less to do.",
	}
	if len(found) > 0 {
		names := make([]string, len(found))
		for i, b := range found {
			names[i] = b.String()
		}
		slices.Sort(names)
		e.Err = fmt.Errorf("it was not to be had within %v, because of %s", s.opts.Budget, strings.Join(slices.Compact(names), "; "))
		e.Hint = "Nothing of this step was changed. End that transaction and try again, or let noon end who blocks with --end-blockers."
	}
	if at, ok := errors.AsType[*spot](err); ok {
		return &spot{section: at.section, index: at.index, err: e}
	}
	return e
}
