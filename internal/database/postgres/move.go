package postgres

import (
	"fmt"
	"slices"

	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
)

// move is a column that goes to another table, where a row has the value of the
// rows with the same key. Both places are there until the contraction.
type move struct {
	m        *model
	number   int
	from, to *table
	source   *pgcatalog.Column
	fromKey  []string // physical columns
	toKey    []string
	target   *column
	made     bool // the other table is made by this release: rows for it are too
	group    *group
}

func (m *model) moveColumn(o *change.MoveColumn) {
	from, to := m.changed(o.From.Table), m.changed(o.To.Table)
	if from == nil || to == nil {
		return
	}
	c := m.column(from, o.From.Column)
	if c == nil || !m.replaceable(from, c, false) || !m.movable(from, to, c) || !m.free(to, o.To.Column) {
		return
	}
	v := &move{m: m, number: m.moves, from: from, to: to, source: c.was, made: to.was == nil}
	m.moves++
	if !m.keyColumns(from, o.From.Key, &v.fromKey) || !m.keyColumns(to, o.To.Key, &v.toKey) || !v.findable() || !v.makeable() {
		return
	}
	from.columns = slices.DeleteFunc(from.columns, func(o *column) bool { return o == c })
	from.gone = append(from.gone, c.was)
	v.target = &column{name: o.To.Column, phys: to.physical(o.To.Column), typ: c.typ, collate: c.collate, added: !v.made, moved: true}
	to.columns = append(to.columns, v.target)
	if v.made {
		to.create = append(to.create, v.addition())
	}
	v.group = m.group(from, &group{move: v})
	m.loses(from, v.group, c)
	m.find(change.Note, from.name+"."+c.name, "", "of rows of %s that share a key one gives its value to %s, the last that is written; with the contraction the others lose theirs, and so does one without a row there", from.name, to.name)
	if c.was.NotNull && c.was.Default == "" {
		m.find(change.Warning, from.name+"."+c.name, "Write the row of "+to.name+" first, in the new release.",
			"it may not be NULL: while both releases are served, the new one can insert into %s only what has a row in %s", from.name, to.name)
	}
}

// movable refuses tables whose rows are not in one place.
func (m *model) movable(from, to *table, c *column) bool {
	n := len(m.findings)
	if c.was.Generated {
		m.refuse(from.name+"."+c.name, "Move what it is computed from.", "it is a generated column")
	}
	if from == to {
		m.refuse(from.name+"."+c.name, "Use rename_column.", "it is in that table already")
	}
	for _, t := range []*table{from, to} {
		if t.was != nil && t.was.Kind == pgcatalog.Partitioned {
			m.refuse(t.name, "Add the column to the other table with a release that writes both, and drop the old one in a later release.", "it is partitioned, and columns are not moved from or to such tables")
		}
	}
	return !m.refusedSince(n)
}

// keyColumns finds the columns of one end's key, which stay as they are.
func (m *model) keyColumns(t *table, names []string, phys *[]string) bool {
	for _, name := range names {
		c := m.column(t, name)
		if c == nil {
			return false
		}
		if t.was != nil && (c.added || t.was.Column(c.phys) == nil) {
			m.refuse(t.name+"."+name, "Move the column in another release.", "it changes in this release, and rows are found by it")
			return false
		}
		*phys = append(*phys, c.phys)
	}
	return true
}

// findable makes sure that the rows of either table are found by an index, and
// that there is at most one in the table to which the column goes.
func (v *move) findable() bool {
	found := func(t *table, key []string, unique bool) bool {
		return t.was != nil && slices.ContainsFunc(t.was.Indexes, func(i pgcatalog.Index) bool {
			return i.Valid && !i.Expression && i.Predicate == "" && i.Method == "btree" && len(i.Columns) >= len(key) &&
				sameSet(i.Columns[:len(key)], key) && (!unique || i.Unique && i.Keys == len(key))
		})
	}
	n := len(v.m.findings)
	if !found(v.from, v.fromKey, false) {
		v.m.refuse(v.from.name, "Make one in a release before, by create_index.", "there is no index by which rows are found by %s", quoteAll(v.fromKey))
	}
	if !found(v.to, v.toKey, true) && !(v.made && slices.ContainsFunc(v.to.unique, func(u []string) bool { return sameSet(u, v.toKey) })) {
		v.m.refuse(v.to.name, "Make it the primary key, or a unique constraint.", "%s is not unique: a value would have several places", quoteAll(v.toKey))
	}
	return !v.m.refusedSince(n)
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// makeable makes sure that noon can make rows of a new table.
func (v *move) makeable() bool {
	for _, name := range v.to.required {
		if !slices.Contains(v.toKey, name) {
			v.m.refuse(v.to.name+"."+name, "Give it a default, or let it be nullable.", "noon makes the first rows of the table, and knows no value for it")
			return false
		}
	}
	return true
}

// addition adds the column to a table that is new.
func (v *move) addition() string {
	line := fmt.Sprintf("alter table %s add column %s %s", qualified(v.m.Schema, v.to.phys), quote(v.target.phys), v.target.typ)
	if v.target.collate != "" {
		line += " collate " + v.target.collate
	}
	if v.source.NotNull {
		line += " not null"
	}
	return line
}

// agree is false for a row of the first table, behind its name, if the row with
// its key has a value that none of the rows with this key has. One that the new
// release has set to NULL where the old one can not have it does not count.
func (v *move) agree() string {
	null := ""
	if v.source.NotNull {
		null = " and noon_d.{d} is not null"
	}
	return v.text(`not exists (select from {D} noon_d where {d_key=s_key} and {d_differs_s}`+null+`
  and not exists (select from {S} noon_o where {o_key=d_key} and not {d_differs_o}))`, quote(v.from.phys))
}

// loss counts what only the second table has.
func (v *move) loss() Loss {
	what, where := fmt.Sprintf("values of %s.%s that %s does not have", v.to.name, v.target.name, v.from.name), "noon_d.{d} is not null and "
	if v.made {
		what, where = fmt.Sprintf("rows of new table %s that %s does not have", v.to.name, v.from.name), ""
	}
	where += "not exists (select from {S} noon_s where {d_key=s_key} and not {d_differs_s})"
	for _, c := range v.to.optional {
		if !slices.Contains(v.toKey, c) {
			where += fmt.Sprintf(" or noon_d.%s is not null", quote(c))
		}
	}
	return Loss{What: what, SQL: v.text("select count(*) from {D} noon_d where "+where, "noon_s")}
}

// probe tries whether the keys and the values fit each other.
func (v *move) probe(schema string) string {
	if v.made {
		return v.text(`insert into {D} ({dk}, {d}) select {s_key}, noon_s.{s} from {S} noon_s where false on conflict ({dk}) do nothing`, "noon_s")
	}
	return v.text(`update `+qualified(schema, v.to.phys)+` noon_d set {d} = noon_s.{s} from {S} noon_s where {d_key=s_key} and {d_differs_s} and false`, "noon_s")
}
