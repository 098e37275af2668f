package lint

import (
	"cmp"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/pgcatalog"
	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// addConstraint looks at ADD CONSTRAINT.
func (l *look) addConstraint(t *table, family []*table, c sqlparse.Node, alone bool) {
	switch c.Text("contype") {
	case "CONSTR_FOREIGN":
		l.addForeignKey(t, family, c, alone)
	case "CONSTR_CHECK":
		l.addCheck(t, family, c, alone)
	case "CONSTR_UNIQUE", "CONSTR_PRIMARY":
		l.addUnique(t, family, c, alone)
	case "CONSTR_EXCLUSION":
		l.lockAll(family, AccessExclusive)
		for _, f := range family {
			l.builds(f)
		}
		l.hit("add-exclude", t, "an index is built under a lock on %s against reads and writes", t.before)
	default:
		l.lockAll(family, AccessExclusive)
	}
}

func (l *look) addCheck(t *table, family []*table, c sqlparse.Node, alone bool) {
	l.lockAll(family, AccessExclusive)
	columns := columnsIn(c.Node("raw_expr"))
	k := pgcatalog.Constraint{
		Name: cmp.Or(c.Text("conname"), checkName(t, columns)), Kind: "check", Columns: columns, Validated: !c.Flag("skip_validation"),
	}
	if test := c.Node("raw_expr"); test.Kind == "NullTest" && test.Text("nulltesttype") == "IS_NOT_NULL" && len(columns) == 1 {
		k.Expression = "(" + columns[0] + " IS NOT NULL)"
	}
	for _, f := range family {
		f.Constraints = append(f.Constraints, k)
	}
	if !k.Validated {
		return
	}
	for _, f := range family {
		l.scans(f)
	}
	f := l.hit("add-check", t, "%s is read from beginning to end, under a lock against reads and writes, to prove the check", t.before)
	if alone {
		f.Fix = l.fixNotValid(t, k.Name, c)
	}
}

// checkName is the server's name of a check without one: the table, and the
// column if it is about one.
func checkName(t *table, columns []string) string {
	if len(columns) != 1 {
		columns = nil
	}
	return constraintName(t, columns, "check")
}

// columnsIn are the columns that an expression names, in their order.
func columnsIn(expression sqlparse.Node) []string {
	var list []string
	for n := range expression.All() {
		if parts := n.Names("fields"); n.Kind == "ColumnRef" && len(parts) > 0 && !slices.Contains(list, parts[len(parts)-1]) {
			list = append(list, parts[len(parts)-1])
		}
	}
	return list
}

// saysNotNull reports whether a check is that a column is not null, with or
// without more that must hold as well.
func saysNotNull(c pgcatalog.Constraint, column string) bool {
	for part := range strings.SplitSeq(c.Expression, " AND ") {
		if strings.Trim(part, "()") == ident(column)+" IS NOT NULL" {
			return !strings.Contains(c.Expression, " OR ")
		}
	}
	return false
}

func (l *look) addForeignKey(t *table, family []*table, c sqlparse.Node, alone bool) {
	other := l.world.table(c.Node("pktable"))
	columns := c.Names("fk_attrs")
	l.lockAll(family, ShareRowExclusive)
	l.lock(other, ShareRowExclusive)
	if other.Kind == pgcatalog.Partitioned {
		l.lockAll(l.world.family(other, true), ShareRowExclusive)
	}
	referenced := c.Names("pk_attrs")
	if len(referenced) == 0 {
		referenced = other.PrimaryKey()
	}
	k := pgcatalog.Constraint{
		Name: cmp.Or(c.Text("conname"), constraintName(t, columns, "fkey")), Kind: "foreign key", Columns: columns,
		References: &other.Name, ReferencesAre: referenced, Validated: !c.Flag("skip_validation"),
	}
	t.Constraints = append(t.Constraints, k)
	if !k.Validated {
		l.hit("add-foreign-key-lock", t, "%s and %s are locked against writes for a moment", t.before, other.before)
		return
	}
	for _, f := range family {
		l.scans(f)
	}
	f := l.hit("add-foreign-key", t, "nobody can write %s or %s until every row of %s is looked up", t.before, other.before, t.before)
	if alone && t.Kind != pgcatalog.Partitioned {
		f.Fix = l.fixNotValid(t, k.Name, c)
	}
}

func (l *look) addUnique(t *table, family []*table, c sqlparse.Node, alone bool) {
	l.lockAll(family, AccessExclusive)
	primary := c.Text("contype") == "CONSTR_PRIMARY"
	columns := c.Names("keys")
	index := c.Text("indexname")
	if index != "" {
		if i := t.Index(index); i != nil {
			columns = i.Columns[:min(i.Keys, len(i.Columns))]
			i.Constraint, i.Primary = cmp.Or(c.Text("conname"), index), primary
		}
	}
	unproven := l.nullable(t, columns, primary)
	kind := "unique"
	if primary {
		kind = "primary key"
	}
	called := cmp.Or(c.Text("conname"), index, l.keyName(t, columns, primary))
	t.Constraints = append(t.Constraints, pgcatalog.Constraint{Name: called, Kind: kind, Columns: columns, Validated: true, Index: called})
	if index != "" {
		return
	}
	t.Indexes = append(t.Indexes, pgcatalog.Index{Name: called, Columns: columns, Keys: len(columns), Unique: true, Primary: primary, Valid: true, Constraint: called})
	for _, f := range family {
		l.builds(f)
	}
	f := l.hit("add-unique", t, "an index over %s is built under a lock on %s against reads and writes", strings.Join(columns, ", "), t.before)
	if alone && t.Kind != pgcatalog.Partitioned && len(c.Nodes("including")) == 0 && !c.Flag("nulls_not_distinct") && len(c.Nodes("options")) == 0 {
		f.Fix = slices.Concat(l.fixNullable(t, unproven), l.fixUnique(t, called, columns, kind, c))
	}
}

func (l *look) keyName(t *table, columns []string, primary bool) string {
	if primary {
		return constraintName(t, nil, "pkey")
	}
	return constraintName(t, columns, "key")
}

// nullable finds columns of a new primary key that have to be proven.
func (l *look) nullable(t *table, columns []string, primary bool) (unproven []string) {
	if !primary {
		return nil
	}
	for _, column := range columns {
		c := t.Column(column)
		if c == nil || c.NotNull {
			continue
		}
		c.NotNull = true
		if !t.provenNotNull(column) {
			l.scans(t)
			l.hit("primary-key-nullable", t, "%s is read from beginning to end, under a lock against reads and writes, to see that no %s is null", t.before, column)
			unproven = append(unproven, column)
		}
	}
	return unproven
}

// validate looks at VALIDATE CONSTRAINT.
func (l *look) validate(t *table, family []*table, called string) {
	k := t.Constraint(called)
	held := l.held(t)
	l.lock(t, ShareUpdateExclusive)
	if k != nil && k.Validated {
		return
	}
	l.scans(t)
	if k != nil && k.References != nil {
		l.lock(l.world.named(*k.References), RowShare)
	} else {
		for _, f := range family {
			l.lock(f, ShareUpdateExclusive)
			l.scans(f)
		}
	}
	for _, f := range family {
		if c := f.Constraint(called); c != nil {
			c.Validated = true
		}
	}
	if held.Stronger(ShareUpdateExclusive) {
		f := l.hit("validate-with-lock", t, "the %s lock on %s, taken before in this transaction, is kept until all rows are read", held, t.before)
		if !l.begun {
			f.Fix = steps(l.statement.Text)
		}
	}
}

// dropConstraint looks at DROP CONSTRAINT.
func (l *look) dropConstraint(t *table, family []*table, c sqlparse.Node) {
	called := c.Text("name")
	l.lockAll(family, AccessExclusive)
	k := t.Constraint(called)
	for _, f := range family {
		defer f.dropConstraint(called)
	}
	switch {
	case k == nil:
		return
	case k.References != nil:
		other := l.world.named(*k.References)
		l.lock(other, AccessExclusive)
		l.hit("drop-foreign-key", t, "dropping %s also locks %s against reads and writes", called, other.before)
	case k.Kind == "primary key" || k.Kind == "unique":
		for _, in := range l.world.inbound(t) {
			if c.Text("behavior") == "DROP_CASCADE" && slices.Equal(in.Constraint.ReferencesAre, k.Columns) {
				other := l.world.named(in.From)
				l.lock(other, AccessExclusive)
				l.hit("drop-foreign-key", other, "CASCADE drops its foreign key %s as well, under a lock against reads and writes", in.Constraint.Name)
			}
		}
	}
}
