package world

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/planner"
	"github.com/noon-deploy/noon/internal/walk"
)

// Book is a ledger in memory. What is recorded survives the controllers of a
// world, as it survives real ones on disk.
type Book struct {
	Apps   map[int]noon.App          // by release number
	Brings map[string][]noon.Brought // to every plan: store name → migrations

	mu          sync.Mutex
	deployments []noon.Deployment
	events      []noon.Event
	epochs      map[noon.Site]int64
	generation  int64
}

// NewBook returns an empty ledger for releases of one app.
func NewBook(apps map[int]noon.App) *Book {
	return &Book{Apps: apps, epochs: map[noon.Site]int64{}}
}

// Acquire takes a site.
func (b *Book) Acquire(_ context.Context, site noon.Site, _ string) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.epochs[site]++
	return b.epochs[site], nil
}

// NextGeneration numbers a snapshot.
func (b *Book) NextGeneration(_ context.Context, site noon.Site, epoch int64) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.fence(site, epoch); err != nil {
		return 0, err
	}
	b.generation++
	return b.generation, nil
}

func (b *Book) fence(site noon.Site, epoch int64) error {
	if epoch != b.epochs[site] {
		return &noon.Error{Kind: noon.Stale, Op: "record", Subject: site.String(), Err: fmt.Errorf("epoch %d is not the newest", epoch)}
	}
	return nil
}

// Request queues a deployment of a release.
func (b *Book) Request(site noon.Site, kind noon.PlanKind, to noon.Revision) noon.Deployment {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := noon.Deployment{ID: int64(len(b.deployments) + 1), Site: site, Status: noon.Queued, Plan: noon.Plan{Kind: kind, Site: site, To: to}}
	b.deployments = append(b.deployments, d)
	return d
}

// Ask changes what people may change of a deployment.
func (b *Book) Ask(id int64, change func(*noon.Deployment)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.deployments[id-1])
}

// Deployment returns one deployment.
func (b *Book) Deployment(_ context.Context, id int64) (noon.Deployment, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if id < 1 || id > int64(len(b.deployments)) {
		return noon.Deployment{}, &noon.Error{Kind: noon.NotFound, Op: "find deployment", Err: errors.New("there is none")}
	}
	return clone(b.deployments[id-1]), nil
}

// clone gives a value that shares nothing with the one that is kept, as if it
// had been read from a disk.
func clone(d noon.Deployment) noon.Deployment {
	d.Facts = slices.Clone(d.Facts)
	d.Resolved = maps.Clone(d.Resolved)
	return d
}

// All returns every deployment, oldest first.
func (b *Book) All() []noon.Deployment {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]noon.Deployment, 0, len(b.deployments))
	for _, d := range b.deployments {
		list = append(list, clone(d))
	}
	return list
}

// Events returns the journal of a deployment.
func (b *Book) Events(id int64) []noon.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []noon.Event
	for _, e := range b.events {
		if e.Deployment == id {
			list = append(list, e)
		}
	}
	return list
}

// Record stores a deployment; what people asked for stays.
func (b *Book) Record(_ context.Context, d noon.Deployment, epoch int64, events ...noon.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.fence(d.Site, epoch); err != nil {
		return err
	}
	old := &b.deployments[d.ID-1]
	d = clone(d)
	d.WantAbort, d.Approved, d.Resolved = old.WantAbort, old.Approved, old.Resolved
	*old = d
	b.events = append(b.events, events...)
	return nil
}

// Start is Record with a plan; here every Record stores it.
func (b *Book) Start(ctx context.Context, d noon.Deployment, epoch int64, events ...noon.Event) error {
	return b.Record(ctx, d, epoch, events...)
}

// Line lists queued, walking and warm deployments and the newest started one
// that did not go back, oldest first.
func (b *Book) Line(_ context.Context, site noon.Site) ([]noon.Deployment, error) {
	var list []noon.Deployment
	newest := false
	for _, d := range slices.Backward(b.All()) {
		if d.Site != site {
			continue
		}
		first := !newest && !d.Started.IsZero() && d.Status != noon.Returned
		newest = newest || first
		if first || !d.Status.Ended() || d.Status == noon.Warm {
			list = append(list, d)
		}
	}
	slices.Reverse(list)
	return list, nil
}

// Current is the state that the newest started deployment has left. One that
// went back has left what the one before it did.
func (b *Book) Current(site noon.Site) noon.State {
	for _, d := range slices.Backward(b.All()) {
		if d.Site == site && !d.Started.IsZero() && d.Status != noon.Returned {
			return d.Plan.States[d.At]
		}
	}
	return noon.State{}
}

// Plan plans a queued deployment.
func (b *Book) Plan(_ context.Context, d noon.Deployment) (noon.Plan, error) {
	in := planner.Input{Kind: d.Plan.Kind, Site: d.Site, Current: b.Current(d.Site), To: d.Plan.To, Apps: map[noon.Revision]noon.App{}, Brings: b.Brings}
	in.Apps[d.Plan.To] = b.Apps[d.Plan.To.Release]
	for _, p := range in.Current.Presences {
		in.Apps[p.Revision] = b.Apps[p.Revision.Release]
	}
	return planner.Plan(in)
}

// Ended does nothing: there is nothing to prune.
func (b *Book) Ended(context.Context, noon.Deployment, int64) error { return nil }

// Resolve returns what a revision is made of.
func (b *Book) Resolve(_ context.Context, _ noon.Site, r noon.Revision) (walk.Resolved, error) {
	app, ok := b.Apps[r.Release]
	if !ok {
		return walk.Resolved{}, &noon.Error{Kind: noon.NotFound, Op: "find release", Subject: noon.ReleaseName(r.Release), Err: errors.New("there is none")}
	}
	return walk.Resolved{Digest: "sha256:" + noon.ReleaseName(r.Release), App: app, Preview: "preview-" + r.String()}, nil
}
