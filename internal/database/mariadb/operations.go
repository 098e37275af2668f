package mariadb

import (
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/change"
)

// Unserved are findings about the operations of a set that the servers can not
// serve two releases over, whatever the tables are.
func Unserved(set change.Set) []change.Finding {
	m := &model{}
	for _, op := range set.Operations {
		if m.at = op.At; m.way(op) == nil {
			m.unserved(op)
		}
	}
	return m.findings
}

func (m *model) unserved(op change.Operation) {
	m.refuse(op.Kind(), "Bring it in a release of its own, by migrations of a shared store.", "noon can not serve two releases over this operation on MariaDB and MySQL")
}

// apply makes one operation part of the model.
func (m *model) apply(op change.Operation) {
	if way := m.way(op); way != nil {
		way()
	} else {
		m.unserved(op)
	}
}

// way is how an operation is made part of the model, nil if it can not be.
func (m *model) way(op change.Operation) func() {
	switch {
	case op.AlterColumn != nil:
		return func() { m.alterColumn(op.AlterColumn) }
	case op.RenameColumn != nil:
		return func() { m.renameColumn(op.RenameColumn) }
	case op.AddColumn != nil:
		return func() { m.addColumn(op.AddColumn) }
	case op.DropColumn != nil:
		return func() { m.dropColumn(op.DropColumn) }
	case op.MergeColumns != nil:
		return func() { m.mergeColumns(op.MergeColumns) }
	case op.SplitColumn != nil:
		return func() { m.splitColumn(op.SplitColumn) }
	case op.CreateTable != nil:
		return func() { m.createTable(op.CreateTable) }
	case op.RenameTable != nil:
		return func() { m.renameTable(op.RenameTable) }
	case op.DropTable != nil:
		return func() { m.dropTable(op.DropTable) }
	case op.CreateIndex != nil:
		return func() { m.createIndex(op.CreateIndex) }
	case op.DropIndex != nil:
		return func() { m.dropIndex(op.DropIndex) }
	}
	return nil
}

func (m *model) renameColumn(o *change.RenameColumn) {
	t := m.table(o.Table)
	if t == nil {
		return
	}
	if c := m.column(t, o.From); c != nil && (strings.EqualFold(o.From, o.To) || m.unused(t, o.To)) {
		c.name = o.To
	}
}

// unused makes sure that no column of the new version has a name.
func (m *model) unused(t *table, name string) bool {
	if slices.ContainsFunc(t.columns, func(c *column) bool { return strings.EqualFold(c.name, name) }) {
		m.refuse(t.name+"."+name, "Choose another name.", "there is such a column")
		return false
	}
	return true
}

func (m *model) alterColumn(o *change.AlterColumn) {
	t := m.changed(o.Table)
	if t == nil {
		return
	}
	c := m.column(t, o.Column)
	if c == nil {
		return
	}
	subject := t.name + "." + c.name
	if o.Check != nil || o.References != nil || o.Unique != nil || o.Comment != nil {
		m.refuse(subject, "Bring check, references and comment in a release of their own; for unique use create_index.", "noon can change type, nullable and default of a column on MariaDB and MySQL")
		return
	}
	if c.was == nil || t.former(c) == nil {
		m.refuse(subject, "Say all of it in one operation.", "the column is made or changed by this release already")
		return
	}
	now := &column{name: c.name, typ: c.typ, null: c.null, def: c.def, comment: c.comment}
	if o.Type != "" {
		now.typ = m.typed(t, subject, o.Type)
	}
	if o.Nullable != nil {
		now.null = *o.Nullable
	}
	if o.Default != nil {
		now.def = nil
		if !o.Default.Null {
			now.def = &o.Default.Value
		}
	}
	up, down := o.Up, o.Down
	if up == "" {
		up = quote(t.former(c).name)
	}
	if down == "" && o.Type == "" {
		down = quote(c.name)
	}
	m.convert(t, []*column{c}, []*column{now}, []string{up}, []string{down})
}

func (m *model) addColumn(o *change.AddColumn) {
	t := m.changed(o.Table)
	if t == nil || !m.unused(t, o.Column.Name) {
		return
	}
	c := m.declared(t, o.Column)
	switch {
	case c == nil:
	case o.Up != "":
		m.convert(t, nil, []*column{c}, []string{o.Up}, nil)
	case !c.null && c.def == nil:
		m.refuse(t.name+"."+c.name, "Give it a default, an expression up, or nullable: true.", "it is NOT NULL, and rows that are there have no value for it")
	default:
		c.phys = free(c.name, m.From+1, t.taken())
		t.columns = append(t.columns, c)
	}
}

// declared is a column as an operation declares it; nil, with a finding, if
// it can not be served.
func (m *model) declared(t *table, d change.Column) *column {
	subject := t.name + "." + d.Name
	if d.PK || d.Unique || d.Check != nil || d.References != nil || d.Generated != nil {
		m.refuse(subject, "Add the column first; for unique use create_index, bring the rest in a release of its own.", "a column that is added can have type, nullable, default and comment on MariaDB and MySQL")
		return nil
	}
	c := &column{name: d.Name, typ: m.typed(t, subject, d.Type), null: d.Nullable, def: d.Default}
	if d.Comment != nil {
		c.comment = *d.Comment
	}
	return c
}

// typed completes a type, so that it is the same in a table and in a trigger.
func (m *model) typed(t *table, subject, typ string) string {
	for _, word := range named(typ) {
		if has([]string{"NOT", "NULL", "DEFAULT", "UNIQUE", "PRIMARY", "KEY", "AUTO_INCREMENT", "SERIAL", "CHECK", "REFERENCES", "COMMENT", "GENERATED", "AS", "INVISIBLE", "VISIBLE", "ON", "FIRST", "AFTER", "ADD", "DROP"}, word) {
			m.refuse(subject, "Give these as keys of their own.", "its type %q holds more than a type (%s)", typ, word)
		}
	}
	if !isText(class(typ)) || mentions(typ, "CHARACTER") || mentions(typ, "CHARSET") || mentions(typ, "COLLATE") {
		return typ
	}
	set, _, _ := strings.Cut(t.was.collation, "_")
	return typ + " CHARACTER SET " + set + " COLLATE " + t.was.collation
}

func (m *model) dropColumn(o *change.DropColumn) {
	t := m.changed(o.Table)
	if t == nil {
		return
	}
	c := m.column(t, o.Column)
	if c == nil {
		return
	}
	if o.Down == "" {
		if !m.droppable(t, c) {
			return
		}
		if !c.null && c.def == nil {
			m.refuse(t.name+"."+c.name, "Give an expression down: what the release before sees in rows that the new one writes.", "it is NOT NULL without a default")
			return
		}
		t.leave(c)
		return
	}
	m.convert(t, []*column{c}, nil, nil, []string{o.Down})
}

// leave takes a column out of the new version.
func (t *table) leave(c *column) {
	t.drops = append(t.drops, t.former(c))
	t.columns = slices.DeleteFunc(t.columns, func(o *column) bool { return o == c })
}

func (m *model) mergeColumns(o *change.MergeColumns) {
	t := m.changed(o.Table)
	if t == nil {
		return
	}
	var olds []*column
	var down []string
	for _, name := range o.From {
		c := m.column(t, name)
		if c == nil {
			return
		}
		olds, down = append(olds, c), append(down, o.Down[name])
	}
	if c := m.declared(t, o.To); c != nil {
		m.convert(t, olds, []*column{c}, []string{o.Up}, down)
	}
}

func (m *model) splitColumn(o *change.SplitColumn) {
	t := m.changed(o.Table)
	if t == nil {
		return
	}
	old := m.column(t, o.From)
	if old == nil {
		return
	}
	var news []*column
	var up []string
	for _, d := range o.To {
		c := m.declared(t, d)
		if c == nil {
			return
		}
		news, up = append(news, c), append(up, o.Up[d.Name])
	}
	m.convert(t, []*column{old}, news, up, []string{o.Down})
}

// convert has columns take the place of others. Each expression of up is over
// the columns of the version before, each of down over those of the new one.
func (m *model) convert(t *table, olds, news []*column, up, down []string) {
	n := len(m.findings)
	if len(t.was.key()) == 0 {
		m.refuse(t.name, "Give it a primary key.", "it has no primary key, nor a unique index without NULL, by which its rows could be walked")
	}
	if len(t.groups) >= maxGroups {
		m.refuse(t.name, "Spread them over several releases.", "more than %d changes of its columns at once", maxGroups)
	}
	g := &group{n: len(t.groups), news: news, up: up, down: down}
	for i, c := range olds {
		if !m.droppable(t, c) {
			continue
		}
		g.olds = append(g.olds, t.former(c))
		if down[i] == "" && !c.null && c.def == nil {
			m.refuse(t.name+"."+c.name, "Give an expression down for it: what the release before sees in rows that the new one writes.", "it is NOT NULL without a default")
		}
	}
	if len(m.findings) > n {
		return
	}
	at := len(t.columns)
	for _, c := range olds {
		at = min(at, slices.Index(t.columns, c))
		t.leave(c)
	}
	for _, c := range news {
		if m.unused(t, c.name) {
			c.phys, c.group = free(c.name, m.From+1, t.taken()), g
			t.columns = slices.Insert(t.columns, min(at, len(t.columns)), c)
			at++
		}
	}
	t.groups = append(t.groups, g)
}

// droppable makes sure that nothing holds a column that goes away.
func (m *model) droppable(t *table, c *column) bool {
	n := len(m.findings)
	subject := t.name + "." + c.name
	switch {
	case c.was == nil:
		m.refuse(subject, "Say all of it in one operation.", "the column is made by this release")
		return false
	case c.was.auto() || c.was.generated != "":
		m.refuse(subject, "Bring it in a release of its own.", "the server makes its values")
	case slices.ContainsFunc(t.was.indexes, func(i catalogIndex) bool { return i.name == "PRIMARY" && has(i.columns, c.phys) }):
		m.refuse(subject, "Add a new key in a release of its own.", "it is a part of the primary key")
	}
	sure, maybe := m.catalog.users(Reliance{Table: t.phys, Column: c.phys})
	if len(sure) > 0 {
		m.refuse(subject, "Drop that in a release before.", "%s uses it", strings.Join(sure, ", "))
	}
	if len(maybe) > 0 {
		m.find(change.Warning, subject, "Look whether it works without the column.", "%s names it", strings.Join(maybe, ", "))
	}
	return !change.Refuses(m.findings[n:])
}

// expressions looks at what the expressions of a group name.
func (m *model) expressions(t *table, g *group) {
	check := func(expression string, of []*column, mine []*column) {
		if mentions(expression, "SELECT") {
			m.refuse(t.name, "Fill the column by a migration of data, and add it without up.", "an expression asks another table (%s), whose later changes would not be followed", expression)
		}
		for _, c := range of {
			if !mentions(expression, c.name) || slices.Contains(mine, c) {
				continue
			}
			if c.was == nil || c.group != nil || slices.ContainsFunc(t.drops, func(d *column) bool { return d.phys == c.phys }) {
				m.refuse(t.name+"."+c.name, "Let it use columns of its own operation, and such that both releases have.", "the expression %s uses a column that changes too", expression)
			} else if c.was.auto() || c.was.generated != "" {
				m.refuse(t.name+"."+c.name, "Let it use columns that statements write.", "the expression %s uses a column whose value the server makes later", expression)
			}
		}
	}
	for _, e := range g.up {
		check(e, t.before, g.olds)
	}
	for _, e := range g.down {
		check(e, t.columns, g.news)
	}
}

func class(typ string) string {
	words := named(typ)
	if len(words) == 0 {
		return ""
	}
	return strings.ToLower(words[0])
}

// isText reports whether columns of a class have a character set.
func isText(class string) bool {
	return slices.Contains([]string{"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"}, class)
}

// definition is how a column is declared in a table.
func (c *column) definition(nullable bool, more string) string {
	text := fmt.Sprintf("%s %s", quote(c.phys), c.typ)
	if nullable {
		text += " NULL"
	} else {
		text += " NOT NULL"
	}
	if c.def != nil {
		text += " DEFAULT " + *c.def
	}
	if c.comment != "" {
		text += " COMMENT " + literal(c.comment)
	}
	return text + more
}
