package daemon

import (
	"context"
	"path"
	"slices"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/lint"
	"github.com/noon-deploy/noon/internal/database/migration"
	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// lintSQL looks at the sections that a shared store has not run. What expands
// and what brings data over runs while the release before is there; what
// contracts, when it is gone; and where there is none, nobody is there at all.
func (d *databases) lintSQL(ctx context.Context, m migrated, before *migrated) ([]noon.Hazard, error) {
	set, err := m.set()
	if err != nil {
		return nil, err
	}
	left, blind, err := m.pending(ctx, set, before == nil)
	if err != nil {
		return nil, err
	}
	left, own := before.ends(left)
	if set.Dialect != sqltext.PostgreSQL {
		return m.guess(set.Dialect, own, before == nil), nil
	}
	both := m.uses()
	if before != nil {
		both = slices.Concat(both, before.uses())
	}
	s := script{}
	for _, r := range left {
		s.add(r.Section.File, m.files[r.Section.File], placed(r, lint.Part{Done: true}))
	}
	for _, r := range own {
		p := lint.Part{Uses: both}
		if before == nil || r.Section.Kind == migration.Contract {
			p.Alone, p.Uses = true, m.uses()
		}
		s.add(r.Section.File, m.files[r.Section.File], placed(r, p))
	}
	found, err := d.judge(ctx, m, s)
	return append(found, blind...), err
}

// pending are the sections that a store has not run, in the order of the walk:
// at once for a first release, else phase by phase. It warns of batches among
// them that would not wait for replicas.
func (m migrated) pending(ctx context.Context, set migration.Set, first bool) ([]migration.Rest, []noon.Hazard, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	db, err := migration.Open(ctx, m.address, migration.Options{})
	if err != nil {
		return nil, nil, err
	}
	defer db.Close() //nolint:errcheck // nothing was changed
	phases := []migration.Phase{migration.Migrated, migration.Contracted}
	if first {
		phases = phases[1:]
	}
	list, err := db.Pending(ctx, set, phases...)
	if err != nil {
		return nil, nil, err
	}
	advice, err := db.Blind(ctx, list)
	if err != nil || advice == "" {
		return list, nil, err
	}
	return list, []noon.Hazard{{Phase: noon.DataBoth, Gravity: noon.GravityWarning, Rule: "replica-lag", Text: migration.Unseen, Advice: advice}}, nil
}

// ends parts what the release before still contracts, before anything else is
// done, from what is left then.
func (m *migrated) ends(list []migration.Rest) (its, others []migration.Rest) {
	for _, r := range list {
		if m != nil && r.Section.Kind == migration.Contract && m.files[r.Section.File] != "" {
			its = append(its, r)
		} else {
			others = append(others, r)
		}
	}
	return its, others
}

// placed says where a section stands and how it is run.
func placed(r migration.Rest, p lint.Part) lint.Part {
	p.From, p.To = r.Span()
	p.Separate, p.Batched = r.Section.Plain, r.Section.Batch != nil
	return p
}

// guess is what the words of statements tell where there is no grammar.
func (m migrated) guess(d sqltext.Dialect, list []migration.Rest, first bool) []noon.Hazard {
	found := migration.Hazards(d, list, first)
	for i := range found {
		found[i].File = path.Join(m.Migrations, found[i].File)
		found[i].Statement = brief(found[i].Statement, maxStatement)
	}
	return found
}
