package mariadb

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxPasses bounds how often a table is walked again for rows that were missed:
// those whose key has changed under way.
const maxPasses = 20

const (
	firstBatch = 200 // rows of the first batches; they grow while they are fast
	smallest   = 20  // rows of a batch that takes too long
)

// key is where a span of a table ends: a value for each column of its key. nil
// is the table's beginning or end.
type key [][]byte

// filling is one backfill under way. What a batch has done is in its rows: a row
// that was filled is not marked as untried any more, so the journal only has to
// say from where on there may be such rows.
type filling struct {
	*run
	stage   Stage
	b       Backfill
	follows *followers

	mu    sync.Mutex
	is    *progress
	next  key // where the next span begins
	last  key // that there was when the pass began: later rows were made complete
	ended bool
	limit int // rows of a span

	glanced time.Time // when the server was looked at, and what was seen:
	waiting bool      // somebody waits for a row
	users   bool      // somebody uses the database

	turn sync.Mutex // of the one worker that works while there are users

	marks []mark // since what the slowest replica has
	under []key  // beginnings of the spans that are under way, in their order
}

// fill makes the new form of all rows that have none.
func (r *run) fill(ctx context.Context, s Stage, is *progress) error {
	f := &filling{run: r, stage: s, b: *s.Backfill, is: is, limit: min(firstBatch, r.e.c.Batch), next: is.at, follows: r.e.follow(ctx, r.conn)}
	defer f.follows.close()
	for range maxPasses {
		f.ended = false
		if err := f.pass(ctx); err != nil {
			return explain("backfill", f.b.Table, err)
		}
		var left bool
		err := r.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT EXISTS (SELECT 1 FROM %s WHERE %s >= %d)", f.table(), pending, untried)).Scan(&left)
		if err != nil || !left {
			return explain("look for rows that are left", f.b.Table, err)
		}
		f.next = nil
	}
	return r.conflict(r.plan.name(), fmt.Errorf("rows of %s change their keys again and again", f.b.Table), "Try again when less is written.")
}

func (f *filling) table() string { return qualified(f.plan.Database, f.b.Table) }

// pass walks the table once, by several workers.
func (f *filling) pass(ctx context.Context) error {
	last, err := lastKey(ctx, f.conn, f.table(), f.b.Key)
	if err != nil {
		return err
	}
	f.last = last
	if err := f.glance(ctx, f.conn); err != nil { // all workers have to know of users
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for range f.e.c.Workers {
		all.Go(func() {
			if err := f.worker(ctx); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

func (f *filling) worker(ctx context.Context) error {
	conn, err := f.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()                                                                                    // it goes back into the pool
	for _, text := range []string{"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET SESSION sql_notes = 0"} { // rows that need nothing stay free; a note is no warning
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	for {
		from, to, more, err := f.take(ctx, conn)
		if err != nil || !more {
			return err
		}
		if err := f.gently(ctx, func() error { return f.span(ctx, conn, from, to) }); err != nil {
			return err
		}
		f.e.c.Fault.Point("mariadb.batch.after")
		if err := f.throttle(ctx); err != nil {
			return err
		}
	}
}

// span fills one, and writes that down.
func (f *filling) span(ctx context.Context, conn *sql.Conn, from, to key) error {
	began := time.Now()
	n, err := f.batch(ctx, conn, from, to)
	if err != nil {
		return err
	}
	return f.done(ctx, conn, from, n, time.Since(began))
}

// take gives the next span, if there is one: more than from, at most to.
func (f *filling) take(ctx context.Context, conn *sql.Conn) (from, to key, more bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return nil, nil, false, nil
	}
	from = f.next
	if to, err = keyAfter(ctx, conn, f.table(), f.b.Key, from, f.last, f.limit); err != nil {
		return nil, nil, false, err
	}
	f.next, f.ended = to, to == nil
	if f.ended {
		to = f.last
	}
	f.under = append(f.under, from)
	return from, to, true, nil
}

// keyAfter is the key of the n-th row after a key and up to another, nil if
// there are less.
func keyAfter(ctx context.Context, conn queries, table string, columns []KeyColumn, from, last key, n int) (key, error) {
	list := keyList(columns, "")
	return keyOf(ctx, conn, fmt.Sprintf("SELECT %s FROM %s WHERE %s AND %s ORDER BY %s LIMIT %d, 1", list, table, after(columns, from), upTo(columns, last), list, n-1))
}

// lastKey is the key of the last row, nil if there is none.
func lastKey(ctx context.Context, conn queries, table string, columns []KeyColumn) (key, error) {
	return keyOf(ctx, conn, fmt.Sprintf("SELECT %s FROM %s ORDER BY %s LIMIT 1", keyList(columns, ""), table, keyList(columns, " DESC")))
}

func keyList(columns []KeyColumn, order string) string {
	var names []string
	for _, c := range columns {
		names = append(names, quote(c.Name)+order)
	}
	return strings.Join(names, ", ")
}

func keyOf(ctx context.Context, conn queries, query string) (k key, err error) {
	err = each(ctx, conn, func(v []sql.NullString) error {
		for _, one := range v {
			k = append(k, []byte(one.String))
		}
		return nil
	}, query)
	return k, err
}

// after is a condition that holds for rows after a key.
func after(columns []KeyColumn, k key) string {
	if k == nil {
		return "TRUE"
	}
	text := "FALSE"
	for i, c := range slices.Backward(columns) {
		value := c.literal(k[i])
		text = fmt.Sprintf("(%[1]s > %[2]s OR (%[1]s = %[2]s AND %[3]s))", quote(c.Name), value, text)
	}
	return fmt.Sprintf("(%s >= %s AND %s)", quote(columns[0].Name), columns[0].literal(k[0]), text) // the first part is what an index is searched by
}

// upTo is a condition that holds for rows up to a key.
func upTo(columns []KeyColumn, k key) string {
	if k == nil {
		return "TRUE"
	}
	return fmt.Sprintf("(%s <= %s AND NOT %s)", quote(columns[0].Name), columns[0].literal(k[0]), after(columns, k))
}

// literal writes a value of the column so that it is compared as the column's
// index is ordered.
func (c KeyColumn) literal(value []byte) string {
	switch {
	case isText(c.Class):
		return literal(string(value))
	case strings.Contains(c.Class, "binary") || strings.Contains(c.Class, "blob"):
		return "X'" + hex.EncodeToString(value) + "'"
	case strings.Contains(c.Class, "int") || c.Class == "decimal":
		return string(value)
	}
	return literal(string(value))
}

// batch fills the rows of a span that need it.
func (f *filling) batch(ctx context.Context, conn *sql.Conn, from, to key) (int64, error) {
	where := fmt.Sprintf("%s >= %d AND %s AND %s", pending, untried, after(f.b.Key, from), upTo(f.b.Key, to))
	keep := make([]string, 0, len(f.b.Keep)+1)
	for _, c := range f.b.Keep {
		keep = append(keep, quote(c)+" = "+quote(c))
	}
	direct, until := f.b.Direct != "", time.Now().Add(f.e.c.LockBudget)
	for {
		f.e.c.Fault.Point("mariadb.batch.before")
		fill := f.byTrigger
		if direct {
			fill = f.directly
		}
		n, err := fill(ctx, conn, keep, where)
		switch {
		case err == nil:
			return n, nil
		case busy(err) && time.Now().Before(until) && pause(ctx, 100*time.Millisecond):
		case direct && ctx.Err() == nil && !busy(err):
			direct = false
		default:
			return 0, err
		}
	}
}

// done writes down how far the backfill is, and lets batches grow or shrink.
func (f *filling) done(ctx context.Context, conn *sql.Conn, from key, n int64, took time.Duration) error {
	if err := f.glance(ctx, conn); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case took > f.e.c.BatchTime || f.waiting:
		f.limit = max(f.limit/2, min(smallest, f.e.c.Batch))
	case took < f.e.c.BatchTime/2:
		f.limit = min(f.limit*3/2+1, f.e.c.Batch)
	}
	i := slices.IndexFunc(f.under, func(k key) bool { return slices.EqualFunc(k, from, slices.Equal) })
	f.under = slices.Delete(f.under, i, i+1)
	f.is.filled += n
	f.is.at = f.next
	if len(f.under) > 0 {
		f.is.at = f.under[0]
	}
	if f.is.at == nil && f.ended {
		f.is.at = from
	}
	f.tell(Progress{Phase: Expanded, Stage: f.stage.Name, Filled: f.is.filled, Rows: f.b.Rows})
	if err := record(ctx, conn, f.plan, Expanded, f.stage.Name, *f.is); err != nil {
		return err
	}
	if len(f.follows.list) > 0 {
		f.marks = append(f.marks, mark{f.is.filled, time.Now()})
	}
	return nil
}
