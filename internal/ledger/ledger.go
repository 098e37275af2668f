package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
)

// Ledger is an open ledger. It may be used by many goroutines at once.
type Ledger struct {
	path   string
	key    Key
	clock  func() time.Time
	faults *fault.Points
	schema fs.FS

	writer *sql.DB // one connection
	reader *sql.DB // several, none of which can write

	mu      sync.Mutex
	changed chan struct{} // closed and replaced with every commit
}

// Option changes how a ledger is opened.
type Option func(*Ledger)

// WithFaults makes the ledger pass "ledger.OP.before", "ledger.OP.commit" and
// "ledger.OP.after" around every write.
func WithFaults(p *fault.Points) Option { return func(l *Ledger) { l.faults = p } }

// WithClock replaces time.Now for the times the ledger itself notes.
func WithClock(now func() time.Time) Option { return func(l *Ledger) { l.clock = now } }

// Open opens the ledger at path, creates it if nothing is there and brings its
// schema up to date. The key protects secret values; a ledger opens only with
// the key it was created with.
func Open(ctx context.Context, path string, key Key, opts ...Option) (*Ledger, error) {
	l := &Ledger{path: path, key: key, clock: time.Now, schema: embedded(), changed: make(chan struct{})}
	for _, o := range opts {
		o(l)
	}
	if err := ensureFile(ctx, path); err != nil {
		return nil, explain("open ledger", path, err)
	}
	l.writer, l.reader = openPools(path)
	if err := l.prepare(ctx); err != nil {
		return nil, explain("open ledger", path, errors.Join(err, l.Close()))
	}
	return l, nil
}

func (l *Ledger) prepare(ctx context.Context) error {
	if err := examine(ctx, l.writer, l.path); err != nil {
		return err
	}
	if err := migrate(ctx, l.writer, l.schema, l.clock); err != nil {
		return err
	}
	return l.checkKey(ctx)
}

// Close waits for calls under way and closes the ledger.
func (l *Ledger) Close() error {
	// Readers first: the last connection to close folds the log into the file.
	if err := errors.Join(l.reader.Close(), l.writer.Close()); err != nil {
		return fmt.Errorf("close ledger %s: %w", l.path, err)
	}
	return nil
}

// Changed returns a channel that is closed after the next write to the ledger
// by this process. Take the channel, then read, then wait: no write is missed.
func (l *Ledger) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

func (l *Ledger) announce() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
}

// errUnchanged rolls a transaction back that turned out to have nothing to
// write. It never leaves the package.
var errUnchanged = errors.New("nothing to write")

// write runs fn in one durable transaction. op is the word in the names of its
// fault points.
func (l *Ledger) write(ctx context.Context, op string, fn func(*sql.Tx) error) error {
	l.faults.Point("ledger." + op + ".before")
	if err := l.commit(ctx, op, fn); err != nil {
		return err
	}
	l.faults.Point("ledger." + op + ".after")
	l.announce()
	return nil
}

func (l *Ledger) commit(ctx context.Context, op string, fn func(*sql.Tx) error) error {
	tx, err := l.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // a no-op once it is committed
	if err := fn(tx); err != nil {
		return err
	}
	l.faults.Point("ledger." + op + ".commit")
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// next returns 1, 2, … for each name. Its row is the lock that makes numbers
// appear in the order in which their transactions commit.
func next(ctx context.Context, tx *sql.Tx, name string) (int64, error) {
	var n int64
	err := tx.QueryRowContext(ctx, `INSERT INTO counter (name, value) VALUES ($1, 1)
		ON CONFLICT (name) DO UPDATE SET value = counter.value + 1 RETURNING value`, name).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count %s: %w", name, err)
	}
	return n, nil
}

// queryer is a pool or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// collect reads all rows of a query.
func collect[T any](ctx context.Context, q queryer, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// Sites returns every site that the ledger knows anything of, sorted.
func (l *Ledger) Sites(ctx context.Context) ([]noon.Site, error) {
	sites, err := collect(ctx, l.reader, scanSite, `SELECT app, environment FROM lease
		UNION SELECT app, environment FROM deployment
		UNION SELECT app, environment FROM config_version ORDER BY 1, 2`)
	return sites, explain("list sites", "", err)
}

func scanSite(rows *sql.Rows) (noon.Site, error) {
	var s noon.Site
	err := rows.Scan(&s.App, &s.Environment)
	return s, err
}

// nanos and fromNanos are how times are stored; the zero time is 0.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

func validSite(site noon.Site) error {
	if err := noon.ValidName(site.App); err != nil {
		return &noon.Error{Kind: noon.Invalid, Op: "name an app", Err: err}
	}
	if err := noon.ValidName(site.Environment); err != nil {
		return &noon.Error{Kind: noon.Invalid, Op: "name an environment", Err: err}
	}
	return nil
}
