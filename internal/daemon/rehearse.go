package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/database/rehearsal"
	"github.com/noon-deploy/noon/internal/ledger"
)

// underRehearsal is a rehearsal that runs.
type underRehearsal struct {
	noon.Rehearsal
	stop context.CancelCauseFunc // nil: it has not begun to work
	why  error                   // it was told to end before that
}

var errStopped = errors.New("somebody ended it")

// Rehearse begins a rehearsal and returns at once. There is one at a time for
// a site.
func (c *Controller) Rehearse(ctx context.Context, req api.RehearseRequest) (noon.Rehearsal, error) {
	r, err := c.toRehearse(ctx, req)
	if err != nil {
		return r.Rehearsal, err
	}
	c.mu.Lock()
	spawn := c.spawn
	other, busy := c.rehearsing[req.Site]
	if !busy && spawn != nil {
		c.rehearsing[req.Site] = &underRehearsal{}
	}
	c.mu.Unlock()
	switch {
	case spawn == nil:
		return r.Rehearsal, &noon.Error{Kind: noon.Unavailable, Op: "rehearse", Subject: req.Site.String(), Err: errors.New("the controller is starting or ending"), Hint: "Ask again in a moment."}
	case busy:
		return r.Rehearsal, &noon.Error{
			Kind: noon.Conflict, Op: "rehearse", Subject: req.Site.String(), Err: fmt.Errorf("rehearsal %d is under way", other.ID),
			Hint: "Wait for it (`noon rehearse --show`), or end it: `noon rehearse --stop`.",
		}
	}
	if r.Rehearsal, err = c.ledger.AddRehearsal(ctx, r.Rehearsal); err != nil {
		c.rehearsed(req.Site)
		return r.Rehearsal, err
	}
	c.mu.Lock()
	c.rehearsing[req.Site].Rehearsal = r.Rehearsal
	c.mu.Unlock()
	spawn(func(ctx context.Context) { c.rehearse(ctx, r) })
	return r.Rehearsal, nil
}

// toRehearse completes what was asked for.
func (c *Controller) toRehearse(ctx context.Context, req api.RehearseRequest) (rehearsed, error) {
	r := rehearsed{keep: req.Keep}
	if err := errors.Join(noon.ValidName(req.Site.App), noon.ValidName(req.Site.Environment)); err != nil {
		return r, &noon.Error{Kind: noon.Invalid, Op: "rehearse", Subject: req.Site.String(), Err: err, Hint: "Name the app and the environment as in noon.yaml."}
	}
	if req.Copy != "" && !slices.Contains(noon.CopyKinds(), req.Copy) {
		return r, &noon.Error{Kind: noon.Invalid, Op: "rehearse", Subject: string(req.Copy), Err: errors.New("there is no such copy"), Hint: "It is dump, template or command."}
	}
	number, err := c.releaseNumber(ctx, api.DeployRequest{Site: req.Site, Release: req.Release})
	if err != nil {
		return r, err
	}
	rel, app, err := c.catalog.app(ctx, req.Site.App, number)
	if err != nil {
		return r, err
	}
	store, err := rehearsable(app, rel.Name(), req.Store)
	if err != nil {
		return r, err
	}
	config, err := c.ledger.LatestConfig(ctx, req.Site)
	if err != nil {
		return r, err
	}
	r.revision = noon.Revision{Release: number, Config: config.Version}
	r.Rehearsal = noon.Rehearsal{
		Site: req.Site, Store: store.Name, Release: number, Digest: rel.Digest, By: req.By,
		Status: noon.RehearsalRunning, Begun: time.Now().UTC(),
	}
	if r.m, err = c.desk.data.store(ctx, req.Site, r.revision, store.Name); err != nil {
		return r, err
	}
	r.m.Rehearsal.Copy = cmp.Or(req.Copy, r.m.Rehearsal.Copy)
	if r.m.Rehearsal.Copy == noon.CopyCommand && len(r.m.Rehearsal.Command) == 0 {
		return r, &noon.Error{Kind: noon.Invalid, Op: "rehearse", Subject: store.Name, Err: errors.New("noon.yaml has no command that copies"), Hint: "Add `rehearsal: command:` to the store."}
	}
	return r, c.before(ctx, &r)
}

// before finds what is live: the release before, for which the change must not
// break anything.
func (c *Controller) before(ctx context.Context, r *rehearsed) error {
	now, _, err := c.desk.current(ctx, r.Site)
	live := now.Live()
	if err != nil || live.IsZero() {
		return err
	}
	if live.Release == r.Release {
		return &noon.Error{
			Kind: noon.Conflict, Op: "rehearse", Subject: noon.ReleaseName(r.Release), Err: errors.New("it is live: what it brings is in the store already"),
			Hint: "Nothing needs to be done. `noon releases` lists the others.",
		}
	}
	left, err := c.desk.data.store(ctx, r.Site, live, r.Store)
	if noon.KindOf(err) == noon.NotFound {
		return nil
	}
	r.left = &left
	return err
}

// rehearse carries a rehearsal out and writes down what came of it.
func (c *Controller) rehearse(ctx context.Context, r rehearsed) {
	working, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	c.mu.Lock()
	u := c.rehearsing[r.Site]
	if u.stop = stop; u.why != nil {
		stop(u.why)
	}
	c.mu.Unlock()
	defer c.rehearsed(r.Site)
	var verdict error
	order := c.desk.data.rehearsal(r, func(doing string) { c.doing(r.Site, doing) })
	err := c.desk.data.outside(working, r, &order)
	if err == nil {
		r.Report, verdict, err = rehearsal.Run(working, order)
	}
	r.Ended = time.Now().UTC()
	switch {
	case ctx.Err() != nil:
		r.Status = noon.RehearsalInterrupted
	case context.Cause(working) != nil, err != nil:
		r.Status, r.Problem = noon.RehearsalStopped, noon.AsError(cmp.Or(context.Cause(working), err))
	case verdict != nil && noon.KindOf(verdict) == noon.Unavailable:
		r.Status, r.Problem = noon.RehearsalStopped, noon.AsError(verdict)
	case verdict != nil:
		r.Status, r.Problem = noon.RehearsalFailed, noon.AsError(verdict)
	default:
		r.Status = noon.RehearsalGood
	}
	if err := c.ledger.EndRehearsal(context.WithoutCancel(ctx), r.Rehearsal); err != nil {
		c.opts.Log.ErrorContext(ctx, "a rehearsal could not be written down", "rehearsal", r.ID, "err", err)
	}
}

// rehearsed notes that a site has no rehearsal under way.
func (c *Controller) rehearsed(site noon.Site) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.rehearsing, site)
	c.tellChanged()
}

// doing tells those who watch what a rehearsal does.
func (c *Controller) doing(site noon.Site, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if u := c.rehearsing[site]; u != nil && u.Doing != what {
		u.Doing = what
		c.tellChanged()
	}
}

// Rehearsal returns a rehearsal.
func (c *Controller) Rehearsal(ctx context.Context, id int64) (noon.Rehearsal, error) {
	r, err := c.ledger.Rehearsal(ctx, id)
	if err == nil && r.Status == noon.RehearsalRunning {
		c.mu.Lock()
		defer c.mu.Unlock()
		if u := c.rehearsing[r.Site]; u != nil {
			r.Doing = u.Doing
		}
	}
	return r, err
}

// Rehearsals lists rehearsals of a site, newest first.
func (c *Controller) Rehearsals(ctx context.Context, site noon.Site, limit int) ([]noon.Rehearsal, error) {
	return c.ledger.Rehearsals(ctx, ledger.RehearsalQuery{Site: site, Limit: limit})
}

// WatchRehearsal shows a rehearsal each time it changes, until it has ended.
func (c *Controller) WatchRehearsal(ctx context.Context, id int64, see func(noon.Rehearsal) error) error {
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		r, err := c.Rehearsal(ctx, id)
		if err != nil {
			return err
		}
		if err := see(r); err != nil || r.Status != noon.RehearsalRunning {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// StopRehearsal ends a rehearsal. It has ended when its copy is dropped.
func (c *Controller) StopRehearsal(ctx context.Context, id int64) (noon.Rehearsal, error) {
	r, err := c.ledger.Rehearsal(ctx, id)
	if err != nil {
		return r, err
	}
	if r.Status != noon.RehearsalRunning {
		return r, &noon.Error{Kind: noon.Conflict, Op: "stop", Subject: fmt.Sprintf("rehearsal %d", id), Err: fmt.Errorf("it is %s already", r.Status)}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if u := c.rehearsing[r.Site]; u != nil && u.ID == id {
		u.why = &noon.Error{Kind: noon.Conflict, Op: "rehearse", Subject: noon.ReleaseName(r.Release), Err: errStopped, Hint: "The copy was dropped. Production was not changed."}
		if u.stop != nil {
			u.stop(u.why)
		}
	}
	return r, nil
}
