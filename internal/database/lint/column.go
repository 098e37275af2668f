package lint

import (
	"slices"

	"github.com/noon-deploy/noon/internal/database/pgcatalog"
	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// constraintsOf are the constraints of a column by their kind.
func constraintsOf(column sqlparse.Node) map[string]sqlparse.Node {
	kinds := map[string]sqlparse.Node{}
	for _, c := range column.Nodes("constraints") {
		kinds[c.Text("contype")] = c
	}
	return kinds
}

// addColumn looks at ADD COLUMN.
func (l *look) addColumn(t *table, family []*table, c sqlparse.Node, alone bool) {
	def := c.Node("def")
	column := def.Text("colname")
	if c.Flag("missing_ok") && t.Column(column) != nil {
		l.lockAll(family, AccessExclusive)
		return
	}
	kind, has := typeOf(def.Node("typeName")), constraintsOf(def)
	l.lockAll(family, AccessExclusive)
	l.rewritten(t, family, def, kind, has, alone)
	l.required(t, column, kind, has)
	l.constrained(t, family, def, has, alone)
	if kind.base == "json" && kind.schema == "" {
		l.hit("json-column", t, "%s of type json has no equality", column)
	}
	for _, f := range family {
		added := pgcatalog.Column{Name: column, Type: l.text(def.Node("typeName")), NotNull: has["CONSTR_NOTNULL"].There() || has["CONSTR_PRIMARY"].There()}
		if d, ok := l.world.domain(kind); ok {
			added.TypeKind, added.TypeName = "d", d.Name
		}
		f.Columns = append(f.Columns, added)
	}
}

// rewritten finds what makes ADD COLUMN write every row.
func (l *look) rewritten(t *table, family []*table, def sqlparse.Node, kind sqlType, has map[string]sqlparse.Node, alone bool) {
	column := def.Text("colname")
	var rule, hazard string
	domain, isDomain := l.world.domain(kind)
	switch {
	case serial(kind) || has["CONSTR_IDENTITY"].There():
		rule, hazard = "add-column-serial", "every row of %s is written anew, under a lock against reads and writes, to number %s"
	case has["CONSTR_GENERATED"].There():
		rule, hazard = "add-column-generated", "every row of %s is written anew, under a lock against reads and writes, to compute %s"
	case l.world.varies(has["CONSTR_DEFAULT"]):
		rule, hazard = "add-column-volatile-default", "every row of %s is written anew, under a lock against reads and writes, as each needs its own default of %s"
	case isDomain && domain.Constrained:
		rule, hazard = "add-column-domain", "every row of %s is written anew, under a lock against reads and writes, as the domain of %s has constraints"
	default:
		return
	}
	for _, f := range family {
		l.rewrites(f)
	}
	f := l.hit(rule, t, hazard, t.before, column)
	if rule == "add-column-volatile-default" && alone {
		f.Fix = l.fixVolatile(t, def, has)
	}
}

// required finds a column that rows there can not have.
func (l *look) required(t *table, column string, kind sqlType, has map[string]sqlparse.Node) {
	filled := has["CONSTR_DEFAULT"].There() || has["CONSTR_IDENTITY"].There() || has["CONSTR_GENERATED"].There() || serial(kind)
	if d, ok := l.world.domain(kind); ok && d.Constrained && !filled {
		return // its default, if it has one, is not known
	}
	if (has["CONSTR_NOTNULL"].There() || has["CONSTR_PRIMARY"].There()) && !filled && t.Rows != 0 {
		l.hit("add-column-required", t, "%s has to have a value in every row of %s, and there is none", column, t.before)
	}
}

// constrained looks at the constraints that come with a column.
func (l *look) constrained(t *table, family []*table, def sqlparse.Node, has map[string]sqlparse.Node, alone bool) {
	column := def.Text("colname")
	fixable := alone && len(has) == 1
	if c, ok := has["CONSTR_CHECK"]; ok {
		for _, f := range family {
			l.scans(f)
		}
		f := l.hit("add-column-check", t, "%s is read from beginning to end, under a lock against reads and writes, to prove the check of %s", t.before, column)
		if fixable {
			f.Fix = l.fixColumnConstraint(t, def, c, "check")
		}
		t.Constraints = append(t.Constraints, pgcatalog.Constraint{Name: constraintName(t, []string{column}, "check"), Kind: "check", Columns: []string{column}, Validated: true})
	}
	for kind, what := range map[string]string{"CONSTR_UNIQUE": "unique", "CONSTR_PRIMARY": "primary key"} {
		c, ok := has[kind]
		if !ok {
			continue
		}
		l.builds(t)
		f := l.hit("add-column-unique", t, "an index over %s is built under a lock on %s against reads and writes", column, t.before)
		if fixable && kind == "CONSTR_UNIQUE" {
			f.Fix = l.fixColumnConstraint(t, def, c, "key")
		}
		t.Constraints = append(t.Constraints, pgcatalog.Constraint{Name: constraintName(t, []string{column}, "key"), Kind: what, Columns: []string{column}, Validated: true})
	}
	if c, ok := has["CONSTR_FOREIGN"]; ok {
		l.references(t, def, c, fixable)
	}
}

func (l *look) references(t *table, def, c sqlparse.Node, fixable bool) {
	column := def.Text("colname")
	other := l.world.table(c.Node("pktable"))
	l.lock(other, ShareRowExclusive)
	f := l.hit("add-column-references", t, "adding %s also locks %s against writes", column, other.before)
	if fixable {
		f.Fix = l.fixColumnConstraint(t, def, c, "fkey")
	}
	t.Constraints = append(t.Constraints, pgcatalog.Constraint{Name: constraintName(t, []string{column}, "fkey"), Kind: "foreign key", Columns: []string{column}, References: &other.Name, Validated: true})
}

// dropColumn looks at DROP COLUMN.
func (l *look) dropColumn(t *table, family []*table, c sqlparse.Node) {
	column := c.Text("name")
	l.lockAll(family, AccessExclusive)
	cascade := c.Text("behavior") == "DROP_CASCADE"
	for _, k := range t.Constraints {
		if slices.Contains(k.Columns, column) && k.References != nil && *k.References != t.Name {
			other := l.world.named(*k.References)
			l.lock(other, AccessExclusive)
			l.hit("drop-foreign-key", other, "with %s goes its foreign key %s, and %s is locked against reads and writes as well", column, k.Name, other.before)
		}
	}
	for _, in := range l.world.inbound(t) {
		if slices.Contains(in.Constraint.ReferencesAre, column) && cascade {
			l.lock(l.world.named(in.From), AccessExclusive)
		}
	}
	if cascade {
		l.cascade(t.dependents(column))
	}
	if !l.inUse(t, column) && !l.contract && t.Column(column) != nil || !l.world.known {
		if !l.contract {
			l.hit("drop-column", t, "%s of %s is gone for the release that still runs, with its data", column, t.before)
		}
	}
	for _, f := range family {
		f.drop(column)
	}
}

// cascade locks the views that go with what is dropped.
func (l *look) cascade(list []pgcatalog.Dependent) {
	for _, d := range list {
		if v := l.world.tables[d.Name]; v != nil && (d.Kind == "view" || d.Kind == "materialized view") {
			l.lock(v, AccessExclusive)
			l.hit("drop-table", v, "CASCADE drops the %s %s as well", d.Kind, d.Name)
		}
	}
}

// changeType looks at ALTER COLUMN TYPE.
func (l *look) changeType(t *table, family []*table, c sqlparse.Node) {
	column := c.Text("name")
	to := typeOf(c.Node("def").Node("typeName"))
	var from sqlType
	if there := t.Column(column); there != nil {
		from = l.columnType(there)
	}
	l.lockAll(family, AccessExclusive)
	l.otherEnds(t, column)
	rewrites := l.world.rewrites(from, to)
	if using := c.Node("def").Node("raw_default"); using.There() && !trivial(using, column) {
		rewrites = true
	}
	if uses := t.dependents(column); len(uses) > 0 {
		l.hit("change-type-used", t, "the type of %s can not be changed while the %s %s uses it", column, uses[0].Kind, uses[0].Name)
	}
	if old, next := l.world.base(from), l.world.base(to); breaksReaders(old, next) {
		l.hit("change-type-breaks", t, "%s was %s and is %s afterwards, for the release before as well", column, old.base, next.base)
	}
	if rewrites {
		for _, f := range family {
			l.rewrites(f)
		}
		what := "every value of %s must be converted: %s is written anew, under a lock against reads and writes"
		if !from.known {
			what += " (the type it has now is not known, so this is assumed)"
		}
		l.hit("change-type-rewrite", t, what, column, t.before)
	}
	for _, f := range family {
		if there := f.Column(column); there != nil {
			there.Type, there.TypeKind = l.written(c.Node("def").Node("typeName")), "b"
			if d, ok := l.world.domain(to); ok {
				there.TypeKind, there.TypeName = "d", d.Name
			}
		}
	}
}

// columnType is the type of a column of the catalogue.
func (l *look) columnType(c *pgcatalog.Column) sqlType {
	t := typeNamed(c.Type)
	if c.TypeKind == "d" {
		t.schema, t.base = c.TypeName.Schema, c.TypeName.Name
	}
	return t
}

// otherEnds locks the tables at the other end of foreign keys over a column
// whose type changes: the keys are made again.
func (l *look) otherEnds(t *table, column string) {
	for _, k := range t.Constraints {
		if k.References != nil && slices.Contains(k.Columns, column) {
			l.lock(l.world.named(*k.References), AccessExclusive)
		}
	}
	for _, in := range l.world.inbound(t) {
		if slices.Contains(in.Constraint.ReferencesAre, column) {
			l.lock(l.world.named(in.From), AccessExclusive)
		}
	}
}

// trivial reports whether USING only casts the column.
func trivial(using sqlparse.Node, column string) bool {
	for using.Kind == "TypeCast" {
		using = using.Node("arg")
	}
	return using.Kind == "ColumnRef" && slices.Equal(using.Names("fields"), []string{column})
}

// renameColumn looks at RENAME COLUMN.
func (l *look) renameColumn(t *table, n sqlparse.Node) {
	old, next := n.Text("subname"), n.Text("newname")
	family := l.world.family(t, n.Node("relation").Flag("inh"))
	l.lockAll(family, AccessExclusive)
	if !l.inUse(t, old) {
		l.hit("rename-column", t, "the release that still runs knows %s of %s by its old name alone", old, t.before)
	}
	for _, f := range family {
		if c := f.Column(old); c != nil {
			c.Name = next
		}
		for i := range f.Constraints {
			renameIn(f.Constraints[i].Columns, old, next)
		}
		for i := range f.Indexes {
			renameIn(f.Indexes[i].Columns, old, next)
		}
	}
}

func renameIn(list []string, old, next string) {
	if i := slices.Index(list, old); i >= 0 {
		list[i] = next
	}
}
