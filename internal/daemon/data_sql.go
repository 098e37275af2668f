package daemon

import (
	"context"
	"errors"
	"fmt"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
)

// set reads the SQL files of a store.
func (m migrated) set() (migration.Set, error) {
	dialect, ok := migration.DialectOf(m.address)
	if !ok {
		return migration.Set{}, &noon.Error{
			Kind: noon.Invalid, Op: "reach store", Subject: m.Name, Err: fmt.Errorf("%s is no address of a server that noon can migrate", m.URL),
			Hint: "It has to be postgres://…, mysql://…, mariadb://… or sqlite:FILE.",
		}
	}
	return migration.ReadFiles(m.files, dialect)
}

// sections tells what the SQL files of a store do.
func (m migrated) sections() ([]noon.Brought, error) {
	set, err := m.set()
	if err != nil {
		return nil, err
	}
	var list []noon.Brought
	for _, mig := range set.Migrations {
		b := noon.Brought{Name: mig.ID()}
		for _, s := range mig.Sections {
			if s.Kind == migration.Contract {
				b.Contracts = true
			}
			if s.Irreversible != "" {
				b.Loses = append(b.Loses, s.Irreversible)
			}
		}
		list = append(list, b)
	}
	return list, nil
}

// sql runs the SQL files of a shared store: expanding and filling for both
// releases, contracting for one. What was expanded for a release that is not
// the one that stays is left: it works with that, and has been all the time.
func (d *databases) sql(ctx context.Context, task noon.DataTask, m migrated, left *migrated, progress func(string)) error {
	set, err := m.set()
	if err != nil {
		return err
	}
	phase := migration.Migrated
	if task.Phase == noon.DataAlone {
		phase = migration.Contracted
	}
	if task.Phase == noon.DataAdmitted || left != nil && left.beyond(m) && (task.Phase == noon.DataAlone || !m.beyond(*left)) {
		return nil
	}
	opts := migration.Options{Release: m.release, Controller: prefix(m.site, m.Name), Epoch: task.Epoch, Log: d.log, Faults: d.faults}
	says := func(p migration.Progress) { progress(sqlProgress(p)) }
	if m.copied != nil {
		opts.Trace, says = m.copied.Trace, m.copied.says(says)
	}
	db, err := migration.Open(ctx, m.address, opts)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // everything is committed by now
	return db.Reach(ctx, set, phase, says)
}

// checkSQL looks whether the files of a store can be run where it is.
func checkSQL(ctx context.Context, m migrated) error {
	set, err := m.set()
	if err != nil {
		return err
	}
	db, err := migration.Open(ctx, m.address, migration.Options{})
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // nothing was changed
	all, err := db.Status(ctx, set)
	if err != nil {
		return err
	}
	for _, st := range all {
		if st.Problem != "" {
			return &noon.Error{
				Kind: noon.Conflict, Op: "change " + m.Name, Subject: fmt.Sprintf("%04d_%s", st.Number, st.Name), Err: errors.New(st.Problem),
				Hint: "Nothing was changed. `noon migration status` shows all of them.",
			}
		}
	}
	return nil
}

// beyond reports whether a release has migrations that another one has not.
func (m migrated) beyond(other migrated) bool {
	for name := range m.files {
		if _, ok := other.files[name]; !ok {
			return true
		}
	}
	return false
}

func sqlProgress(p migration.Progress) string {
	text := fmt.Sprintf("%s %s, statement %d of %d", p.Migration, p.Kind, p.Statement, p.Statements)
	switch {
	case p.Warning != "":
		text += ": " + p.Warning
	case p.Waiting != "":
		text += ", waits for " + p.Waiting
	case p.Total > 0:
		text += fmt.Sprintf(", %d of about %d rows", p.Rows, p.Total)
	case p.Rows > 0:
		text += fmt.Sprintf(", %d rows", p.Rows)
	case p.Done:
		text = fmt.Sprintf("%s %s done", p.Migration, p.Kind)
	}
	return text
}
