package postgres

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/pgcatalog"
)

// Locks for which writers wait.
const (
	exclusive = "ACCESS EXCLUSIVE"
	shareRow  = "SHARE ROW EXCLUSIVE"
)

// emit writes the model down as stages.
func (m *model) emit(p *Plan) {
	p.Views = m.views()
	p.Expand = append([]Stage{m.expand(p.Views)}, m.after()...)
	p.Contract = m.contract()
	p.Withdraw = []Stage{m.withdraw(p.Views)}
	p.Losses = m.losses()
	p.Probe = m.probe()
	p.Relies = m.relies()
	p.Shape = shape(m.catalog, m.Schema, m.App, p.Relies)
}

func (m *model) next() string { return versionSchema(m.App, m.From+1) }

// views are the tables and views of the new version, in the order of their
// names; of a table its columns in the order in which the table has them.
func (m *model) views() []View {
	var list []View
	for _, t := range m.tables {
		if t.dropped {
			continue
		}
		v := View{Name: t.name, Of: t.phys}
		for _, c := range t.columns {
			col := ViewColumn{Name: c.name, Of: c.phys}
			if c.def != nil && t.was != nil && (!c.added || !m.atOnce(t, c)) {
				col.Default = *c.def
				if col.Default == "" {
					col.Default = "nullif('','')::" + c.typ // a bare NULL would be that of the table
				}
			}
			v.Columns = append(v.Columns, col)
		}
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b View) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// atOnce reports whether an added column has its default in the table from the
// start: it has no other form, so both versions may get it.
func (m *model) atOnce(t *table, c *column) bool {
	return !slices.ContainsFunc(t.groups, func(g *group) bool {
		return slices.ContainsFunc(g.up, func(a assignment) bool { return a.column == c.phys })
	})
}

func (m *model) viewStatements(v View) []string {
	var columns []string
	for _, c := range v.Columns {
		columns = append(columns, quote(c.Of)+" as "+quote(c.Name))
	}
	options := ""
	if m.catalog.Server.Version >= 150000 {
		options = " with (security_invoker = true)" // rights and row security of who asks
	}
	name := qualified(m.next(), v.Name)
	list := []string{fmt.Sprintf("create view %s%s as select %s from %s", name, options, strings.Join(columns, ", "), qualified(m.Schema, v.Of))}
	for _, c := range v.Columns {
		if c.Default != "" {
			list = append(list, fmt.Sprintf("alter view %s alter column %s set default %s", name, quote(c.Name), c.Default))
		}
	}
	return append(list, fmt.Sprintf("grant select, insert, update, delete on %s to %s", name, quote(m.Role)))
}

// expand is everything that makes both versions live, in one transaction. What
// needs no strong lock comes first.
func (m *model) expand(views []View) Stage {
	s := Stage{Name: "expand", Kind: Together}
	s.Before = append(s.Before, "create schema "+quote(m.next()), fmt.Sprintf("grant usage on schema %s to %s", quote(m.next()), quote(m.Role)))
	s.Before = append(s.Before, m.typeSQL...)
	var changed []*table
	for _, t := range m.tables {
		s.Before = append(s.Before, t.create...)
		if t.was == nil {
			s.Before = append(s.Before, fmt.Sprintf("alter table %s owner to %s", qualified(m.Schema, t.phys), quote(m.Role)))
		}
		if t.adds() || len(t.groups) > 0 {
			changed = append(changed, t)
			s.Locks = append(s.Locks, Lock{t.phys, exclusive})
		}
	}
	s.Before = append(s.Before, m.expandSQL...)
	for _, v := range views {
		if !slices.ContainsFunc(changed, func(t *table) bool { return t.phys == v.Of }) {
			s.Before = append(s.Before, m.viewStatements(v)...)
		}
	}
	for _, t := range changed {
		s.SQL = append(s.SQL, m.grow(t, qualified(m.Schema, t.phys))...)
		for i := range t.groups {
			for _, sql := range m.triggers(t, i) {
				if strings.HasPrefix(sql, "create or replace function ") { // which needs no lock
					s.Before = append(s.Before, sql)
				} else {
					s.SQL = append(s.SQL, sql)
				}
			}
		}
		at := slices.IndexFunc(views, func(v View) bool { return v.Of == t.phys })
		s.SQL = append(s.SQL, m.viewStatements(views[at])...)
	}
	return s
}

// grow adds the new columns and the pending mark, without writing the table
// anew.
func (m *model) grow(t *table, name string) []string {
	var adds []string
	for _, c := range t.columns {
		if !c.added {
			continue
		}
		line := "add column " + quote(c.phys) + " " + c.typ
		if c.collate != "" {
			line += " collate " + c.collate
		}
		if c.def != nil && *c.def != "" && m.atOnce(t, c) {
			line += " default " + *c.def
		}
		adds = append(adds, line)
	}
	if t.marks() {
		mask := 0
		for _, g := range t.groups {
			if g.fills() {
				mask |= g.bit
			}
		}
		adds = append(adds, fmt.Sprintf("add column %s integer not null default %d", quote(pending), mask))
	}
	if len(adds) == 0 {
		return nil
	}
	list := []string{fmt.Sprintf("alter table %s %s", name, strings.Join(adds, ", "))}
	if t.marks() {
		list = append(list, fmt.Sprintf("alter table %s alter column %s set default 0", name, quote(pending)))
	}
	return list
}

// after is what follows the expanding transaction: filling rows, indexes, and
// constraints.
func (m *model) after() []Stage {
	var list []Stage
	for _, t := range m.tables {
		list = append(list, m.begunParts(t)...)
	}
	for _, t := range m.tables {
		if b := m.backfill(t); b != nil && t.fills() {
			list = append(list, Stage{Name: "backfill " + t.phys, Kind: Filling, Backfill: b, Locks: []Lock{{t.phys, "ROW EXCLUSIVE"}}})
		}
	}
	list = append(list, m.alone...)
	for _, t := range m.tables {
		if t.dropped || t.was == nil {
			continue
		}
		for _, i := range t.indexes {
			if t.was.Kind == pgcatalog.Partitioned {
				list = append(list, m.buildParts(t, i)...)
			} else {
				list = append(list, m.build(t, i)...)
			}
		}
		list = append(list, m.demands(t, "_noon_x", func(d *demand) string {
			return fmt.Sprintf("(%s) or (%s & %d) <> 0", d.check, quote(pending), d.group.bit)
		})...)
	}
	return append(list, m.references()...)
}

// references are the foreign keys of all tables, which come when what they
// reference has its index.
func (m *model) references() []Stage {
	var list []Stage
	for _, t := range m.tables {
		for _, k := range t.keys {
			if t.was != nil && !t.dropped {
				list = append(list, m.refer(t, k)...)
			}
		}
	}
	return list
}

// build makes an index beside the writers, and the constraint on it if it can
// have that already.
func (m *model) build(t *table, i *index) []Stage {
	name := cmp.Or(i.temporary, i.name)
	list := []Stage{{
		Name: "index " + i.name, Kind: Alone, Index: name, Locks: []Lock{{t.phys, "SHARE UPDATE EXCLUSIVE"}},
		SQL: []string{fmt.Sprintf("create %s concurrently %s on %s %s", i.kind(), quote(name), qualified(m.Schema, t.phys), i.definition)},
	}}
	if i.constraint == "UNIQUE" && i.temporary == "" {
		list = append(list, Stage{
			Name: "constraint " + i.name, Kind: Together, Locks: []Lock{{t.phys, exclusive}},
			SQL: []string{fmt.Sprintf("alter table %s add constraint %s unique using index %s", qualified(m.Schema, t.phys), quote(i.name), quote(i.name))},
		})
	}
	return list
}

// kind is what CREATE is followed by.
func (i *index) kind() string {
	if i.unique {
		return "unique index"
	}
	return "index"
}

// demands adds the checks of a table, for rows to come, and looks at the rows
// that are there in a transaction of its own: looking takes long, and needs no
// lock that a writer waits for. All are looked at in one pass.
func (m *model) demands(t *table, prefix string, check func(*demand) string) []Stage {
	if len(t.checks) == 0 {
		return nil
	}
	var adds, looks, broken []string
	for n, d := range t.checks {
		name := quote(fmt.Sprint(prefix, n))
		adds = append(adds, fmt.Sprintf("add constraint %s check (%s) not valid", name, check(d)))
		looks = append(looks, "validate constraint "+name)
		broken = append(broken, "("+d.check+") is false")
	}
	table := "alter table " + qualified(m.Schema, t.phys) + " "
	return []Stage{{
		Name: "check " + t.phys, Kind: Together, Locks: []Lock{{t.phys, exclusive}}, SQL: []string{table + strings.Join(adds, ", ")},
	}, {
		Name: "validate " + t.phys, Kind: Together, Locks: []Lock{{t.phys, "SHARE UPDATE EXCLUSIVE"}}, SQL: []string{table + strings.Join(looks, ", ")},
		Check: &Breach{Table: t.phys, Key: t.was.PrimaryKey(), Where: strings.Join(broken, " or ")},
	}}
}

// refer adds a foreign key in the same two steps.
func (m *model) refer(t *table, k *foreignKey) []Stage {
	table, name := "alter table "+qualified(m.Schema, t.phys)+" ", cmp.Or(k.temporary, k.name)
	add := Stage{
		Name: "foreign key " + k.name, Kind: Together, Locks: []Lock{{t.phys, shareRow}, {k.references, shareRow}},
		SQL: []string{table + "add constraint " + quote(name) + " " + k.definition + " not valid"},
	}
	if t.was.Kind == pgcatalog.Partitioned { // such tables have no keys that are not valid
		add.SQL[0] = strings.TrimSuffix(add.SQL[0], " not valid")
		return []Stage{add}
	}
	return []Stage{add, {
		Name: "validate foreign key " + k.name, Kind: Together, Locks: []Lock{{t.phys, "SHARE UPDATE EXCLUSIVE"}},
		SQL: []string{table + "validate constraint " + quote(name)},
	}}
}

// probeSchema holds the copies of tables on which a plan is tried.
const probeSchema = "noon_probe"

// probe tries the parts of the plan that come from people on empty copies of
// the tables: expressions, types, defaults, checks. It is rolled back.
func (m *model) probe() []string {
	const schema = probeSchema
	list := []string{"create schema " + schema}
	if len(m.typeSQL) > 0 {
		list = append(list, m.typeProbe...)
		list = append(list, "create schema "+quote(m.next()))
		list = append(list, m.typeSQL...)
	}
	for _, t := range m.tables { // first: expressions about other tables may look into them
		list = append(list, t.create...)
	}
	for _, t := range m.tables {
		if !t.adds() && len(t.groups) == 0 {
			continue
		}
		name := qualified(schema, t.phys)
		list = append(list, fmt.Sprintf("create table %s (like %s including defaults including generated)", name, qualified(m.Schema, t.phys)))
		list = append(list, m.grow(t, name)...)
		list = append(list, t.tries(name)...)
		for n, d := range t.checks {
			list = append(list, fmt.Sprintf("alter table %s add constraint _noon_probe%d check (%s)", name, n, d.check))
		}
		for _, c := range t.columns {
			if c.def != nil && *c.def != "" {
				list = append(list, fmt.Sprintf("alter table %s alter column %s set default %s", name, quote(c.phys), *c.def))
			}
		}
		for _, i := range t.indexes {
			list = append(list, fmt.Sprintf("create index on %s %s", name, i.definition))
		}
	}
	for _, t := range m.tables {
		list = append(list, t.pairs...)
	}
	return append(list, m.moveTries(schema)...)
}

// moveTries come last: the other table has its column then.
func (m *model) moveTries(schema string) []string {
	var list []string
	for _, t := range m.tables {
		for _, g := range t.groups {
			if g.move != nil {
				list = append(list, g.move.probe(schema))
			}
		}
	}
	return list
}

// tries are statements with the expressions of a table, over a copy of it.
func (t *table) tries(name string) []string {
	var list []string
	for _, g := range t.groups {
		for _, a := range slices.Concat(g.up, g.down) {
			list = append(list, fmt.Sprintf("update %s as %s set %s = %s where false", name, quote(t.phys), quote(a.column), a.value.over(t.phys)))
		}
	}
	return list
}
