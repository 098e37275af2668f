package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/noon-deploy/noon/internal/database/pgcatalog"
	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// create looks at CREATE TABLE.
func (l *look) create(n sqlparse.Node) {
	r := n.Node("relation")
	if old := l.world.tables[name{Schema: cmp.Or(r.Text("schemaname"), l.world.path[0]), Name: r.Text("relname")}]; old != nil && old.here && n.Flag("if_not_exists") {
		return
	}
	kind := pgcatalog.Ordinary
	if n.Node("partspec").There() {
		kind = pgcatalog.Partitioned
	}
	t := l.world.make(r, kind)
	for _, p := range n.Node("partspec").Nodes("partParams") {
		t.PartitionKey = append(t.PartitionKey, p.Text("name"))
	}
	l.parents(t, n)
	for _, e := range n.Nodes("tableElts") {
		switch e.Kind {
		case "ColumnDef":
			l.newColumn(t, e)
		case "Constraint":
			l.addConstraint(t, []*table{t}, e, false)
		}
	}
	if e := l.effect; len(e.Locks) > 0 && !n.Node("partbound").There() && len(n.Nodes("inhRelations")) == 0 {
		l.hit("add-foreign-key-lock", l.world.named(e.Locks[0].Table), "%s is locked against writes for a moment, as the new table references it", e.Locks[0].Table)
	}
}

// newColumn adds a column to a table that the script makes.
func (l *look) newColumn(t *table, e sqlparse.Node) {
	column, has := e.Text("colname"), constraintsOf(e)
	t.Columns = append(t.Columns, pgcatalog.Column{Name: column, Type: l.written(e.Node("typeName")), TypeKind: "b", NotNull: has["CONSTR_NOTNULL"].There() || has["CONSTR_PRIMARY"].There()})
	if c, ok := has["CONSTR_FOREIGN"]; ok {
		l.references(t, e, c, false)
	}
	if typeOf(e.Node("typeName")).base == "json" {
		l.found = append(l.found, l.newJSON(t, column))
	}
	for _, key := range []struct{ contype, kind, suffix string }{{"CONSTR_PRIMARY", "primary key", "pkey"}, {"CONSTR_UNIQUE", "unique", "key"}} {
		if has[key.contype].There() {
			t.Constraints = append(t.Constraints, pgcatalog.Constraint{Name: constraintName(t, []string{column}, key.suffix), Kind: key.kind, Columns: []string{column}, Validated: true})
		}
	}
}

// newJSON is the finding about a column of a table that the script makes.
func (l *look) newJSON(t *table, column string) *Finding {
	f := l.hit("json-column", nil, "%s of type json has no equality", column)
	l.found = l.found[:len(l.found)-1]
	f.Table, f.Rows = t.Name, 0
	return f
}

// parents locks what a new table is a partition or an heir of.
func (l *look) parents(t *table, n sqlparse.Node) {
	bound := n.Node("partbound")
	t.rest = bound.Flag("is_default")
	for _, p := range n.Nodes("inhRelations") {
		parent := l.world.table(p)
		mode := ShareUpdateExclusive
		if bound.There() {
			mode = AccessExclusive
			l.hit("create-partition", parent, "%s is locked against reads and writes while it gets a partition", parent.before)
		}
		l.lock(parent, mode)
		parent.Children = append(parent.Children, t.Name)
		t.Parents = append(t.Parents, parent.Name)
		t.Columns = append(t.Columns, parent.Columns...)
		for _, sibling := range parent.Children {
			if s := l.world.tables[sibling]; bound.There() && s != nil && s != t && s.rest {
				l.lock(s, AccessExclusive)
				l.scans(s)
			}
		}
	}
}

// index looks at CREATE INDEX.
func (l *look) index(n sqlparse.Node) {
	t := l.world.table(n.Node("relation"))
	i := pgcatalog.Index{Name: n.Text("idxname"), Unique: n.Flag("unique"), Valid: true, Method: n.Text("accessMethod")}
	for _, p := range n.Nodes("indexParams") {
		i.Columns = append(i.Columns, p.Text("name"))
		i.Expression = i.Expression || p.Text("name") == ""
	}
	i.Keys = len(i.Columns)
	if n.Node("whereClause").There() {
		i.Predicate = "…"
	}
	if i.Name == "" {
		i.Name = constraintName(t, i.Columns, "idx")
	}
	if n.Flag("if_not_exists") && t.Index(i.Name) != nil {
		l.lock(t, map[bool]Lock{true: ShareUpdateExclusive, false: Share}[n.Flag("concurrent")])
		return
	}
	t.Indexes = append(t.Indexes, i)
	if i.Keys > 3 && !i.Unique {
		l.hit("wide-index", t, "the index %s has %d columns", i.Name, i.Keys)
	}
	family := l.world.family(t, n.Node("relation").Flag("inh") && t.Kind == pgcatalog.Partitioned)
	if n.Flag("concurrent") {
		l.lock(t, ShareUpdateExclusive)
		l.concurrently()
		if v := l.world.version; v >= 140000 && v < 140004 {
			l.hit("concurrently-corrupts", t, "PostgreSQL 14.%d may leave rows out of an index that is built CONCURRENTLY", v-140000)
		}
		if !n.Flag("if_not_exists") {
			l.hit("concurrently-again", t, "if it fails, an invalid %s stays and is in the way of the next try", i.Name)
		}
		return
	}
	for _, f := range family {
		l.lock(f, Share)
		l.builds(f)
	}
	f := l.hit("create-index", t, "nobody can write %s until the index is built", t.before)
	if t.Kind != pgcatalog.Partitioned {
		f.Fix = []Step{{SQL: []string{afterWord(l.statement.Text, "index", "CONCURRENTLY")}, Alone: true}}
	}
}

// afterWord puts a word behind the first INDEX, or another word, of a statement.
func afterWord(text, word, added string) string {
	i := strings.Index(strings.ToLower(text), word)
	if i < 0 {
		return ""
	}
	return text[:i+len(word)] + " " + added + text[i+len(word):]
}

// reindex looks at REINDEX.
func (l *look) reindex(n sqlparse.Node) {
	concurrent := slices.ContainsFunc(n.Nodes("params"), func(p sqlparse.Node) bool { return p.Text("defname") == "concurrently" })
	kind := n.Text("kind")
	var t *table
	switch kind {
	case "REINDEX_OBJECT_TABLE":
		t = l.world.table(n.Node("relation"))
	case "REINDEX_OBJECT_INDEX":
		r := n.Node("relation")
		t = l.world.indexed(name{Schema: r.Text("schemaname"), Name: r.Text("relname")})
	}
	if concurrent {
		if t != nil {
			l.lock(t, ShareUpdateExclusive)
		}
		l.concurrently()
		return
	}
	if t == nil {
		l.hit("reindex", nil, "nobody can write the tables whose indexes are built again")
		return
	}
	l.lock(t, Share)
	l.builds(t)
	f := l.hit("reindex", t, "nobody can write %s, or read it by an index, until it is built again", t.before)
	word := strings.ToLower(strings.TrimPrefix(kind, "REINDEX_OBJECT_"))
	if len(n.Nodes("params")) == 0 {
		f.Fix = []Step{{SQL: []string{afterWord(l.statement.Text, " "+word, "CONCURRENTLY")}, Alone: true}}
	}
}

// drop looks at DROP of anything.
func (l *look) drop(n sqlparse.Node) {
	cascade := n.Text("behavior") == "DROP_CASCADE"
	for _, o := range n.Nodes("objects") {
		q := qualified(o.Names("items"))
		if o.Kind == "List" {
			q = listed(o)
		}
		switch n.Text("removeType") {
		case "OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW":
			l.dropTable(n, q, cascade)
		case "OBJECT_INDEX":
			l.dropIndex(n, q)
		case "OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE":
			l.briefly(l.world.named(ofList(o)), "a trigger, policy or rule of")
		case "OBJECT_SCHEMA":
			l.hit("drop-schema", nil, "the schema %s goes", o.Name())
			for _, t := range l.inSchema(o.Name()) {
				l.lock(t, AccessExclusive)
			}
		case "OBJECT_TYPE", "OBJECT_DOMAIN":
			l.dropType(o, cascade)
		}
	}
}

func listed(o sqlparse.Node) name { return qualified(o.Names("items")) }

// ofList is the table of a trigger, which has its own name last.
func ofList(o sqlparse.Node) name {
	parts := o.Names("items")
	if len(parts) == 0 {
		return name{}
	}
	return qualified(parts[:len(parts)-1])
}

func (l *look) inSchema(schema string) []*table {
	var list []*table
	for _, t := range l.world.tables {
		if t.Schema == schema && t.here {
			list = append(list, t)
		}
	}
	return list
}

func (l *look) dropType(o sqlparse.Node, cascade bool) {
	q := qualified(o.Names("names"))
	if !cascade {
		return // it fails if anything is made of it
	}
	for _, t := range l.world.tables {
		for _, c := range t.Columns {
			if c.TypeName.Name == q.Name && (q.Schema == "" || c.TypeName.Schema == q.Schema) {
				l.lock(t, AccessExclusive)
				l.hit("drop-schema", t, "CASCADE drops the column %s of %s with the type %s", c.Name, t.before, q.Name)
			}
		}
	}
}

func (l *look) dropTable(n sqlparse.Node, q name, cascade bool) {
	t := l.world.named(q)
	if !t.here && l.world.known && n.Flag("missing_ok") {
		delete(l.world.tables, t.Name)
		return
	}
	family := []*table{t}
	if t.Kind == pgcatalog.Partitioned || cascade {
		family = l.world.family(t, true)
	}
	l.lockAll(family, AccessExclusive)
	for _, p := range t.Parents {
		if t.IsPartition {
			l.lock(l.world.named(p), AccessExclusive)
		}
	}
	for _, f := range family {
		for _, k := range f.Constraints {
			if other := k.References; other != nil && *other != f.Name {
				o := l.world.named(*other)
				l.lock(o, AccessExclusive)
				l.hit("drop-foreign-key", o, "with %s goes its foreign key %s, and %s is locked against reads and writes as well", t.before, k.Name, o.before)
			}
		}
	}
	if cascade {
		for _, in := range l.world.inbound(t) {
			l.lock(l.world.named(in.From), AccessExclusive)
		}
		l.cascade(t.dependents())
	}
	if !l.inUse(t, "") && !l.contract {
		l.hit("drop-table", t, "%s is gone for the release that still runs, with its data", t.before)
	}
	delete(l.world.tables, t.Name)
	if !t.fresh {
		l.world.tables[t.Name] = &table{Table: pgcatalog.Table{Name: t.Name, Rows: t.Rows, HeapBytes: t.HeapBytes}, before: t.before}
	}
}

func (l *look) dropIndex(n sqlparse.Node, q name) {
	t := l.world.indexed(q)
	if n.Flag("concurrent") {
		if t != nil {
			l.lock(t, ShareUpdateExclusive)
		}
		l.concurrently()
		return
	}
	fix := []Step{{SQL: []string{"DROP INDEX CONCURRENTLY " + ifExists(n) + indexSQL(q)}, Alone: true}}
	if t == nil {
		l.hit("drop-index", nil, "the table of the index %s is locked against reads and writes", q.Name).Fix = fix
		return
	}
	l.lock(t, AccessExclusive)
	f := l.hit("drop-index", t, "%s is locked against reads and writes while the index %s goes", t.before, q.Name)
	if n.Text("behavior") != "DROP_CASCADE" && len(n.Nodes("objects")) == 1 && t.Kind != pgcatalog.Partitioned {
		f.Fix = fix
	}
	t.Indexes = slices.DeleteFunc(t.Indexes, func(i pgcatalog.Index) bool { return i.Name == q.Name })
}

func ifExists(n sqlparse.Node) string {
	if n.Flag("missing_ok") {
		return "IF EXISTS "
	}
	return ""
}

func indexSQL(q name) string {
	if q.Schema == "" {
		return ident(q.Name)
	}
	return ident(q.Schema) + "." + ident(q.Name)
}

// rename looks at RENAME of anything.
func (l *look) rename(n sqlparse.Node) {
	r := n.Node("relation")
	switch n.Text("renameType") {
	case "OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW":
		t := l.world.table(r)
		l.lock(t, AccessExclusive)
		if !l.inUse(t, "") {
			l.hit("rename-table", t, "the release that still runs knows %s by its old name alone", t.before)
		}
		l.world.rename(t, name{Schema: t.Schema, Name: n.Text("newname")})
	case "OBJECT_COLUMN":
		l.renameColumn(l.world.table(r), n)
	case "OBJECT_TABCONSTRAINT":
		t := l.world.table(r)
		l.briefly(t, "a constraint of")
		if k := t.Constraint(n.Text("subname")); k != nil {
			k.Name = n.Text("newname")
		}
	case "OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE":
		l.briefly(l.world.table(r), "a trigger, policy or rule of")
	case "OBJECT_SCHEMA":
		l.hit("rename-table", nil, "the release that still runs knows what is in the schema %s by its old name alone", n.Text("subname"))
	}
}

// move looks at SET SCHEMA.
func (l *look) move(n sqlparse.Node) {
	switch n.Text("objectType") {
	case "OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW":
		t := l.world.table(n.Node("relation"))
		l.lock(t, AccessExclusive)
		if !l.inUse(t, "") {
			l.hit("rename-table", t, "the release that still runs looks for %s where it was", t.before)
		}
		l.world.rename(t, name{Schema: n.Text("newschema"), Name: t.Name.Name})
	}
}

// written is a type as format_type writes it, near enough to read it again.
func (l *look) written(n sqlparse.Node) string {
	t := typeOf(n)
	text := strings.TrimPrefix(t.schema+"."+t.base, ".")
	if len(t.mods) > 0 {
		mods := make([]string, len(t.mods))
		for i, m := range t.mods {
			mods[i] = strconv.Itoa(m)
		}
		text += fmt.Sprintf("(%s)", strings.Join(mods, ","))
	}
	if t.array {
		text += "[]"
	}
	return text
}
