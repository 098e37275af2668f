package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
)

// applyOther makes operations on whole tables, indexes and types part of the
// model.
func (m *model) applyOther(op change.Operation) {
	switch {
	case op.CreateTable != nil:
		m.createTable(op.CreateTable)
	case op.RenameTable != nil:
		m.renameTable(op.RenameTable)
	case op.DropTable != nil:
		m.dropTable(op.DropTable)
	case op.CreateIndex != nil:
		m.createIndex(op.CreateIndex)
	case op.DropIndex != nil:
		m.dropIndex(op.DropIndex)
	case op.AddEnumValue != nil:
		m.addEnumValue(op.AddEnumValue)
	case op.RenameEnumValue != nil:
		m.renameEnumValue(op.RenameEnumValue)
	case op.ReplicaIdentity != nil:
		m.replicaIdentity(op.ReplicaIdentity)
	case op.SQL != nil:
		m.rawSQL(op.SQL)
	}
}

// createTable makes a table at once, in its final form: the release before does
// not know it.
func (m *model) createTable(o *change.CreateTable) {
	if !m.relation(o.Name) || !m.tableNamed(o.Name) {
		return
	}
	t := &table{name: o.Name, phys: o.Name}
	if o.Comment != nil {
		t.comment = &change.Text{Value: *o.Comment}
	}
	var lines, keys []string
	for _, c := range o.Columns {
		lines = append(lines, m.columnLine(c))
		t.columns = append(t.columns, &column{name: c.Name, phys: c.Name, typ: c.Type})
		if c.PK {
			keys = append(keys, c.Name)
		}
		t.knows(c)
	}
	if len(keys) > 0 {
		lines = append(lines, "primary key ("+quoteAll(keys)+")")
		t.unique = append(t.unique, keys)
	}
	m.tables = append(m.tables, t)
	for _, c := range o.Columns {
		if c.References != nil {
			m.reference(t, []string{c.Name}, c.References)
		}
	}
	for _, c := range o.Constraints {
		if line, ok := m.constraintLine(t, c); ok {
			lines = append(lines, line)
		}
	}
	for _, k := range t.keys { // nobody writes it yet, so nothing has to be validated apart
		lines = append(lines, "constraint "+quote(k.name)+" "+k.definition)
	}
	name := qualified(m.Schema, t.phys)
	t.create = []string{fmt.Sprintf("create table %s (\n  %s\n)", name, strings.Join(lines, ",\n  "))}
	t.create = append(t.create, comments(name, o)...)
	m.findings = slices.DeleteFunc(m.findings, func(f change.Finding) bool { return f.Severity == change.Warning && f.At == m.at }) // of keys that no old row can break
}

func comments(name string, o *change.CreateTable) []string {
	var list []string
	if o.Comment != nil {
		list = append(list, fmt.Sprintf("comment on table %s is %s", name, literal(*o.Comment)))
	}
	for _, c := range o.Columns {
		if c.Comment != nil {
			list = append(list, fmt.Sprintf("comment on column %s.%s is %s", name, quote(c.Name), literal(*c.Comment)))
		}
	}
	return list
}

// knows keeps what a column of a table that is made is like.
func (t *table) knows(c change.Column) {
	if c.Unique {
		t.unique = append(t.unique, []string{c.Name})
	}
	switch {
	case c.Default != nil || c.Generated != nil:
	case c.Nullable:
		t.optional = append(t.optional, c.Name)
	default:
		t.required = append(t.required, c.Name)
	}
}

// tableNamed reports whether the new version has no table of that name yet.
func (m *model) tableNamed(name string) bool {
	if slices.ContainsFunc(m.tables, func(t *table) bool { return t.name == name && !t.dropped }) {
		m.refuse(name, "Choose another name.", "there is a table of this name already")
		return false
	}
	return true
}

func (m *model) columnLine(c change.Column) string {
	line := quote(c.Name) + " " + c.Type
	if g := c.Generated; g != nil {
		switch {
		case g.Expression != "":
			line += " generated always as (" + g.Expression + ") stored"
		case g.Identity != nil:
			when := "always"
			if strings.EqualFold(g.Identity.When, "BY DEFAULT") {
				when = "by default"
			}
			line += " generated " + when + " as identity"
			if g.Identity.Options != "" {
				line += " (" + g.Identity.Options + ")"
			}
		}
	}
	if c.Default != nil {
		line += " default " + *c.Default
	}
	if !c.Nullable && !c.PK {
		line += " not null"
	}
	if c.Unique {
		line += " unique"
	}
	if c.Check != nil {
		line += " constraint " + quote(c.Check.Name) + " check (" + c.Check.Constraint + ")"
	}
	return line
}

func (m *model) constraintLine(t *table, c change.CreateConstraint) (string, bool) {
	head := "constraint " + quote(c.Name)
	if c.Type == "unique" || c.Type == "primary_key" {
		t.unique = append(t.unique, c.Columns)
	}
	switch c.Type {
	case "check":
		return head + " check (" + c.Check + ")", true
	case "foreign_key":
		m.foreignKey(t, c.Columns, c)
		return "", false
	case "primary_key":
		return head + " primary key (" + quoteAll(c.Columns) + ")", true
	}
	nulls := ""
	if c.NullsNotDistinct {
		nulls = " nulls not distinct"
	}
	return head + " unique" + nulls + " (" + quoteAll(c.Columns) + ")", true
}

func (m *model) renameTable(o *change.RenameTable) {
	t := m.table(o.From)
	if t == nil || !m.tableNamed(o.To) {
		return
	}
	if t.was == nil {
		m.refuse(o.From, "Say it in create_table.", "the table is made by this release")
		return
	}
	if o.To != t.phys && !m.relation(o.To) {
		return
	}
	t.name = o.To
}

func (m *model) dropTable(o *change.DropTable) {
	t := m.table(o.Name)
	if t == nil {
		return
	}
	if t.was == nil {
		m.refuse(o.Name, "Leave both operations out.", "the table is made by this release")
		return
	}
	for _, in := range m.catalog.Inbound(t.was.Name) {
		if in.From != t.was.Name && !m.drops(in.From) {
			m.refuse(o.Name, "Drop the foreign key first.", "foreign key %s of %s references it", in.Constraint.Name, in.From)
		}
	}
	for _, d := range t.was.Dependents {
		if d.Of != t.was.Name && !m.ours(d.Name.Schema) && d.Kind != "publication" && d.Kind != "statistics" {
			m.refuse(o.Name, "Drop that first, by sql.", "%s %s uses it", d.Kind, d.Name)
		}
	}
	t.dropped = true
}

func (m *model) drops(name pgcatalog.Name) bool {
	return slices.ContainsFunc(m.tables, func(t *table) bool { return t.was != nil && t.was.Name == name && t.dropped })
}

func (m *model) createIndex(o *change.CreateIndex) {
	t := m.changed(o.Table)
	if t == nil || !m.relation(o.Name) {
		return
	}
	var list, columns []string
	for _, c := range o.Columns {
		member, uses, ok := m.member(t, c)
		if !ok {
			return
		}
		list, columns = append(list, member), append(columns, uses...)
	}
	definition := "(" + strings.Join(list, ", ") + ")"
	if o.Method != "" {
		definition = "USING " + quote(strings.ToLower(o.Method)) + " " + definition
	}
	if o.Parameters != "" {
		definition += " WITH (" + o.Parameters + ")"
	}
	if o.Predicate != "" {
		text, uses, ok := m.bare(t, t.scope(), "predicate", o.Predicate)
		if !ok {
			return
		}
		columns = append(columns, uses...)
		definition += " WHERE " + text
	}
	t.indexes = append(t.indexes, &index{name: o.Name, definition: definition, columns: columns, unique: o.Unique})
	if o.Unique {
		m.find(change.Warning, t.name+"."+o.Name, "", "while both releases are served, a row of the old one that breaks %s is refused", o.Name)
	}
}

// member is one of an index, and the columns that it uses.
func (m *model) member(t *table, c change.IndexColumn) (text string, uses []string, ok bool) {
	if c.Expression != "" {
		bare, all, ok := m.bare(t, t.scope(), "expression", c.Expression)
		if !ok {
			return "", nil, false
		}
		text, uses = "("+bare+")", all
	} else {
		found := m.column(t, c.Column)
		if found == nil {
			return "", nil, false
		}
		text, uses = quote(found.phys), []string{found.phys}
	}
	if c.Collate != "" {
		text += " COLLATE " + quote(c.Collate)
	}
	if c.OpClass != nil {
		text += " " + quote(c.OpClass.Name)
		if len(c.OpClass.Params) > 0 {
			text += " (" + strings.Join(c.OpClass.Params, ", ") + ")"
		}
	}
	words := []string{strings.ToUpper(c.Sort), strings.ToUpper(c.Nulls)}
	if !slices.Contains([]string{"", "ASC", "DESC"}, words[0]) || !slices.Contains([]string{"", "FIRST", "LAST"}, words[1]) {
		m.refuse(t.name, "sort is ASC or DESC, nulls is FIRST or LAST.", "an index can not be sorted by %q %q", c.Sort, c.Nulls)
		return "", nil, false
	}
	if words[0] != "" {
		text += " " + words[0]
	}
	if words[1] != "" {
		text += " NULLS " + words[1]
	}
	return text, uses, true
}

func (m *model) dropIndex(o *change.DropIndex) {
	for _, t := range m.tables {
		if t.was == nil {
			continue
		}
		i := t.was.Index(o.Name)
		switch {
		case i == nil:
			continue
		case i.Constraint != "":
			m.refuse(o.Name, "Drop the constraint.", "it belongs to constraint %s of %s", i.Constraint, t.name)
		case t.was.Kind == pgcatalog.Partitioned:
			m.contractSQL = append(m.contractSQL, "drop index "+qualified(m.Schema, o.Name))
		default:
			m.aloneAfter = append(m.aloneAfter, Stage{
				Name: "drop index " + o.Name, Kind: Alone, Index: o.Name, Gone: true,
				SQL:   []string{"drop index concurrently if exists " + qualified(m.Schema, o.Name)},
				Locks: []Lock{{t.phys, "SHARE UPDATE EXCLUSIVE"}},
			})
		}
		return
	}
	m.refuse(o.Name, "Look at the name.", "there is no index of this name in schema %s", m.Schema)
}

func (m *model) enum(name string) *pgcatalog.Enum {
	for i, e := range m.catalog.Enums {
		if e.Schema == m.Schema && (e.Name.Name == name || e.String() == name) {
			return &m.catalog.Enums[i]
		}
	}
	m.refuse(name, "Look at the name.", "there is no enum type of this name in schema %s", m.Schema)
	return nil
}

func (m *model) addEnumValue(o *change.AddEnumValue) {
	e := m.enum(o.Type)
	if e == nil {
		return
	}
	var sql strings.Builder
	fmt.Fprintf(&sql, "alter type %s add value if not exists %s", qualified(e.Schema, e.Name.Name), literal(o.Value))
	for word, other := range map[string]string{" before ": o.Before, " after ": o.After} {
		if other == "" {
			continue
		}
		if !slices.Contains(e.Values, other) {
			m.refuse(o.Type, "Look at the value.", "it has no value %q", other)
			return
		}
		sql.WriteString(word + literal(other))
	}
	m.expandSQL = append(m.expandSQL, sql.String())
	m.find(change.Warning, o.Type, "", "the release before may read value %q, which it does not know, when the new one has written it; the value stays if the change is withdrawn", o.Value)
}

func (m *model) renameEnumValue(o *change.RenameEnumValue) {
	if e := m.enum(o.Type); e != nil {
		m.refuse(o.Type, "Add the new value, let both releases read both, and move the rows in a later release.", "a value has one name for both releases: the release before would no longer find %q", o.From)
	}
}

func (m *model) replicaIdentity(o *change.ReplicaIdentity) {
	t := m.changed(o.Table)
	if t == nil {
		return
	}
	identity := strings.ToUpper(o.Identity.Type)
	if identity == "INDEX" {
		identity = "USING INDEX " + quote(o.Identity.Index)
	}
	t.final = append(t.final, fmt.Sprintf("alter table %s replica identity %s", qualified(m.Schema, t.phys), identity))
}

// rawSQL takes a statement as it is.
func (m *model) rawSQL(o *change.SQL) {
	if o.Transaction != nil && !*o.Transaction {
		s := Stage{Name: fmt.Sprintf("sql of %s", m.at), Kind: Alone, SQL: []string{o.Up}}
		if o.Contracts() {
			m.aloneAfter = append(m.aloneAfter, s)
		} else {
			m.alone = append(m.alone, s)
		}
		m.find(change.Warning, "sql", "Write it so that it can run twice.", "it runs without a transaction: after a crash nobody knows whether it ran, and it is run again")
	} else if o.Contracts() {
		m.contractSQL = append(m.contractSQL, o.Up)
	} else {
		m.expandSQL = append(m.expandSQL, o.Up)
	}
	if o.Down != "" && !o.Contracts() {
		m.withdrawSQL = append([]string{o.Down}, m.withdrawSQL...)
	}
}
