package lint

import (
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// transaction looks at the statement as one of its transaction.
func (l *look) transaction() {
	if !l.inTransaction() {
		return
	}
	order := &l.histories[len(l.histories)-1]
	for _, table := range l.effect.order {
		if !l.effect.mode(table).Stronger(ShareUpdateExclusive) || slices.Contains(*order, table) {
			continue
		}
		l.opposite(table, *order)
		*order = append(*order, table)
	}
	if n := len(*order); n > 1 && len(l.effect.Locks) == 1 && (*order)[n-1] == l.effect.Locks[0].Table && !l.hasTaken(l.effect.Locks[0]) && l.big((*order)[:n-1]) {
		t := l.world.named((*order)[n-1])
		l.hit("several-locks", t, "it locks %s while the lock on %s is held", t.before, (*order)[n-2])
	}
}

// hasTaken reports whether a statement before in this transaction has the lock.
func (l *look) hasTaken(lock Locked) bool {
	return slices.ContainsFunc(l.current, func(i int) bool {
		return slices.ContainsFunc(l.effects[i].Locks, func(o Locked) bool { return o.Table == lock.Table && !lock.Mode.Stronger(o.Mode) })
	})
}

// big reports whether any of the tables is one that users notice.
func (l *look) big(tables []name) bool {
	return slices.ContainsFunc(tables, func(n name) bool {
		rows := l.world.named(n).rows(l.world)
		return rows < 0 || rows >= l.options.Tiny
	})
}

// opposite finds an earlier transaction that locked table first and then one
// that this transaction holds already.
func (l *look) opposite(table name, held []name) {
	for _, history := range l.histories[:len(l.histories)-1] {
		at := slices.Index(history, table)
		for _, h := range held {
			if before := slices.Index(history, h); at >= 0 && before > at {
				l.hit("lock-order", l.world.named(table), "it locks %s after %s, a transaction before does it the other way", table, h)
				return
			}
		}
	}
}

// held is the strongest lock that statements before in this transaction have
// taken on a table, "" for none.
func (l *look) held(t *table) Lock {
	var strongest Lock
	if !l.inTransaction() {
		return strongest
	}
	for _, i := range l.current {
		for _, lock := range l.effects[i].Locks {
			if lock.Table == t.before && (strongest == "" || lock.Mode.Stronger(strongest)) {
				strongest = lock.Mode
			}
		}
	}
	return strongest
}

// begins looks at BEGIN, COMMIT and the like.
func (l *look) begins(n sqlparse.Node) {
	switch n.Text("kind") {
	case "TRANS_STMT_BEGIN", "TRANS_STMT_START":
		if l.begun || !l.separate && l.noons {
			l.hit("nested-transaction", nil, "a transaction is open already")
		}
		l.begun = true
		l.next()
	case "TRANS_STMT_COMMIT", "TRANS_STMT_ROLLBACK", "TRANS_STMT_PREPARE":
		if !l.begun {
			l.hit("nested-transaction", nil, "it ends the transaction that the runner has begun")
		}
		l.begun = false
		l.next()
	}
}

// atEnd looks at the script as a whole.
func (k *check) atEnd() {
	if len(k.statements) == 0 {
		return
	}
	last := len(k.statements) - 1
	if k.begun {
		l := &look{check: k, world: k.world, statement: k.statements[last], effect: Effect{Statement: last}}
		l.hit("uncommitted", nil, "the script ends with its transaction open")
		k.findings = append(k.findings, l.finish()...)
	}
	if k.timeout || k.noons {
		return
	}
	for i, e := range k.effects {
		if mode := e.strongest(); mode.Stronger(ShareUpdateExclusive) {
			l := &look{check: k, world: k.world, statement: k.statements[i], effect: e}
			l.hit("no-lock-timeout", k.world.named(e.Locks[0].Table), "the %s lock waits without an end behind one long query, and everybody else waits behind it", mode)
			k.findings = append(k.findings, l.finish()...)
			return // once is enough
		}
	}
}

// sets looks at SET: lock_timeout, and what other statements depend on.
func (l *look) sets(n sqlparse.Node) {
	value := ""
	for _, a := range n.Nodes("args") {
		value = a.Node("sval").Text("sval")
		if value == "" {
			value = strings.Repeat("x", min(1, a.Node("ival").Int("ival"))) // any number but 0
		}
	}
	switch n.Text("name") {
	case "lock_timeout", "statement_timeout":
		l.timeout = l.timeout || value != "" && value != "0"
	case "timezone":
		l.world.utc = strings.EqualFold(value, "utc") || strings.EqualFold(value, "Etc/UTC")
	case "search_path":
		var path []string
		for _, a := range n.Nodes("args") {
			path = append(path, a.Node("sval").Text("sval"))
		}
		if len(path) > 0 {
			l.world.path = path
		}
	}
}
