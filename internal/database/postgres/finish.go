package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
)

// finish looks at the model as a whole.
func (m *model) finish() {
	if m.catalog.Server.InRecovery {
		m.refuse("server", "Give noon the address of the primary.", "it is a read replica")
	}
	if m.catalog.Server.LagHidden {
		m.find(change.Warning, "server", "As a superuser: GRANT pg_monitor TO "+quote(m.catalog.Server.User)+".", "noon may not see how far its replicas are behind, and does not wait for them")
	}
	if m.From == 0 {
		m.find(change.Note, "views", "Use the table's own name with its schema for these, such as "+m.Schema+".users.",
			"the new release finds views: COPY, TRUNCATE, MERGE, ON CONFLICT ON CONSTRAINT, foreign keys and pg_get_serial_sequence need a table")
	}
	m.typed()
	m.keyed()
	m.computed()
	for _, t := range m.tables {
		for _, g := range t.groups {
			if v := g.move; v != nil && (v.from.dropped || v.to.dropped) {
				m.refuse(v.from.name+"."+v.source.Name, "Drop the table in a later release.", "it is moved, and one of its tables is dropped")
			} else if v != nil && (slices.ContainsFunc(v.fromKey, v.from.isGone) || slices.ContainsFunc(v.toKey, v.to.isGone)) {
				m.refuse(v.from.name+"."+v.source.Name, "Move it in a release of its own.", "it is moved by a key that gets another form in the same release")
			}
		}
		if t.changes() {
			m.published(t)
			m.walkable(t)
		}
	}
}

// published warns of subscribers that will get columns they do not have.
func (m *model) published(t *table) {
	for _, p := range m.catalog.Publications {
		named := slices.ContainsFunc(p.Tables, func(q pgcatalog.PublishedTable) bool { return q.Name == t.was.Name && len(q.Columns) == 0 })
		if (named || p.AllTables) && (t.adds() || t.marks()) {
			m.find(change.Warning, t.name, "Add the columns where it is subscribed to first, or let the publication name its columns.", "publication %s sends the new columns, and %s, to its subscribers", p.Name, pending)
		}
	}
}

// changes reports whether columns or rules of a table of the version before
// change.
func (t *table) changes() bool {
	return t.was != nil && (len(t.groups) > 0 || len(t.gone) > 0 || len(t.indexes) > 0 || len(t.keys) > 0 || t.adds())
}

// receives reports whether a column comes from another table.
func (t *table) receives() bool {
	return slices.ContainsFunc(t.columns, func(c *column) bool { return c.moved })
}

// watched reports whether there are triggers of noon's on the table.
func (t *table) watched() bool { return len(t.groups) > 0 || t.receives() }

func (t *table) adds() bool {
	return t.was != nil && slices.ContainsFunc(t.columns, func(c *column) bool { return c.added })
}

// fills reports whether rows that are there need new values.
func (t *table) fills() bool {
	return slices.ContainsFunc(t.groups, (*group).fills)
}

// marks reports whether the table gets the pending mark.
func (t *table) marks() bool {
	return slices.ContainsFunc(t.groups, func(g *group) bool { return g.bit > 0 })
}

// before reports whether users' own triggers may change a row before noon's do.
func (t *table) before() bool {
	return t.was != nil && slices.ContainsFunc(t.was.Triggers, func(tr pgcatalog.Trigger) bool {
		return strings.Contains(tr.Definition, " BEFORE ") && !strings.HasPrefix(tr.Name, triggerPrefix)
	})
}

// shape is what the contraction relies on: everything that uses what it drops,
// one line each, sorted. Objects of noon's own are left out.
func shape(c *pgcatalog.Catalog, schema, app string, relies []reliance) []string {
	m := &model{Target: Target{App: app, Schema: schema}}
	var lines []string
	for _, r := range relies {
		t := c.Table(schema, r.Table)
		if t == nil {
			lines = append(lines, fmt.Sprintf("table %s is gone", r.Table))
			continue
		}
		lines = append(lines, r.own(t)...)
		for _, d := range t.Dependents {
			if r.uses(d.Columns) && !m.ours(d.Name.Schema) && !strings.HasPrefix(d.Name.Name, triggerPrefix) {
				lines = append(lines, fmt.Sprintf("%s %s uses %s of %s", d.Kind, d.Name, strings.Join(d.Columns, ", "), r.Table))
			}
		}
		for _, in := range c.Inbound(t.Name) {
			if r.uses(in.Constraint.ReferencesAre) {
				lines = append(lines, fmt.Sprintf("foreign key %s of %s references %s", in.Constraint.Name, in.From, r.Table))
			}
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// own are the lines about what belongs to the table itself.
func (r reliance) own(t *pgcatalog.Table) []string {
	var lines []string
	for _, c := range t.Columns {
		if slices.Contains(r.Columns, c.Name) {
			lines = append(lines, fmt.Sprintf("column %s.%s has type %s", r.Table, c.Name, c.Type))
		}
	}
	for _, k := range t.Constraints {
		if r.uses(k.Columns) && !strings.HasPrefix(k.Name, "_noon_") {
			lines = append(lines, fmt.Sprintf("constraint %s of %s is %s", k.Name, r.Table, k.Definition))
		}
	}
	for _, i := range t.Indexes {
		if r.uses(i.Columns) && !strings.HasPrefix(i.Name, "_noon_") && i.Valid {
			lines = append(lines, i.Definition)
		}
	}
	return lines
}

// uses reports whether any of the columns is relied on.
func (r reliance) uses(columns []string) bool {
	return len(r.Columns) == 0 || slices.ContainsFunc(columns, func(n string) bool { return slices.Contains(r.Columns, n) })
}

// reliance is a table, or columns of it, that the contraction drops.
type reliance struct {
	Table   string   `json:"table"`
	Columns []string `json:"columns,omitempty"` // none: the whole table
}

func (m *model) relies() []reliance {
	var list []reliance
	for _, t := range m.tables {
		switch {
		case t.was == nil:
		case t.dropped:
			list = append(list, reliance{Table: t.phys})
		case len(t.gone) > 0:
			r := reliance{Table: t.phys}
			for _, c := range t.gone {
				r.Columns = append(r.Columns, c.Name)
			}
			list = append(list, r)
		}
	}
	return list
}
