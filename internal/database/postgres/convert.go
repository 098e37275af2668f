package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/change"
)

// conversion is columns of the version before that give way to columns of the
// new one. Both are there until the contraction.
type conversion struct {
	old      []*column
	new      []*column
	up, down map[string]string // by name of the new and of the old column
	keeps    bool              // the new column is in the end all that the old one was
}

// convert carries a conversion out on the model; nil, with findings, where it
// can not be.
func (m *model) convert(t *table, v conversion) *group {
	before := t.scope()
	for _, c := range v.old {
		if !m.replaceable(t, c, v.keeps) {
			return nil
		}
	}
	for _, c := range v.old {
		t.columns = slices.DeleteFunc(t.columns, func(o *column) bool { return o == c })
		t.gone = append(t.gone, c.was)
	}
	for _, c := range v.new {
		if !m.free(t, c.name) {
			return nil
		}
		c.phys, c.added = t.physical(c.name), true
		t.columns = append(t.columns, c)
	}
	g := &group{}
	for _, c := range v.new {
		if sql := v.up[c.name]; sql != "" {
			e, ok := m.expression(t, before, "up", sql)
			if !ok || !m.settled(t, e) {
				return nil
			}
			g.up = append(g.up, assignment{column: c.phys, value: e})
		}
	}
	for _, c := range v.old {
		if !m.downOf(t, g, c, v.down[c.name]) {
			return nil
		}
	}
	return m.group(t, g)
}

// downOf adds what the version before sees in an old column of a row that the
// new one writes.
func (m *model) downOf(t *table, g *group, c *column, sql string) bool {
	if c.was.Generated {
		if sql != "" {
			m.refuse(t.name+"."+c.name, "Leave the down out.", "it is a generated column, which the server computes for both releases")
		}
		return sql == ""
	}
	if sql == "" {
		if c.was.NotNull && c.was.Default == "" {
			m.refuse(t.name+"."+c.name, "Say by down what the release before shall see.", "it has no default, may not be NULL, and there is no down: rows that the new release writes could not be stored")
			return false
		}
		return true
	}
	e, ok := m.expression(t, t.scope(), "down", sql)
	if ok {
		g.down = append(g.down, assignment{column: c.was.Name, value: e})
	}
	return ok
}

// settled refuses expressions over columns that are made by the same release:
// one trigger would have to wait for another.
func (m *model) settled(t *table, e expression) bool {
	for _, phys := range e.uses {
		if t.was == nil || t.was.Column(phys) == nil {
			m.refuse(t.name+"."+phys, "Say it in one operation, from the columns of the release before.", "%q uses a column that another operation of this release makes", e.expr)
			return false
		}
	}
	return true
}

// replaceable reports whether a column can give way: it was there before and
// nothing holds on to it that the plan could not take along. A finding says
// what does.
func (m *model) replaceable(t *table, c *column, keeps bool) bool {
	subject := t.name + "." + c.name
	if c.was == nil || c.added || t.was == nil {
		m.refuse(subject, "Say it in one operation.", "it is made by another operation of this release")
		return false
	}
	n := len(m.findings)
	for _, i := range t.indexes {
		if slices.Contains(i.columns, c.phys) {
			m.refuse(subject, "Put the index after it.", "index %s of this release was declared for the column that it replaces", i.name)
		}
	}
	if !keeps {
		m.known(t, c, subject)
	}
	m.held(t, c, subject, keeps)
	return len(m.findings) == n || !m.refusedSince(n)
}

// known refuses to let a column go by which rows are known.
func (m *model) known(t *table, c *column, subject string) {
	if c.was.Identity != "" {
		m.refuse(subject, "Change only its type or its name.", "it is an identity column")
	}
	if slices.Contains(t.was.PrimaryKey(), c.was.Name) {
		m.refuse(subject, "Change only its type or its name; or add a new column, and make it the key in a later release.", "it is part of the primary key")
	}
	for _, in := range m.catalog.Inbound(t.was.Name) {
		if slices.Contains(in.Constraint.ReferencesAre, c.was.Name) {
			m.refuse(subject, "Drop the foreign key first, in a release of its own.", "foreign key %s of %s references it: its values would have to change in the same moment", in.Constraint.Name, in.From)
		}
	}
}

func (m *model) refusedSince(n int) bool {
	return change.Refuses(m.findings[n:])
}

// held finds what depends on a column by the catalogue.
func (m *model) held(t *table, c *column, subject string, keeps bool) {
	for _, d := range t.was.Dependents {
		if !d.Uses(c.was.Name) || m.ours(d.Name.Schema) {
			continue
		}
		switch d.Kind {
		case "generated column": // is looked at when all operations are known
		case "statistics":
			m.find(change.Warning, subject, "", "statistics %s go with it", d.Name)
		case "publication":
			m.refuse(subject, "Take it out of the publication's columns first.", "publication %s names it", d.Name.Name)
		default:
			m.refuse(subject, "Drop that first and make it again in a later release, both by sql.", "%s %s uses it", d.Kind, d.Name)
		}
	}
	for _, k := range t.was.Constraints {
		if k.Kind == "exclude" && slices.Contains(k.Columns, c.was.Name) {
			m.refuse(subject, "Change it by sql.", "exclusion constraint %s uses it", k.Name)
		}
	}
	for _, i := range t.was.Indexes {
		if i.ReplicaID && slices.Contains(i.Columns, c.was.Name) && !keeps {
			m.refuse(subject, "Set another replica identity first.", "index %s is the replica identity of the table", i.Name)
		}
	}
	if slices.Contains(t.was.PartitionKey, c.was.Name) {
		m.refuse(subject, "Keep its type.", "the table is partitioned by it")
	}
}

// ours reports whether a schema is one of noon's version schemas.
func (m *model) ours(schema string) bool {
	rest, ok := strings.CutPrefix(schema, m.App+"_v")
	return ok && rest != "" && strings.Trim(rest, "0123456789") == ""
}

// declare is a column of the new version as an operation declares it.
func declare(c change.Column) *column {
	n := &column{name: c.Name, typ: c.Type, notNull: !c.Nullable, def: c.Default}
	if c.Comment != nil {
		n.comment = &change.Text{Value: *c.Comment}
	}
	return n
}

// demand makes the new version demand something of a table's rows, from when
// they are filled.
func (m *model) demand(t *table, g *group, d *demand, uses []string) {
	if t.was == nil {
		return
	}
	if g == nil {
		g = m.group(t, &group{demands: []string{d.check}, uses: uses})
	} else {
		g.demands = append(g.demands, d.check)
		if g.bit == 0 { // it only had down so far
			t.groups = slices.DeleteFunc(t.groups, func(o *group) bool { return o == g })
			g.uses = uses
			m.group(t, g)
		}
	}
	d.group = g
	t.checks = append(t.checks, d)
}

// notNull demands a value in a column.
func (m *model) notNull(t *table, g *group, c *column) {
	c.notNull = true
	m.demand(t, g, &demand{column: c.phys, check: quote(c.phys) + " is not null"}, []string{c.phys})
}

// declared adds the constraints that come with a declared column.
func (m *model) declared(t *table, g *group, c *column, from change.Column) {
	if c.notNull {
		m.notNull(t, g, c)
	}
	if from.Check != nil {
		m.check(t, g, from.Check.Name, from.Check.Constraint)
	}
	if from.Unique {
		m.unique(t, fit(t.name+"_"+c.name+"_key"), []string{c.phys}, "UNIQUE", "")
	}
	if from.References != nil {
		m.reference(t, []string{c.phys}, from.References)
	}
}

// check adds a check constraint of the new version.
func (m *model) check(t *table, g *group, name, sql string) {
	text, uses, ok := m.bare(t, t.scope(), "check", sql)
	if !ok || !m.unnamed(t, name) {
		return
	}
	m.demand(t, g, &demand{name: name, check: text}, uses)
}

// unnamed reports whether a table can have a constraint of that name.
func (m *model) unnamed(t *table, name string) bool {
	if t.was != nil && t.was.Constraint(name) != nil {
		m.refuse(t.name+"."+name, "Choose another name.", "there is a constraint of this name already")
		return false
	}
	return true
}

// unique adds a unique or primary key constraint, made from an index that is
// built beside the writers.
func (m *model) unique(t *table, name string, phys []string, kind, nulls string) {
	if !m.unnamed(t, name) || !m.relation(name) {
		return
	}
	t.indexes = append(t.indexes, &index{name: name, definition: fmt.Sprintf("(%s)%s", quoteAll(phys), nulls), unique: true, constraint: kind})
	m.find(change.Warning, t.name+"."+name, "", "while both releases are served, a row of the old one that breaks %s is refused", name)
}

// relation reports whether an index or table may have that name.
func (m *model) relation(name string) bool {
	for _, t := range m.catalog.Tables {
		if t.Schema == m.Schema && (t.Name.Name == name || t.Index(name) != nil) {
			m.refuse(name, "Choose another name.", "there is a table or index of this name already")
			return false
		}
	}
	return true
}

// reference adds a foreign key of one column.
func (m *model) reference(t *table, phys []string, r *change.Reference) {
	c := change.CreateConstraint{
		Name: r.Name, Deferrable: r.Deferrable, InitiallyDeferred: r.InitiallyDeferred,
		References: &change.References{Table: r.Table, Columns: []string{r.Column}, OnDelete: r.OnDelete, OnUpdate: r.OnUpdate, MatchType: r.MatchType},
	}
	m.foreignKey(t, phys, c)
}

// foreignKey adds a foreign key over physical columns.
func (m *model) foreignKey(t *table, phys []string, c change.CreateConstraint) {
	r := m.table(c.References.Table)
	if r == nil || !m.unnamed(t, c.Name) {
		return
	}
	var there []string
	for _, name := range c.References.Columns {
		referenced := m.column(r, name)
		if referenced == nil {
			return
		}
		there = append(there, referenced.phys)
	}
	definition, ok := m.actions(t, c)
	if !ok {
		return
	}
	definition = fmt.Sprintf("FOREIGN KEY (%s) REFERENCES %s (%s)%s", quoteAll(phys), qualified(m.Schema, r.phys), quoteAll(there), definition)
	t.keys = append(t.keys, &foreignKey{name: c.Name, definition: definition, references: r.phys, to: r, columns: there})
	m.find(change.Warning, t.name+"."+c.Name, "", "while both releases are served, a row of the old one that breaks %s is refused", c.Name)
}

// actions is what follows the columns of a foreign key. Only known words go
// into SQL.
func (m *model) actions(t *table, c change.CreateConstraint) (string, bool) {
	var b strings.Builder
	words := []struct {
		before, word string
		known        []string
	}{
		{" MATCH ", c.References.MatchType, []string{"SIMPLE", "FULL"}},
		{" ON DELETE ", c.References.OnDelete, []string{"CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION"}},
		{" ON UPDATE ", c.References.OnUpdate, []string{"CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION"}},
	}
	for _, w := range words {
		word := strings.ToUpper(w.word)
		switch {
		case word == "":
		case slices.Contains(w.known, word):
			b.WriteString(w.before + word)
		default:
			m.refuse(t.name+"."+c.Name, "Use one of "+strings.Join(w.known, ", ")+".", "%q is no action of a foreign key", w.word)
			return "", false
		}
	}
	if c.Deferrable || c.InitiallyDeferred {
		b.WriteString(" DEFERRABLE")
	}
	if c.InitiallyDeferred {
		b.WriteString(" INITIALLY DEFERRED")
	}
	return b.String(), true
}
