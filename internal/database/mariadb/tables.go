package mariadb

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/change"
)

func (m *model) renameTable(o *change.RenameTable) {
	if t := m.table(o.From); t != nil && m.untaken(o.To) {
		t.name = o.To
	}
}

// untaken makes sure that no table of the new version has a name.
func (m *model) untaken(name string) bool {
	if slices.ContainsFunc(m.tables, func(t *table) bool { return t.name == name && !t.dropped }) {
		m.refuse(name, "Choose another name.", "there is such a table")
		return false
	}
	if strings.HasPrefix(strings.ToLower(name), own) {
		m.refuse(name, "Choose another name.", "names that begin with %s are noon's", own)
		return false
	}
	return true
}

func (m *model) dropTable(o *change.DropTable) {
	t := m.table(o.Name)
	if t == nil {
		return
	}
	if t.was == nil || len(t.groups)+len(t.drops)+len(t.added())+len(t.indexes)+len(t.unindex) > 0 {
		m.refuse(o.Name, "Drop it only.", "this release makes or changes the table too")
		return
	}
	sure, maybe := m.catalog.users(Reliance{Table: t.phys})
	if len(sure) > 0 {
		m.refuse(o.Name, "Drop that in a release before.", "%s uses it", strings.Join(sure, ", "))
	}
	if len(maybe) > 0 {
		m.find(change.Warning, o.Name, "Look whether it works without the table.", "%s names it", strings.Join(maybe, ", "))
	}
	t.dropped = true
}

func (m *model) createTable(o *change.CreateTable) {
	if !m.untaken(o.Name) {
		return
	}
	var taken []string
	for _, t := range m.catalog.tables {
		taken = append(taken, t.name)
	}
	for _, t := range m.tables {
		taken = append(taken, t.phys)
	}
	t := &table{name: o.Name, phys: free(o.Name, m.From+1, taken)}
	var lines, links, key []string
	for _, d := range o.Columns {
		line, more := m.makeColumn(t, d)
		lines, links = append(lines, line), append(links, more...)
		if d.PK {
			key = append(key, d.Name)
		}
	}
	if len(key) > 0 {
		lines = append(lines, "PRIMARY KEY ("+quoteAll(key)+")")
	}
	for _, k := range o.Constraints {
		if k.Type == "foreign_key" {
			links = append(links, m.link(o.Name, k.Name, k.Columns, *k.References))
		} else {
			lines = append(lines, constraintSQL(k))
		}
	}
	end := ") ENGINE=InnoDB"
	if o.Comment != nil {
		end += " COMMENT=" + literal(*o.Comment)
	}
	m.trials = append(m.trials, Trial{At: m.at, Create: "(" + strings.Join(lines, ", ") + end})
	t.create = fmt.Sprintf("CREATE TABLE %s (%s", qualified(m.Database, t.phys), strings.Join(append(lines, links...), ", ")) + end
	m.tables = append(m.tables, t)
}

// makeColumn declares a column of a table that is made, and its foreign key.
func (m *model) makeColumn(t *table, d change.Column) (line string, links []string) {
	c := &column{name: d.Name, phys: d.Name, typ: d.Type, null: d.Nullable && !d.PK, def: d.Default}
	if d.Comment != nil {
		c.comment = *d.Comment
	}
	line = c.definition(c.null, "")
	switch {
	case d.Generated != nil && d.Generated.Identity != nil:
		line = fmt.Sprintf("%s %s NOT NULL AUTO_INCREMENT", quote(d.Name), d.Type)
	case d.Generated != nil:
		line = fmt.Sprintf("%s %s AS (%s\n) STORED", quote(d.Name), d.Type, d.Generated.Expression)
	}
	if d.Unique {
		line += " UNIQUE"
	}
	if d.Check != nil {
		line += fmt.Sprintf(", CONSTRAINT %s CHECK (%s\n)", quote(d.Check.Name), d.Check.Constraint)
	}
	if r := d.References; r != nil {
		links = append(links, m.link(t.name, r.Name, []string{d.Name}, change.References{Table: r.Table, Columns: []string{r.Column}, OnDelete: r.OnDelete, OnUpdate: r.OnUpdate}))
	}
	t.columns = append(t.columns, c)
	return line, links
}

func constraintSQL(k change.CreateConstraint) string {
	switch k.Type {
	case "check":
		return fmt.Sprintf("CONSTRAINT %s CHECK (%s\n)", quote(k.Name), k.Check)
	case "primary_key":
		return "PRIMARY KEY (" + quoteAll(k.Columns) + ")"
	default:
		return fmt.Sprintf("UNIQUE KEY %s (%s)", quote(k.Name), quoteAll(k.Columns))
	}
}

// link is a foreign key of a table that is made.
func (m *model) link(of, name string, columns []string, r change.References) string {
	phys, to := r.Table, slices.Clone(r.Columns)
	if r.Table != of {
		other := m.table(r.Table)
		if other == nil {
			return ""
		}
		phys = other.phys
		for i, n := range to {
			if c := m.column(other, n); c != nil {
				to[i] = c.phys
			}
			if other.was != nil && other.was.column(to[i]) == nil {
				m.refuse(r.Table+"."+n, "Add the foreign key in a release after.", "it is made by this release, and can not be referenced yet")
			}
		}
	}
	text := fmt.Sprintf("CONSTRAINT %s FOREIGN KEY (%s) REFERENCES %s (%s)", quote(name), quoteAll(columns), qualified(m.Database, phys), quoteAll(to))
	return text + m.rule(of, " ON DELETE ", r.OnDelete) + m.rule(of, " ON UPDATE ", r.OnUpdate)
}

// rule is what happens to rows when what they reference changes.
func (m *model) rule(of, when, what string) string {
	if what == "" {
		return ""
	}
	if !has([]string{"CASCADE", "SET NULL", "RESTRICT", "NO ACTION"}, what) {
		m.refuse(of, "Use CASCADE, SET NULL, RESTRICT or NO ACTION.", "%s %s is not known", when, what)
	}
	return when + what
}

func (m *model) createIndex(o *change.CreateIndex) {
	t := m.table(o.Table)
	if t == nil {
		return
	}
	if o.Predicate != "" || o.Parameters != "" || !has([]string{"", "btree"}, o.Method) {
		m.refuse(o.Name, "Leave predicate, storage_parameters and method out.", "an index here has columns only")
		return
	}
	var columns []string
	for _, ic := range o.Columns {
		if ic.Expression != "" || ic.Collate != "" || ic.OpClass != nil || ic.Nulls != "" || !has([]string{"", "asc"}, ic.Sort) {
			m.refuse(o.Name, "Name columns only.", "an index here has columns only")
			return
		}
		c := m.column(t, ic.Column)
		if c == nil {
			return
		}
		columns = append(columns, quote(c.phys))
	}
	if slices.ContainsFunc(t.indexes, func(i index) bool { return strings.EqualFold(i.name, o.Name) }) ||
		t.was != nil && slices.ContainsFunc(t.was.indexes, func(i catalogIndex) bool { return strings.EqualFold(i.name, o.Name) }) {
		m.refuse(o.Name, "Choose another name.", "the table has such an index")
		return
	}
	if o.Unique && t.was != nil {
		m.find(change.Warning, t.name+"."+o.Name, "Make sure that the release before writes no duplicates.", "a unique index holds for both releases from the moment it is made")
	}
	t.indexes = append(t.indexes, newIndex(o.Name, o.Unique, columns))
}

func newIndex(name string, unique bool, columns []string) index {
	kind := "INDEX"
	if unique {
		kind = "UNIQUE INDEX"
	}
	return index{name: name, unique: unique, sql: fmt.Sprintf("ADD %s %s (%s)", kind, quote(name), strings.Join(columns, ", "))}
}

func (m *model) dropIndex(o *change.DropIndex) {
	var found []*table
	for _, t := range m.tables {
		if t.was != nil && slices.ContainsFunc(t.was.indexes, func(i catalogIndex) bool { return strings.EqualFold(i.name, o.Name) }) {
			found = append(found, t)
		}
	}
	switch {
	case len(found) == 0:
		m.refuse(o.Name, "Name an index that is there.", "there is no such index")
		return
	case len(found) > 1:
		m.refuse(o.Name, "Drop it in a release of its own.", "%d tables have an index of this name", len(found))
		return
	}
	t := found[0]
	i := t.was.indexes[slices.IndexFunc(t.was.indexes, func(i catalogIndex) bool { return strings.EqualFold(i.name, o.Name) })]
	if i.name == "PRIMARY" || slices.Equal(t.was.walked(i), t.was.key()) {
		m.refuse(o.Name, "Keep it.", "it is the key of table %s", t.name)
	}
	for _, other := range m.catalog.tables {
		for _, k := range other.constraints {
			if other == t.was && len(k.columns) > 0 && has(i.columns[:1], k.columns[0]) || k.refers == t.phys && has(i.columns[:1], cmp.Or(k.to...)) {
				m.refuse(o.Name, "Drop that in a release before.", "foreign key %s needs it", k.name)
			}
		}
	}
	t.unindex = append(t.unindex, i.name)
}

// carryIndexes makes the indexes of columns that go away anew for what takes
// their place.
func (m *model) carryIndexes(t *table) {
	heirs := map[string]*column{}
	for _, g := range t.groups {
		if len(g.olds) == 1 && len(g.news) == 1 {
			heirs[g.olds[0].phys] = g.news[0]
		}
	}
	for _, i := range t.was.indexes {
		if has(t.unindex, i.name) || !slices.ContainsFunc(t.drops, func(c *column) bool { return has(i.columns, c.phys) }) {
			continue
		}
		columns, kept := m.heirs(t, i, heirs)
		switch {
		case len(columns) == len(i.columns) && i.kind == "BTREE":
			t.indexes = append(t.indexes, newIndex(m.indexName(t, i.name), i.unique, columns))
		case kept:
			m.refuse(t.name+"."+i.name, "Drop the index by drop_index, and make the one that the new release needs.", "the index is of columns that go away and of others")
			continue
		case len(columns) > 0:
			m.refuse(t.name+"."+i.name, "Drop the index by drop_index.", "an index of kind %s can not be built beside writers", i.kind)
			continue
		default:
			m.find(change.Note, t.name+"."+i.name, "Use create_index for what the new release looks for.", "the index goes away with its columns")
		}
		t.unindex = append(t.unindex, i.name)
	}
}

// heirs are the columns of an index after the change, as far as there are
// such; kept tells whether any of them stays.
func (m *model) heirs(t *table, i catalogIndex, heirs map[string]*column) (columns []string, kept bool) {
	for n, name := range i.columns {
		prefix := func(class string) string {
			if !i.prefix[n].Valid || !strings.Contains(class, "char") && !strings.Contains(class, "text") && !strings.Contains(class, "blob") && !strings.Contains(class, "binary") {
				return ""
			}
			return fmt.Sprintf("(%d)", i.prefix[n].Int64)
		}
		if c := heirs[name]; c != nil {
			columns = append(columns, quote(c.phys)+prefix(class(c.typ)))
			continue
		}
		if !slices.ContainsFunc(t.drops, func(c *column) bool { return strings.EqualFold(c.phys, name) }) {
			kept = true
			if c := t.was.column(name); c != nil {
				columns = append(columns, quote(name)+prefix(c.class))
			}
		}
	}
	return columns, kept
}

func (m *model) indexName(t *table, name string) string {
	var taken []string
	for _, i := range t.was.indexes {
		taken = append(taken, i.name)
	}
	for _, i := range t.indexes {
		taken = append(taken, i.name)
	}
	return free(name, m.From+1, taken)
}

// trial tries columns, indexes and expressions on a copy.
func (m *model) trial(t *table) []Trial {
	if t.was == nil || len(t.groups)+len(t.added())+len(t.indexes) == 0 {
		return nil
	}
	one := Trial{Table: t.phys}
	for _, c := range t.added() {
		one.Alter = append(one.Alter, "ADD COLUMN "+c.definition(c.null, ""))
	}
	for _, i := range t.indexes {
		one.Alter = append(one.Alter, i.sql)
	}
	ask := func(expression, as string, of []*column) {
		if expression != "" {
			one.SQL = append(one.SQL, fmt.Sprintf("SELECT 1 FROM (SELECT %s FROM %s) AS %s WHERE (%s\n) IS NULL AND FALSE", selectList(of), scratch, quote(as), expression))
		}
	}
	for _, g := range t.groups {
		for _, e := range g.up {
			ask(e, t.old, t.before)
		}
		for _, e := range g.down {
			ask(e, t.name, t.columns)
		}
	}
	return []Trial{one}
}

// selectList gives columns the names that a version has for them.
func selectList(columns []*column) string {
	list := make([]string, 0, len(columns))
	for _, c := range columns {
		list = append(list, quote(c.phys)+" AS "+quote(c.name))
	}
	return strings.Join(list, ", ")
}
