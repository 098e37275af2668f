package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon/internal/database/pgcatalog"
)

// quietWait is how long a lock that stands in nobody's way is waited for. It is
// longer than deadlock_timeout (1 s), after which a waiter makes autovacuum give
// way: behind the short timeout of strong locks it never would.
const quietWait = 3 * time.Second

// together carries a stage out in one transaction, again and again while it
// does not get its locks.
func (r *run) together(ctx context.Context, phase Phase, s Stage) error {
	until := time.Now().Add(r.e.c.LockBudget)
	for try := 1; ; try++ {
		err := r.transaction(ctx, phase, s)
		if c := code(err); c != lockNotAvailable && c != deadlockDetected {
			return r.broken(ctx, s, err)
		}
		blockers := r.blockers(ctx, s)
		r.tell(Progress{Phase: phase, Stage: s.Name, Try: try, Blockers: blockers})
		if time.Now().After(until) {
			why := fmt.Errorf("the locks were not free within %s: %w\n%s", r.e.c.LockBudget, err, describeAll(blockers))
			return explain("change schema", r.plan.name()+" ("+s.Name+")", why)
		}
		if err := r.endIdle(ctx, blockers); err != nil {
			return err
		}
		if !pause(ctx, r.e.c.LockTimeout+rand.N(3*r.e.c.LockTimeout)) {
			return explain("change schema", r.plan.name(), ctx.Err())
		}
	}
}

// transaction carries a stage out once. Its record is part of it.
func (r *run) transaction(ctx context.Context, phase Phase, s Stage) error {
	tx, err := r.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // after a commit there is nothing left
	if err := r.prologue(ctx, tx, s); err != nil {
		return err
	}
	if err := r.locks(ctx, tx, s); err != nil {
		return err
	}
	if s.Name == "contract" && phase == Contracted {
		if err := r.alone(ctx, tx, false); err != nil { // once more, now that nothing can come between
			return err
		}
	}
	if err := r.carryOut(ctx, tx, s.SQL); err != nil {
		return err
	}
	if err := r.epilogue(ctx, tx, phase, s); err != nil {
		return err
	}
	r.e.c.Fault.Point("postgres.together.commit")
	return tx.Commit(ctx)
}

// locks takes the stage's locks: first, patiently, one that only other changes
// of the schema and vacuum conflict with, then the strong ones, for which all
// users of the table wait, within one budget for all of them together.
func (r *run) locks(ctx context.Context, tx pgx.Tx, s Stage) error {
	var strong []string
	for _, l := range s.Locks {
		if l.Mode == exclusive || l.Mode == shareRow {
			strong = append(strong, "lock table "+qualified(r.plan.Schema, l.Table)+" in "+l.Mode+" mode")
		}
	}
	fast := max(r.e.c.LockTimeout/time.Duration(max(len(strong), 1)), 20*time.Millisecond)
	var list []string
	list = append(list, timeout(quietWait))
	for _, l := range s.Locks {
		list = append(list, "lock table "+qualified(r.plan.Schema, l.Table)+" in SHARE UPDATE EXCLUSIVE mode")
	}
	list = append(list, timeout(fast))
	list = append(list, s.Before...)
	list = append(list, strong...)
	for _, sql := range list {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%w in: %s", err, sql)
		}
	}
	return nil
}

func timeout(d time.Duration) string {
	return fmt.Sprintf("set local lock_timeout = '%dms'", d.Milliseconds())
}

// prologue is what noon adds to a stage in its transaction before its locks,
// while nobody waits for it.
func (r *run) prologue(ctx context.Context, tx pgx.Tx, s Stage) error {
	if s.Name != "expand" {
		return nil
	}
	if err := begin(ctx, tx, r.plan); err != nil {
		return err
	}
	return r.e.roles(ctx, tx, r.plan)
}

// carryOut runs the statements for which a stage has its locks. It sends as many
// at once as it can: what the network, and a machine with much to do, add to
// each round trip is time for which everybody waits behind the locks.
func (r *run) carryOut(ctx context.Context, tx pgx.Tx, list []string) error {
	alone := func(sql string) bool { // it may be several, or has to be told of by itself
		return r.e.c.Trace != nil || strings.Contains(sql, ";")
	}
	for from := 0; from < len(list); {
		to := from + 1
		for !alone(list[from]) && to < len(list) && !alone(list[to]) {
			to++
		}
		var done int
		var err error
		if to > from+1 {
			done, err = atOnce(ctx, tx, list[from:to])
		} else {
			_, err = tx.Exec(ctx, list[from])
		}
		if err != nil {
			return fmt.Errorf("%w in: %s", err, list[min(from+done, to-1)])
		}
		from = to
	}
	return nil
}

// atOnce sends statements in one message, and tells how many of them were done.
// One may end with a comment, which lasts to the end of its line.
func atOnce(ctx context.Context, tx pgx.Tx, list []string) (done int, err error) {
	results := tx.Conn().PgConn().Exec(ctx, strings.Join(list, "\n;\n"))
	for results.NextResult() {
		if _, err := results.ResultReader().Close(); err == nil {
			done++
		}
	}
	return done, results.Close()
}

// epilogue writes down what the stage has done.
func (r *run) epilogue(ctx context.Context, tx pgx.Tx, phase Phase, s Stage) error {
	switch {
	case phase == Withdrawn:
		return forget(ctx, tx, r.plan)
	case s.Name == "contract":
		if err := setState(ctx, tx, r.plan, StateContracted); err != nil {
			return err
		}
	}
	return record(ctx, tx, r.plan, phase, s.Name, "done")
}

// broken names the rows that break a constraint that the stage looks at.
func (r *run) broken(ctx context.Context, s Stage, err error) error {
	if err == nil {
		return nil
	}
	if s.Check != nil && data(err) {
		key := s.Check.Key
		if len(key) == 0 {
			key = []string{"ctid"}
		}
		sql := fmt.Sprintf("select concat_ws(', ', %s) from %s where %s limit 5", quoteAll(key), qualified(r.plan.Schema, s.Check.Table), s.Check.Where)
		if rows, failed := r.conn.Query(ctx, sql); failed == nil {
			if found, failed := pgx.CollectRows(rows, pgx.RowTo[string]); failed == nil && len(found) > 0 {
				err = fmt.Errorf("%w: rows of %s with %s = %s", err, s.Check.Table, strings.Join(key, ", "), strings.Join(found, "; "))
			}
		}
	}
	return explain("change schema", r.plan.name()+" ("+s.Name+")", err)
}

// blockers are the sessions with locks on the stage's tables, the oldest
// transaction first.
func (r *run) blockers(ctx context.Context, s Stage) []pgcatalog.Session {
	var tables []string
	for _, l := range s.Locks {
		tables = append(tables, qualified(r.plan.Schema, l.Table))
	}
	rows, err := r.conn.Query(ctx, "select distinct pid from pg_locks where granted and pid <> pg_backend_pid() and relation in (select to_regclass(t) from unnest($1::text[]) t)", tables)
	if err != nil {
		return nil
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return nil
	}
	list, err := pgcatalog.Sessions(ctx, r.conn)
	if err != nil {
		return nil
	}
	list = slices.DeleteFunc(list, func(s pgcatalog.Session) bool { return !slices.Contains(pids, s.PID) })
	slices.SortStableFunc(list, func(a, b pgcatalog.Session) int { return int(b.Since - a.Since) })
	return list
}

// endIdle ends those in the way that do nothing, if noon may.
func (r *run) endIdle(ctx context.Context, list []pgcatalog.Session) error {
	if r.e.c.EndIdle <= 0 {
		return nil
	}
	idle := slices.DeleteFunc(slices.Clone(list), func(s pgcatalog.Session) bool {
		return !strings.HasPrefix(s.State, "idle in transaction") || s.Since < r.e.c.EndIdle
	})
	return r.end(ctx, idle)
}

// index carries out a stage that allows no transaction. What it left behind
// when it was cut off is looked at, and cleaned up, before it is tried again.
func (r *run) index(ctx context.Context, phase Phase, s Stage, state string) error {
	until := time.Now().Add(r.e.c.LockBudget)
	for try := 1; ; try++ {
		if state != "" && s.Index != "" {
			done, err := r.leftover(ctx, s)
			if err != nil {
				return err
			}
			if done {
				break
			}
		}
		if err := record(ctx, r.conn, r.plan, phase, s.Name, "begun"); err != nil {
			return explain("write the journal", s.Name, err)
		}
		state = "begun"
		r.e.c.Fault.Point("postgres.alone.begun")
		err := r.patiently(ctx, s.SQL[0])
		r.e.c.Fault.Point("postgres.alone.done")
		if err == nil {
			break
		}
		if c := code(err); c != lockNotAvailable && c != deadlockDetected || time.Now().After(until) {
			return r.clean(ctx, s, err)
		}
		r.tell(Progress{Phase: phase, Stage: s.Name, Try: try, Blockers: r.blockers(ctx, s)})
		if !pause(ctx, r.e.c.LockTimeout+rand.N(3*r.e.c.LockTimeout)) {
			return explain("change schema", r.plan.name(), ctx.Err())
		}
	}
	return explain("write the journal", s.Name, record(ctx, r.conn, r.plan, phase, s.Name, "done"))
}

// patiently runs a statement that waits for others without being waited for:
// what builds an index concurrently lets writers pass.
func (r *run) patiently(ctx context.Context, sql string) error {
	if _, err := r.conn.Exec(ctx, timeout0(r.e.c.LockBudget)); err != nil {
		return err
	}
	if _, err := r.conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%w in: %s", err, sql)
	}
	return nil
}

func timeout0(d time.Duration) string {
	return fmt.Sprintf("set lock_timeout = '%dms'", d.Milliseconds())
}

// leftover looks at an index that may have been made before: true if it is as
// it shall be; what is invalid is dropped.
func (r *run) leftover(ctx context.Context, s Stage) (bool, error) {
	var valid bool
	err := r.conn.QueryRow(ctx, `select i.indisvalid and i.indisready from pg_index i join pg_class c on c.oid = i.indexrelid
join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = $2`, r.plan.Schema, s.Index).Scan(&valid)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return s.Gone, nil
	case err != nil:
		return false, explain("look at the index", s.Index, err)
	case valid && !s.Gone:
		return true, nil
	case s.Gone:
		return false, nil
	}
	err = r.patiently(ctx, "drop index concurrently if exists "+qualified(r.plan.Schema, s.Index))
	return false, explain("clean up the index", s.Index, err)
}

// clean takes away what a statement that failed for good has left.
func (r *run) clean(ctx context.Context, s Stage, failed error) error {
	if s.Index != "" && !s.Gone && code(failed) != "" {
		if _, err := r.leftover(ctx, s); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return explain("change schema", r.plan.name()+" ("+s.Name+")", failed)
}
