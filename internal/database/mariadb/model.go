package mariadb

import (
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/change"
)

// Target is what a plan is made for.
type Target struct {
	App      string // prefix of what the releases get
	Database string // that holds the tables
	From     int    // the version in force, 0 before the first
	Views    []View // of the version in force; none: the tables themselves
	Comments bool   // databases have comments: it is MariaDB
}

// model is the new version while operations are applied to it.
type model struct {
	Target
	catalog  *catalog
	tables   []*table
	trials   []Trial
	findings []change.Finding
	at       string // file:line of the operation that is applied
}

// table is a table of the new version.
type table struct {
	name    string // in the new version
	old     string // in the version before, "" for one that is made
	phys    string
	was     *catalogTable // nil for one that is made
	create  string        // how it is made
	columns []*column     // of the new version, in their order
	before  []*column     // of the version before
	groups  []*group
	drops   []*column // of the version before that go away
	indexes []index   // that are made
	unindex []string  // that go away
	dropped bool
}

// column is a column as one version has it.
type column struct {
	name    string
	phys    string
	typ     string // with character set and collation
	null    bool
	def     *string // SQL; nil: none
	comment string
	was     *catalogColumn // nil for one that is made
	group   *group         // that makes it; nil for others
}

// index is one that is made.
type index struct {
	name   string
	sql    string // ADD [UNIQUE] INDEX …
	unique bool
}

// group is columns of which the one form is made from the other.
type group struct {
	n    int // bit of the mark
	olds []*column
	news []*column
	up   []string // one for each of news
	down []string // one for each of olds; "" where there is none
}

// The marks of a row, in the column noon_pending.
const (
	maxGroups = 29
	untried   = uint64(1) << 62 // the row was there before the triggers, and nothing was made yet
)

// missing marks a row for whose old form there is no new one.
func (g *group) missing() uint64 { return 1 << g.n }

// lost marks a row whose new form can not be made from the old one.
func (g *group) lost() uint64 { return 1 << (maxGroups + g.n) }

func newModel(c *catalog, to Target) *model {
	m := &model{Target: to, catalog: c}
	if to.From == 0 {
		for _, t := range c.tables {
			if t.kind != "VIEW" {
				m.tables = append(m.tables, plainTable(t))
			}
		}
		return m
	}
	for _, v := range to.Views {
		t := c.table(v.Of)
		if t == nil {
			m.refuse(v.Name, "Restore it.", "its table %s is gone", v.Of)
			continue
		}
		m.tables = append(m.tables, m.viewed(t, v))
	}
	return m
}

func plainTable(t *catalogTable) *table {
	n := &table{name: t.name, old: t.name, phys: t.name, was: t}
	for i := range t.columns {
		n.add(t.columns[i].name, &t.columns[i])
	}
	return n
}

// viewed is a table as the version in force shows it.
func (m *model) viewed(t *catalogTable, v View) *table {
	n := &table{name: v.Name, old: v.Name, phys: v.Of, was: t}
	for _, c := range v.Columns {
		if was := t.column(c.Of); was != nil {
			n.add(c.Name, was)
		} else {
			m.refuse(v.Name+"."+c.Name, "Restore it.", "its column %s is gone", c.Of)
		}
	}
	return n
}

func (t *table) add(name string, was *catalogColumn) {
	c := column{name: name, phys: was.name, typ: was.typ, null: was.nullable, def: was.def, comment: was.comment, was: was}
	before := c
	t.columns, t.before = append(t.columns, &c), append(t.before, &before)
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

// table finds a table of the new version; nil, with a finding, if there is none.
func (m *model) table(name string) *table {
	for _, t := range m.tables {
		if t.name == name && !t.dropped {
			return t
		}
	}
	m.refuse(name, "Name a table as the release calls it at this operation.", "there is no such table")
	return nil
}

// changed finds a table of which columns can be changed.
func (m *model) changed(name string) *table {
	t := m.table(name)
	switch {
	case t == nil:
		return nil
	case t.was == nil:
		m.refuse(name, "Say it in create_table.", "the table is made by this release")
	case !strings.EqualFold(t.was.engine, "InnoDB"):
		m.refuse(name, "Convert it to InnoDB first.", "its engine is %s, which has no transactions", t.was.engine)
	case t.was.kind != "BASE TABLE":
		m.refuse(name, "Change it by a migration of kind sql.", "it is a %s", strings.ToLower(t.was.kind))
	default:
		return t
	}
	return nil
}

// column finds a column of the new version; nil, with a finding, if there is
// none.
func (m *model) column(t *table, name string) *column {
	for _, c := range t.columns {
		if strings.EqualFold(c.name, name) {
			return c
		}
	}
	m.refuse(t.name+"."+name, "Name a column as the release calls it at this operation.", "there is no such column")
	return nil
}

// former is a column as the version before has it.
func (t *table) former(c *column) *column {
	i := slices.IndexFunc(t.before, func(b *column) bool { return b.phys == c.phys })
	if i < 0 {
		return nil
	}
	return t.before[i]
}

// taken are the names of the physical columns that there are or will be.
func (t *table) taken() []string {
	list := []string{pending}
	for _, c := range t.was.columns {
		list = append(list, c.name)
	}
	for _, c := range t.columns {
		list = append(list, c.phys)
	}
	return list
}

// added are the physical columns that are made.
func (t *table) added() []*column {
	return slices.DeleteFunc(slices.Clone(t.columns), func(c *column) bool { return c.was != nil })
}

// marks reports whether the table gets the mark.
func (t *table) marks() bool { return len(t.groups) > 0 }

// makePlan computes how one version becomes the next. The plan holds what was
// found in the way: see [Plan.Refusal].
func makePlan(set change.Set, c *catalog, to Target) Plan {
	m := newModel(c, to)
	for _, op := range set.Operations {
		m.at = op.At
		m.apply(op)
	}
	m.at = ""
	for _, t := range m.tables {
		if t.was != nil {
			m.carryIndexes(t)
		}
		for _, g := range t.groups {
			m.expressions(t, g)
		}
	}
	p := Plan{App: to.App, Database: to.Database, From: to.From, To: to.From + 1, Set: set, Lost: set.Irreversible(), Findings: m.findings}
	if m.refused() {
		return p
	}
	p.Views, p.Relies, p.Losses = m.views(), m.relies(), m.losses()
	p.Expand, p.Contract, p.Withdraw = m.expand(), m.contract(), m.withdraw()
	for _, t := range m.tables {
		p.Trials = append(p.Trials, m.trial(t)...)
	}
	p.Findings = append(m.findings, m.remarks()...)
	return p
}

func (m *model) views() []View {
	var list []View
	for _, t := range m.tables {
		if t.dropped {
			continue
		}
		v := View{Name: t.name, Of: t.phys}
		for _, c := range t.columns {
			v.Columns = append(v.Columns, ViewColumn{Name: c.name, Of: c.phys})
		}
		list = append(list, v)
	}
	return list
}

func (m *model) relies() []Reliance {
	var list []Reliance
	for _, t := range m.tables {
		if t.dropped {
			list = append(list, Reliance{Table: t.phys})
		}
		for _, c := range t.drops {
			list = append(list, Reliance{Table: t.phys, Column: c.phys})
		}
	}
	return list
}

// remarks are what somebody should know.
func (m *model) remarks() []change.Finding {
	var list []change.Finding
	remark := func(severity change.Severity, subject, hint, text string, args ...any) {
		list = append(list, change.Finding{Severity: severity, Subject: subject, Text: fmt.Sprintf(text, args...), Hint: hint})
	}
	if m.From == 0 && len(m.catalog.routines) > 0 {
		remark(change.Note, "routines", "Call them with the name of the database: "+quote(m.Database)+".name(), and grant EXECUTE to the release's user.", "releases use a database of views, in which there are no functions and procedures")
	}
	for _, t := range m.tables {
		if t.was == nil || !t.marks() {
			continue
		}
		for _, x := range m.catalog.texts {
			if x.kind == "trigger" && x.table == t.phys && strings.HasSuffix(x.event, "UPDATE") {
				remark(change.Warning, t.name, "See whether that is wanted.", "trigger %s fires for each row that is filled", x.name)
			}
		}
	}
	return list
}
