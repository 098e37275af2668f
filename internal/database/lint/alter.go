package lint

import (
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/pgcatalog"
	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// alter looks at ALTER TABLE, command by command. ONLY keeps it from what
// inherits.
func (l *look) alter(n sqlparse.Node) {
	if kind := n.Text("objtype"); kind != "OBJECT_TABLE" && kind != "OBJECT_MATVIEW" && kind != "OBJECT_VIEW" {
		return // of an index, a sequence, a type
	}
	t := l.world.table(n.Node("relation"))
	family := l.world.family(t, n.Node("relation").Flag("inh"))
	commands := n.Nodes("cmds")
	for _, c := range commands {
		l.command(t, family, c, len(commands) == 1)
	}
}

func (l *look) command(t *table, family []*table, c sqlparse.Node, alone bool) {
	switch c.Text("subtype") {
	case "AT_AddColumn":
		l.addColumn(t, family, c, alone)
	case "AT_DropColumn":
		l.dropColumn(t, family, c)
	case "AT_AlterColumnType":
		l.changeType(t, family, c)
	case "AT_SetNotNull":
		l.setNotNull(t, family, c.Text("name"), alone)
	case "AT_DropNotNull":
		l.lockAll(family, AccessExclusive)
		l.hit("drop-not-null", t, "%s may be null afterwards, which the release before may not expect", c.Text("name"))
		for _, f := range family {
			if column := f.Column(c.Text("name")); column != nil {
				column.NotNull = false
			}
		}
	case "AT_ColumnDefault":
		l.lockAll(family, AccessExclusive)
		if c.Node("def").There() {
			l.hit("set-default", t, "%s gets a new default, also for rows that the release before inserts", c.Text("name"))
		}
	case "AT_AddConstraint":
		l.addConstraint(t, family, c.Node("def"), alone)
	case "AT_ValidateConstraint":
		l.validate(t, family, c.Text("name"))
	case "AT_DropConstraint":
		l.dropConstraint(t, family, c)
	case "AT_AttachPartition":
		l.attach(t, c.Node("def"))
	case "AT_DetachPartition":
		l.detach(t, c.Node("def"))
	default:
		l.setting(t, family, c)
	}
}

// setting looks at the commands that change no rows and no columns. The modes
// are those of AlterTableGetLockLevel in tablecmds.c.
func (l *look) setting(t *table, family []*table, c sqlparse.Node) {
	switch c.Text("subtype") {
	case "AT_SetStatistics", "AT_SetOptions", "AT_ResetOptions", "AT_ClusterOn", "AT_DropCluster":
		l.lockAll(family[:1], ShareUpdateExclusive)
		if c.Text("subtype") == "AT_SetStatistics" || c.Text("subtype") == "AT_SetOptions" {
			l.lockAll(family, ShareUpdateExclusive)
		}
	case "AT_SetRelOptions", "AT_ResetRelOptions":
		l.lock(t, optionLock(c))
	case "AT_EnableTrig", "AT_EnableAlwaysTrig", "AT_EnableReplicaTrig", "AT_EnableTrigAll", "AT_EnableTrigUser", "AT_DisableTrig", "AT_DisableTrigAll", "AT_DisableTrigUser":
		l.lockAll(family, ShareRowExclusive)
		l.hit("create-trigger", t, "turning triggers on or off keeps writers of %s waiting for a moment", t.before)
	case "AT_SetLogged", "AT_SetUnLogged", "AT_SetTableSpace", "AT_SetAccessMethod":
		l.lock(t, AccessExclusive)
		l.rewrites(t)
		l.hit("rewrite-table", t, "%s is written anew while nobody can read or write it", t.before)
	case "AT_AddInherit", "AT_DropInherit":
		l.lock(t, AccessExclusive)
		l.lock(l.world.table(c.Node("def")), ShareUpdateExclusive)
	case "AT_SetIdentity", "AT_AddIdentity", "AT_DropIdentity", "AT_SetStorage", "AT_SetCompression", "AT_SetExpression", "AT_DropExpression":
		l.briefly(t, "a column of")
		l.lockAll(family, AccessExclusive)
	default:
		l.briefly(t, "a setting of")
	}
}

// optionLock is the lock that storage parameters ask for: reloptions.c.
func optionLock(c sqlparse.Node) Lock {
	for _, o := range c.Node("def").Nodes("items") {
		if slices.Contains([]string{"user_catalog_table", "security_barrier", "security_invoker", "check_option", "fastupdate", "buffering"}, o.Text("defname")) {
			return AccessExclusive
		}
	}
	return ShareUpdateExclusive
}

func (l *look) setNotNull(t *table, family []*table, column string, alone bool) {
	l.lockAll(family, AccessExclusive)
	there := t.Column(column)
	proven := there != nil && there.NotNull || !slices.ContainsFunc(family, func(f *table) bool { return !f.provenNotNull(column) })
	for _, f := range family {
		if c := f.Column(column); c != nil {
			c.NotNull = true
		}
		if !proven {
			l.scans(f)
		}
	}
	if proven {
		return
	}
	f := l.hit("set-not-null", t, "%s is read from beginning to end, under a lock against reads and writes, to see that no %s is null", t.before, column)
	if alone {
		f.Fix = l.fixNotNull(t, column)
	}
}

// attach looks at ATTACH PARTITION.
func (l *look) attach(parent *table, def sqlparse.Node) {
	child := l.world.table(def.Node("name"))
	l.lock(parent, ShareUpdateExclusive)
	l.lockAll(l.world.family(child, true), AccessExclusive)
	for _, sibling := range parent.Children { // the default partition is read for rows that belong into the new one
		if s := l.world.tables[sibling]; s != nil && s.rest {
			l.lock(s, AccessExclusive)
			l.scans(s)
		}
	}
	for _, k := range parent.Constraints {
		if k.References != nil {
			l.lock(child, AccessExclusive)
			l.lock(l.world.named(*k.References), ShareRowExclusive)
		}
	}
	if !proves(child, parent.PartitionKey) {
		l.scans(child)
		l.hit("attach-partition", child, "%s is read from beginning to end, under a lock against reads and writes, before it becomes a partition of %s", child.before, parent.before)
	}
	parent.Children = append(parent.Children, child.Name)
	child.Parents = append(child.Parents, parent.Name)
}

// proves reports whether a valid check of a table mentions the key of the
// partitions: whether it says their bounds only the server can tell.
func proves(t *table, key []string) bool {
	return slices.ContainsFunc(t.Constraints, func(c pgcatalog.Constraint) bool {
		return c.Kind == "check" && c.Validated && all(key, func(column string) bool { return slices.Contains(c.Columns, column) })
	})
}

// detach looks at DETACH PARTITION.
func (l *look) detach(parent *table, def sqlparse.Node) {
	child := l.world.table(def.Node("name"))
	if def.Flag("concurrent") {
		l.lock(parent, ShareUpdateExclusive)
		l.lock(child, AccessExclusive)
		l.concurrently()
		return
	}
	l.lock(parent, AccessExclusive)
	l.lock(child, AccessExclusive)
	l.hit("detach-partition", parent, "%s and its partition %s are locked against reads and writes", parent.before, child.before)
	parent.Children = slices.DeleteFunc(parent.Children, func(n name) bool { return n == child.Name })
}

// concurrently is a finding if the statement stands in a transaction.
func (l *look) concurrently() {
	if l.inTransaction() {
		f := l.hit("concurrently-in-transaction", nil, "CONCURRENTLY can not run inside of a transaction")
		if !l.begun {
			f.Fix = []Step{{SQL: []string{l.statement.Text}, Alone: true}}
		}
	}
}

// constraintName is how the server calls a constraint that has no name.
func constraintName(t *table, columns []string, suffix string) string {
	called := strings.Join(append([]string{t.Name.Name}, columns...), "_")
	return cut(called, 62-len(suffix)) + "_" + suffix
}

func cut(s string, most int) string { return s[:min(len(s), max(most, 0))] }
