package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/grammar"
	"github.com/noon-deploy/noon/internal/database/outline"
	"github.com/noon-deploy/noon/internal/fault"
)

const (
	// lookLimit bounds how long a migration waits for a look at its database.
	lookLimit = 10 * time.Second
	// maxMigration is the largest file of migrations, in bytes.
	maxMigration = 1 << 20
)

// databases takes the stores that noon migrates itself from phase to phase.
type databases struct {
	catalog *catalog
	grammar *grammar.Child // nil: what needs it is read in this process
	log     *slog.Logger
	faults  *fault.Points
}

// migrated is a store of a release, and what it takes to change it.
type migrated struct {
	noon.Store
	site    noon.Site
	release string
	address string            // with the credentials that may change it
	files   map[string]string // of its migrations
	copied  *copied           // nil: it is the store itself
}

// names of the files, sorted.
func (m migrated) names() []string { return slices.Sorted(maps.Keys(m.files)) }

// schema looks what a store is made of, as one of its revisions reaches it;
// none if the store has no address that noon knows.
func (d *databases) schema(ctx context.Context, site noon.Site, r noon.Revision, store string) (noon.Schema, error) {
	res, err := d.catalog.Resolve(ctx, site, r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	for _, s := range res.App.Stores {
		if address := res.Env[s.URL]; s.Name == store && address != "" {
			return outline.Of(ctx, address)
		}
	}
	return nil, nil
}

// reach takes a store to the phase that a task names.
func (d *databases) reach(ctx context.Context, task noon.DataTask, progress func(string)) error {
	m, err := d.store(ctx, task.Site, task.Revision, task.Store)
	if err != nil {
		return err
	}
	var left *migrated
	if !task.Left.IsZero() {
		// A release that did not have the store yet left nothing in it.
		before, err := d.store(ctx, task.Site, task.Left, task.Store)
		if err == nil {
			left = &before
		} else if noon.KindOf(err) != noon.NotFound {
			return err
		}
	}
	return d.change(ctx, task, m, left, progress)
}

// change takes a store, or a copy of it, to the phase that a task names.
func (d *databases) change(ctx context.Context, task noon.DataTask, m migrated, left *migrated, progress func(string)) error {
	if m.Coexistence == noon.Versioned {
		return d.versioned(ctx, task, m, left, progress)
	}
	return d.sql(ctx, task, m, left, progress)
}

// check refuses a release whose stores can not be taken anywhere: servers that
// do not answer or let nobody in, files that were applied with another content.
// Nothing is changed.
func (d *databases) check(ctx context.Context, site noon.Site, r noon.Revision) error {
	_, app, err := d.catalog.app(ctx, site.App, r.Release)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	for _, s := range app.Stores {
		if s.Migrations == "" {
			continue
		}
		m, err := d.store(ctx, site, r, s.Name)
		if err != nil {
			return err
		}
		check := checkSQL
		if s.Coexistence == noon.Versioned {
			check = d.checkVersioned
		}
		if err := check(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// store reads what a release brings for one of its stores.
func (d *databases) store(ctx context.Context, site noon.Site, r noon.Revision, name string) (migrated, error) {
	rel, app, err := d.catalog.app(ctx, site.App, r.Release)
	if err != nil {
		return migrated{}, err
	}
	i := slices.IndexFunc(app.Stores, func(s noon.Store) bool { return s.Name == name && s.Migrations != "" })
	if i < 0 {
		return migrated{}, &noon.Error{
			Kind: noon.NotFound, Op: "find store", Subject: name, Err: fmt.Errorf("noon.yaml of %s has no migrations for it", rel.Name()),
			Hint: "The plan was made by another noon.yaml; deploy again.",
		}
	}
	env, _ := app.Environment(site.Environment)
	values, err := d.catalog.values(ctx, site, env, r)
	if err != nil {
		return migrated{}, err
	}
	m := migrated{Store: app.Stores[i], site: site, release: rel.Name(), address: values[app.Stores[i].URL]}
	if m.address == "" {
		return m, &noon.Error{
			Kind: noon.Invalid, Op: "reach store", Subject: name, Err: fmt.Errorf("%s has no value in %s", m.URL, site.Environment),
			Hint: fmt.Sprintf("`noon env set -e %s --secret %s` sets it; then deploy again.", site.Environment, m.URL),
		}
	}
	m.files, err = d.catalog.store.Directory(ctx, rel.Digest, m.Migrations, maxMigration)
	return m, err
}

// news are the migrations of the stores of a release that another one has not,
// and those it has not of the other.
func (d *databases) news(ctx context.Context, site noon.Site, to, live noon.Revision) (brings, lacks map[string][]noon.Brought, err error) {
	brings, lacks = map[string][]noon.Brought{}, map[string][]noon.Brought{}
	_, app, err := d.catalog.app(ctx, site.App, to.Release)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range app.Stores {
		if s.Migrations == "" {
			continue
		}
		theirs, err := d.brought(ctx, site, to, s.Name)
		if err != nil {
			return nil, nil, err
		}
		var ours []noon.Brought
		if !live.IsZero() {
			if ours, err = d.brought(ctx, site, live, s.Name); err != nil && noon.KindOf(err) != noon.NotFound {
				return nil, nil, err
			}
		}
		brings[s.Name], lacks[s.Name] = without(theirs, ours), without(ours, theirs)
	}
	return brings, lacks, nil
}

func without(list, others []noon.Brought) []noon.Brought {
	return slices.DeleteFunc(slices.Clone(list), func(b noon.Brought) bool {
		return slices.ContainsFunc(others, func(o noon.Brought) bool { return o.Name == b.Name })
	})
}

// brought reads the migrations of a store of a release. A file that can not be
// read is an error: it would only be found when users are on their way.
func (d *databases) brought(ctx context.Context, site noon.Site, r noon.Revision, store string) ([]noon.Brought, error) {
	m, err := d.store(ctx, site, r, store)
	if err != nil {
		return nil, err
	}
	if m.Coexistence == noon.Versioned {
		return m.operations()
	}
	return m.sections()
}
