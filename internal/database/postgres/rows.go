package postgres

import (
	"fmt"
	"slices"
	"strings"
)

// backfill describes how rows that are there get their new values; nil if the
// table has no mark.
func (m *model) backfill(t *table) *Backfill {
	if t.was == nil || t.dropped || !t.marks() {
		return nil
	}
	b := &Backfill{Table: t.phys, Key: t.was.PrimaryKey(), Pending: pending, Rows: t.was.Rows, Set: t.fillings()}
	for _, k := range b.Key {
		b.Types = append(b.Types, t.typeOf(k))
	}
	if len(b.Key) == 0 {
		b.Key, b.Types = []string{"ctid"}, []string{"tid"}
	}
	for i, g := range t.groups {
		if g.move != nil {
			b.Agree = append(b.Agree, g.move.agree())
		}
		if len(g.up) > 0 && (len(g.down) > 0 || g.always) {
			b.Agree = append(b.Agree, m.twin(t, i).agree(t.phys))
		}
	}
	for _, tr := range t.was.Triggers {
		if strings.Contains(tr.Definition, "UPDATE ON") || strings.Contains(tr.Definition, " UPDATE OR") {
			b.Fires = append(b.Fires, tr.Name)
		}
	}
	return b
}

// fillings are what a backfill sets. Where rows may lack some of the values
// only, each is made for the rows that lack it.
func (t *table) fillings() []string {
	marked := slices.DeleteFunc(slices.Clone(t.groups), func(g *group) bool { return g.bit == 0 })
	var set []string
	for _, g := range marked {
		for _, a := range g.up {
			value := a.value.over(t.phys)
			if len(marked) > 1 {
				row := quote(t.phys)
				value = fmt.Sprintf("case when %s.%s & %d <> 0 then %s else %s.%s end", row, quote(pending), g.bit, value, row, quote(a.column))
			}
			set = append(set, quote(a.column)+" = "+value)
		}
	}
	return set
}

// losses are the questions that count what a withdrawal would lose.
func (m *model) losses() []Loss {
	var list []Loss
	for _, t := range m.tables {
		name := qualified(m.Schema, t.phys)
		if t.was == nil {
			if !t.receives() { // else the move knows
				list = append(list, Loss{"rows of new table " + t.name, "select count(*) from " + name + " where " + m.afterExpand()})
			}
			continue
		}
		for i := range t.groups {
			list = append(list, m.unlike(t, i)...)
		}
		for _, c := range t.columns {
			if !c.added || c.moved || !m.atOnce(t, c) {
				continue
			}
			where := quote(c.phys) + " is not null"
			if c.def != nil && *c.def != "" {
				where = fmt.Sprintf("row(%s)::record *<> row(cast(%s as %s))::record", quote(c.phys), *c.def, c.typ)
			}
			list = append(list, Loss{fmt.Sprintf("values of new column %s.%s", t.name, c.name), fmt.Sprintf("select count(*) from %s where %s", name, where)})
		}
	}
	return list
}

// afterExpand is true for a row that was not written by the transaction which
// has made its table: what the change itself brings is nobody's to lose. The
// record of that stage is a row of the same transaction.
func (m *model) afterExpand() string {
	return fmt.Sprintf("xmin::text is distinct from (select s.xmin::text from noon.stage s where s.app = %s and s.version = %d and s.phase = %s and s.name = 'expand')",
		literal(m.App), m.From+1, literal(string(Expanded)))
}

// unlike counts rows whose new value is not the one that up makes: the old form
// has less in it.
func (m *model) unlike(t *table, number int) []Loss {
	g := t.groups[number]
	if g.move != nil {
		return []Loss{g.move.loss()}
	}
	var names []string
	for _, a := range g.up {
		if len(a.value.uses) > 0 { // else nobody can tell what the new release wrote from what up did
			names = append(names, t.called(a.column))
		}
	}
	if len(names) == 0 {
		return nil
	}
	s := &twin{m: m, t: t, g: &group{up: g.up}, number: number}
	return []Loss{{
		What: fmt.Sprintf("values of %s.%s that the release before can not show", t.name, strings.Join(names, ", ")),
		SQL: fmt.Sprintf("select count(*) from %s as %s where (%s & %d) = 0 and not (%s)",
			qualified(m.Schema, t.phys), quote(t.phys), quote(pending), g.bit, s.agree(t.phys)),
	}}
}
