package migration

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
	"github.com/noon-deploy/noon/internal/fault"
)

// Options say how migrations are run. Zero values mean what is written.
type Options struct {
	Who     string // is recorded; default: user, host and process
	Release string // is recorded: "r42"

	Controller string // whose epochs are compared: at most 100 bytes; "": nobody's
	Epoch      int64  // of the controller that asks; who has seen a newer one refuses

	LockTimeout time.Duration // most that a statement waits for a lock, while others wait behind it; default 200ms, MariaDB and MySQL: 1s at least
	Timeout     time.Duration // most that a statement of a transaction may run; default 1m, batches and no-transaction: unlimited
	Budget      time.Duration // for trying again when a lock was not to be had; default 30s
	Patience    time.Duration // for another noon that migrates; default 5s

	EndBlockers bool // end sessions that block, instead of naming them
	OutOfOrder  bool // run a migration although one with a higher number was run
	Resolve     map[int64]Resolution

	BatchTime time.Duration // that a batch shall take; default 100ms
	Pause     float64       // share of the time between batches, 0 to 0.9; default 0.2, none if negative
	MaxLag    time.Duration // of replicas, above which batches wait; default 5s
	// Lag measures the replicas' lag where the server does not know it:
	// MariaDB and MySQL.
	Lag func(context.Context) (time.Duration, error)

	Log    *slog.Logger    // default: none
	Faults *fault.Points   // default: none
	Trace  pgx.QueryTracer // is told of every statement, PostgreSQL only; default: none
}

// Resolution answers the question whether a statement of a migration, whose
// outcome a crash made unknown, took effect.
type Resolution string

// The answers.
const (
	TakeAsDone Resolution = "done"  // it did: go on behind it
	RunAgain   Resolution = "again" // it did not: run it
)

func (o Options) withDefaults() Options {
	o.Who, o.Release = fitting(cmp.Or(o.Who, whoami()), 200), fitting(o.Release, 100)
	o.Controller = fitting(o.Controller, 100)
	o.LockTimeout = cmp.Or(o.LockTimeout, 200*time.Millisecond)
	o.Timeout = cmp.Or(o.Timeout, time.Minute)
	o.Budget = cmp.Or(o.Budget, 30*time.Second)
	o.Patience = cmp.Or(o.Patience, 5*time.Second)
	o.BatchTime = cmp.Or(o.BatchTime, 100*time.Millisecond)
	o.Pause = min(0.9, max(0, cmp.Or(o.Pause, 0.2)))
	o.MaxLag = cmp.Or(o.MaxLag, 5*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// fitting cuts what the history has no room for.
func fitting(s string, n int) string { return strings.ToValidUTF8(s[:min(n, len(s))], "") }

func whoami() string {
	name, host := "unknown", "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return fmt.Sprintf("%s@%s (process %d)", name, host, os.Getpid())
}

// Database is one database that migrations are run against.
type Database struct {
	db      *sql.DB
	name    string // for people: without the password
	dialect sqltext.Dialect
	table   string // of the history
	opts    Options
	server
}

// server is what differs between servers, by whose business it is.
type server struct {
	sessions
	observer
	critic
	gauge
}

// sessions sets up the connection that noon works with. It has more than three
// methods because everything that a connection is asked for between two
// statements is the same connection's business.
type sessions interface {
	// prepare makes the session what a section may expect, whatever the one
	// before has set.
	prepare(ctx context.Context, c *sql.Conn) error
	// lock takes the lock of migrators. With a holder it is somebody else's.
	lock(ctx context.Context, c *sql.Conn) (unlock func() error, h *holder, err error)
	// begin begins a transaction that may write.
	begin(ctx context.Context, c *sql.Conn, unlimited bool) error
	// check looks, before a commit, for what the server does not refuse.
	check(ctx context.Context, c *sql.Conn) error
}

// observer runs a statement that is not part of a transaction, and tells
// whether it took effect. It has more than three methods because how it is run
// decides what it leaves behind.
type observer interface {
	class(st sqltext.Statement) class
	execute(ctx context.Context, c *sql.Conn, st sqltext.Statement, blocking bool) error
	// look describes what the statement changes, before it is run.
	look(ctx context.Context, c *sql.Conn, st sqltext.Statement) (seen string, err error)
	// happened compares with what was seen before, and clears away what half a
	// statement has left.
	happened(ctx context.Context, c *sql.Conn, st sqltext.Statement, seen string) (bool, error)
}

// critic explains what goes wrong.
type critic interface {
	explain(err error) problem
	blockers(ctx context.Context, db *sql.DB, session int64) ([]Blocker, error)
	end(ctx context.Context, db *sql.DB, b Blocker) error
}

// gauge tells who is affected by what noon does.
type gauge interface {
	// number is the server's for the connection.
	number(ctx context.Context, c *sql.Conn) (int64, error)
	// waiting counts sessions that wait for locks of the session.
	waiting(ctx context.Context, c *sql.Conn, session int64) (int, error)
	// lag is how far replicas are behind, 0 if that is not known; blind is what
	// would let noon see it where it may not.
	lag(ctx context.Context, c *sql.Conn) (lag time.Duration, blind string, err error)
}

// holder has the lock of migrators.
type holder struct {
	session int64  // the server's number for it, 0 if it is not known
	who     string // for people
}

// class is how a statement outside of a transaction of noon is recorded.
type class int

const (
	transactional class = iota // in a transaction with its record
	repeatable                 // running it twice is as good as once
	observed                   // whether it happened can be seen
	opaque                     // somebody has to look
)

// problem is what an error of a server means.
type problem struct {
	kind  noon.ErrorKind
	hint  string
	retry bool // a lock was not to be had: nothing was changed
	lost  bool // the connection is gone: the outcome is not known
	// Where in the statement it is, as a line or as a character, from 1; 0 if
	// the server does not say.
	line, character int
}

// lineOf is the line of a file that a problem with a statement is in.
func (p problem) lineOf(st sqltext.Statement) int {
	if p.character > 0 {
		text := []rune(st.Text)
		return st.Line + strings.Count(string(text[:min(p.character-1, len(text))]), "\n")
	}
	return st.Line + max(0, p.line-1)
}

// Blocker is a session that keeps noon waiting.
type Blocker struct {
	Session int64         // the server's number for it: a process of PostgreSQL, a connection of MariaDB
	User    string        // and from where
	State   string        // "idle in transaction"
	Query   string        // what it runs or ran last
	Since   time.Duration // that its transaction is open
	Sure    bool          // false: its transaction is open, but the server does not tell on what
}

// String gives a sentence for people.
func (b Blocker) String() string {
	word := "session"
	if !b.Sure {
		word = "perhaps session"
	}
	query := strings.Join(strings.Fields(b.Query), " ")
	if len(query) > 200 {
		query = query[:200] + "…"
	}
	return fmt.Sprintf("%s %d of %s, %s for %v: %s", word, b.Session, b.User, b.State, b.Since.Round(time.Second), query)
}

// Open connects to the database of an address: postgres://, mysql:// or
// mariadb://, or sqlite:PATH. It must be closed.
func Open(ctx context.Context, address string, opts Options) (*Database, error) {
	scheme, _, _ := strings.Cut(address, ":")
	opts = opts.withDefaults()
	var d *Database
	var err error
	switch scheme {
	case "postgres", "postgresql":
		d, err = openPostgres(address, opts)
	case "mysql", "mariadb":
		d, err = openMySQL(address, opts)
	case "sqlite", "sqlite3":
		d, err = openSQLite(address, opts)
	default:
		err = errors.New("it begins with none of postgres://, mysql://, mariadb://, sqlite: that are known")
	}
	if err != nil {
		return nil, &noon.Error{
			Kind: noon.Invalid, Op: "read the address of the database", Err: err,
			Hint: "Write postgres://USER:PASSWORD@HOST:PORT/DATABASE, mariadb://USER:PASSWORD@HOST:PORT/DATABASE or sqlite:PATH.",
		}
	}
	if err := d.db.PingContext(ctx); err != nil {
		return nil, errors.Join(d.trouble("connect to", d.name, err), d.db.Close())
	}
	return d, nil
}

// Connect gives connections to the database of an address, for work that is no
// migration. They must be closed.
func Connect(ctx context.Context, address string) (*sql.DB, error) {
	d, err := Open(ctx, address, Options{Who: "noon"})
	if err != nil {
		return nil, err
	}
	d.db.SetMaxOpenConns(0)
	return d.db, nil
}

// DialectOf tells the dialect of an address; it does not connect.
func DialectOf(address string) (sqltext.Dialect, bool) {
	scheme, _, _ := strings.Cut(address, ":")
	switch scheme {
	case "postgres", "postgresql":
		return sqltext.PostgreSQL, true
	case "mysql", "mariadb":
		return sqltext.MySQL, true
	case "sqlite", "sqlite3":
		return sqltext.SQLite, true
	}
	return "", false
}

// Close ends the connections.
func (d *Database) Close() error { return d.db.Close() }

// Name is the address without its password, for people.
func (d *Database) Name() string { return d.name }

// Dialect is that of the server.
func (d *Database) Dialect() sqltext.Dialect { return d.dialect }

// withoutPassword is what is shown of an address.
func withoutPassword(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if u.User != nil {
		shown.User = url.User(u.User.Username())
	}
	return shown.String()
}

// trouble is an error of the server for people. One that has a kind keeps it.
func (d *Database) trouble(op, subject string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*noon.Error](err); ok {
		return err
	}
	p := d.explain(err)
	return &noon.Error{Kind: p.kind, Op: op, Subject: subject, Err: err, Hint: p.hint}
}
