package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/grammar"
	"github.com/noon-deploy/noon/internal/host"
	"github.com/noon-deploy/noon/internal/ledger"
	"github.com/noon-deploy/noon/internal/proxy"
	"github.com/noon-deploy/noon/internal/release"
	"github.com/noon-deploy/noon/internal/walk"
)

// Controller plans and walks deployments and answers the API.
type Controller struct {
	opts    Options
	ledger  *ledger.Ledger
	store   *release.Store
	catalog *catalog
	desk    *desk
	host    *host.Client
	proxy   *proxy.Client
	walker  *walk.Walker
	preview *http.Client
	started time.Time
	end     func(ending) // ends Serve, for upgrade and down

	leaveParts func() // no longer starts parts that do not answer

	creating sync.Mutex // a key is looked for and used in one step

	mu      sync.Mutex
	lines   map[noon.Site]*walk.Line
	run     func(*walk.Line)            // starts a line; nil once the controller stops
	spawn   func(func(context.Context)) // has something done until the controller ends; nil before and after
	waiting map[int64]string
	down    map[string]error // parts that do not answer, and why
	changed chan struct{}    // closed and replaced when waiting, down or rehearsing changes

	rehearsing map[noon.Site]*underRehearsal
}

// newController opens everything that a controller works with.
func newController(ctx context.Context, opts Options) (*Controller, error) {
	key, err := ledger.LoadKey(opts.Paths.KeyFile())
	if err != nil {
		return nil, err
	}
	store, err := release.Open(opts.Paths.ReleasesDir())
	if err != nil {
		return nil, err
	}
	store.Faults = opts.Faults
	led, err := ledger.Open(ctx, opts.Paths.LedgerFile(), key, ledger.WithFaults(opts.Faults))
	if err != nil {
		return nil, err
	}
	c := &Controller{
		opts: opts, ledger: led, store: store, catalog: newCatalog(led, store, key[:]),
		host: host.NewClient(opts.Paths.HostSocket()), proxy: proxy.NewClient(opts.Paths.ProxySocket()),
		rehearsing: map[noon.Site]*underRehearsal{},
		started:    time.Now(), lines: map[noon.Site]*walk.Line{}, waiting: map[int64]string{}, down: map[string]error{}, changed: make(chan struct{}),
	}
	data := &databases{catalog: c.catalog, grammar: grammar.NewChild(0, opts.Binary, "grammar"), log: opts.Log, faults: opts.Faults}
	c.desk = &desk{Ledger: led, catalog: c.catalog, data: data, ended: c.prune}
	c.preview = &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DialContext: c.dialProxy},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.walker = &walk.Walker{
		Journal: led, Catalog: c.catalog, Host: c.hostNamed, Smoke: c.smoke, JobsBusy: c.jobsBusy,
		Data: data.reach, Schema: data.schema, Log: opts.Log, Faults: opts.Faults, Waiting: c.setWaiting, Halt: led.Halt, Rehearsed: c.desk.rehearsedGood,
	}
	if err := led.InterruptRehearsals(ctx); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *Controller) close() error {
	c.preview.CloseIdleConnections()
	c.host.Close()
	return c.ledger.Close()
}

// hostNamed returns the way to a host. There is one until hosts are reached
// over SSH.
func (c *Controller) hostNamed(name string) (walk.Host, error) {
	if name != noon.LocalHost {
		return nil, &noon.Error{
			Kind: noon.Invalid, Op: "reach host", Subject: name, Err: fmt.Errorf("this controller has only the host %q", noon.LocalHost),
			Hint: "Name `hosts: [local]` in noon.yaml.",
		}
	}
	return c.host, nil
}

// setWaiting remembers what a walk waits for, for those who watch.
func (c *Controller) setWaiting(id int64, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting[id] == what {
		return
	}
	c.waiting[id] = what
	if what == "" {
		delete(c.waiting, id)
	}
	c.tellChanged()
}

// tellChanged wakes those who watch. c.mu is held.
func (c *Controller) tellChanged() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// waitingFor tells what a deployment waits for. While a part of noon is not
// there, that is what all of them wait for.
func (c *Controller) waitingFor(id int64) (string, <-chan struct{}) {
	if problem, changed := c.partProblem(); problem != "" {
		return problem, changed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting[id], c.changed
}

// errStarting is why a part does not answer at first.
var errStarting = errors.New("it is being started")

// setPart notes how a part of noon is.
func (c *Controller) setPart(name string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if before, was := c.down[name]; err == nil && !was || err != nil && was && before.Error() == err.Error() {
		return
	}
	c.down[name] = err
	if err == nil {
		delete(c.down, name)
	}
	c.tellChanged()
}

// partDown is why a part does not answer, nil if it does.
func (c *Controller) partDown(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.down[name]
}

// partProblem tells which parts do not answer and why, "" if all do.
func (c *Controller) partProblem() (string, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(c.down)) {
		problems = append(problems, fmt.Sprintf("noon's %s: %v", name, c.down[name]))
	}
	return strings.Join(problems, "; "), c.changed
}

// wake tells the line of a site that there is something to do, and begins one
// if the site has none.
func (c *Controller) wake(site noon.Site) {
	c.mu.Lock()
	defer c.mu.Unlock()
	line := c.lines[site]
	if line == nil {
		line = &walk.Line{Walker: c.walker, Desk: c.desk, Site: site, Holder: holder(), Wake: make(chan struct{}, 1)}
		c.lines[site] = line
		if c.run != nil {
			c.run(line)
		}
	}
	select {
	case line.Wake <- struct{}{}:
	default: // it has a token already
	}
}

func holder() string {
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	return fmt.Sprintf("%s pid %d", name, os.Getpid())
}

// prune lets go of releases that nothing needs any more. What it can not
// remove now it removes next time.
func (c *Controller) prune(ctx context.Context, d noon.Deployment) {
	if err := c.pruneApp(ctx, d.Site.App); err != nil && ctx.Err() == nil {
		c.opts.Log.Warn("releases can not be pruned", "app", d.Site.App, "err", err)
	}
}

func (c *Controller) pruneApp(ctx context.Context, app string) error {
	releases, err := c.ledger.Releases(ctx, app)
	if err != nil || len(releases) == 0 {
		return err
	}
	_, newest, err := c.catalog.app(ctx, app, releases[0].Number)
	if err != nil {
		return err
	}
	used, err := c.usedReleases(ctx, app)
	if err != nil {
		return err
	}
	kept := map[int]bool{}
	for _, n := range release.Keep(releases, used, newest.Keep) {
		kept[n] = true
	}
	var pruned []int
	for _, r := range releases {
		if !kept[r.Number] {
			pruned = append(pruned, r.Number)
		}
	}
	if len(pruned) == 0 {
		return nil
	}
	if err := c.ledger.MarkPruned(ctx, app, pruned); err != nil {
		return err
	}
	return c.sweep(ctx)
}

// usedReleases lists the releases of an app that any of its environments has
// in its state or would go back to.
func (c *Controller) usedReleases(ctx context.Context, app string) ([]int, error) {
	sites, err := c.ledger.Sites(ctx)
	if err != nil {
		return nil, err
	}
	var used []int
	for _, site := range sites {
		if site.App != app {
			continue
		}
		now, _, err := c.desk.current(ctx, site)
		if err != nil {
			return nil, err
		}
		for _, p := range now.Presences {
			used = append(used, p.Revision.Release)
		}
		if back, err := c.desk.previousGood(ctx, site, now.Live()); err == nil {
			used = append(used, back.Release)
		}
		open, err := c.desk.Unfinished(ctx, site)
		if err != nil {
			return nil, err
		}
		for _, d := range open {
			used = append(used, d.Plan.To.Release, d.Plan.From.Release)
		}
	}
	return used, nil
}

// sweep removes from the store what no release of any app names.
func (c *Controller) sweep(ctx context.Context) error {
	apps, err := c.ledger.Apps(ctx)
	if err != nil {
		return err
	}
	var keep []string
	for _, app := range apps {
		releases, err := c.ledger.Releases(ctx, app)
		if err != nil {
			return err
		}
		for _, r := range releases {
			keep = append(keep, r.Digest)
		}
	}
	removed, freed, err := c.store.Prune(ctx, keep)
	if len(removed) > 0 {
		c.opts.Log.Info("releases pruned", "count", len(removed), "bytes", freed)
	}
	return err
}
