package sqlparse

import (
	"slices"
	"strings"
)

// Expr is an expression over columns, such as a default, a check or the value
// of a backfill.
type Expr struct {
	text string // without comments
	uses []use
}

// Ref is what an expression calls a column by, folded as PostgreSQL folds
// names: `Total` is total, `"Total"` is Total.
type Ref struct {
	Schema, Table string // "" where the expression does not say
	Column        string // "*" for all of a table
}

// String gives the reference with every name in quotes.
func (r Ref) String() string {
	var parts []string
	for _, name := range []string{r.Schema, r.Table, r.Column} {
		switch {
		case name == "*":
			parts = append(parts, name)
		case name != "":
			parts = append(parts, Quote(name))
		}
	}
	return strings.Join(parts, ".")
}

// Quote writes a name so that PostgreSQL reads it as it is.
func Quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

const selecting = "SELECT "

// Expression reads one expression. A mistake in it is an *Error.
func Expression(sql string) (Expr, error) {
	if _, err := target(sql); err != nil {
		return Expr{}, err
	}
	text, err := uncomment(sql)
	if err != nil {
		return Expr{}, err
	}
	tree, err := target(text)
	if err != nil {
		return Expr{}, err
	}
	uses, err := usesOf(text, tree)
	return Expr{text: text, uses: uses}, err
}

// String is the expression without comments.
func (e Expr) String() string { return e.text }

// Columns lists the references to columns from outside of the expression, each
// once, in the order in which they stand there. A column without a table's name
// inside of a subquery is among them although it may be a column of the
// subquery's own tables.
func (e Expr) Columns() []Ref {
	var refs []Ref
	for _, u := range e.uses {
		if !u.inner && !slices.Contains(refs, u.ref) {
			refs = append(refs, u.ref)
		}
	}
	return refs
}

// Rename gives the expression with other names for its columns: to is asked
// for each of [Expr.Columns], and what it returns is written where the parse
// tree has the reference; all else stays as it was written. The result is read
// again, and is returned only if its tree is the old one with those references
// changed. An *Error says which reference can not be renamed: one in a subquery
// that may belong to the subquery's own tables, a table's `*`, one that gives
// its name to a value.
func (e Expr) Rename(to func(Ref) Ref) (string, error) {
	tokens, err := scan(e.text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	done := 0
	renamed := make(map[int]Ref) // by offset
	for _, u := range e.uses {
		if u.inner {
			continue
		}
		next := to(u.ref)
		if next == u.ref {
			continue
		}
		if err := u.renamable(e.text, next); err != nil {
			return "", err
		}
		start, end := u.span(tokens)
		b.WriteString(e.text[done:start])
		b.WriteString(next.String())
		done = end
		renamed[u.offset] = next
	}
	b.WriteString(e.text[done:])
	return b.String(), e.verify(b.String(), renamed)
}

// verify reads a renamed expression and compares it with the tree of the old
// one, changed at the offsets of renamed.
func (e Expr) verify(text string, renamed map[int]Ref) error {
	want, err := target(e.text)
	if err != nil {
		return err
	}
	got, err := target(text)
	if err != nil {
		return err
	}
	for n := range want.All() {
		if next, ok := renamed[n.Offset()-len(selecting)]; ok && n.Kind == "ColumnRef" {
			n.fields["fields"] = next.fields()
		}
	}
	if !same(want.fields, got.fields) {
		return at(e.text, 0, "the columns of this expression can not be renamed: %s is read as something else", text)
	}
	return nil
}

// fields is the reference as the tree holds it.
func (r Ref) fields() []any {
	var list []any
	for _, name := range []string{r.Schema, r.Table, r.Column} {
		if name != "" {
			list = append(list, map[string]any{"String": map[string]any{"sval": name}})
		}
	}
	return list
}

// same compares trees without the places of their nodes.
func same(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok {
			return false
		}
		for key := range a {
			if !isPlace(key) && !same(a[key], b[key]) {
				return false
			}
		}
		for key := range b {
			if _, ok := a[key]; !ok && !isPlace(key) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, same)
	}
	return a == b
}

func isPlace(field string) bool {
	return field == "location" || strings.HasSuffix(field, "_location") || field == "stmt_len"
}

// target is the tree of an expression: that of a query for it alone, which
// must be one with parentheses around it as well.
func target(sql string) (Node, error) {
	var value Node
	for _, around := range []struct{ before, after string }{{selecting + "(", "\n)"}, {selecting, ""}} {
		tree, err := parse(around.before, sql+around.after)
		if err != nil {
			return Node{}, within(sql, err)
		}
		list := tree.Nodes("stmts")
		if len(list) != 1 || !plain(list[0].Node("stmt")) {
			return Node{}, at(sql, 0, "this is not one expression")
		}
		value = list[0].Node("stmt").Nodes("targetList")[0].Node("val")
	}
	if tokens, err := scan(sql); err != nil || slices.ContainsFunc(tokens, func(t token) bool { return t.kind == tokenSemicolon }) {
		return Node{}, at(sql, strings.IndexByte(sql, ';'), "an expression has no semicolon")
	}
	return value, nil
}

// within moves an error behind the end of sql to its end.
func within(sql string, err error) error {
	e, ok := err.(*Error) //nolint:errorlint // parse returns it unwrapped
	if !ok {
		return err
	}
	return at(sql, e.Offset, "%s", e.Message)
}

// plain reports whether a query is SELECT and one value, nothing else.
func plain(query Node) bool {
	for field := range query.fields {
		if !slices.Contains([]string{"targetList", "limitOption", "op"}, field) {
			return false
		}
	}
	targets := query.Nodes("targetList")
	return query.Kind == "SelectStmt" && query.Text("op") == "SETOP_NONE" && len(targets) == 1 &&
		targets[0].Kind == "ResTarget" && targets[0].Text("name") == "" && targets[0].Node("val").There()
}

// uncomment puts a space in the place of every comment, and nothing in that of
// what surrounds the expression.
func uncomment(sql string) (string, error) {
	tokens, err := scan(sql)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	done := 0
	for _, t := range tokens {
		if t.comment() {
			b.WriteString(sql[done:t.start] + " ")
			done = t.end
		}
	}
	return strings.TrimSpace(b.String() + sql[done:]), nil
}
