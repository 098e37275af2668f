package postgres

import (
	"fmt"
	"slices"

	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
)

func (m *model) createConstraint(o *change.CreateConstraint) {
	t := m.changed(o.Table)
	if t == nil {
		return
	}
	if t.was == nil {
		m.refuse(t.name+"."+o.Name, "Say it in create_table.", "the table is made by this release")
		return
	}
	g := m.reshape(t, o.Columns, o.Up, o.Down)
	var phys []string
	for _, name := range o.Columns {
		c := m.column(t, name)
		if c == nil {
			return
		}
		phys = append(phys, c.phys)
	}
	switch o.Type {
	case "check":
		m.check(t, g, o.Name, o.Check)
	case "foreign_key":
		m.foreignKey(t, phys, *o)
	case "primary_key":
		m.primaryKey(t, o, phys)
	default:
		nulls := ""
		if o.NullsNotDistinct {
			nulls = " NULLS NOT DISTINCT"
		}
		if o.Deferrable || o.InitiallyDeferred {
			m.refuse(t.name+"."+o.Name, "Make it by sql.", "an index that is built beside writers can not become a deferrable constraint")
			return
		}
		m.unique(t, o.Name, phys, "UNIQUE", nulls)
	}
}

// primaryKey adds a primary key to a table that has none.
func (m *model) primaryKey(t *table, o *change.CreateConstraint, phys []string) {
	if len(t.was.PrimaryKey()) > 0 {
		m.refuse(t.name+"."+o.Name, "Drop the other one by sql first.", "the table has a primary key")
		return
	}
	m.unique(t, o.Name, phys, "PRIMARY KEY", "")
	for _, name := range o.Columns {
		if c := m.column(t, name); c != nil && !c.notNull && (c.was == nil || !c.was.NotNull) {
			m.notNull(t, nil, c)
		}
	}
}

// reshape gives columns another form of the same type, where up says more than
// the column itself.
func (m *model) reshape(t *table, columns []string, up, down map[string]string) *group {
	v := conversion{up: map[string]string{}, down: map[string]string{}}
	for _, name := range columns {
		plain := func(sql string) bool { return sql == "" || sql == name || sql == quote(name) }
		if plain(up[name]) && plain(down[name]) {
			continue
		}
		c := m.column(t, name)
		if c == nil {
			return nil
		}
		now := &column{name: name, typ: c.typ, collate: c.collate, def: c.def, was: c.was}
		if c.was != nil && c.was.Default != "" && c.def == nil {
			def := c.was.Default
			now.def = &def
		}
		v.old, v.new = append(v.old, c), append(v.new, now)
		v.up[name], v.down[name] = orItself(up[name], name), orItself(down[name], name)
	}
	if len(v.old) == 0 {
		return nil
	}
	g := m.convert(t, v)
	if g == nil {
		return nil
	}
	for i, c := range v.old {
		m.replace(t, c, v.new[i])
		m.carry(t, g, c, v.new[i])
		if c.was.NotNull {
			m.notNull(t, g, v.new[i])
		}
	}
	return g
}

func orItself(sql, name string) string {
	if sql == "" {
		return quote(name)
	}
	return sql
}

func (m *model) dropConstraint(o *change.DropConstraint) {
	t := m.changed(o.Table)
	if t == nil {
		return
	}
	subject := t.name + "." + o.Name
	if t.was == nil || t.was.Constraint(o.Name) == nil {
		m.refuse(subject, "Look at the name.", "the table has no constraint of this name")
		return
	}
	k := t.was.Constraint(o.Name)
	if k.Kind == "primary key" {
		m.refuse(subject, "Drop it by sql, in the phase contract.", "it is the primary key")
		return
	}
	for _, in := range m.catalog.Inbound(t.was.Name) {
		if (k.Kind == "unique") && slices.Equal(in.Constraint.ReferencesAre, k.Columns) {
			m.refuse(subject, "Drop the foreign key first.", "foreign key %s of %s needs it", in.Constraint.Name, in.From)
			return
		}
	}
	up, down := named(o.Up, k.Columns), named(o.Down, k.Columns)
	if len(down) > 0 && k.Kind == "check" {
		m.reshapeWithout(t, o.Name, k.Columns, up, down)
		return
	}
	if k.Kind == "foreign key" {
		t.release(o.Name)
	} else {
		t.final = append(t.final, fmt.Sprintf("alter table %s drop constraint %s", qualified(m.Schema, t.phys), quote(o.Name)))
	}
	m.find(change.Warning, subject, "Give a down if the new release must be free of it while both are served.", "it holds for both releases until the contraction")
}

// reshapeWithout makes columns that one constraint does not hold for.
func (m *model) reshapeWithout(t *table, name string, columns []string, up, down map[string]string) {
	kept := t.was.Constraints
	t.was.Constraints = slices.DeleteFunc(slices.Clone(kept), func(k pgcatalog.Constraint) bool { return k.Name == name })
	m.reshape(t, columns, up, down)
	t.was.Constraints = kept
}

func (m *model) renameConstraint(o *change.RenameConstraint) {
	t := m.changed(o.Table)
	if t == nil {
		return
	}
	if t.was == nil || t.was.Constraint(o.From) == nil {
		m.refuse(t.name+"."+o.From, "Look at the name.", "the table has no constraint of this name")
		return
	}
	if m.unnamed(t, o.To) {
		t.final = append(t.final, fmt.Sprintf("alter table %s rename constraint %s to %s", qualified(m.Schema, t.phys), quote(o.From), quote(o.To)))
	}
}

// named gives the one expression without a name that of the only column.
func named(all change.Expressions, columns []string) map[string]string {
	if one, ok := all[""]; ok && len(columns) == 1 {
		return map[string]string{columns[0]: one}
	}
	return all
}
