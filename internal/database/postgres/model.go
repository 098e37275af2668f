package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
)

// model is the schema as the new version will show it, beside what is there.
type model struct {
	Target
	catalog  *pgcatalog.Catalog
	tables   []*table
	findings []change.Finding
	at       string // of the operation that is applied

	expandSQL   []string // raw, in the expanding transaction
	contractSQL []string
	withdrawSQL []string
	alone       []Stage // raw, without transaction
	aloneAfter  []Stage // the same, of the contraction
	moves       int     // how many columns go to another table

	operations   []change.Operation // all that are applied
	renamedEnums []pgcatalog.Name
	typeSQL      []string // makes types of the new version
	typeProbe    []string // fails where they can not take the place of others
	typeDrop     []string // takes them away
	identities   int      // that other columns become
}

// table is a table or view of the new version.
type table struct {
	name    string           // in the new version
	phys    string           // now
	was     *pgcatalog.Table // nil if it is created
	columns []*column        // of the new version
	groups  []*group
	dropped bool
	create  []string // statements that make it

	unique   [][]string // of one that is created: columns that are unique together
	required []string   // those that a row needs
	optional []string   // those that are NULL where nobody writes them

	gone       []*pgcatalog.Column // columns that the contraction drops
	indexes    []*index
	keys       []*foreignKey
	checks     []*demand
	first      []string           // statements of the contraction, before columns go
	final      []string           // the same, after columns have their names
	replaced   map[string]*column // by the name of the old column
	released   []string           // foreign keys that go before any columns do
	recomputed []recomputed       // columns that were generated ones
	pairs      []string           // tries whether both sides of foreign keys can be compared
	comment    *change.Text
}

// column is a column of the new version.
type column struct {
	name    string
	phys    string            // where its values are while both versions are served
	was     *pgcatalog.Column // which column of the version before it is, or replaces
	typ     string
	collate string
	added   bool // phys is not there yet
	notNull bool // and was not before
	// def is the default for writers of the new version, nil if it is that of
	// the table. "" is none.
	def     *string
	comment *change.Text
	moved   bool   // it comes from another table
	drawn   string // default of the table in the end, "" if def says it
	at      string // of the operation that replaces a column by it
}

// group is values of which the versions have two forms, or rows of which the
// new version demands what the old one does not.
type group struct {
	bit  int // of the pending mark, 0 if it has none
	up   []assignment
	down []assignment
	// demands must not be false in a row for the new version.
	demands []string
	uses    []string // columns that demands without up use
	move    *move    // of a column that goes to another table, and nothing else
	always  bool     // up says what the column is, whoever writes the row
}

// assignment makes one physical column from others.
type assignment struct {
	column string
	value  expression
}

// demand is a check of the new version.
type demand struct {
	name    string // of the constraint in the end, "" for NOT NULL
	column  string // of NOT NULL: phys
	check   string // with physical names
	replace bool   // a constraint of that name is there, and goes with its column
	group   *group
}

// index is an index that is made for the new version.
type index struct {
	name       string   // in the end
	temporary  string   // until the contraction, "" if it has its name from the start
	definition string   // after CREATE [UNIQUE] INDEX CONCURRENTLY name
	columns    []string // physical, that it uses
	unique     bool
	constraint string // "UNIQUE", "PRIMARY KEY" or ""
	replaces   bool
}

// foreignKey is one that is made for the new version.
type foreignKey struct {
	name       string
	temporary  string
	definition string
	references string
	to         *table   // of one that an operation makes
	columns    []string // physical, of that table
}

func newModel(catalog *pgcatalog.Catalog, to Target) *model {
	m := &model{Target: to, catalog: catalog}
	for i := range catalog.Tables {
		t := &catalog.Tables[i]
		if t.Schema == to.Schema && !t.IsPartition {
			m.tables = append(m.tables, newTable(t))
		}
	}
	return m
}

func newTable(t *pgcatalog.Table) *table {
	n := &table{name: t.Name.Name, phys: t.Name.Name, was: t}
	for i := range t.Columns {
		c := &t.Columns[i]
		n.columns = append(n.columns, &column{name: c.Name, phys: c.Name, was: c, typ: c.Type, collate: c.Collation})
	}
	return n
}

func (m *model) find(severity change.Severity, subject, hint, text string, args ...any) {
	m.findings = append(m.findings, change.Finding{Severity: severity, At: m.at, Subject: subject, Text: fmt.Sprintf(text, args...), Hint: hint})
}

func (m *model) refuse(subject, hint, text string, args ...any) {
	m.find(change.Refused, subject, hint, text, args...)
}

func (m *model) refused() bool {
	return change.Refuses(m.findings)
}

// table finds a table of the new version by its name; nil, with a finding, if
// there is none that can be changed.
func (m *model) table(name string) *table {
	if schema, rest, ok := strings.Cut(name, "."); ok && schema == m.Schema {
		name = rest
	}
	for _, t := range m.tables {
		if t.name != name || t.dropped {
			continue
		}
		if t.was != nil && t.was.Kind != pgcatalog.Ordinary && t.was.Kind != pgcatalog.Partitioned {
			m.refuse(name, "Change it by sql.", "it is a %s, which is not changed by declared operations", t.was.Kind)
			return nil
		}
		return t
	}
	m.refuse(name, "Look at the name, and at the operations before this one.", "there is no table of this name in schema %s", m.Schema)
	return nil
}

// column finds a column of the new version; nil, with a finding, if there is
// none.
func (m *model) column(t *table, name string) *column {
	for _, c := range t.columns {
		if c.name == name {
			return c
		}
	}
	m.refuse(t.name+"."+name, "Look at the name, and at the operations before this one.", "there is no column of this name")
	return nil
}

// free reports whether a column may be called name; a finding says why not.
func (m *model) free(t *table, name string) bool {
	if slices.ContainsFunc(t.columns, func(c *column) bool { return c.name == name }) {
		m.refuse(t.name+"."+name, "Choose another name.", "there is a column of this name already")
		return false
	}
	if name == pending || strings.HasPrefix(name, "_noon_") {
		m.refuse(t.name+"."+name, "Choose another name.", "names that begin with _noon_ are noon's own")
		return false
	}
	return true
}

// physical is a name for a new column: its own if nothing has it.
func (t *table) physical(name string) string {
	taken := func(n string) bool {
		return t.was != nil && t.was.Column(n) != nil || slices.ContainsFunc(t.columns, func(c *column) bool { return c.phys == n })
	}
	if !taken(name) {
		return name
	}
	for i := 0; ; i++ {
		n := fit("_noon_" + name)
		if i > 0 {
			n = fit(fmt.Sprintf("_noon_%d_%s", i, name))
		}
		if !taken(n) {
			return n
		}
	}
}

// group adds a group with a bit of the pending mark if it needs one. One that
// keeps nothing equal is left out.
func (m *model) group(t *table, g *group) *group {
	if len(g.up)+len(g.down)+len(g.demands) == 0 && g.move == nil {
		return g
	}
	if len(g.up) > 0 || len(g.demands) > 0 || g.move != nil {
		bits := 0
		for _, o := range t.groups {
			if o.bit > 0 {
				bits++
			}
		}
		if bits == 31 {
			m.refuse(t.name, "Make the change in two releases.", "more than 31 values of one table have two forms")
			return g
		}
		g.bit = 1 << bits
	}
	t.groups = append(t.groups, g)
	return g
}

// fills reports whether rows that are there need the group's values.
func (g *group) fills() bool { return len(g.up) > 0 || g.move != nil }

// triggers are the statements that make what keeps a group's values equal.
func (m *model) triggers(t *table, number int) []string {
	if v := t.groups[number].move; v != nil {
		return v.statements()
	}
	return m.twin(t, number).statements()
}

// noTriggers are the statements that take that away, of all tables: those of a
// move are on two.
func (m *model) noTriggers() []string {
	var list []string
	for _, t := range m.tables {
		for i, g := range t.groups {
			if g.move != nil {
				list = append(list, g.move.drop()...)
			} else {
				list = append(list, m.twin(t, i).drop()...)
			}
		}
	}
	return list
}

// shared reports whether writers of both versions write a physical column.
func (t *table) shared(phys string) bool {
	return t.was != nil && t.was.Column(phys) != nil && slices.ContainsFunc(t.columns, func(c *column) bool { return c.phys == phys })
}

// isGone reports whether the contraction drops a column.
func (t *table) isGone(phys string) bool {
	return slices.ContainsFunc(t.gone, func(c *pgcatalog.Column) bool { return c.Name == phys })
}
