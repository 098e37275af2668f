package postgres

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// carry makes the checks that the old column had also for the column that takes
// its place. Indexes and keys follow when all columns are known ([model.keyed]).
func (m *model) carry(t *table, g *group, old, now *column) {
	renamed := map[string]string{}
	for _, c := range t.was.Columns {
		renamed[c.Name] = c.Name
	}
	for _, gone := range t.gone {
		delete(renamed, gone.Name)
	}
	renamed[old.was.Name] = now.phys
	for _, k := range t.was.Constraints {
		if k.Kind == "check" && slices.Contains(k.Columns, old.was.Name) && m.survives(t, k.Columns, old, "constraint "+k.Name) {
			m.carryCheck(t, g, k, renamed)
		}
	}
}

// replace remembers which column takes the place of which.
func (m *model) replace(t *table, old, now *column) {
	if t.replaced == nil {
		t.replaced = map[string]*column{}
	}
	now.at, t.replaced[old.was.Name] = m.at, now
	m.draws(t, old, now)
}

// survives reports whether all columns but the one that is replaced stay as
// they are; otherwise what uses them goes with them, and a finding says so.
func (m *model) survives(t *table, columns []string, old *column, what string) bool {
	for _, c := range columns {
		if c != old.was.Name && t.isGone(c) {
			m.find(change.Warning, t.name, "Declare it again for the new columns.", "%s uses several columns that are replaced, and goes with them", what)
			return false
		}
	}
	return true
}

func (m *model) carryCheck(t *table, g *group, k pgcatalog.Constraint, renamed map[string]string) {
	text, uses, ok := m.bare(t, renamed, "the check "+k.Name, k.Expression)
	if ok {
		m.demand(t, g, &demand{name: k.Name, check: text, replace: true}, uses)
	}
}

func mapped(names []string, to map[string]string) []string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = to[n]
	}
	return list
}

func (m *model) carryIndex(t *table, i pgcatalog.Index, renamed map[string]string) {
	definition, err := renameIndex(i.Definition, renamed)
	if err != nil {
		m.refuse(t.name, "Drop the index first, and make it again in a later release.", "index %s can not be made for the new column: %v", i.Name, err)
		return
	}
	kind := ""
	switch {
	case i.Primary:
		kind = "PRIMARY KEY"
	case i.Constraint != "":
		kind = "UNIQUE"
	}
	if i.ReplicaID {
		t.final = append(t.final, fmt.Sprintf("alter table %s replica identity using index %s", qualified(m.Schema, t.phys), quote(i.Name)))
	}
	t.indexes = append(t.indexes, &index{name: i.Name, temporary: fit("_noon_" + i.Name), definition: definition, columns: mapped(i.Columns, renamed), unique: i.Unique, constraint: kind, replaces: true})
}

// renameIndex gives what follows the table in an index's definition, as the
// server prints it (pg_get_indexdef), with other columns. Members that are a
// column are replaced by name, expressions on their parse tree.
func renameIndex(definition string, renamed map[string]string) (string, error) {
	_, rest, ok := strings.Cut(definition, " USING ")
	open := strings.IndexByte(rest, '(')
	if !ok || open < 0 {
		return "", fmt.Errorf("its definition has no columns: %s", definition)
	}
	list, tail, err := parenthesised(rest[open:])
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("USING " + rest[:open])
	if err := renameMembers(&b, list, renamed); err != nil {
		return "", err
	}
	if include, ok := strings.CutPrefix(tail, " INCLUDE "); ok {
		if list, tail, err = parenthesised(include); err != nil {
			return "", err
		}
		b.WriteString(" INCLUDE ")
		if err := renameMembers(&b, list, renamed); err != nil {
			return "", err
		}
	}
	before, predicate, ok := strings.Cut(tail, " WHERE ")
	b.WriteString(before)
	if ok {
		text, err := renameColumns(predicate, renamed)
		if err != nil {
			return "", err
		}
		b.WriteString(" WHERE " + text)
	}
	return b.String(), nil
}

func renameMembers(b *strings.Builder, list string, renamed map[string]string) error {
	b.WriteString("(")
	for n, member := range members(list) {
		if n > 0 {
			b.WriteString(", ")
		}
		head, options := memberHead(member, renamed)
		text, err := renameColumns(head, renamed)
		if err != nil {
			return err
		}
		b.WriteString(text + options)
	}
	b.WriteString(")")
	return nil
}

// memberHead cuts a member into the column or expression and the options after
// it: collation, operator class, order.
func memberHead(member string, renamed map[string]string) (string, string) {
	for _, name := range slices.Sorted(maps.Keys(renamed)) {
		for _, form := range []string{name, quote(name)} {
			if rest, ok := strings.CutPrefix(member, form); ok && (rest == "" || rest[0] == ' ') {
				return quote(name), rest
			}
		}
	}
	if open := strings.IndexByte(member, '('); open >= 0 {
		if list, tail, err := parenthesised(member[open:]); err == nil {
			return member[:open] + "(" + list + ")", tail
		}
	}
	return member, ""
}

func renameColumns(text string, renamed map[string]string) (string, error) {
	e, err := sqlparse.Expression(text)
	if err != nil {
		return "", err
	}
	return e.Rename(func(ref sqlparse.Ref) sqlparse.Ref {
		if to, ok := renamed[ref.Column]; ok && ref.Table == "" {
			ref.Column = to
		}
		return ref
	})
}

// parenthesised cuts "(list)tail". Quotes are respected.
func parenthesised(text string) (list, tail string, err error) {
	depth := 0
	var quoted byte
	for i := range len(text) {
		c := text[i]
		switch {
		case quoted != 0:
			if c == quoted {
				quoted = 0
			}
		case c == '\'' || c == '"':
			quoted = c
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth == 0 {
				return text[1:i], text[i+1:], nil
			}
		}
	}
	return "", "", fmt.Errorf("a parenthesis is not closed: %s", text)
}

// members cuts a list at its outer commas.
func members(list string) []string {
	var all []string
	depth, from := 0, 0
	var quoted byte
	for i := range len(list) {
		c := list[i]
		switch {
		case quoted != 0:
			if c == quoted {
				quoted = 0
			}
		case c == '\'' || c == '"':
			quoted = c
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			all = append(all, strings.TrimSpace(list[from:i]))
			from = i + 1
		}
	}
	return append(all, strings.TrimSpace(list[from:]))
}
