package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/ledger"
	"github.com/noon-deploy/noon/internal/manifest"
	"github.com/noon-deploy/noon/internal/walk"
)

// AddRelease takes in a release and numbers it. The same content again keeps
// its number.
func (c *Controller) AddRelease(ctx context.Context, r io.Reader) (noon.Release, error) {
	content, err := c.store.Import(ctx, r)
	if err != nil {
		return noon.Release{}, err
	}
	app, err := manifest.Parse("noon.yaml", content.Manifest)
	if err != nil {
		return noon.Release{}, err
	}
	return c.ledger.AddRelease(ctx, noon.Release{
		App: app.Name, Digest: content.Digest, Commit: content.Commit, Dirty: content.Dirty,
		Title: content.Title, Size: content.Size, Added: time.Now(),
	}, content.Manifest)
}

// recentRequests is among how many a repeated idempotency key is looked for.
const recentRequests = 50

// request completes what was asked for: which release, with which
// configuration.
func (c *Controller) request(ctx context.Context, req api.DeployRequest) (noon.Deployment, error) {
	d := noon.Deployment{Site: req.Site, Status: noon.Queued, By: req.By, Reason: req.Reason, Created: time.Now()}
	d.Plan = noon.Plan{Kind: cmp.Or(req.Kind, noon.PlanDeploy), Site: req.Site}
	if err := errors.Join(noon.ValidName(req.Site.App), noon.ValidName(req.Site.Environment)); err != nil {
		return d, &noon.Error{Kind: noon.Invalid, Op: "deploy", Subject: req.Site.String(), Err: err, Hint: "Name the app and the environment as in noon.yaml."}
	}
	now, _, err := c.desk.current(ctx, req.Site)
	if err != nil {
		return d, err
	}
	if d.Plan.Kind == noon.PlanRollback && req.Release == "" {
		d.Plan.To, err = c.desk.previousGood(ctx, req.Site, now.Live())
		return d, err
	}
	number, err := c.releaseNumber(ctx, req)
	if err != nil {
		return d, err
	}
	config, err := c.ledger.LatestConfig(ctx, req.Site)
	if err != nil {
		return d, err
	}
	d.Plan.To = noon.Revision{Release: number, Config: config.Version}
	if d.Plan.Kind == noon.PlanRollback {
		d.Plan.To.Config, err = c.desk.lastConfig(ctx, req.Site, number, now.Live())
	}
	return d, err
}

func (c *Controller) releaseNumber(ctx context.Context, req api.DeployRequest) (int, error) {
	if req.Release == "" {
		list, err := c.ledger.Releases(ctx, req.Site.App)
		if err == nil && len(list) == 0 {
			err = &noon.Error{Kind: noon.NotFound, Op: "deploy", Subject: req.Site.App, Err: errors.New("it has no release yet"), Hint: "`noon build` makes one from the current commit."}
		}
		if err != nil {
			return 0, err
		}
		return list[0].Number, nil
	}
	number, err := noon.ParseReleaseName(req.Release)
	if err != nil {
		return 0, &noon.Error{Kind: noon.Invalid, Op: "deploy", Subject: req.Site.App, Err: err, Hint: "`noon releases` lists the names."}
	}
	_, _, err = c.ledger.Release(ctx, req.Site.App, number)
	return number, err
}

// Plan tells what a request would do. Nothing is changed.
func (c *Controller) Plan(ctx context.Context, req api.DeployRequest) (api.Preview, error) {
	d, err := c.request(ctx, req)
	if err != nil {
		return api.Preview{}, err
	}
	rel, app, err := c.catalog.app(ctx, req.Site.App, d.Plan.To.Release)
	if err != nil {
		return api.Preview{}, err
	}
	out := api.Preview{Release: rel}
	if out.Missing, err = c.catalog.missing(ctx, app, req.Site, d.Plan.To.Config); err != nil {
		return out, err
	}
	open, err := c.desk.Unfinished(ctx, req.Site)
	if err != nil {
		return out, err
	}
	for _, o := range open {
		if !o.Status.Ended() {
			out.Behind = append(out.Behind, o.Name())
		}
	}
	out.Plan, err = c.desk.draft(ctx, d)
	return out, err
}

// Deploy takes a request. Its plan is checked now, so that what can not work
// is refused at once, and made anew when its turn comes.
func (c *Controller) Deploy(ctx context.Context, req api.DeployRequest) (noon.Deployment, error) {
	open, err := c.underWay(ctx, req.Site)
	if err != nil {
		return noon.Deployment{}, err
	}
	if d, found, err := c.repeated(ctx, req, open); found || err != nil {
		return d, err
	}
	if req.Kind == noon.PlanRollback && len(open) > 0 {
		return c.rollbackUnderWay(ctx, req, open)
	}
	d, err := c.request(ctx, req)
	if err != nil {
		return d, err
	}
	if len(open) == 0 {
		if _, err := c.desk.Plan(ctx, d); err != nil {
			return d, err
		}
	}
	return c.enqueue(ctx, d, req.Key, open, req.Supersede)
}

func (c *Controller) underWay(ctx context.Context, site noon.Site) ([]noon.Deployment, error) {
	open, err := c.desk.Unfinished(ctx, site)
	return slices.DeleteFunc(open, func(d noon.Deployment) bool { return d.Status.Ended() }), err
}

func (c *Controller) enqueue(ctx context.Context, d noon.Deployment, key string, open []noon.Deployment, supersede bool) (noon.Deployment, error) {
	d, err := c.create(ctx, d, key)
	if err != nil {
		return d, err
	}
	return d, c.queue(ctx, d, open, supersede)
}

// queue has a deployment wait for its turn, in the place of those before it if
// it supersedes them.
func (c *Controller) queue(ctx context.Context, d noon.Deployment, open []noon.Deployment, supersede bool) error {
	if supersede {
		for _, o := range open {
			if o.ID < d.ID {
				if err := c.want(ctx, o.ID, walk.SupersededBy(d), ""); err != nil {
					return err
				}
			}
		}
	}
	c.wake(d.Site)
	return nil
}

// repeated finds what a request has come to that was made before: its client
// was cut off while it waited for the answer, and asks again with the same key.
// What is left of it to do is done. Otherwise a rollback that is asked for
// again would take back itself, or go back twice.
func (c *Controller) repeated(ctx context.Context, req api.DeployRequest, open []noon.Deployment) (d noon.Deployment, found bool, err error) {
	if req.Key == "" {
		return d, false, nil
	}
	list, err := c.ledger.Deployments(ctx, ledger.Query{Site: &req.Site, Limit: recentRequests})
	if err != nil {
		return d, false, err
	}
	newest := int64(0) // that was asked to go back
	for _, old := range list {
		switch req.Key {
		case old.Key:
			return old, true, c.queue(ctx, old, open, req.Supersede || req.Kind == noon.PlanRollback && req.Release != "")
		case old.AbortKey:
			newest, d = max(newest, old.ID), old
		}
	}
	if left := slices.DeleteFunc(slices.Clone(open), func(o noon.Deployment) bool { return o.ID > newest }); len(left) > 0 {
		d, err = c.takeBack(ctx, req, left)
	}
	return d, newest > 0, err
}

// create stores a request, unless it was stored at this moment.
func (c *Controller) create(ctx context.Context, d noon.Deployment, key string) (noon.Deployment, error) {
	c.creating.Lock()
	defer c.creating.Unlock()
	if key != "" {
		list, err := c.ledger.Deployments(ctx, ledger.Query{Site: &d.Site, Limit: recentRequests})
		if err != nil {
			return d, err
		}
		for _, old := range list {
			if old.Key == key {
				return old, nil
			}
		}
	}
	d.Key = key
	return c.ledger.Create(ctx, d)
}

// rollbackUnderWay goes back while a deployment is under way: aborting it is
// going back to the release before. A release that is named is gone to next.
func (c *Controller) rollbackUnderWay(ctx context.Context, req api.DeployRequest, open []noon.Deployment) (noon.Deployment, error) {
	if req.Release == "" {
		return c.takeBack(ctx, req, open)
	}
	d, err := c.request(ctx, req)
	if err != nil {
		return d, err
	}
	return c.enqueue(ctx, d, req.Key, open, true)
}

// takeBack asks deployments to go back, the newest first.
func (c *Controller) takeBack(ctx context.Context, req api.DeployRequest, open []noon.Deployment) (noon.Deployment, error) {
	for _, o := range slices.Backward(open) {
		if err := c.want(ctx, o.ID, by("rolled back", req.By, req.Reason), req.Key); err != nil {
			return o, err
		}
	}
	return c.ledger.Deployment(ctx, open[0].ID)
}

func by(what, who, why string) string {
	if who != "" {
		what += " by " + who
	}
	if why != "" {
		what += ": " + why
	}
	return what
}

// want asks a deployment to go back, once. key is that of the request.
func (c *Controller) want(ctx context.Context, id int64, why, key string) error {
	err := c.ledger.Request(ctx, id, func(d *noon.Deployment) error {
		if d.Status.Ended() {
			return &noon.Error{
				Kind: noon.Conflict, Op: "abort", Subject: d.Name(), Err: fmt.Errorf("it is %s already", d.Status),
				Hint: "`noon rollback` goes back to the release before.",
			}
		}
		if d.WantAbort == "" {
			d.WantAbort, d.AbortKey = why, key
		}
		return nil
	})
	if err != nil {
		return err
	}
	d, err := c.ledger.Deployment(ctx, id)
	c.wake(d.Site)
	return err
}

// Abort asks a deployment to go back.
func (c *Controller) Abort(ctx context.Context, id int64, word api.Decision) (noon.Deployment, error) {
	if err := c.want(ctx, id, by("aborted", word.By, word.Reason), ""); err != nil {
		return noon.Deployment{}, err
	}
	return c.ledger.Deployment(ctx, id)
}

// Approve lets a deployment through its approval gate, or tells what has
// happened to tasks whose outcome is unknown.
func (c *Controller) Approve(ctx context.Context, id int64, word api.Decision) (noon.Deployment, error) {
	for task, r := range word.Resolve {
		if r != noon.TakeAsDone && r != noon.RunAgain {
			return noon.Deployment{}, &noon.Error{Kind: noon.Invalid, Op: "resolve", Subject: task, Err: fmt.Errorf("%q is neither done nor retry", r), Hint: "Write TASK=done or TASK=retry."}
		}
	}
	err := c.ledger.Request(ctx, id, func(d *noon.Deployment) error { return decide(d, word) })
	if err != nil {
		return noon.Deployment{}, err
	}
	d, err := c.ledger.Deployment(ctx, id)
	c.wake(d.Site)
	return d, err
}

func decide(d *noon.Deployment, word api.Decision) error {
	if d.Status.Ended() && (d.Status != noon.Warm || len(word.Resolve) == 0) {
		return &noon.Error{Kind: noon.Conflict, Op: "approve", Subject: d.Name(), Err: fmt.Errorf("it is %s already", d.Status)}
	}
	if len(word.Resolve) == 0 {
		d.Approved = cmp.Or(d.Approved, word.By, "somebody")
		return nil
	}
	resolved := map[string]noon.Resolution{}
	maps.Copy(resolved, d.Resolved)
	maps.Copy(resolved, word.Resolve)
	d.Resolved = resolved
	return nil
}

// Deployment returns a deployment with its journal.
func (c *Controller) Deployment(ctx context.Context, id int64) (api.DeploymentView, error) {
	return c.view(ctx, id, 0)
}

func (c *Controller) view(ctx context.Context, id, after int64) (api.DeploymentView, error) {
	d, err := c.ledger.Deployment(ctx, id)
	if err != nil {
		return api.DeploymentView{}, err
	}
	d.Waiting, _ = c.waitingFor(id)
	events, err := c.ledger.Events(ctx, id, after)
	return api.DeploymentView{Deployment: d, Events: events}, err
}

// Watch shows a deployment each time it changes, until it has come to rest.
func (c *Controller) Watch(ctx context.Context, id int64, see func(api.DeploymentView) error) error {
	var seen int64
	for {
		recorded := c.ledger.Changed()
		_, waits := c.waitingFor(id)
		view, err := c.view(ctx, id, seen)
		if err != nil {
			return err
		}
		for _, e := range view.Events {
			seen = e.Seq
		}
		if err := see(view); err != nil {
			return err
		}
		if view.Status.Ended() {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-recorded:
		case <-waits:
		}
	}
}

// Deployments lists deployments, newest first, without their plans' contacts:
// a list is for finding, not for reading.
func (c *Controller) Deployments(ctx context.Context, site noon.Site, limit int) ([]noon.Deployment, error) {
	q := ledger.Query{Limit: limit}
	if site != (noon.Site{}) {
		q.Site = &site
	}
	list, err := c.ledger.Deployments(ctx, q)
	for i := range list {
		list[i].Waiting, _ = c.waitingFor(list[i].ID)
	}
	return list, err
}

// Config returns an environment's configuration. Secrets are only named.
func (c *Controller) Config(ctx context.Context, site noon.Site) (api.ConfigView, error) {
	config, err := c.ledger.LatestConfig(ctx, site)
	if err != nil {
		return api.ConfigView{}, err
	}
	out := api.ConfigView{Version: config.Version, Variables: map[string]string{}}
	for name, v := range config.Values {
		if v.Secret {
			out.Secrets = append(out.Secrets, name)
		} else {
			out.Variables[name] = v.Text
		}
	}
	slices.Sort(out.Secrets)
	releases, err := c.ledger.Releases(ctx, site.App)
	if err != nil || len(releases) == 0 {
		return out, err
	}
	_, app, err := c.catalog.app(ctx, site.App, releases[0].Number)
	if err != nil {
		return out, err
	}
	out.Missing, err = c.catalog.missing(ctx, app, site, config.Version)
	return out, err
}

// SetConfig changes an environment's configuration. NOON_ is noon's own.
func (c *Controller) SetConfig(ctx context.Context, site noon.Site, in []api.ConfigChange) (api.ConfigView, error) {
	var list []ledger.Change
	for _, ch := range in {
		if strings.HasPrefix(ch.Name, "NOON_") || ch.Name == "PORT" || ch.Name == "HOST" {
			return api.ConfigView{}, &noon.Error{Kind: noon.Invalid, Op: "set", Subject: ch.Name, Err: errors.New("noon sets this one itself"), Hint: "Choose another name."}
		}
		list = append(list, ledger.Change{Name: ch.Name, Value: ch.Value, Secret: ch.Secret, Unset: ch.Unset})
	}
	if _, err := c.ledger.SetConfig(ctx, site, list, ""); err != nil {
		return api.ConfigView{}, err
	}
	return c.Config(ctx, site)
}
