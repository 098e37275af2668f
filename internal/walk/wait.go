package walk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/noon-deploy/noon"
)

// Looking again: soon at first, since most waits are short, then seldom.
const (
	lookSoon   = 3 * time.Millisecond
	lookSeldom = 200 * time.Millisecond
)

// errLimit says that a wait took longer than its limit.
var errLimit = errors.New("time limit")

// until looks at cond again and again until it holds. A limit of 0 is none. A
// host or proxy that can not be reached is waited for; any other error ends
// the wait. On the way forward a request to abort does too.
func (r *run) until(ctx context.Context, what string, limit time.Duration, cond func(context.Context) (bool, error)) error {
	return r.untilTelling(ctx, func() string { return what }, limit, cond)
}

// untilTelling is until for a wait that people can follow: what is asked at
// every look.
func (r *run) untilTelling(ctx context.Context, what func() string, limit time.Duration, cond func(context.Context) (bool, error)) error {
	start, pause := time.Now(), lookSoon
	for {
		held, err := cond(ctx)
		if held {
			r.tell("")
			return nil
		}
		if err != nil && noon.KindOf(err) != noon.Unavailable {
			return err
		}
		if err := r.refresh(ctx); err != nil {
			return err
		}
		if err := r.retell(ctx); err != nil {
			return err
		}
		if limit > 0 && time.Since(start) >= limit {
			return turnBackError{limitError(what(), limit, err)}
		}
		r.tell(what())
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(pause*3/2, lookSeldom)
	}
}

func limitError(what string, limit time.Duration, cause error) *noon.Error {
	e := &noon.Error{Kind: noon.Failure, Op: "wait for", Subject: what, Err: fmt.Errorf("%w of %s passed", errLimit, limit)}
	if cause != nil {
		e.Err = fmt.Errorf("%w of %s passed, last: %w", errLimit, limit, cause)
		e.Hint = noon.HintOf(cause)
	}
	return e
}

// refresh takes over what people have asked for since the last look.
func (r *run) refresh(ctx context.Context) error {
	d, err := r.Journal.Deployment(ctx, r.d.ID)
	if err != nil {
		return fmt.Errorf("read deployment %d: %w", r.d.ID, err)
	}
	r.d.Approved, r.d.Resolved, r.d.WantAbort = d.Approved, d.Resolved, d.WantAbort
	if r.d.WantAbort == "" || r.back || r.finishing {
		return nil
	}
	return errBack("deploy", r.d.Site.String(), "Nothing is left of it; users have been on the release before or are back on it.", errors.New(r.d.WantAbort))
}

func (r *run) tell(what string) {
	if r.Waiting != nil {
		r.Waiting(r.d.ID, what)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
