package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/ledger"
	"github.com/noon-deploy/noon/internal/planner"
)

// desk answers the lines of deployments from the ledger.
type desk struct {
	*ledger.Ledger
	catalog *catalog
	data    *databases
	ended   func(context.Context, noon.Deployment) // what follows from an end: prune
}

// Line lists what a line has to work on, and the deployment that made the site
// what it is.
func (d *desk) Line(ctx context.Context, site noon.Site) ([]noon.Deployment, error) {
	list, err := d.Unfinished(ctx, site)
	if err != nil {
		return nil, err
	}
	_, newest, err := d.current(ctx, site)
	if err != nil || newest.ID == 0 || slices.ContainsFunc(list, func(o noon.Deployment) bool { return o.ID == newest.ID }) {
		return list, err
	}
	list = append(list, newest)
	slices.SortFunc(list, func(a, b noon.Deployment) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

// Ended marks the deployments that a rollback has left and lets go of what is
// no longer needed.
func (d *desk) Ended(ctx context.Context, dep noon.Deployment, epoch int64) error {
	if dep.Status.Good() && dep.Plan.Kind == noon.PlanRollback {
		if err := d.revert(ctx, dep, epoch); err != nil {
			return err
		}
	}
	d.ended(ctx, dep)
	return nil
}

func (d *desk) revert(ctx context.Context, rollback noon.Deployment, epoch int64) error {
	list, err := d.Deployments(ctx, ledger.Query{Site: &rollback.Site})
	if err != nil {
		return err
	}
	for _, old := range list {
		if old.ID >= rollback.ID || old.Plan.To != rollback.Plan.From || !old.Status.Good() {
			continue
		}
		old.Move(noon.Reverted)
		event := noon.Event{Deployment: old.ID, Kind: noon.Moved, State: old.At, Subject: "status", Detail: "reverted by " + rollback.Name()}
		if err := d.Record(ctx, old, epoch, event); err != nil {
			return fmt.Errorf("mark %s as reverted: %w", old.Name(), err)
		}
	}
	return nil
}

// current returns the state a site is in and the deployment that made it so:
// the newest that was started, unless it went back to what was before.
func (d *desk) current(ctx context.Context, site noon.Site) (noon.State, noon.Deployment, error) {
	// It is asked for often and is nearly always among the newest few.
	for _, limit := range []int{3, 0} {
		list, err := d.Deployments(ctx, ledger.Query{Site: &site, Limit: limit})
		if err != nil {
			return noon.State{}, noon.Deployment{}, err
		}
		for _, dep := range list {
			if !dep.Started.IsZero() && dep.Status != noon.Returned && len(dep.Plan.States) > 0 {
				return dep.Plan.States[dep.At], dep, nil
			}
		}
		if len(list) < limit {
			break
		}
	}
	return noon.State{}, noon.Deployment{}, nil
}

// Plan computes the plan of a request, unless migrations would hurt.
func (d *desk) Plan(ctx context.Context, dep noon.Deployment) (noon.Plan, error) {
	plan, err := d.draft(ctx, dep)
	if err != nil {
		return plan, err
	}
	return plan, plan.Refusal()
}

// draft computes the plan of a request against what the site is now.
func (d *desk) draft(ctx context.Context, dep noon.Deployment) (noon.Plan, error) {
	now, newest, err := d.current(ctx, dep.Site)
	if err != nil {
		return noon.Plan{}, err
	}
	in := planner.Input{
		Kind: dep.Plan.Kind, Site: dep.Site, Current: now, To: dep.Plan.To,
		Apps: map[noon.Revision]noon.App{}, Marks: map[noon.Revision]planner.StoreMark{},
	}
	revisions := []noon.Revision{dep.Plan.To}
	for _, p := range now.Presences {
		revisions = append(revisions, p.Revision)
	}
	for _, r := range revisions {
		rel, app, err := d.catalog.app(ctx, dep.Site.App, r.Release)
		if err != nil {
			return noon.Plan{}, err
		}
		in.Apps[r] = app
		if in.Marks[r], err = d.catalog.marks(ctx, rel, app); err != nil {
			return noon.Plan{}, err
		}
	}
	if in.Walked, err = d.walked(ctx, dep.Site.App); err != nil {
		return noon.Plan{}, err
	}
	if _, err := d.catalog.Resolve(ctx, dep.Site, dep.Plan.To); err != nil {
		return noon.Plan{}, err // its pages, above all, are there
	}
	if err := d.complete(ctx, dep, in.Apps[dep.Plan.To]); err != nil {
		return noon.Plan{}, err
	}
	if err := d.unshared(ctx, dep, in.Apps[dep.Plan.To]); err != nil {
		return noon.Plan{}, err
	}
	if err := d.migrations(ctx, dep, newest, &in); err != nil {
		return noon.Plan{}, err
	}
	if in.Rehearsed, err = d.rehearsed(ctx, dep.Site, dep.Plan.To.Release); err != nil {
		return noon.Plan{}, err
	}
	return planner.Plan(in)
}

// migrations tells the planner what a release brings to its stores, and which
// points of no return it is behind. What is warm has completed nothing yet.
func (d *desk) migrations(ctx context.Context, dep, newest noon.Deployment, in *planner.Input) error {
	live := in.Current.Live()
	brings, lacks, err := d.data.news(ctx, dep.Site, dep.Plan.To, live)
	if err != nil {
		return err
	}
	in.Brings, in.Past = brings, lacks
	if dep.Plan.Kind == noon.PlanDeploy {
		if err := d.data.check(ctx, dep.Site, dep.Plan.To); err != nil {
			return err
		}
		if in.Hazards, err = d.data.hazards(ctx, dep.Site, dep.Plan.To, live); err != nil {
			return err
		}
	}
	if newest.Status != noon.Warm || newest.Plan.From.IsZero() {
		return nil
	}
	fresh, _, err := d.data.news(ctx, dep.Site, live, newest.Plan.From)
	if err != nil {
		return err
	}
	for store := range in.Past {
		in.Past[store] = without(in.Past[store], fresh[store])
	}
	return nil
}

// walked lists the pairs of releases that have lived side by side, in any
// environment of the app.
func (d *desk) walked(ctx context.Context, app string) ([]planner.Walked, error) {
	list, err := d.Deployments(ctx, ledger.Query{})
	if err != nil {
		return nil, err
	}
	var pairs []planner.Walked
	for _, dep := range slices.Backward(list) {
		if dep.Site.App == app && dep.Status.Good() && !dep.Plan.From.IsZero() {
			pairs = append(pairs, planner.Walked{
				A: dep.Plan.From.Release, B: dep.Plan.To.Release, Where: dep.Name() + " in " + dep.Site.Environment,
			})
		}
	}
	return pairs, nil
}

// complete refuses a release that the environment has not all values for, or
// that has not passed the environment before.
func (d *desk) complete(ctx context.Context, dep noon.Deployment, app noon.App) error {
	missing, err := d.catalog.missing(ctx, app, dep.Site, dep.Plan.To.Config)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return &noon.Error{
			Kind: noon.Invalid, Op: "deploy", Subject: noon.ReleaseName(dep.Plan.To.Release) + " to " + dep.Site.Environment,
			Err:  fmt.Errorf("the environment does not have %q, which the release declares", missing),
			Hint: "Nothing was changed. `noon env set NAME=VALUE` or `noon env set --secret NAME` sets a value.",
		}
	}
	if dep.Plan.Kind == noon.PlanRollback {
		return nil
	}
	return d.promoted(ctx, dep, app)
}

// promoted refuses a release that has not passed the environment before.
func (d *desk) promoted(ctx context.Context, dep noon.Deployment, app noon.App) error {
	env, _ := app.Environment(dep.Site.Environment)
	if env.After == "" {
		return nil
	}
	before := noon.Site{App: dep.Site.App, Environment: env.After}
	list, err := d.Deployments(ctx, ledger.Query{Site: &before})
	if err != nil {
		return err
	}
	passed := slices.ContainsFunc(list, func(p noon.Deployment) bool {
		return p.Plan.To.Release == dep.Plan.To.Release && p.Status.Good()
	})
	if passed {
		return nil
	}
	name := noon.ReleaseName(dep.Plan.To.Release)
	return &noon.Error{
		Kind: noon.Conflict, Op: "deploy", Subject: name + " to " + env.Name,
		Err:  fmt.Errorf("it has not passed %s, which comes before %s", env.After, env.Name),
		Hint: fmt.Sprintf("Nothing was changed. `noon deploy %s -e %s` first; what runs in %s is what was tested.", name, env.After, env.Name),
	}
}

// previousGood finds what a rollback without an argument goes to: the newest
// deployment that served users, was not left by a rollback, and is not live.
func (d *desk) previousGood(ctx context.Context, site noon.Site, live noon.Revision) (noon.Revision, error) {
	list, err := d.Deployments(ctx, ledger.Query{Site: &site})
	if err != nil {
		return noon.Revision{}, err
	}
	for _, dep := range list {
		if dep.Status.Good() && dep.Plan.To != live {
			return dep.Plan.To, nil
		}
	}
	return noon.Revision{}, &noon.Error{
		Kind: noon.NotFound, Op: "roll back", Subject: site.String(), Err: errors.New("no other release has served users here"),
		Hint: "`noon rollback rN` goes to a kept release by name; `noon releases` lists them.",
	}
}

// lastConfig finds the configuration a release last served users with and was
// not left by a rollback; failing that, one that was left, then the live one,
// then the newest. It agrees with previousGood about where a rollback goes that
// names no release.
func (d *desk) lastConfig(ctx context.Context, site noon.Site, release int, live noon.Revision) (int, error) {
	list, err := d.Deployments(ctx, ledger.Query{Site: &site})
	if err != nil {
		return 0, err
	}
	left := noon.Revision{}
	for _, dep := range list {
		to := dep.Plan.To
		switch {
		case to.Release != release || to == live:
		case dep.Status.Good():
			return to.Config, nil
		case dep.Status == noon.Reverted && left.IsZero():
			left = to
		}
	}
	if left.IsZero() && live.Release == release {
		left = live
	}
	if !left.IsZero() {
		return left.Config, nil
	}
	config, err := d.LatestConfig(ctx, site)
	return config.Version, err
}

// unshared refuses a site that would answer for the same host name and path as
// another one on this machine: the proxy could not tell their requests apart.
func (d *desk) unshared(ctx context.Context, dep noon.Deployment, app noon.App) error {
	sites, err := d.Sites(ctx)
	if err != nil {
		return err
	}
	for _, other := range sites {
		if other == dep.Site {
			continue
		}
		now, _, err := d.current(ctx, other)
		if err != nil {
			return err
		}
		if now.Live().IsZero() {
			continue
		}
		_, theirs, err := d.catalog.app(ctx, other.App, now.Live().Release)
		if err != nil {
			return err
		}
		if address := clash(app, dep.Site.Environment, theirs, other.Environment); address != "" {
			return &noon.Error{
				Kind: noon.Conflict, Op: "deploy", Subject: dep.Site.String(),
				Err:  fmt.Errorf("%s answers for %s on this machine already", other, address),
				Hint: "Nothing was changed. Give each environment its own `domains` in noon.yaml.",
			}
		}
	}
	return nil
}

// clash names a host name and path that both answer for, "" if there is none.
func clash(a noon.App, envA string, b noon.App, envB string) string {
	domains := func(app noon.App, env string) []string {
		e, _ := app.Environment(env)
		if len(e.Domains) == 0 {
			return []string{"any host name"}
		}
		return e.Domains
	}
	paths := func(app noon.App) []string {
		var list []string
		for _, s := range app.Services {
			list = append(list, s.Paths...)
		}
		return list
	}
	for _, domain := range domains(a, envA) {
		for _, path := range paths(a) {
			if slices.Contains(domains(b, envB), domain) && slices.Contains(paths(b), path) {
				return domain + ", path " + path
			}
		}
	}
	return ""
}
