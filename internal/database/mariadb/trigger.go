package mariadb

import (
	"fmt"
	"slices"
	"strings"
)

// The triggers have one part for each group: up makes the new form from the
// old one, down the old form from the new one. An expression sees local
// variables that are called as the columns of its version are.

// triggers are those of a table, in the order in which they are made: rows that
// there are must not be changed unseen once new ones are made complete. They do
// not name their database: what is read of them from a dump would go there.
func (m *model) triggers(t *table) []Step {
	step := func(event string, body []string) Step {
		name := m.triggerName(t, event)
		return Step{
			Object: Trigger, Name: name,
			SQL: fmt.Sprintf("CREATE TRIGGER %s BEFORE %s ON %s FOR EACH ROW\nBEGIN\n%s\nEND", quote(name), event, quote(t.phys), strings.Join(body, "\n")),
		}
	}
	return []Step{step("UPDATE", m.onUpdate(t)), step("INSERT", m.onInsert(t))}
}

func (m *model) triggerName(t *table, event string) string {
	return own + digest(t.phys) + "_" + strings.ToLower(event)
}

func (m *model) onInsert(t *table) []string {
	body := []string{"DECLARE noon_new INT DEFAULT 0;", fmt.Sprintf("SET NEW.%s = 0;", pending)}
	body = append(body, m.writer(t, true)...)
	for _, g := range t.groups {
		body = append(body, "IF noon_new THEN", t.down(g, "TRUE", "TRUE"), "ELSE", t.up(g), "END IF;")
	}
	return body
}

func (m *model) onUpdate(t *table) []string {
	body := []string{
		"DECLARE noon_new, noon_o, noon_n, noon_d, noon_w INT DEFAULT 0;",
		fmt.Sprintf("DECLARE noon_untried INT DEFAULT NEW.%s >= %d;", pending, untried),
		fmt.Sprintf("SET NEW.%[1]s = NEW.%[1]s & %[2]d;", pending, untried-1),
	}
	body = append(body, m.writer(t, false)...)
	for _, g := range t.groups {
		ups, downs := t.shared(g.up, t.before, g.olds), t.shared(g.down, t.columns, g.news)
		body = append(body,
			fmt.Sprintf("SET noon_o = %s OR (NOT noon_new AND %s);", changed(g.olds), changed(ups)),
			fmt.Sprintf("SET noon_w = %s;", changed(g.news)),
			fmt.Sprintf("SET noon_d = noon_w OR (noon_new AND %s);", changed(downs)),
			fmt.Sprintf("SET noon_n = noon_d OR (noon_new AND %s);", changed(ups)),
			"IF noon_n AND (noon_new OR NOT noon_o) THEN", t.down(g, "noon_d", "noon_w"),
			"ELSEIF noon_o OR noon_untried THEN", t.up(g), "END IF;")
	}
	if m.direct(t) != "" {
		body = slices.Concat([]string{"IF " + fillingVariable + " IS NULL THEN", "BEGIN"}, body, []string{"END;", "END IF;"})
	}
	return body
}

// writer sets noon_new to whether a statement writes the new form. The version
// of the user is remembered in the session: a user changes to another one only
// while nobody has logged in as it. Somebody else who
// gives a new column a value writes the new form.
func (m *model) writer(t *table, insert bool) []string {
	session := "@" + own + digest(m.Database+"\x00"+m.App)
	list := []string{
		fmt.Sprintf("IF %[1]s IS NULL THEN SET %[1]s = COALESCE((%[2]s), -1); END IF;", session, m.version()),
		fmt.Sprintf("SET noon_new = %s >= %d;", session, m.From+1),
	}
	if !insert {
		return list
	}
	var given []string
	for _, g := range t.groups {
		for _, c := range g.news {
			switch {
			case c.def == nil:
				given = append(given, "NEW."+quote(c.phys)+" IS NOT NULL")
			case len(named(*c.def)) == 0 || !strings.Contains(*c.def, "("): // not made anew each time
				given = append(given, fmt.Sprintf("NOT (NEW.%s <=> %s)", quote(c.phys), *c.def))
			}
		}
	}
	if len(given) > 0 {
		list = append(list, fmt.Sprintf("IF %s < 0 AND (%s) THEN SET noon_new = 1; END IF;", session, strings.Join(given, " OR ")))
	}
	return list
}

// shared are columns that expressions name and that both versions have.
func (t *table) shared(expressions []string, of, mine []*column) []*column {
	return slices.DeleteFunc(slices.Clone(of), func(c *column) bool {
		return slices.Contains(mine, c) || !slices.ContainsFunc(expressions, func(e string) bool { return mentions(e, c.name) })
	})
}

// changed tells whether a statement has changed any of some columns.
func changed(columns []*column) string {
	if len(columns) == 0 {
		return "FALSE"
	}
	var list []string
	for _, c := range columns {
		list = append(list, "NOT "+same(c.typ, "NEW."+quote(c.phys), "OLD."+quote(c.phys)))
	}
	return "(" + strings.Join(list, " OR ") + ")"
}

// same compares as bytes what has a collation: 'a' and 'A' are not the same.
func same(typ, a, b string) string {
	if c := class(typ); isText(c) || c == "json" {
		return fmt.Sprintf("(BINARY %s <=> BINARY %s)", a, b)
	}
	return fmt.Sprintf("(%s <=> %s)", a, b)
}

// evaluate sets variables to what expressions give, over the columns of a
// version that they name. What ends an expression stands in a line of its own,
// because the expression may end with a comment.
func evaluate(expressions []string, of []*column, value func(*column) string, into func(int) string) string {
	var declare, set []string
	for _, c := range of {
		if slices.ContainsFunc(expressions, func(e string) bool { return mentions(e, c.name) }) {
			declare = append(declare, fmt.Sprintf("DECLARE %s %s DEFAULT %s;", quote(c.name), c.typ, value(c)))
		}
	}
	for i, e := range expressions {
		if e != "" {
			set = append(set, fmt.Sprintf("SET %s = (%s\n);", into(i), e))
		}
	}
	return "BEGIN\n" + strings.Join(append(declare, set...), "\n") + "\nEND;"
}

const guarded = "BEGIN\nDECLARE CONTINUE HANDLER FOR SQLEXCEPTION, SQLWARNING SET noon_bad = 1;\n"

func oldVar(i int) string { return fmt.Sprintf("noon_o%d", i) }
func newVar(i int) string { return fmt.Sprintf("noon_v%d", i) }

func row(c *column) string { return "NEW." + quote(c.phys) }

func declare(columns []*column, name func(int) string) string {
	var list []string
	for i, c := range columns {
		list = append(list, fmt.Sprintf("DECLARE %s %s;\n", name(i), c.typ))
	}
	return strings.Join(list, "")
}

// up makes the new form of a row. One that can not be made is NULL, and marked.
func (t *table) up(g *group) string {
	if len(g.news) == 0 {
		return "BEGIN END;"
	}
	var b strings.Builder
	b.WriteString("BEGIN\nDECLARE noon_bad INT DEFAULT 0;\n" + declare(g.news, newVar) + guarded)
	b.WriteString(evaluate(g.up, t.before, row, newVar) + "\nEND;\n")
	for i, c := range g.news {
		if !c.null {
			fmt.Fprintf(&b, "IF %s IS NULL THEN SET noon_bad = 1; END IF;\n", newVar(i))
		}
	}
	for i, c := range g.news {
		fmt.Fprintf(&b, "SET NEW.%s = IF(noon_bad, NULL, %s);\n", quote(c.phys), newVar(i))
	}
	fmt.Fprintf(&b, "SET NEW.%[1]s = (NEW.%[1]s & %[2]d) | IF(noon_bad, %[3]d, 0);\nEND;", pending, ^(g.missing() | g.lost()), g.missing())
	return b.String()
}

// down makes the old form of a row where derive holds, and marks the row if the
// new form could not be made from that again. Where written holds, a new column
// that is NOT NULL has to have a value.
func (t *table) down(g *group, derive, written string) string {
	var b strings.Builder
	b.WriteString("BEGIN\nDECLARE noon_bad, noon_zero INT DEFAULT 0;\n" + declare(g.olds, oldVar) + declare(g.news, newVar) + guarded)
	for i, c := range g.olds {
		fmt.Fprintf(&b, "SET %s = NEW.%s;\n", oldVar(i), quote(c.phys))
	}
	if slices.ContainsFunc(g.down, func(e string) bool { return e != "" }) {
		fmt.Fprintf(&b, "IF %s THEN\n%s\nEND IF;\n", derive, t.makeOld(g))
	}
	if len(g.news) > 0 {
		b.WriteString(evaluate(g.up, t.before, func(c *column) string {
			if i := slices.Index(g.olds, c); i >= 0 {
				return oldVar(i)
			}
			return row(c)
		}, newVar) + "\n")
	}
	b.WriteString("END;\n")
	for i, c := range g.olds {
		if g.down[i] != "" {
			fmt.Fprintf(&b, "SET NEW.%s = %s;\n", quote(c.phys), oldVar(i))
		}
	}
	differ := []string{"noon_bad", "noon_zero"}
	for i, c := range g.news {
		differ = append(differ, "NOT "+same(c.typ, newVar(i), row(c)))
		if !c.null {
			fmt.Fprintf(&b, "IF %s AND NEW.%s IS NULL THEN SIGNAL SQLSTATE '23000' SET MYSQL_ERRNO = 1048, MESSAGE_TEXT = %s; END IF;\n",
				written, quote(c.phys), literal(shorten("Column '"+c.name+"' cannot be null", 128)))
		}
	}
	if len(g.news) > 0 {
		fmt.Fprintf(&b, "SET NEW.%[1]s = (NEW.%[1]s & %[2]d) | IF(%[3]s, %[4]d, 0);\n", pending, ^(g.missing() | g.lost()), strings.Join(differ, " OR "), g.lost())
	}
	b.WriteString("END;")
	return b.String()
}

// makeOld makes the old form. The new release does not fail because of it: one
// that can not be made is NULL, or what a column without NULL allows.
func (t *table) makeOld(g *group) string {
	list := []string{"BEGIN"}
	for i := range g.olds {
		if g.down[i] != "" {
			list = append(list, fmt.Sprintf("SET %s = NULL;", oldVar(i)))
		}
	}
	list = append(list, evaluate(g.down, t.columns, row, oldVar))
	for i, c := range g.olds {
		if g.down[i] != "" && !c.null {
			list = append(list, fmt.Sprintf("IF %[1]s IS NULL THEN SET noon_zero = 1; SET %[1]s = %[2]s; END IF;", oldVar(i), zero(class(c.typ))))
		}
	}
	return strings.Join(append(list, "END;"), "\n")
}

// zero is a value of a class that stands for one that can not be made.
func zero(class string) string {
	switch class {
	case "tinyint", "smallint", "mediumint", "int", "integer", "bigint", "decimal", "numeric", "float", "double", "bit", "time":
		return "0"
	case "date":
		return "'1000-01-01'"
	case "datetime", "timestamp":
		return "'1970-01-02 00:00:00'"
	case "year":
		return "1970"
	case "enum":
		return "1"
	case "json":
		return "'null'"
	case "uuid":
		return "'00000000-0000-0000-0000-000000000000'"
	case "inet6":
		return "'::'"
	case "inet4":
		return "'0.0.0.0'"
	}
	return "''"
}
