package migration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// batches runs a statement over ranges of a key. Where it is is committed with
// every batch, so that every row is changed once whatever dies.
func (s *session) batches(ctx context.Context, m Migration, sec Section) error {
	r, begun := s.history[key{m.Number, sec.Number}]
	if !begun {
		r = s.fresh(m, sec, timestamp())
	}
	b := batcher{session: s, migration: m, section: sec, size: sec.Batch.Size, total: s.estimate(ctx, sec.Batch.Table)}
	if err := s.batchable(ctx, sec); err != nil {
		return err
	}
	for {
		more, err := b.next(ctx, &r)
		if err != nil || !more {
			return err
		}
		if err := b.rest(ctx, r); err != nil {
			return err
		}
	}
}

// batcher takes a section batch by batch.
type batcher struct {
	*session
	migration Migration
	section   Section
	size      int   // rows of the next batch
	total     int64 // estimated rows of the table
	took      time.Duration
	waited    bool // others waited for the batch
}

func (b *batcher) note(r record) Progress {
	n := b.session.note(b.migration, b.section, 0, false)
	n.Rows, n.Total = r.Rows, b.total
	return n
}

// next runs a batch. more is false when there was nothing left, which is
// recorded.
func (b *batcher) next(ctx context.Context, r *record) (more bool, err error) {
	var after record
	b.see(b.note(*r))
	err = b.insist(ctx, b.note(*r), func() error {
		b.opts.Faults.Point("migration.batch.before")
		began := time.Now()
		err := b.transaction(ctx, "batch", true, func() error {
			var err error
			after, more, err = b.batch(ctx, *r)
			return err
		})
		b.took = time.Since(began)
		if err != nil {
			b.size = max(b.floor(), b.size/2)
		}
		return err
	})
	if err == nil {
		*r = after
		b.adapt()
	}
	return more, err
}

// batch is the transaction of a batch.
func (b *batcher) batch(ctx context.Context, r record) (after record, more bool, err error) {
	low, high, err := b.bounds(ctx, r.Position)
	if err != nil {
		return r, false, &spot{section: b.section, err: fmt.Errorf("find the next rows of %s: %w", b.section.Batch.Table, err)}
	}
	if low == "" {
		return r, false, b.finish(ctx, r, b.section)
	}
	text, _ := between(b.section.Statements[0], low, high)
	result, err := b.conn.ExecContext(ctx, text)
	if err != nil {
		return r, false, &spot{section: b.section, err: err}
	}
	changed, err := result.RowsAffected()
	if err != nil {
		return r, false, fmt.Errorf("count the rows of a batch: %w", err)
	}
	r.Position, r.Rows, r.State, r.Checksum = high, r.Rows+changed, stopped, b.section.begun(1)
	// Whoever waits for these rows waits until the commit.
	if n, e := b.waiting(ctx, b.conn, b.id); e == nil {
		b.waited = n > 0
	}
	return r, true, b.put(ctx, b.conn, r)
}

// bounds are the first and the last key of the next batch, as SQL; "" when no
// row is left.
func (b *batcher) bounds(ctx context.Context, position string) (low, high string, err error) {
	k, where := b.section.Batch.Key, ""
	if position != "" {
		where = " WHERE " + k + " > " + position
	}
	text := k
	if b.dialect == sqltext.PostgreSQL {
		text = "CAST(" + k + " AS text)"
	}
	order := fmt.Sprintf("SELECT %s AS k, %s AS o FROM %s%s ORDER BY %s LIMIT %d", text, k, b.section.Batch.Table, where, k, b.size)
	query := "SELECT k FROM (" + order + ") AS first_rows ORDER BY o"
	rows, err := b.conn.QueryContext(ctx, query)
	if err != nil {
		return "", "", err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return "", "", err
	}
	var first, last any
	for n := 0; rows.Next(); n++ {
		last = nil
		if err := rows.Scan(&last); err != nil {
			return "", "", err
		}
		if n == 0 {
			first = last
		}
	}
	if err := rows.Err(); err != nil || last == nil {
		return "", "", err
	}
	return literal(b.dialect, first, types[0]), literal(b.dialect, last, types[0]), nil
}

// literal writes a key as SQL. PostgreSQL finds out the type of a string by
// itself; the others are told.
func literal(d sqltext.Dialect, v any, t *sql.ColumnType) string {
	var text string
	switch v := v.(type) {
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case []byte:
		text = string(v)
		kind := t.DatabaseTypeName()
		if d == sqltext.SQLite || strings.Contains(kind, "BINARY") || strings.Contains(kind, "BLOB") {
			return fmt.Sprintf("X'%X'", v)
		}
		if strings.Contains(kind, "INT") || kind == "DECIMAL" {
			return text
		}
	case time.Time:
		text = v.UTC().Format("2006-01-02 15:04:05.999999")
	default:
		text = fmt.Sprint(v)
	}
	if d == sqltext.MySQL {
		text = strings.ReplaceAll(text, `\`, `\\`)
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// adapt makes the next batch take the time that is wanted, in steps.
func (b *batcher) adapt() {
	factor := float64(b.opts.BatchTime) / float64(max(b.took, time.Millisecond))
	if b.waited {
		factor = min(factor, 0.5)
	}
	b.size = int(float64(b.size) * min(2, max(0.5, factor)))
	b.size = min(maxBatch, max(b.floor(), b.size))
}

// floor keeps a slow server from being asked for row after row, which would
// make it slower.
func (b *batcher) floor() int { return max(1, b.section.Batch.Size/10) }

// rest leaves the server to others for a while, and waits for replicas.
func (b *batcher) rest(ctx context.Context, r record) error {
	share := b.opts.Pause
	if err := pause(ctx, time.Duration(float64(b.took)*share/(1-share))); err != nil {
		return err
	}
	for {
		lag, err := b.replicas(ctx, r)
		if err != nil || lag <= b.opts.MaxLag {
			return err
		}
		n := b.note(r)
		n.Waiting = fmt.Sprintf("for replicas: they are %v behind", lag.Round(time.Millisecond))
		b.see(n)
		if err := pause(ctx, max(100*time.Millisecond, b.opts.BatchTime)); err != nil {
			return err
		}
	}
}

// replicas is how far they are behind.
func (b *batcher) replicas(ctx context.Context, r record) (time.Duration, error) {
	if b.opts.Lag != nil {
		lag, err := b.opts.Lag(ctx)
		if err != nil {
			return 0, fmt.Errorf("measure the lag of replicas: %w", err)
		}
		return lag, nil
	}
	lag, blind, err := b.lag(ctx, b.conn)
	if err != nil {
		return 0, fmt.Errorf("measure the lag of replicas: %w", err)
	}
	if blind != "" && !b.blind {
		b.blind = true
		b.opts.Log.WarnContext(ctx, "the lag of replicas can not be seen", "migration", b.migration.ID())
		n := b.note(r)
		n.Warning = Unseen + ". " + blind
		b.see(n)
	}
	return lag, nil
}

// Unseen is what noon does without where it may not see replicas.
const Unseen = "noon may not see how far replicas are behind, and does not wait for them"

// Blind tells what would let noon see how far replicas are behind where it may
// not; "" if it may, or there are none. Migrations that have no batches do not
// wait for any.
func (d *Database) Blind(ctx context.Context, list []Rest) (string, error) {
	if d.opts.Lag != nil || !slices.ContainsFunc(list, func(r Rest) bool { return r.Section.Batch != nil }) {
		return "", nil
	}
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return "", d.trouble("look at the replicas of", d.name, err)
	}
	defer conn.Close() //nolint:errcheck // nothing was changed
	_, blind, err := d.lag(ctx, conn)
	return blind, d.trouble("look at the replicas of", d.name, err)
}

// batchable refuses a table whose changes can not be taken back with their
// record. Foreign keys of SQLite are enforced: a look before the commit would
// cost every batch a look at the whole database.
func (s *session) batchable(ctx context.Context, sec Section) error {
	switch s.dialect {
	case sqltext.PostgreSQL:
		return nil
	case sqltext.SQLite:
		_, err := s.conn.ExecContext(ctx, `PRAGMA foreign_keys = ON`)
		return err
	case sqltext.MySQL:
	}
	engine, err := mysqlEngine(ctx, s.conn, sec.Batch.Table)
	if err != nil {
		return &spot{section: sec, err: fmt.Errorf("look up table %s: %w", sec.Batch.Table, err)}
	}
	if !strings.EqualFold(engine, "InnoDB") {
		return &noon.Error{
			Kind: noon.Invalid, Op: "run migration", Subject: sec.at(0), Err: fmt.Errorf("table %s has the engine %q, which knows no transactions", sec.Batch.Table, engine),
			Hint: "After a crash nobody could tell which rows were changed. Convert the table to InnoDB first.",
		}
	}
	return nil
}

// estimate is about how many rows a table has, 0 if that is not known.
func (s *session) estimate(ctx context.Context, table string) int64 {
	query := `SELECT CAST(greatest(reltuples, 0) AS bigint) FROM pg_catalog.pg_class WHERE oid = CAST(to_regclass(?) AS oid)`
	switch s.dialect {
	case sqltext.MySQL:
		query = `SELECT coalesce(table_rows, 0) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?`
	case sqltext.SQLite:
		query = `SELECT coalesce(max(rowid), 0) FROM ` + table + ` WHERE ? <> ''`
	case sqltext.PostgreSQL:
	}
	var n int64
	if err := s.conn.QueryRowContext(ctx, bind(s.dialect, query), table).Scan(&n); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0 // it is for display only
	}
	return n
}
