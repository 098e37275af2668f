package postgres

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/noon-deploy/noon/internal/database/pgcatalog"
)

// walkable refuses what partitioned tables can not have.
func (m *model) walkable(t *table) {
	if t.was.Kind != pgcatalog.Partitioned {
		return
	}
	if len(t.was.PrimaryKey()) == 0 && t.fills() {
		m.refuse(t.name, "Give it a primary key.", "it is partitioned and has no primary key by which its rows could be walked")
	}
	for _, i := range t.indexes {
		m.partitionable(t, i)
	}
}

// partitionable refuses indexes that a partitioned table can not get beside its
// writers, or not at all.
func (m *model) partitionable(t *table, i *index) {
	subject := t.name + "." + i.name
	switch {
	case i.constraint != "":
		m.refuse(subject, "Make it by sql.", "a constraint of a partitioned table can not be made of an index that was built beside writers")
	case i.unique && slices.ContainsFunc(t.was.PartitionKey, func(c string) bool { return !slices.Contains(i.columns, c) }):
		m.refuse(subject, "Add the columns by which it is partitioned: "+quoteAll(t.was.PartitionKey)+".", "a unique index of a partitioned table has to have all columns by which the table is partitioned")
	}
	for _, p := range m.parts(t.was, i) {
		if p.table == nil || p.table.Kind != pgcatalog.Ordinary && p.table.Kind != pgcatalog.Partitioned {
			m.refuse(subject, "Make it by sql, partition by partition.", "partition %s is in another schema, or no table of this server", p.name)
		}
	}
}

// part is a partition, the index that it gets as its part of one, and whose part
// that is.
type part struct {
	name      pgcatalog.Name
	table     *pgcatalog.Table // nil: not in the schema
	of        string
	temporary string
	index     string // in the end
}

// parts are all partitions below a table, from the top down.
func (m *model) parts(t *pgcatalog.Table, i *index) []part {
	return m.partsBelow(t, cmp.Or(i.temporary, i.name), i)
}

func (m *model) partsBelow(t *pgcatalog.Table, of string, i *index) []part {
	var list []part
	for _, name := range t.Children {
		p := part{name: name, of: of, temporary: fit(cmp.Or(i.temporary, i.name) + "_" + name.Name), index: fit(i.name + "_" + name.Name)}
		if name.Schema == m.Schema {
			p.table = m.catalog.Table(name.Schema, name.Name)
		}
		list = append(list, p)
		if p.table != nil {
			list = append(list, m.partsBelow(p.table, p.temporary, i)...)
		}
	}
	return list
}

// begunParts begins the indexes of a partitioned table: with those of the table
// itself and of partitions that have partitions. They are not valid, but the
// server gives each partition that is made from now on its part of them.
func (m *model) begunParts(t *table) []Stage {
	if t.was == nil || t.was.Kind != pgcatalog.Partitioned || len(t.indexes) == 0 || t.dropped {
		return nil
	}
	s := Stage{Name: "indexes of " + t.phys, Kind: Together, Locks: []Lock{{t.phys, "SHARE"}}}
	for _, i := range t.indexes {
		only := func(index, table string) string {
			return fmt.Sprintf("create %s %s on only %s %s", i.kind(), quote(index), qualified(m.Schema, table), i.definition)
		}
		s.SQL = append(s.SQL, only(cmp.Or(i.temporary, i.name), t.phys))
		for _, p := range m.parts(t.was, i) {
			if p.table.Kind == pgcatalog.Partitioned {
				s.SQL = append(s.SQL, only(p.temporary, p.name.Name))
			}
		}
	}
	return []Stage{s}
}

// buildParts makes an index of a partitioned table beside its writers: those of
// the partitions that there are, one by one; then they become parts of it, and
// with the last it is valid.
func (m *model) buildParts(t *table, i *index) []Stage {
	last := Stage{Name: "attach " + i.name, Kind: Together, Locks: []Lock{{t.phys, "SHARE UPDATE EXCLUSIVE"}}}
	var list []Stage
	all := m.parts(t.was, i)
	for _, p := range all {
		if p.table.Kind == pgcatalog.Partitioned {
			continue
		}
		list = append(list, Stage{
			Name: "index " + p.index, Kind: Alone, Index: p.temporary, Locks: []Lock{{p.name.Name, "SHARE UPDATE EXCLUSIVE"}},
			SQL: []string{fmt.Sprintf("create %s concurrently %s on %s %s", i.kind(), quote(p.temporary), qualified(m.Schema, p.name.Name), i.definition)},
		})
	}
	for _, p := range slices.Backward(all) { // from the leaves up
		last.SQL = append(last.SQL, fmt.Sprintf("alter index %s attach partition %s", qualified(m.Schema, p.of), qualified(m.Schema, p.temporary)))
	}
	last.SQL = append(last.SQL, fmt.Sprintf(`do $$begin if not (select indisvalid from pg_index where indexrelid = %s::regclass) then
  raise exception 'partitions of table %% have no part of index %%: they were made since the plan', %s, %s; end if; end$$`,
		literal(qualified(m.Schema, cmp.Or(i.temporary, i.name))), literal(t.phys), literal(i.name)))
	return append(list, last)
}

// dropParts takes away what the making of an index may have left: what is a
// part of it goes with it, and of the others each by itself.
func (m *model) dropParts(t *table, i *index) []string {
	var list []string
	for _, p := range m.parts(t.was, i) {
		list = append(list, "drop index if exists "+qualified(m.Schema, p.temporary))
	}
	return list
}

// nameParts gives the parts of an index their names in the end.
func (m *model) nameParts(t *table, i *index) []string {
	if i.temporary == "" {
		return nil
	}
	var list []string
	for _, p := range m.parts(t.was, i) {
		list = append(list, fmt.Sprintf("alter index %s rename to %s", qualified(m.Schema, p.temporary), quote(p.index)))
	}
	return list
}
