package daemon

import (
	"context"
	"slices"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/ledger"
)

// observeLimit is how long a status waits for a host.
const observeLimit = 3 * time.Second

// Releases lists the releases of an app, newest first, with what became of
// them.
func (c *Controller) Releases(ctx context.Context, app string) ([]api.ListedRelease, error) {
	apps := []string{app}
	if app == "" {
		var err error
		if apps, err = c.ledger.Apps(ctx); err != nil {
			return nil, err
		}
	}
	list := []api.ListedRelease{}
	for _, name := range apps {
		releases, err := c.ledger.Releases(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, r := range releases {
			list = append(list, api.ListedRelease{Release: r})
		}
		if err := c.placeReleases(ctx, name, list[len(list)-len(releases):]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// placeReleases tells of each release where it is live, warm and has passed.
func (c *Controller) placeReleases(ctx context.Context, app string, list []api.ListedRelease) error {
	sites, err := c.ledger.Sites(ctx)
	if err != nil {
		return err
	}
	for _, site := range sites {
		if site.App != app {
			continue
		}
		now, _, err := c.desk.current(ctx, site)
		if err != nil {
			return err
		}
		history, err := c.ledger.Deployments(ctx, ledger.Query{Site: &site})
		if err != nil {
			return err
		}
		for i := range list {
			place(&list[i], site.Environment, now, history)
		}
	}
	return nil
}

func place(r *api.ListedRelease, env string, now noon.State, history []noon.Deployment) {
	for _, p := range now.Presences {
		switch {
		case p.Revision.Release != r.Number:
		case p.Share > 0:
			r.Live = append(r.Live, env)
		case p.Up():
			r.Warm = append(r.Warm, env)
		}
	}
	if slices.ContainsFunc(history, func(d noon.Deployment) bool { return d.Plan.To.Release == r.Number && d.Status.Good() }) {
		r.Passed = append(r.Passed, env)
	}
}

// Status tells what environments are now, those of one app or all.
func (c *Controller) Status(ctx context.Context, app string) ([]api.SiteStatus, error) {
	sites, err := c.ledger.Sites(ctx)
	if err != nil {
		return nil, err
	}
	list := []api.SiteStatus{}
	for _, site := range sites {
		if app != "" && site.App != app {
			continue
		}
		st, err := c.siteStatus(ctx, site)
		if err != nil {
			return nil, err
		}
		list = append(list, st)
	}
	return list, nil
}

func (c *Controller) siteStatus(ctx context.Context, site noon.Site) (api.SiteStatus, error) {
	st := api.SiteStatus{Site: site}
	now, made, err := c.desk.current(ctx, site)
	if err != nil {
		return st, err
	}
	if made.ID != 0 {
		st.State = now.Kind.Label()
	}
	if st.Deployment, err = c.lastStarted(ctx, site); err != nil {
		return st, err
	}
	for _, p := range now.Presences {
		switch {
		case p.Share > 0:
			st.Live = p.Revision.String()
		case p.Preview:
			st.Preview = "/.noon/preview/" + c.catalog.preview(site, p.Revision)
		case p.Up():
			st.Warm = append(st.Warm, p.Revision.String())
		}
	}
	if st.Halt, err = c.ledger.Halt(ctx, site); err != nil {
		return st, err
	}
	st.Halt = st.Halt.At(time.Now())
	open, err := c.desk.Unfinished(ctx, site)
	if err != nil {
		return st, err
	}
	for _, o := range open {
		if o.Status == noon.Queued {
			st.Queued = append(st.Queued, o.Name())
		}
	}
	c.look(ctx, &st)
	return st, nil
}

// lastStarted returns the deployment that is under way, or the last one, even
// if it went back.
func (c *Controller) lastStarted(ctx context.Context, site noon.Site) (*noon.Deployment, error) {
	list, err := c.ledger.Deployments(ctx, ledger.Query{Site: &site})
	if err != nil {
		return nil, err
	}
	for _, d := range list {
		if !d.Started.IsZero() {
			d.Waiting, _ = c.waitingFor(d.ID)
			return &d, nil
		}
	}
	return nil, nil
}

// look adds what the host and the proxy say. That they can not be reached is a
// finding, not an error: the ledger's word still stands.
func (c *Controller) look(ctx context.Context, st *api.SiteStatus) {
	ctx, cancel := context.WithTimeout(ctx, observeLimit)
	defer cancel()
	seen, err := c.host.Observe(ctx, st.Site)
	if err != nil {
		st.Problem = noon.AsError(err)
		return
	}
	st.Problem = seen.Problem
	st.Hosts = append(st.Hosts, seen)
	health, err := c.proxy.Health(ctx)
	if err != nil {
		st.Problem = noon.AsError(err)
		return
	}
	st.Addresses = health.Addresses
	if why := c.partDown(partSockets); why != nil && st.Problem == nil {
		st.Problem = &noon.Error{
			Kind: noon.Unavailable, Op: "hold the proxy's sockets", Err: why,
			Hint: "Users are served meanwhile. noon serve starts this part again; noon doctor tells more.",
		}
	}
}
