package daemon

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/grammar"
	"github.com/noon-deploy/noon/internal/database/mariadb"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
	"github.com/noon-deploy/noon/internal/database/postgres"
)

// operations tells what the declared operations of a store do.
func (m migrated) operations() ([]noon.Brought, error) {
	var list []noon.Brought
	for _, name := range m.names() {
		set, err := m.changes(name)
		if err != nil {
			return nil, err
		}
		list = append(list, noon.Brought{
			Name: strings.TrimSuffix(name, path.Ext(name)), Contracts: slices.ContainsFunc(set.Operations, replaces), Loses: set.Irreversible(),
		})
	}
	return list, nil
}

// replaces reports whether a release that does not know of an operation can
// not use the database once it is completed.
func replaces(op change.Operation) bool {
	return op.CreateTable == nil && op.AddColumn == nil && op.CreateIndex == nil && op.DropIndex == nil && op.AddEnumValue == nil && op.ReplicaIdentity == nil
}

// changes reads files of the store, in the order of their names.
func (m migrated) changes(names ...string) (change.Set, error) {
	files := make([]change.File, 0, len(names))
	for _, name := range names {
		files = append(files, change.File{Name: name, Data: []byte(m.files[name])})
	}
	return change.Read(files...)
}

// checkVersioned looks whether the operations of a store can be carried out
// where it is.
func (d *databases) checkVersioned(ctx context.Context, m migrated) error {
	v, err := d.versioning(ctx, m, 0)
	if err != nil {
		return err
	}
	if e, ok := v.engine.(postgresSchema); ok {
		if err := e.Writable(ctx); err != nil {
			return err
		}
	}
	_, err = v.pending()
	return err
}

// versioning reads how far a versioned store is, for a controller of an epoch;
// 0 for one that changes nothing.
func (d *databases) versioning(ctx context.Context, m migrated, epoch int64) (*versioning, error) {
	if ofMySQL(m.Kind) {
		return d.versioningMariaDB(ctx, m, epoch)
	}
	config := postgres.Config{URL: m.address, App: prefix(m.site, m.Name), Role: m.Role, Wait: true, Epoch: epoch, Make: d.planned, Log: d.log, Fault: d.faults}
	password := d.catalog.rolePassword(m.site, m.Name, m.release)
	if m.copied != nil {
		config.Trace, password = m.copied.Trace, m.copied.password
	}
	engine, err := postgres.Open(ctx, config)
	if err != nil {
		return nil, err
	}
	v := &versioning{engine: postgresSchema{engine}, store: m, password: password}
	return v, v.look(ctx)
}

// versioningMariaDB does that on MariaDB and MySQL.
func (d *databases) versioningMariaDB(ctx context.Context, m migrated, epoch int64) (*versioning, error) {
	config := mariadb.Config{URL: m.address, App: prefix(m.site, m.Name), User: m.Role, Wait: true, Epoch: epoch, Log: d.log, Fault: d.faults}
	password := d.catalog.rolePassword(m.site, m.Name, m.release)
	if m.copied != nil { // where the app from before noon, whose user it is, has no sessions
		config.Names, config.User, config.Trace, password = m.copied.database(), "", m.copied.Sees, m.copied.password
	}
	engine, err := mariadb.Open(ctx, config)
	if err != nil {
		return nil, err
	}
	v := &versioning{engine: mariadbSchema{engine}, store: m, password: password}
	return v, v.look(ctx)
}

// planned plans a change in another process, which has the memory for it.
func (d *databases) planned(ctx context.Context, set change.Set, c *pgcatalog.Catalog, to postgres.Target) (postgres.Plan, error) {
	return d.grammar.Plan(ctx, grammar.Change{Set: set, Catalog: c, Target: to})
}

// versioned is a task on a store with a view for each release.
func (d *databases) versioned(ctx context.Context, task noon.DataTask, m migrated, left *migrated, progress func(string)) error {
	v, err := d.versioning(ctx, m, task.Epoch)
	if err != nil {
		return err
	}
	v.left, v.lossy, v.progress = left, task.Lossy, progress
	switch task.Phase {
	case noon.DataAdmitted:
		return v.admit(ctx)
	case noon.DataBoth:
		return v.both(ctx)
	default:
		return v.alone(ctx)
	}
}
