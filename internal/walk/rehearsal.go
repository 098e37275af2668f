package walk

import (
	"context"
	"errors"
	"fmt"

	"github.com/noon-deploy/noon"
)

// rehearsal waits until what the release brings to a store has worked on a
// copy of it, or a person lets it pass without.
func (r *run) rehearsal(ctx context.Context, g noon.Gate) error {
	if r.Rehearsed == nil {
		return errBack("open gate", string(g.Kind), "Upgrade noon: the plan was made by a newer one.", errors.New("unknown kind of gate"))
	}
	passed := func(ctx context.Context) (bool, error) {
		if r.d.Approved != "" {
			return true, nil
		}
		return r.Rehearsed(ctx, r.d.Site, r.d.Plan.To, g.Store)
	}
	release := noon.ReleaseName(r.d.Plan.To.Release)
	what := fmt.Sprintf("rehearsal of %s on %s (noon rehearse %s)", release, g.Store, release)
	open, err := passed(ctx)
	if err != nil {
		return err
	}
	if !open {
		if err := r.move(ctx, noon.Held, what); err != nil {
			return err
		}
		if err := r.until(ctx, what, 0, passed); err != nil {
			return err
		}
		if err := r.move(ctx, noon.Walking, what+": open"); err != nil {
			return err
		}
	}
	how := "it worked on a copy"
	if r.d.Approved != "" {
		how = "passed without one by " + r.d.Approved
	}
	return r.record(ctx, noon.Seen, "rehearsal "+g.Store, how)
}
