package daemon

import (
	"context"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/grammar"
	"github.com/noon-deploy/noon/internal/database/lint"
)

const (
	maxHazards   = 200  // of a store, that a plan keeps
	maxStatement = 300  // bytes of a statement in a hazard
	maxInstead   = 4000 // bytes of a safe form
)

// hazards are what the migrations that the stores of a release do not have yet
// would do to users and to the releases that are there, in the order in which
// they run. Nothing is changed.
func (d *databases) hazards(ctx context.Context, site noon.Site, to, live noon.Revision) ([]noon.Hazard, error) {
	_, app, err := d.catalog.app(ctx, site.App, to.Release)
	if err != nil {
		return nil, err
	}
	var all []noon.Hazard
	for _, s := range app.Stores {
		if s.Migrations == "" {
			continue
		}
		found, err := d.hazardsOf(ctx, site, to, live, s.Name)
		if err != nil && s.Lint.Refuse == noon.GravityNever {
			found = []noon.Hazard{{Phase: noon.DataBoth, Gravity: noon.GravityWarning, Text: "what its migrations would do could not be looked at: " + err.Error(), Advice: noon.HintOf(err)}}
		} else if err != nil {
			return nil, err
		}
		for i := range found {
			found[i].Store = s.Name
		}
		all = append(all, worst(found)...)
	}
	return all, nil
}

func (d *databases) hazardsOf(ctx context.Context, site noon.Site, to, live noon.Revision, store string) ([]noon.Hazard, error) {
	m, err := d.store(ctx, site, to, store)
	if err != nil {
		return nil, err
	}
	var before *migrated
	if !live.IsZero() {
		was, err := d.store(ctx, site, live, store)
		if err == nil {
			before = &was
		} else if noon.KindOf(err) != noon.NotFound {
			return nil, err
		}
	}
	if m.Coexistence == noon.Versioned {
		return d.lintVersioned(ctx, m, before)
	}
	return d.lintSQL(ctx, m, before)
}

// worst leaves the gravest, where there are too many.
func worst(list []noon.Hazard) []noon.Hazard {
	if len(list) <= maxHazards {
		return list
	}
	slices.SortStableFunc(list, func(a, b noon.Hazard) int {
		switch {
		case a.Gravity == b.Gravity:
			return 0
		case a.Gravity.AtLeast(b.Gravity):
			return -1
		}
		return 1
	})
	return list[:maxHazards]
}

// script is what is linted: the order in which parts of files run.
type script struct {
	grammar.Lint
	index map[string]int // file → place in Scripts
}

// add adds a part of a file.
func (s *script) add(file, sql string, p lint.Part) {
	n, ok := s.index[file]
	if !ok {
		if s.index == nil {
			s.index = map[string]int{}
		}
		n = len(s.Scripts)
		s.index[file] = n
		s.Scripts = append(s.Scripts, grammar.Script{File: file, SQL: sql})
	}
	p.Script = n
	s.Parts = append(s.Parts, p)
}

// judge lints a script against the catalogue of the store.
func (d *databases) judge(ctx context.Context, m migrated, s script) ([]noon.Hazard, error) {
	if !slices.ContainsFunc(s.Parts, func(p lint.Part) bool { return !p.Done }) {
		return nil, nil
	}
	look, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	var err error
	if s.Catalog, err = lint.ReadFrom(look, m.address, nil); err != nil {
		return nil, err
	}
	found, err := d.grammar.Lint(ctx, s.Lint)
	if err != nil {
		return nil, err
	}
	var list []noon.Hazard
	for i, p := range s.Parts {
		for _, f := range found[i] {
			list = append(list, m.hazard(f, p.Alone))
		}
	}
	return list, nil
}

// hazard is a finding in the words of a plan.
func (m migrated) hazard(f lint.Finding, alone bool) noon.Hazard {
	h := noon.Hazard{
		Phase: noon.DataBoth, Gravity: noon.Gravity(f.Severity), Rule: f.Rule, File: path.Join(m.Migrations, f.File), Line: f.Line,
		Statement: brief(f.Statement, maxStatement), Text: f.Hazard, Expected: f.Time(), Advice: f.Advice, Accepted: f.Accepted,
	}
	if alone {
		h.Phase = noon.DataAlone
	}
	for _, l := range f.Locks {
		h.Locks = append(h.Locks, noon.HazardLock{Table: l.Table.String(), Mode: string(l.Mode), Blocks: l.Mode.Blocks()})
	}
	if f.Fix != nil && f.Accepted == "" {
		if text := lint.Sections(f.Fix); len(text) <= maxInstead {
			h.Instead = text
		}
	}
	return h
}

// brief is text in one line, cut where it is long.
func brief(text string, most int) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}

// uses are what a release says that it uses of a store.
func (m migrated) uses() []lint.Use {
	list := make([]lint.Use, 0, len(m.Lint.Uses))
	for _, text := range m.Lint.Uses {
		list = append(list, lint.UseOf(text, m.release, "noon.yaml"))
	}
	return list
}
