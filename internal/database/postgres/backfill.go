package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon"
)

// maxPasses bounds how often a table is walked again for rows that were missed:
// those that a writer had locked, or whose key has changed under way.
const maxPasses = 20

// firstBatch is how many rows the first batches have; they grow while they are
// fast. A row that is in a batch under way is waited for by whoever writes it.
const firstBatch = 500

// smallest is the least number of rows of a batch that takes too long.
const smallest = 50

// fill makes the new values of all rows that have none.
func (r *run) fill(ctx context.Context, s Stage) error {
	f := &filling{run: r, stage: s.Name, b: *s.Backfill}
	for range maxPasses {
		if err := f.pass(ctx); err != nil {
			return err
		}
		left, err := f.pending(ctx)
		if err != nil {
			return explain("count the rows that are left", f.b.Table, err)
		}
		if left == 0 {
			return f.analyze(ctx)
		}
		if err := f.forget(ctx); err != nil {
			return explain("write the journal", s.Name, err)
		}
	}
	return r.conflict(r.plan.name(), fmt.Errorf("rows of %s are locked by others again and again", f.b.Table), "Try again when the transactions that lock them have ended.")
}

// filling is one backfill under way.
type filling struct {
	*run
	stage string
	b     Backfill

	mu     sync.Mutex
	next   []string // where the next span begins
	seq    int64
	ended  bool
	limit  int  // rows of a span
	users  bool // sessions that are not noon's have done something lately
	filled int64
	share  []int64 // of each worker in filled; only it writes its own

	turn sync.Mutex // of the one worker that works while there are users
}

// pass walks the table once, from where the journal says.
func (f *filling) pass(ctx context.Context) error {
	if err := f.resume(ctx); err != nil {
		return explain("read the journal", f.stage, err)
	}
	f.limit, f.ended = min(firstBatch, f.e.c.Batch), false
	if err := f.throttle(ctx, f.conn); err != nil { // all workers have to know of users
		return explain("look at the server's load", f.b.Table, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for slot := range f.e.c.Workers {
		all.Go(func() {
			if err := f.worker(ctx, slot); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		return explain("backfill", f.b.Table, err)
	}
	return nil
}

// resume finds how far the table was walked. Spans are handed out in order, and
// a worker does one at a time: all up to the earliest that any worker has done
// last are done.
func (f *filling) resume(ctx context.Context) error {
	key := []any{f.plan.App, f.plan.To, f.stage}
	f.next, f.seq = nil, 0
	err := f.conn.QueryRow(ctx, "select seq, at from noon.backfill where app = $1 and version = $2 and stage = $3 order by seq limit 1", key...).Scan(&f.seq, &f.next)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	if len(f.next) == 0 {
		f.next = nil
	}
	if err := f.conn.QueryRow(ctx, "select coalesce(sum(filled), 0) from noon.backfill where app = $1 and version = $2 and stage = $3", key...).Scan(&f.filled); err != nil {
		return err
	}
	tx, err := f.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // after a commit there is nothing left
	if _, err := tx.Exec(ctx, "delete from noon.backfill where app = $1 and version = $2 and stage = $3", key...); err != nil {
		return err
	}
	f.share = make([]int64, f.e.c.Workers)
	f.share[0] = f.filled
	at := f.next
	if at == nil {
		at = []string{}
	}
	for slot := range f.e.c.Workers {
		_, err := tx.Exec(ctx, "insert into noon.backfill (app, version, stage, slot, seq, at, filled) values ($1, $2, $3, $4, $5, $6, $7)", f.plan.App, f.plan.To, f.stage, slot, f.seq, at, f.share[slot])
		if err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}

// forget lets the next pass begin at the beginning.
func (f *filling) forget(ctx context.Context) error {
	_, err := f.conn.Exec(ctx, "update noon.backfill set seq = 0, at = '{}' where app = $1 and version = $2 and stage = $3", f.plan.App, f.plan.To, f.stage)
	return err
}

func (f *filling) pending(ctx context.Context) (n int64, err error) {
	err = f.conn.QueryRow(ctx, fmt.Sprintf("select count(*) from %s where %s <> 0", qualified(f.plan.Schema, f.b.Table), quote(f.b.Pending))).Scan(&n)
	return n, err
}

// analyze lets the server's planner know the new columns before anybody asks
// for them.
func (f *filling) analyze(ctx context.Context) error {
	if _, err := f.conn.Exec(ctx, timeout0(f.e.c.LockBudget)); err != nil {
		return explain("analyze", f.b.Table, err)
	}
	_, err := f.conn.Exec(ctx, "analyze "+qualified(f.plan.Schema, f.b.Table))
	return explain("analyze", f.b.Table, err)
}

// worker fills span after span on a connection of its own.
func (f *filling) worker(ctx context.Context, slot int) error {
	conn, err := f.e.connect(ctx)
	if err != nil {
		return err
	}
	defer hangUp(ctx, conn)
	if err := f.e.fence(ctx, conn); err != nil {
		return err
	}
	if err := f.prepare(ctx, conn); err != nil {
		return err
	}
	var checked time.Time
	for {
		if slot == 0 && time.Since(checked) > time.Second {
			if err := f.throttle(ctx, conn); err != nil {
				return err
			}
			checked = time.Now()
		}
		s, ok, err := f.take(ctx, conn)
		if err != nil || !ok {
			return err
		}
		f.e.c.Fault.Point("postgres.backfill.before")
		if err := f.gently(ctx, func() error { return f.batch(ctx, conn, slot, s) }); err != nil {
			return err
		}
		f.e.c.Fault.Point("postgres.backfill.after")
	}
}

// prepare sets what holds for all of a worker's batches. A commit need not
// reach the disk before the next batch: what a crash loses was not journaled
// either. Triggers of the user's do not see a backfill where noon may tell the
// server so.
func (f *filling) prepare(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `select set_config('noon.backfill', 'on', false), set_config('synchronous_commit', 'off', false),
set_config('lock_timeout', '100ms', false)`)
	if err == nil {
		err = f.bound(ctx, conn)
	}
	if err != nil {
		return err
	}
	if len(f.b.Fires) == 0 {
		return nil
	}
	if _, err := conn.Exec(ctx, "set session_replication_role = replica"); err != nil && code(err) != insufficientRight {
		return err
	}
	return nil
}

// bound has the server end whatever takes much longer than a batch may: users
// may wait for it. unbound takes that back, where there is no less to ask for.
func (f *filling) bound(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, fmt.Sprintf("set statement_timeout = %d", 4*f.e.c.BatchTime.Milliseconds()))
	return err
}

func unbound(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "set statement_timeout = 0")
	return err
}

// batch fills one span. One that takes too long is given up, so that nobody
// waits for its rows, and done in pieces; when the journal has the span as done
// after the first piece already, what is missing is found by the next pass.
func (f *filling) batch(ctx context.Context, conn *pgx.Conn, slot int, s span) error {
	piece := 0 // the whole span, waiting for locked rows
	for {
		began := time.Now()
		filled, err := f.update(ctx, conn, slot, s, piece)
		if code(err) == queryCanceled && ctx.Err() == nil && piece == 1 {
			filled, err = f.patiently(ctx, conn, slot, s)
		}
		switch c := code(err); {
		case err == nil:
			f.adapt(time.Since(began), filled)
			if piece == 0 || filled < int64(piece) {
				return nil
			}
			if time.Since(began) < f.e.c.BatchTime/2 {
				piece = min(2*piece, f.e.c.Batch)
			}
		case data(err):
			return f.culprit(ctx, conn, s, err)
		case c == queryCanceled && ctx.Err() == nil:
			f.adapt(4*f.e.c.BatchTime, 0)
			piece = max(cmp.Or(piece, f.e.c.Batch)/4, 1)
		case c == lockNotAvailable || c == deadlockDetected:
			piece = cmp.Or(piece, f.e.c.Batch)
		default:
			return err
		}
		if err != nil && !pause(ctx, 10*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// patiently fills one row however long it takes: the machine is slow, not the
// batch large.
func (f *filling) patiently(ctx context.Context, conn *pgx.Conn, slot int, s span) (int64, error) {
	if err := unbound(ctx, conn); err != nil {
		return 0, err
	}
	filled, err := f.update(ctx, conn, slot, s, 1)
	if again := f.bound(ctx, conn); err == nil {
		err = again
	}
	return filled, err
}

// update fills a span and writes down that it is done, in one transaction. Of
// a span in pieces only that many rows are filled, and those that somebody has
// locked are left for the next pass: a backfill that waits for one while it holds
// others could be what a user's transaction dies of. The journal's count is that
// of the batches before.
func (f *filling) update(ctx context.Context, conn *pgx.Conn, slot int, s span, piece int) (int64, error) {
	where, args := f.where(s, 1)
	table := qualified(f.plan.Schema, f.b.Table) + " as " + quote(f.b.Table)
	if piece > 0 {
		where = fmt.Sprintf("%s.ctid = any(array(select %s.ctid from %s where %s limit %d for no key update skip locked))", quote(f.b.Table), quote(f.b.Table), table, where, piece)
	}
	set := append(slices.Clone(f.b.Set), quote(f.b.Pending)+" = 0")
	at := s.to
	if at == nil {
		at = []string{}
	}
	var both pgx.Batch // in the pipeline, so one transaction and one round trip
	both.Queue(fmt.Sprintf("update %s set %s where %s", table, strings.Join(set, ", "), where), args...)
	both.Queue("update noon.backfill set seq = $5, at = $6, filled = $7 where app = $1 and version = $2 and stage = $3 and slot = $4",
		f.plan.App, f.plan.To, f.stage, slot, s.seq, at, f.share[slot])
	results := conn.SendBatch(ctx, &both)
	tag, err := results.Exec()
	if closed := results.Close(); err == nil {
		err = closed
	}
	if err == nil {
		f.share[slot] += tag.RowsAffected()
	}
	return tag.RowsAffected(), err
}

// culprit finds the row whose value has no new form.
func (f *filling) culprit(ctx context.Context, conn *pgx.Conn, s span, failed error) error {
	if _, err := conn.Exec(ctx, "set statement_timeout = 0"); err != nil {
		return errors.Join(failed, err)
	}
	where, args := f.where(s, 1)
	var texts []string
	for _, k := range f.b.Key {
		texts = append(texts, quote(f.b.Table)+"."+strings.ReplaceAll(quote(k), `"ctid"`, "ctid")+"::text")
	}
	table := qualified(f.plan.Schema, f.b.Table) + " as " + quote(f.b.Table)
	rows, err := conn.Query(ctx, fmt.Sprintf("select array[%s] from %s where %s limit 100000", strings.Join(texts, ", "), table, where), args...)
	if err != nil {
		return errors.Join(failed, err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[[]string])
	if err != nil {
		return errors.Join(failed, err)
	}
	set := append(slices.Clone(f.b.Set), quote(f.b.Pending)+" = 0")
	sql := fmt.Sprintf("update %s set %s where %s", table, strings.Join(set, ", "), f.compare("=", 1))
	for _, key := range keys {
		if _, err := conn.Exec(ctx, sql, anys(key)...); data(err) {
			return &noon.Error{
				Kind: noon.Failure, Op: "backfill", Subject: f.b.Table, Hint: "Correct the row, or the up of the operation, then try again; or withdraw the change. The old release is not touched by it.",
				Err: fmt.Errorf("the row with %s = %s has no new form: %w", strings.Join(f.b.Key, ", "), strings.Join(key, ", "), err),
			}
		} else if err != nil {
			return errors.Join(failed, err)
		}
	}
	return failed
}

// prove shows that a table's two forms agree in every row.
func (r *run) prove(ctx context.Context, s Stage) error {
	b := *s.Backfill
	if err := r.fill(ctx, s); err != nil {
		return err
	}
	for _, agree := range b.Agree {
		table := qualified(r.plan.Schema, b.Table) + " as " + quote(b.Table)
		var n int64
		if err := r.conn.QueryRow(ctx, fmt.Sprintf("select count(*) from %s where not (%s)", table, agree)).Scan(&n); err != nil {
			return explain("compare the versions", b.Table, err)
		}
		if n > 0 {
			return r.conflict(r.plan.name(), fmt.Errorf("%d rows of %s are not equal in the two versions", n, b.Table), "Look at rows for which this is false: "+agree)
		}
	}
	return nil
}

// losses are what a withdrawal would lose, for people.
func losses(ctx context.Context, db database, p Plan) ([]string, error) {
	var list []string
	for _, l := range p.Losses {
		var n int64
		err := db.QueryRow(ctx, l.SQL).Scan(&n)
		switch {
		case err != nil && strings.HasPrefix(code(err), "42"): // what is not there yet holds nothing
		case err != nil && data(err):
			list = append(list, l.What+" (some can not even be compared: "+err.Error()+")")
		case err != nil:
			return nil, explain("count what would be lost", p.name(), err)
		case n > 0:
			list = append(list, fmt.Sprintf("%d %s", n, l.What))
		}
	}
	return list, nil
}
