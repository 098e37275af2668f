package lint

import (
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/pgcatalog"
	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// dispatch looks at a statement by its kind.
func (l *look) dispatch(n sqlparse.Node) {
	switch n.Kind {
	case "AlterTableStmt":
		l.alter(n)
	case "CreateStmt":
		l.create(n)
	case "CreateTableAsStmt":
		l.world.make(n.Node("into").Node("rel"), pgcatalog.Ordinary)
	case "IndexStmt":
		l.index(n)
	case "ReindexStmt":
		l.reindex(n)
	case "DropStmt":
		l.drop(n)
	case "RenameStmt":
		l.rename(n)
	case "AlterObjectSchemaStmt":
		l.move(n)
	case "TransactionStmt":
		l.begins(n)
	case "VariableSetStmt":
		l.sets(n)
	case "SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "CopyStmt", "TruncateStmt", "LockStmt":
		l.data(n)
	case "DoStmt", "CallStmt":
		l.code(n)
	case "CreateFunctionStmt":
		l.function(n)
	default:
		l.rest(n)
	}
}

// rest are the statements with little to say about.
func (l *look) rest(n sqlparse.Node) {
	switch n.Kind {
	case "CreateTrigStmt":
		t := l.world.table(n.Node("relation"))
		l.lock(t, ShareRowExclusive)
		if from := n.Node("constrrel"); from.There() {
			l.lock(l.world.table(from), ShareRowExclusive)
		}
		l.hit("create-trigger", t, "creating a trigger keeps writers of %s waiting for a moment", t.before)
	case "CreatePolicyStmt", "AlterPolicyStmt":
		l.briefly(l.world.table(n.Node("table")), "a policy of")
	case "RuleStmt":
		l.briefly(l.world.table(n.Node("relation")), "a rule of")
	case "CommentStmt":
		l.comment(n)
	case "CreateStatsStmt":
		for _, r := range n.Nodes("relations") {
			l.lock(l.world.table(r), ShareUpdateExclusive)
		}
	case "CreatePublicationStmt", "AlterPublicationStmt":
		for _, o := range n.Nodes("pubobjects") {
			if r := o.Node("pubtable").Node("relation"); r.There() {
				l.lock(l.world.table(r), ShareUpdateExclusive)
			}
		}
	case "ViewStmt":
		l.view(n)
	case "RefreshMatViewStmt":
		l.refresh(n)
	case "ClusterStmt":
		t := l.world.table(n.Node("relation"))
		l.lock(t, AccessExclusive)
		l.rewrites(t)
		l.hit("rewrite-table", t, "CLUSTER writes %s anew while nobody can read or write it", t.before)
	case "VacuumStmt":
		l.vacuum(n)
	case "AlterEnumStmt":
		l.enum(n)
	case "CreateDomainStmt":
		l.newDomain(n)
	case "AlterDomainStmt":
		l.alterDomain(n)
	case "DropdbStmt":
		l.hit("drop-schema", nil, "DROP DATABASE %s removes everything in it", n.Text("dbname"))
	case "DropOwnedStmt":
		l.hit("drop-schema", nil, "DROP OWNED removes everything that a role has")
	}
}

// briefly is a change under the strongest lock that takes no time of its own.
func (l *look) briefly(t *table, what string) {
	l.lock(t, AccessExclusive)
	l.hit("brief-lock", t, "%s %s is changed under a lock against reads and writes", what, t.before)
}

func (l *look) comment(n sqlparse.Node) {
	object := n.Node("object").Nodes("items")
	var parts []string
	for _, o := range object {
		parts = append(parts, o.Name())
	}
	switch n.Text("objtype") {
	case "OBJECT_COLUMN":
		if len(parts) > 1 {
			l.lock(l.world.named(qualified(parts[:len(parts)-1])), ShareUpdateExclusive)
		}
	case "OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW":
		l.lock(l.world.named(qualified(parts)), ShareUpdateExclusive)
	}
}

func (l *look) view(n sqlparse.Node) {
	r := n.Node("view")
	t := l.world.named(name{Schema: r.Text("schemaname"), Name: r.Text("relname")})
	if !t.here && l.world.known || !n.Flag("replace") {
		l.world.make(r, pgcatalog.View)
		return
	}
	l.lock(t, AccessExclusive)
	l.hit("replace-view", t, "the view %s is replaced", t.before)
}

func (l *look) refresh(n sqlparse.Node) {
	t := l.world.table(n.Node("relation"))
	if n.Flag("concurrent") {
		l.lock(t, Exclusive)
		return
	}
	l.lock(t, AccessExclusive)
	l.rewrites(t)
	f := l.hit("refresh-view", t, "nobody can read %s while it is refreshed", t.before)
	if slices.ContainsFunc(t.Indexes, func(i pgcatalog.Index) bool { return i.Unique && i.Predicate == "" && !i.Expression }) || !l.world.known {
		f.Fix = steps("REFRESH MATERIALIZED VIEW CONCURRENTLY " + t.sql())
	}
}

func (l *look) vacuum(n sqlparse.Node) {
	full := false
	for _, o := range n.Nodes("options") {
		full = full || o.Text("defname") == "full"
	}
	for _, r := range n.Nodes("rels") {
		t := l.world.table(r.Node("relation"))
		if !full {
			l.lock(t, ShareUpdateExclusive)
			continue
		}
		l.lock(t, AccessExclusive)
		l.rewrites(t)
		l.hit("rewrite-table", t, "VACUUM FULL writes %s anew while nobody can read or write it", t.before)
	}
}

func (l *look) enum(n sqlparse.Node) {
	q := qualified(n.Names("typeName"))
	if old := n.Text("oldVal"); old != "" {
		l.hit("enum-rename", nil, "the value %s of %s is called %s afterwards", old, q.Name, n.Text("newVal"))
		return
	}
	if n.Text("newValNeighbor") == "" {
		l.hit("enum-order", nil, "the value %s of %s sorts behind all others", n.Text("newVal"), q.Name)
	}
	if l.inTransaction() {
		l.world.enums[name{Schema: q.Name, Name: n.Text("newVal")}] = l.transact
	}
}

// usesEnum finds values that were added in the same transaction.
func (l *look) usesEnum(n sqlparse.Node) {
	for c := range n.All() {
		value := c.Node("sval").Text("sval")
		if c.Kind != "A_Const" || value == "" {
			continue
		}
		for added, transaction := range l.world.enums {
			if added.Name == value && transaction == l.transact {
				l.hit("enum-in-transaction", nil, "the value %s of %s was added in this transaction and can not be used yet", value, added.Schema)
				return
			}
		}
	}
}

func (l *look) newDomain(n sqlparse.Node) {
	q := qualified(n.Names("domainname"))
	if q.Schema == "" {
		q.Schema = l.world.path[0]
	}
	d := Domain{Name: q, Base: l.text(n.Node("typeName"))}
	for _, c := range n.Nodes("constraints") {
		kind := c.Text("contype")
		d.Constrained = d.Constrained || kind == "CONSTR_CHECK" || kind == "CONSTR_NOTNULL"
	}
	l.world.domains[q] = d
}

func (l *look) alterDomain(n sqlparse.Node) {
	q := qualified(n.Names("typeName"))
	subtype := n.Text("subtype")
	validates := subtype == "V" || subtype == "O" || subtype == "C" && !n.Node("def").Flag("skip_validation")
	if d, ok := l.world.domain(sqlType{schema: q.Schema, base: q.Name}); ok && (subtype == "O" || subtype == "C") {
		d.Constrained = true
		l.world.domains[d.Name] = d
	}
	if !validates {
		return
	}
	for _, t := range l.tablesWith(q) {
		l.lock(t, Share)
		l.scans(t)
		l.hit("domain-constraint", t, "nobody can write %s until the constraint of the domain %s is proven", t.before, q.Name)
	}
	if !l.world.known {
		l.hit("domain-constraint", nil, "nobody can write any table that uses the domain %s until its constraint is proven", q.Name)
	}
}

// tablesWith are the tables that have columns of a domain, in their order.
func (l *look) tablesWith(domain name) []*table {
	var list []*table
	for _, t := range l.world.tables {
		for _, c := range t.Columns {
			if c.TypeKind == "d" && c.TypeName.Name == domain.Name && (domain.Schema == "" || c.TypeName.Schema == domain.Schema) && t.Kind != pgcatalog.View {
				list = append(list, t)
				break
			}
		}
	}
	slices.SortFunc(list, func(a, b *table) int { return a.Compare(b.Name) })
	return list
}

// sql is the table's name as SQL.
func (t *table) sql() string {
	if t.Schema == "public" {
		return ident(t.Name.Name)
	}
	return ident(t.Schema) + "." + ident(t.Name.Name)
}

// ident quotes a name where it must be.
func ident(s string) string {
	plain := s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == "" && (s[0] < '0' || s[0] > '9')
	if plain && !reserved(s) {
		return s
	}
	return sqlparse.Quote(s)
}

func idents(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = ident(s)
	}
	return strings.Join(quoted, ", ")
}

// reserved are the reserved words of PostgreSQL 17 (appendix C of its manual).
func reserved(word string) bool {
	return slices.Contains(strings.Fields(`all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate
collation column concurrently constraint create cross current_catalog current_date current_role current_schema current_time current_timestamp
current_user default deferrable desc distinct do else end except false fetch for foreign freeze from full grant group having ilike in initially
inner intersect into is isnull join lateral leading left like limit localtime localtimestamp natural not notnull null offset on only or order
outer overlaps placing primary references returning right select session_user similar some symmetric system_user table tablesample then to
trailing true union unique user using variadic verbose when where window with`), word)
}

// text is the part of the statement in which a node begins, up to a comma or
// the end; for types.
func (l *look) text(n sqlparse.Node) string {
	t := typeOf(n)
	return strings.TrimPrefix(t.schema+"."+t.base, ".")
}
