package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/mariadb"
	"github.com/noon-deploy/noon/internal/database/migration"
	"github.com/noon-deploy/noon/internal/database/postgres"
	"github.com/noon-deploy/noon/internal/database/rehearsal"
)

// copied is a copy of a store that a change is rehearsed on.
type copied struct {
	rehearsal.Copy
	password string // of releases' roles on it
}

// database is the name of the copy.
func (c *copied) database() string { return databaseOf(c.Address) }

// databaseOf is the name of the database of an address, "" if it can not be read.
func databaseOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(u.Path, "/")
}

// says has progress told to the rehearsal too.
func (c *copied) says(next func(migration.Progress)) func(migration.Progress) {
	return func(p migration.Progress) {
		c.Says(p)
		next(p)
	}
}

// rehearsed is what a rehearsal is about.
type rehearsed struct {
	noon.Rehearsal
	revision noon.Revision
	m        migrated
	left     *migrated // nil: nothing is live, or it did not have the store
	keep     bool
}

// rehearsal takes a copy of a store through the phases that a deployment takes
// the store through, by the same steps.
func (d *databases) rehearsal(r rehearsed, tell func(string)) rehearsal.Order {
	o := rehearsal.Order{
		Rehearsing: r.m.Rehearsal, Address: r.m.address, Owner: prefix(r.Site, r.Store), Keep: r.keep, Tell: tell, Log: d.log,
	}
	for _, name := range r.m.names() {
		if r.left == nil || r.left.files[name] == "" {
			o.Texts = append(o.Texts, r.m.files[name])
		}
	}
	password := rand.Text()
	step := func(phase noon.DataPhase, m migrated, left *migrated) rehearsal.Step {
		return rehearsal.Step{
			Phase: phase,
			Run: func(ctx context.Context, c rehearsal.Copy) error {
				task := noon.DataTask{Data: noon.Data{Store: r.Store, Phase: phase, Revision: r.revision}, Site: r.Site}
				m.address, m.copied = c.Address, &copied{c, password}
				return d.change(ctx, task, m, left, tell)
			},
			Users: usersOf(m, password),
		}
	}
	if r.left == nil {
		alone := step(noon.DataAlone, r.m, nil)
		alone.Users = nil // there is no release yet that could be let in
		o.Steps = []rehearsal.Step{alone}
		return o
	}
	let, admit := step(noon.DataAdmitted, *r.left, nil), step(noon.DataAdmitted, r.m, r.left)
	let.Quiet, admit.Quiet = true, true
	both, alone := step(noon.DataBoth, r.m, r.left), step(noon.DataAlone, r.m, r.left)
	both.Before, both.Users = true, usersOf(*r.left, password)
	o.Steps = []rehearsal.Step{let, admit, both, alone}
	return o
}

// usersOf gives the address with which a release connects to a copy.
func usersOf(m migrated, password string) func(rehearsal.Copy) string {
	if m.Coexistence != noon.Versioned {
		return nil
	}
	return func(c rehearsal.Copy) string {
		u, err := url.Parse(c.Address)
		if err != nil {
			return c.Address // it is what was made of one that could be read
		}
		name := postgres.RoleName(prefix(m.site, m.Name), m.release, databaseOf(c.Address))
		if ofMySQL(m.Kind) {
			name = mariadb.Name(databaseOf(c.Address), m.release)
			u.Path = "/" + name
		}
		u.User = url.UserPassword(name, password)
		return u.String()
	}
}

// outside reads what noon.yaml only names: where copies are made, and what
// users do meanwhile.
func (d *databases) outside(ctx context.Context, r rehearsed, o *rehearsal.Order) error {
	rel, app, err := d.catalog.app(ctx, r.Site.App, r.Release)
	if err != nil {
		return err
	}
	if o.Load != "" {
		texts, err := d.catalog.store.Texts(ctx, rel.Digest, []string{o.Load}, maxMigration)
		if err != nil {
			return err
		}
		o.Users = texts[o.Load]
	}
	if o.At == "" {
		return nil
	}
	env, _ := app.Environment(r.Site.Environment)
	values, err := d.catalog.values(ctx, r.Site, env, r.revision)
	if err != nil {
		return err
	}
	if o.Server = values[o.At]; o.Server == "" {
		return &noon.Error{
			Kind: noon.Invalid, Op: "rehearse", Subject: o.At, Err: errors.New("it has no value in " + r.Site.Environment),
			Hint: "It is to hold the address of the server for copies: `noon env set -e " + r.Site.Environment + " --secret " + o.At + "`.",
		}
	}
	return nil
}

// rehearsable finds the store of a release that is meant.
func rehearsable(app noon.App, release, name string) (noon.Store, error) {
	var list []string
	for _, s := range app.Stores {
		if s.Migrations != "" {
			list = append(list, s.Name)
		}
	}
	if name == "" && len(list) == 1 {
		name = list[0]
	}
	i := slices.IndexFunc(app.Stores, func(s noon.Store) bool { return s.Name == name && s.Migrations != "" })
	if i >= 0 {
		return app.Stores[i], nil
	}
	e := &noon.Error{Kind: noon.Invalid, Op: "rehearse", Subject: release, Hint: "Name one with --store: " + strings.Join(list, ", ") + "."}
	switch {
	case len(list) == 0:
		e.Err, e.Hint = errors.New("it has no store with migrations that noon applies"), "What the app's own command does can not be rehearsed; `migrations:` of a store in noon.yaml can."
	case name == "":
		e.Err = errors.New("it has several stores with migrations")
	default:
		e.Err = errors.New("it has no store " + name + " with migrations")
	}
	return noon.Store{}, e
}
