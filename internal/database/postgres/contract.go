package postgres

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// contract is everything after which only the new version is there. Its last
// stage is the point of no return.
func (m *model) contract() []Stage {
	var list []Stage
	for _, t := range m.tables {
		if b := m.backfill(t); b != nil {
			list = append(list, Stage{Name: "prove " + t.phys, Kind: Proof, Backfill: b})
		}
	}
	for _, t := range m.tables {
		list = append(list, m.demands(t, finalPrefix, func(d *demand) string { return d.check })...)
	}
	list = append(list, m.last())
	return append(list, m.aloneAfter...)
}

// final is the name of a demand's constraint until it has its own.
func final(n int) string { return fmt.Sprint(finalPrefix, n) }

const finalPrefix = "_noon_f"

func (m *model) last() Stage {
	s := Stage{Name: "contract", Kind: Together}
	s.SQL = append(s.SQL, m.leave()...)
	s.SQL = append(s.SQL, m.noTriggers()...)
	for _, t := range m.tables { // before any column does that they reference
		for _, key := range t.released {
			s.SQL = append(s.SQL, fmt.Sprintf("alter table %s drop constraint %s", qualified(m.Schema, t.phys), quote(key)))
		}
	}
	for _, t := range m.tables {
		if t.was == nil {
			continue
		}
		name := qualified(m.Schema, t.phys)
		n := len(s.SQL)
		if t.dropped {
			s.SQL = append(s.SQL, "drop table "+name)
		} else {
			s.SQL = append(s.SQL, m.settle(t, name)...)
		}
		if len(s.SQL) > n || t.watched() || len(t.released) > 0 {
			s.Locks = append(s.Locks, Lock{t.phys, exclusive})
		}
	}
	s.SQL = append(s.SQL, m.contractSQL...)
	s.SQL = append(s.SQL, fmt.Sprintf("drop function if exists %s()", writesNew(m.App, m.From+1)))
	return s
}

// leave drops the views of the version before. Something of the user's that
// was made to depend on them fails the statement.
func (m *model) leave() []string {
	if m.From == 0 {
		return nil
	}
	schema := versionSchema(m.App, m.From)
	var names []string
	for _, t := range m.catalog.Tables {
		if t.Schema == schema {
			names = append(names, qualified(schema, t.Name.Name))
		}
	}
	var list []string
	if len(names) > 0 {
		list = append(list, "drop view if exists "+strings.Join(names, ", "))
	}
	return append(list, "drop schema if exists "+quote(schema))
}

// settle gives a table its new form. Views follow columns by their numbers,
// not their names, so those of the new version stay as they are.
func (m *model) settle(t *table, name string) []string {
	var drops []string
	for _, generated := range []bool{true, false} { // first what uses others
		for _, c := range t.gone {
			if c.Generated == generated {
				drops = append(drops, "drop column "+quote(c.Name))
			}
		}
	}
	if t.marks() {
		drops = append(drops, "drop column "+quote(pending))
	}
	list := slices.Clone(t.first)
	if len(drops) > 0 {
		list = append(list, fmt.Sprintf("alter table %s %s", name, strings.Join(drops, ", ")))
	}
	list = append(list, t.renames(name)...)
	list = append(list, m.settleColumns(t, name)...)
	for n, d := range t.checks {
		if d.name == "" {
			list = append(list, fmt.Sprintf("alter table %s alter column %s set not null", name, quote(t.called(d.column))),
				fmt.Sprintf("alter table %s drop constraint %s", name, quote(final(n))))
		} else {
			list = append(list, fmt.Sprintf("alter table %s rename constraint %s to %s", name, quote(final(n)), quote(d.name)))
		}
	}
	for _, i := range t.indexes {
		list = append(list, m.settleIndex(i, name)...)
		list = append(list, m.nameParts(t, i)...)
	}
	for _, k := range t.keys {
		if k.temporary != "" {
			list = append(list, fmt.Sprintf("alter table %s rename constraint %s to %s", name, quote(k.temporary), quote(k.name)))
		}
	}
	list = append(list, t.final...)
	if t.name != t.phys {
		list = append(list, fmt.Sprintf("alter table %s rename to %s", name, quote(t.name)))
	}
	return list
}

// called is what a physical column is called in the end.
func (t *table) called(phys string) string {
	for _, c := range t.columns {
		if c.phys == phys {
			return c.name
		}
	}
	return phys
}

// renames gives columns their names; one whose name another still has goes by
// way of a third.
func (t *table) renames(name string) []string {
	var first, second []string
	for _, c := range t.columns {
		if c.name == c.phys {
			continue
		}
		from := c.phys
		if slices.ContainsFunc(t.columns, func(o *column) bool { return o != c && o.phys == c.name }) {
			third := fit("_noon_r_" + c.name)
			first = append(first, fmt.Sprintf("alter table %s rename column %s to %s", name, quote(from), quote(third)))
			from = third
		}
		second = append(second, fmt.Sprintf("alter table %s rename column %s to %s", name, quote(from), quote(c.name)))
	}
	return append(first, second...)
}

func (m *model) settleColumns(t *table, name string) []string {
	var list []string
	for _, c := range t.columns {
		if c.def != nil && (!c.added || !m.atOnce(t, c)) {
			action := "drop default"
			if *c.def != "" {
				action = "set default " + *c.def
			}
			list = append(list, fmt.Sprintf("alter table %s alter column %s %s", name, quote(c.name), action))
		} else if c.drawn != "" {
			list = append(list, fmt.Sprintf("alter table %s alter column %s set default %s", name, quote(c.name), c.drawn))
		}
		if c.comment != nil {
			text := "null"
			if !c.comment.Null {
				text = literal(c.comment.Value)
			}
			list = append(list, fmt.Sprintf("comment on column %s.%s is %s", name, quote(c.name), text))
		}
	}
	return list
}

func (m *model) settleIndex(i *index, name string) []string {
	switch {
	case i.constraint == "PRIMARY KEY":
		return []string{fmt.Sprintf("alter table %s add constraint %s primary key using index %s", name, quote(i.name), quote(cmp.Or(i.temporary, i.name)))}
	case i.temporary == "":
		return nil
	case i.constraint == "UNIQUE":
		return []string{fmt.Sprintf("alter table %s add constraint %s unique using index %s", name, quote(i.name), quote(i.temporary))}
	}
	return []string{fmt.Sprintf("alter index %s rename to %s", qualified(m.Schema, i.temporary), quote(i.name))}
}

// withdraw takes away all that the expansion may have made, however far it
// came.
func (m *model) withdraw(views []View) Stage {
	s := Stage{Name: "withdraw", Kind: Together}
	var names []string
	for _, v := range views {
		names = append(names, qualified(m.next(), v.Name))
	}
	if len(names) > 0 {
		s.SQL = append(s.SQL, "drop view if exists "+strings.Join(names, ", "))
	}
	s.SQL = append(s.SQL, m.noTriggers()...)
	s.SQL = append(s.SQL, m.withdrawSQL...)
	for _, t := range m.tables { // before any index goes that they need
		for _, k := range t.keys {
			if t.was != nil {
				s.SQL = append(s.SQL, fmt.Sprintf("alter table %s drop constraint if exists %s", qualified(m.Schema, t.phys), quote(cmp.Or(k.temporary, k.name))))
			}
		}
	}
	for _, t := range m.tables {
		n := len(s.SQL)
		s.SQL = append(s.SQL, m.shrink(t)...)
		if t.was != nil && (len(s.SQL) > n || t.watched() || len(t.keys) > 0) {
			s.Locks = append(s.Locks, Lock{t.phys, exclusive})
		}
	}
	s.SQL = append(s.SQL, m.typeDrop...)
	s.SQL = append(s.SQL, "drop schema if exists "+quote(m.next()), fmt.Sprintf("drop function if exists %s()", writesNew(m.App, m.From+1)))
	return s
}

func (m *model) shrink(t *table) []string {
	name := qualified(m.Schema, t.phys)
	if t.was == nil {
		return []string{"drop table if exists " + name}
	}
	var list []string
	constraint := func(n string) {
		list = append(list, fmt.Sprintf("alter table %s drop constraint if exists %s", name, quote(n)))
	}
	for n := range t.checks {
		constraint(fmt.Sprintf("_noon_x%d", n))
		constraint(final(n))
	}
	for _, i := range t.indexes {
		if i.constraint == "UNIQUE" && i.temporary == "" {
			constraint(i.name)
		}
		list = append(list, "drop index if exists "+qualified(m.Schema, cmp.Or(i.temporary, i.name)))
		list = append(list, m.dropParts(t, i)...)
	}
	var drops []string
	for _, c := range t.columns {
		if c.added {
			drops = append(drops, "drop column if exists "+quote(c.phys))
		}
	}
	if t.marks() {
		drops = append(drops, "drop column if exists "+quote(pending))
	}
	if len(drops) > 0 {
		list = append(list, fmt.Sprintf("alter table %s %s", name, strings.Join(drops, ", ")))
	}
	return list
}
