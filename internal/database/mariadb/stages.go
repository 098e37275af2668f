package mariadb

import (
	"fmt"
	"slices"
	"strings"
)

// expand is everything until both versions are served.
func (m *model) expand() []Stage {
	var list []Stage
	for _, t := range m.tables {
		if t.create != "" {
			list = append(list, Stage{Name: "make " + t.phys, Kind: Executing, Table: t.phys, Steps: []Step{{SQL: t.create, Object: Table, Name: t.phys}}})
		}
	}
	for _, t := range m.tables {
		if steps := t.grow(); len(steps) > 0 {
			list = append(list, Stage{Name: "add columns to " + t.phys, Kind: Altering, Table: t.phys, Steps: steps})
		}
		if t.marks() {
			list = append(list, Stage{Name: "add triggers to " + t.phys, Kind: Executing, Table: t.phys, Steps: m.triggers(t)})
		}
	}
	for _, t := range m.tables {
		if t.fills() {
			list = append(list, Stage{Name: "fill " + t.phys, Kind: Filling, Table: t.phys, Backfill: m.backfill(t)})
		}
	}
	for _, t := range m.tables {
		for _, i := range t.indexes {
			list = append(list, Stage{Name: "index " + t.phys + " " + i.name, Kind: Altering, Table: t.phys, Build: true, Steps: []Step{{SQL: i.sql, Object: Index, Name: i.name}}})
		}
	}
	return list
}

// grow adds the columns. They are invisible: whoever asks a table for all its
// columns gets those that were there.
func (t *table) grow() []Step {
	var steps []Step
	for _, c := range t.added() {
		if t.was == nil {
			return nil
		}
		steps = append(steps, Step{SQL: "ADD COLUMN " + c.definition(c.group != nil || c.null, " INVISIBLE"), Object: Column, Name: c.phys})
	}
	if t.marks() {
		all := uint64(0)
		for _, g := range t.groups {
			if len(g.news) > 0 {
				all |= untried | g.missing()
			}
		}
		steps = append(steps, Step{SQL: fmt.Sprintf("ADD COLUMN %s BIGINT UNSIGNED NOT NULL DEFAULT %d INVISIBLE", pending, all), Object: Column, Name: pending})
	}
	return steps
}

// fills reports whether rows that are there need new values.
func (t *table) fills() bool {
	return slices.ContainsFunc(t.groups, func(g *group) bool { return len(g.news) > 0 })
}

func (m *model) backfill(t *table) *Backfill {
	b := &Backfill{Table: t.phys, Key: t.was.key(), Rows: t.was.rows, Direct: m.direct(t)}
	for _, c := range t.was.columns {
		if strings.Contains(c.extra, "on update") {
			b.Keep = append(b.Keep, c.name)
		}
	}
	for _, g := range t.groups {
		if len(g.news) == 0 {
			continue
		}
		c := Check{Missing: g.missing(), Skip: g.lost(), Old: selectList(t.before), As: t.old}
		for i, n := range g.news {
			up := g.up[i]
			if varies(up) {
				up = ""
			}
			c.Up, c.New, c.Types = append(c.Up, up), append(c.New, n.phys), append(c.Types, n.typ)
		}
		b.Checks = append(b.Checks, c)
	}
	return b
}

// varies reports whether an expression gives another value each time.
func varies(expression string) bool {
	return slices.ContainsFunc([]string{
		"UUID", "UUID_SHORT", "SYS_GUID", "RAND", "RANDOM_BYTES", "NOW", "SYSDATE", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP",
		"CURDATE", "CURRENT_DATE", "CURTIME", "CURRENT_TIME", "UTC_DATE", "UTC_TIME", "UTC_TIMESTAMP", "UNIX_TIMESTAMP", "USER", "CURRENT_USER", "CONNECTION_ID",
	}, func(word string) bool { return mentions(expression, word) })
}

// contract is everything after which only the new version is there. What comes
// after the proofs can not be taken back.
func (m *model) contract() []Stage {
	var list []Stage
	for _, t := range m.tables {
		if t.fills() {
			list = append(list, Stage{Name: "prove " + t.phys, Kind: Proving, Table: t.phys, Backfill: m.backfill(t)})
		}
	}
	for _, t := range m.tables {
		if steps := t.settle(); len(steps) > 0 { // while the triggers are there: no statement of the release may fail in between
			list = append(list, Stage{Name: "settle " + t.phys, Kind: Altering, Table: t.phys, Build: true, Steps: steps})
		}
		list = append(list, m.untie(t)...)
		if len(t.unindex) > 0 {
			list = append(list, dropIndexes(t, t.unindex))
		}
		if steps := t.shrink(t.drops); len(steps) > 0 {
			list = append(list, Stage{Name: "drop columns of " + t.phys, Kind: Altering, Table: t.phys, Build: true, Steps: steps})
		}
		if t.dropped {
			list = append(list, m.remove(t))
		}
	}
	return list
}

// settle gives the columns what they lacked while both versions were served.
func (t *table) settle() []Step {
	if t.was == nil {
		return nil
	}
	var steps []Step
	for _, c := range t.added() {
		steps = append(steps, Step{SQL: "MODIFY COLUMN " + c.definition(c.null, "")})
	}
	for _, c := range t.drops {
		if !c.null && c.def == nil { // nobody gives it a value once the triggers are gone
			steps = append(steps, Step{SQL: "MODIFY COLUMN " + c.definition(true, "")})
		}
	}
	return steps
}

func (m *model) untie(t *table) []Stage {
	if !t.marks() {
		return nil
	}
	var steps []Step
	for _, event := range []string{"INSERT", "UPDATE"} {
		name := m.triggerName(t, event)
		steps = append(steps, Step{SQL: "DROP TRIGGER IF EXISTS " + qualified(m.Database, name), Object: Trigger, Name: name, Gone: true})
	}
	return []Stage{{Name: "drop triggers of " + t.phys, Kind: Executing, Table: t.phys, Steps: steps}}
}

func dropIndexes(t *table, names []string) Stage {
	s := Stage{Name: "drop indexes of " + t.phys, Kind: Altering, Table: t.phys, Build: true}
	for _, n := range names {
		s.Steps = append(s.Steps, Step{SQL: "DROP INDEX " + quote(n), Object: Index, Name: n, Gone: true})
	}
	return s
}

// shrink drops columns, and the mark.
func (t *table) shrink(columns []*column) []Step {
	var steps []Step
	for _, c := range columns {
		steps = append(steps, Step{SQL: "DROP COLUMN " + quote(c.phys), Object: Column, Name: c.phys, Gone: true})
	}
	if t.marks() {
		steps = append(steps, Step{SQL: "DROP COLUMN " + pending, Object: Column, Name: pending, Gone: true})
	}
	return steps
}

func (m *model) remove(t *table) Stage {
	return Stage{Name: "drop " + t.phys, Kind: Executing, Table: t.phys, Steps: []Step{{SQL: "DROP TABLE IF EXISTS " + qualified(m.Database, t.phys), Object: Table, Name: t.phys, Gone: true}}}
}

// withdraw takes away all that the expansion may have made, however far it came.
func (m *model) withdraw() []Stage {
	var list []Stage
	for _, t := range m.tables {
		if t.was == nil {
			continue
		}
		list = append(list, m.untie(t)...)
		if len(t.indexes) > 0 {
			var names []string
			for _, i := range t.indexes {
				names = append(names, i.name)
			}
			list = append(list, dropIndexes(t, names))
		}
		if steps := t.shrink(t.added()); len(steps) > 0 {
			list = append(list, Stage{Name: "drop columns of " + t.phys, Kind: Altering, Table: t.phys, Build: true, Steps: steps})
		}
	}
	for _, t := range slices.Backward(m.tables) { // a later one may reference one before
		if t.was == nil {
			list = append(list, m.remove(t))
		}
	}
	return list
}

// losses are how to count what only the new release has.
func (m *model) losses() []Loss {
	var list []Loss
	for _, t := range m.tables {
		from := qualified(m.Database, t.phys)
		if t.was == nil {
			list = append(list, Loss{What: "rows of table " + t.name, Table: t.phys, SQL: "SELECT count(*) FROM " + from})
			continue
		}
		for _, g := range t.groups {
			for _, c := range g.news {
				what := "values of " + t.name + "." + c.name + " that the old form does not hold"
				list = append(list, Loss{What: what, Table: t.phys, Column: pending, SQL: fmt.Sprintf("SELECT count(*) FROM %s WHERE %s & %d <> 0", from, pending, g.lost())})
				break // the others of the group are in the same rows
			}
		}
		for _, c := range t.added() {
			if c.group != nil {
				continue
			}
			given := quote(c.phys) + " IS NOT NULL"
			if c.def != nil && !varies(*c.def) {
				given = fmt.Sprintf("NOT (%s <=> %s)", quote(c.phys), *c.def)
			}
			list = append(list, Loss{What: "values of " + t.name + "." + c.name, Table: t.phys, Column: c.phys, SQL: fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", from, given)})
		}
	}
	return list
}
