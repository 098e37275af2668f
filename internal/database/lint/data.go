package lint

import (
	"regexp"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// data looks at statements that read and change rows.
func (l *look) data(n sqlparse.Node) {
	l.usesEnum(n)
	switch n.Kind {
	case "TruncateStmt":
		l.truncate(n)
		return
	case "LockStmt":
		mode := lockMode(n.Int("mode"))
		for _, r := range n.Nodes("relations") {
			t := l.world.table(r)
			l.lockAll(l.world.family(t, r.Flag("inh")), mode)
			if mode.Stronger(RowExclusive) {
				l.hit("lock-table", t, "it locks %s in %s mode until the transaction ends", t.before, mode)
			}
		}
		return
	}
	for part := range n.All() { // also those in WITH
		l.change(part)
	}
	if n.Kind == "SelectStmt" {
		l.calls(n)
	}
}

// lockMode is the mode of a number of lockdefs.h.
func lockMode(number int) Lock {
	modes := []Lock{AccessShare, RowShare, RowExclusive, ShareUpdateExclusive, Share, ShareRowExclusive, Exclusive, AccessExclusive}
	return modes[min(max(number, 1), 8)-1]
}

func (l *look) change(n sqlparse.Node) {
	target := n.Node("relation")
	switch n.Kind {
	case "InsertStmt", "MergeStmt":
		l.lock(l.world.table(target), RowExclusive)
	case "CopyStmt":
		if n.Flag("is_from") {
			l.lock(l.world.table(target), RowExclusive)
		}
	case "UpdateStmt", "DeleteStmt":
		t := l.world.table(target)
		l.lockAll(l.world.family(t, target.Flag("inh")), RowExclusive)
		l.many(n, t)
	case "SelectStmt":
		if len(n.Nodes("lockingClause")) > 0 {
			for _, from := range n.Nodes("fromClause") {
				if from.Kind == "RangeVar" {
					l.lock(l.world.table(from), RowShare)
				}
			}
		}
	}
}

// many finds changes of more rows than one statement should change.
func (l *look) many(n sqlparse.Node, t *table) {
	if l.batched || l.few(n, t) {
		return
	}
	l.changes(t)
	verb := map[string]string{"UpdateStmt": "changes", "DeleteStmt": "deletes"}[n.Kind]
	what := "all rows of"
	if n.Node("whereClause").There() {
		what = "what may be many rows of"
	}
	f := l.hit("change-many-rows", t, "it %s %s %s in one statement", verb, what, t.before)
	if key := t.PrimaryKey(); len(key) == 1 && strings.Count(strings.ToLower(l.statement.Text), "where") <= 1 && n.Kind == l.statement.Kind && !n.Node("withClause").There() && len(n.Nodes("fromClause"))+len(n.Nodes("usingClause"))+len(n.Nodes("returningList")) == 0 {
		f.Fix = []Step{{SQL: []string{batched(l.statement.Text, n, t, key[0])}, Data: t.Schema + "." + t.Name.Name + "." + key[0]}}
	}
	if !n.Node("whereClause").There() || f.Rows < 0 {
		return
	}
	f.Severity = Warning
}

// batched adds the range of a batch to a statement without joins.
func batched(text string, n sqlparse.Node, t *table, key string) string {
	alias := n.Node("relation").Node("alias").Text("aliasname")
	if alias == "" {
		alias = t.Name.Name
	}
	column := ident(alias) + "." + ident(key)
	between := column + " BETWEEN :low AND :high" // both belong to the batch
	where := n.Node("whereClause")
	if !where.There() {
		return text + " WHERE " + between
	}
	at := strings.Index(strings.ToLower(text), "where") // there is one
	return text[:at+len("where")] + " (" + strings.TrimSpace(text[at+len("where"):]) + ") AND " + between
}

// few reports whether a statement changes rows that a key or a list names, or
// a part of the table that is known to be small.
func (l *look) few(n sqlparse.Node, t *table) bool {
	where := n.Node("whereClause")
	if !where.There() {
		return false
	}
	conditions := []sqlparse.Node{where}
	if where.Kind == "BoolExpr" && where.Text("boolop") == "AND_EXPR" {
		conditions = where.Nodes("args")
	}
	equal := map[string]bool{}
	for _, c := range conditions {
		if column, ok := fixed(c); ok {
			equal[column] = true
		}
	}
	if len(t.PrimaryKey()) == 0 && !l.world.known {
		return equal["id"]
	}
	for _, k := range t.Constraints {
		if k.Kind == "primary key" || k.Kind == "unique" {
			if all(k.Columns, func(c string) bool { return equal[c] }) {
				return true
			}
		}
	}
	for _, i := range t.Indexes {
		if i.Unique && i.Predicate == "" && !i.Expression && all(i.Columns, func(c string) bool { return equal[c] }) {
			return true
		}
	}
	return false
}

func all(list []string, ok func(string) bool) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(s string) bool { return !ok(s) })
}

// fixed is the column of a condition `column = constant` or `column IN (…)`.
func fixed(c sqlparse.Node) (string, bool) {
	left := c.Node("lexpr")
	if c.Kind != "A_Expr" || left.Kind != "ColumnRef" || !slices.Equal(c.Names("name"), []string{"="}) {
		return "", false
	}
	right := c.Node("rexpr")
	switch {
	case right.Kind == "List", right.Kind == "A_Const", right.Kind == "TypeCast" && right.Node("arg").Kind == "A_Const", right.Kind == "A_ArrayExpr", right.Kind == "ParamRef":
	default:
		return "", false
	}
	parts := left.Names("fields")
	return parts[len(parts)-1], true
}

func (l *look) truncate(n sqlparse.Node) {
	var list []*table
	for _, r := range n.Nodes("relations") {
		t := l.world.table(r)
		list = append(list, l.world.family(t, r.Flag("inh"))...)
		l.inUse(t, "")
	}
	named := len(list)
	if n.Text("behavior") == "DROP_CASCADE" {
		for i := 0; i < len(list); i++ {
			for _, in := range l.world.inbound(list[i]) {
				if t := l.world.named(in.From); !slices.Contains(list, t) {
					list = append(list, l.world.family(t, true)...)
				}
			}
		}
	}
	l.lockAll(list, AccessExclusive)
	for _, t := range list {
		l.rewrites(t) // into new, empty files
	}
	for i, t := range list {
		if i < named {
			l.hit("truncate", t, "all rows of %s are gone", t.before)
		} else {
			l.hit("truncate", t, "CASCADE empties %s as well, which references it", t.before)
		}
	}
}

// code looks into DO blocks as far as they can be read.
func (l *look) code(n sqlparse.Node) {
	l.effect.Opaque = true
	body := ""
	for _, a := range n.Nodes("args") {
		if a.Text("defname") == "as" {
			body = a.Node("arg").Text("sval")
		}
	}
	if body == "" {
		l.hit("opaque", nil, "what the procedure does can not be looked into")
		return
	}
	l.body(body, "a DO block")
}

// body looks at the statements that can be found in the body of a block.
func (l *look) body(body, where string) {
	statements, dynamic := inside(body)
	for _, s := range statements {
		l.dispatch(s.Tree)
	}
	for _, f := range l.found {
		f.Hazard += " (in " + where + ")"
	}
	switch {
	case dynamic:
		l.hit("opaque", nil, "%s runs SQL that it puts together, which can not be looked into", where)
	case len(statements) == 0:
		l.hit("opaque", nil, "%s could not be looked into", where)
	}
}

// inside finds statements in a body of PL/pgSQL: what stands between
// semicolons, without the words of control before it, where that is SQL.
func inside(body string) (found []sqlparse.Statement, dynamic bool) {
	for part := range strings.SplitSeq(body, ";") {
		text := uncontrolled(part)
		if fields := strings.Fields(strings.ToUpper(text)); len(fields) > 0 && fields[0] == "EXECUTE" {
			dynamic = true
			continue
		}
		if list, err := sqlparse.Statements(text); err == nil {
			for _, s := range list {
				if s.Kind != "TransactionStmt" {
					found = append(found, s)
				}
			}
		}
	}
	return found, dynamic
}

// uncontrolled is what stands behind the last word of control of PL/pgSQL.
func uncontrolled(part string) string {
	words := regexp.MustCompile(`(?i)\b(begin|then|else|loop)\s`)
	if at := words.FindAllStringIndex(part, -1); at != nil {
		part = part[at[len(at)-1][1]:]
	}
	return strings.TrimSpace(part)
}

// calls finds functions of the user that a SELECT runs for their effect.
func (l *look) calls(n sqlparse.Node) {
	for c := range n.All() {
		called := qualified(c.Names("funcname"))
		if volatile, users := l.world.volatil[called.Name]; c.Kind == "FuncCall" && users && volatile {
			l.effect.Opaque = true
			l.hit("opaque", nil, "the function %s may change anything", called.Name)
			return
		}
	}
}

// function remembers a function that the script makes.
func (l *look) function(n sqlparse.Node) {
	volatile := true
	for _, o := range n.Nodes("options") {
		if o.Text("defname") == "volatility" {
			volatile = o.Node("arg").Text("sval") == "volatile"
		}
	}
	l.world.volatil[qualified(n.Names("funcname")).Name] = volatile
}
