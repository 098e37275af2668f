package lint

import (
	"regexp"
	"strings"

	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// steps are sections of one statement each.
func steps(sql ...string) []Step {
	list := make([]Step, len(sql))
	for i, s := range sql {
		list[i] = Step{SQL: []string{s}}
	}
	return list
}

// source is the text of the statement from one node's place to another's, or
// to the end.
func (l *look) source(from sqlparse.Node, to int) string {
	start, end := from.Offset()-l.statement.Offset, to-l.statement.Offset
	if start < 0 || end <= start || end > len(l.statement.Text) {
		return ""
	}
	return strings.TrimRight(strings.TrimSpace(l.statement.Text[start:end]), ",;")
}

// end is where the statement ends.
func (l *look) end() int { return l.statement.Offset + len(l.statement.Text) }

func alterTable(t *table, what string) string { return "ALTER TABLE " + t.sql() + " " + what }

// fixNotValid adds a constraint unproven, then proves it.
func (l *look) fixNotValid(t *table, called string, c sqlparse.Node) []Step {
	body := l.source(c, l.end())
	if body == "" || strings.Contains(strings.ToUpper(body), "NOT VALID") {
		return nil
	}
	if c.Text("conname") == "" {
		body = "CONSTRAINT " + ident(called) + " " + body
	}
	return steps(alterTable(t, "ADD "+body+" NOT VALID"), alterTable(t, "VALIDATE CONSTRAINT "+ident(called)))
}

// fixNotNull proves NOT NULL by a check beside users.
func (l *look) fixNotNull(t *table, column string) []Step {
	check := ident(constraintName(t, []string{column}, "not_null"))
	return []Step{
		{SQL: []string{alterTable(t, "ADD CONSTRAINT "+check+" CHECK ("+ident(column)+" IS NOT NULL) NOT VALID")}},
		{SQL: []string{alterTable(t, "VALIDATE CONSTRAINT "+check)}},
		{SQL: []string{alterTable(t, "ALTER COLUMN "+ident(column)+" SET NOT NULL"), alterTable(t, "DROP CONSTRAINT "+check)}},
	}
}

// fixNullable makes columns NOT NULL beside users.
func (l *look) fixNullable(t *table, columns []string) (list []Step) {
	for _, c := range columns {
		list = append(list, l.fixNotNull(t, c)...)
	}
	return list
}

// fixUnique builds the index of a constraint beside users.
func (l *look) fixUnique(t *table, called string, columns []string, kind string, c sqlparse.Node) []Step {
	using := "ADD CONSTRAINT " + ident(called) + " " + strings.ToUpper(kind) + " USING INDEX " + ident(called)
	if c.Flag("deferrable") {
		using += " DEFERRABLE"
	}
	if c.Flag("initdeferred") {
		using += " INITIALLY DEFERRED"
	}
	return []Step{
		{SQL: []string{"CREATE UNIQUE INDEX CONCURRENTLY " + ident(called) + " ON " + t.sql() + " (" + idents(columns) + ")"}, Alone: true},
		{SQL: []string{alterTable(t, using)}},
	}
}

// plainColumn is ADD COLUMN without what follows the type.
func (l *look) plainColumn(t *table, def sqlparse.Node) string {
	first := l.end()
	for _, c := range def.Nodes("constraints") {
		if at := c.Offset(); at > 0 {
			first = min(first, at)
		}
	}
	return alterTable(t, "ADD COLUMN "+l.source(def, first))
}

// fixColumnConstraint adds the column first and its constraint after it.
func (l *look) fixColumnConstraint(t *table, def, c sqlparse.Node, suffix string) []Step {
	column := def.Text("colname")
	called := c.Text("conname")
	if called == "" {
		called = constraintName(t, []string{column}, suffix)
	}
	body := l.source(c, l.end())
	if body == "" {
		return nil
	}
	if c.Text("conname") != "" { // CONSTRAINT name CHECK …
		parts := regexp.MustCompile(`(?is)^constraint\s+(?:"(?:[^"]|"")*"|[^\s"]+)\s*(.+)$`).FindStringSubmatch(body)
		if parts == nil {
			return nil // a comment stands in between
		}
		body = parts[1]
	}
	add := steps(l.plainColumn(t, def))
	switch suffix {
	case "key":
		return append(add, l.fixUnique(t, called, []string{column}, "unique", c)...)
	case "fkey":
		body = "FOREIGN KEY (" + ident(column) + ") " + body
	}
	return append(add, steps(alterTable(t, "ADD CONSTRAINT "+ident(called)+" "+body+" NOT VALID"), alterTable(t, "VALIDATE CONSTRAINT "+ident(called)))...)
}

// fixVolatile adds the column empty, gives new rows the default, and fills the
// old ones in batches.
func (l *look) fixVolatile(t *table, def sqlparse.Node, has map[string]sqlparse.Node) []Step {
	key := t.PrimaryKey()
	for kind := range has {
		if kind != "CONSTR_DEFAULT" && kind != "CONSTR_NOTNULL" && kind != "CONSTR_NULL" {
			return nil
		}
	}
	if len(key) != 1 {
		return nil
	}
	column := ident(def.Text("colname"))
	end := l.end()
	for kind, c := range has {
		if at := c.Offset(); kind != "CONSTR_DEFAULT" && at > has["CONSTR_DEFAULT"].Offset() {
			end = at
		}
	}
	value := l.source(has["CONSTR_DEFAULT"], end)
	if len(value) < len("DEFAULT ") {
		return nil
	}
	value = strings.TrimSpace(value[len("DEFAULT"):])
	list := []Step{
		{SQL: []string{l.plainColumn(t, def), alterTable(t, "ALTER COLUMN "+column+" SET DEFAULT "+value)}},
		{SQL: []string{"UPDATE " + t.sql() + " SET " + column + " = " + value + " WHERE " + column + " IS NULL AND " + ident(key[0]) + " BETWEEN :low AND :high"}, Data: t.Schema + "." + t.Name.Name + "." + key[0]},
	}
	if has["CONSTR_NOTNULL"].There() {
		list = append(list, l.fixNotNull(t, def.Text("colname"))...)
	}
	return list
}
