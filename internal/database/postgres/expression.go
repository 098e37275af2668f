package postgres

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// expression is SQL over the columns of one table in the words of its author,
// with the physical columns that these words mean.
type expression struct {
	expr  sqlparse.Expr
	table string            // as the author calls it
	names map[string]string // what the author calls a column → physical
	uses  []string          // physical columns, sorted
}

// expression reads one, false with a finding if it can not be used.
func (m *model) expression(t *table, names map[string]string, what, sql string) (expression, bool) {
	parsed, err := sqlparse.Expression(sql)
	if err != nil {
		m.refuse(t.name, "Correct the expression.", "%s %q can not be read: %v", what, sql, err)
		return expression{}, false
	}
	e := expression{expr: parsed, table: t.name, names: names}
	used := map[string]bool{}
	for _, ref := range parsed.Columns() {
		if ref.Column == "*" {
			m.refuse(t.name, "Name the columns.", "%s %q uses a whole row", what, sql)
			return e, false
		}
		if phys, ok := e.column(ref); ok {
			used[phys] = true
		}
	}
	e.uses = slices.Sorted(maps.Keys(used))
	for _, phys := range e.uses {
		if t.was == nil {
			continue
		}
		if c := t.was.Column(phys); c != nil && c.Generated {
			m.refuse(t.name+"."+phys, "Use what the column is generated from.", "%s %q uses a generated column, which has no value yet when a row is written", what, sql)
			return e, false
		}
	}
	return e, true
}

// column is the physical column that a reference means.
func (e expression) column(ref sqlparse.Ref) (string, bool) {
	if ref.Table != "" && ref.Table != e.table {
		return "", false
	}
	phys, ok := e.names[ref.Column]
	return phys, ok
}

// over writes the expression with physical columns behind a qualifier, such as
// new, or bare for "". A reference that can not be rewritten on the parse tree
// is given its names by a subquery around the expression.
func (e expression) over(qualifier string) string {
	text, err := e.expr.Rename(func(ref sqlparse.Ref) sqlparse.Ref {
		if phys, ok := e.column(ref); ok {
			return sqlparse.Ref{Table: qualifier, Column: phys}
		}
		return ref
	})
	if err == nil {
		return "(" + text + ")"
	}
	prefix := ""
	if qualifier != "" {
		prefix = quote(qualifier) + "."
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(e.names)) {
		if slices.Contains(e.uses, e.names[name]) {
			list = append(list, prefix+quote(e.names[name])+" as "+quote(name))
		}
	}
	return fmt.Sprintf("(select (%s) from (select %s) as %s)", e.expr, strings.Join(list, ", "), quote(e.table))
}

// bare is the expression with physical columns and nothing around them, for
// constraints and indexes, where no subquery is allowed.
func (m *model) bare(t *table, names map[string]string, what, sql string) (string, []string, bool) {
	e, ok := m.expression(t, names, what, sql)
	if !ok {
		return "", nil, false
	}
	text, err := e.expr.Rename(func(ref sqlparse.Ref) sqlparse.Ref {
		if phys, ok := e.column(ref); ok {
			return sqlparse.Ref{Column: phys}
		}
		return ref
	})
	if err != nil {
		m.refuse(t.name, "Write the columns without their table, and no subquery.", "%s %q can not be used: %v", what, sql, err)
		return "", nil, false
	}
	return text, e.uses, true
}

// scope is what the columns of a table are called now.
func (t *table) scope() map[string]string {
	names := make(map[string]string, len(t.columns))
	for _, c := range t.columns {
		names[c.name] = c.phys
	}
	return names
}
