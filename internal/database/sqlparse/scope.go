package sqlparse

import "slices"

// use is one reference to a column in an expression.
type use struct {
	ref    Ref
	offset int // bytes of the expression before it
	parts  int // names in it, with dots between them
	inner  bool
	vague  bool // it has no table's name and stands in a subquery that has tables
	naming bool // it gives its name to a value
}

// walker lists the references of an expression, with the names of the tables
// of the subqueries it is in.
type walker struct {
	text string
	uses []use
	err  error
}

func usesOf(text string, tree Node) ([]use, error) {
	w := walker{text: text}
	w.walk(tree, nil)
	slices.SortFunc(w.uses, func(a, b use) int { return a.offset - b.offset })
	return w.uses, w.err
}

func (w *walker) walk(n Node, tables []string) {
	switch n.Kind {
	case "ColumnRef":
		w.use(n, tables, false)
		return
	case "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt":
		w.fail(n, "a statement that changes data can not be part of an expression")
		return
	case "SelectStmt":
		for _, from := range n.Nodes("fromClause") {
			tables = append(slices.Clip(tables), named(from)...)
		}
	case "SubLink":
		w.subquery(n, tables)
		return
	case "ResTarget":
		if value := n.Node("val"); value.Kind == "ColumnRef" && n.Text("name") == "" {
			w.use(value, tables, true)
			return
		}
	}
	for child := range n.children() {
		w.walk(child, tables)
	}
}

// subquery walks a subquery whose own columns' names nobody sees.
func (w *walker) subquery(n Node, tables []string) {
	w.walk(n.Node("testexpr"), tables)
	before := len(w.uses)
	query := n.Node("subselect")
	w.walk(query, tables)
	for _, target := range query.Nodes("targetList") {
		if value := target.Node("val"); value.Kind == "ColumnRef" {
			for i := range w.uses[before:] {
				u := &w.uses[before+i]
				u.naming = u.naming && u.offset != value.Offset()-len(selecting)
			}
		}
	}
}

func (w *walker) use(n Node, tables []string, naming bool) {
	u := use{offset: n.Offset() - len(selecting), naming: naming}
	var names []string
	for _, part := range n.Nodes("fields") {
		if part.Kind == "A_Star" {
			names = append(names, "*")
		} else {
			names = append(names, part.Name())
		}
	}
	u.parts = len(names)
	if len(names) == 0 || len(names) > 3 {
		w.fail(n, "a column has at most a schema and a table before it")
		return
	}
	u.ref.Column = names[len(names)-1]
	if len(names) > 1 {
		u.ref.Table = names[len(names)-2]
		u.inner = len(names) == 2 && slices.Contains(tables, u.ref.Table)
	} else {
		u.vague = len(tables) > 0
	}
	if len(names) > 2 {
		u.ref.Schema = names[0]
	}
	w.uses = append(w.uses, u)
}

func (w *walker) fail(n Node, message string) {
	if w.err == nil {
		w.err = at(w.text, n.Offset()-len(selecting), "%s", message)
	}
}

// named are the names by which the tables of an item of FROM are called.
func named(from Node) []string {
	var names []string
	if alias := from.Node("alias").Text("aliasname"); alias != "" {
		names = append(names, alias)
	} else if from.Kind == "RangeVar" {
		names = append(names, from.Text("relname"))
	}
	switch from.Kind {
	case "JoinExpr":
		names = append(names, append(named(from.Node("larg")), named(from.Node("rarg"))...)...)
		if using := from.Node("join_using_alias").Text("aliasname"); using != "" {
			names = append(names, using)
		}
	case "RangeTableSample":
		names = append(names, named(from.Node("relation"))...)
	case "RangeFunction":
		for n := range from.All() { // a function without an alias is called by its own name
			if called := n.Names("funcname"); n.Kind == "FuncCall" && len(called) > 0 {
				names = append(names, called[len(called)-1])
			}
		}
	}
	return names
}

// renamable says why a reference can not be called next.
func (u use) renamable(text string, next Ref) error {
	switch {
	case u.ref.Column == "*" || next.Column == "*":
		return at(text, u.offset, "%s means every column of its table, which would have other names: list the columns", u.ref)
	case u.vague:
		return at(text, u.offset, "%s may be a column of the subquery's own table: write the table's name before it", u.ref)
	case u.naming && next.Column != u.ref.Column:
		return at(text, u.offset, "%s gives its name to a value, which would be called otherwise: add AS %s", u.ref, Quote(u.ref.Column))
	case next.Column == "" || next.Schema != "" && next.Table == "":
		return at(text, u.offset, "%s would have no name", u.ref)
	}
	for _, name := range []string{next.Schema, next.Table, next.Column} {
		if len(name) > MaxName {
			return at(text, u.offset, "%s is longer than %d bytes, and PostgreSQL would cut it", name, MaxName)
		}
	}
	return nil
}

// span is the place of a reference: its names and the dots between them.
func (u use) span(tokens []token) (start, end int) {
	for i, t := range tokens {
		if t.start == u.offset {
			return t.start, tokens[min(i+2*u.parts-2, len(tokens)-1)].end
		}
	}
	return u.offset, u.offset // the result will not be what is expected, and be refused
}
