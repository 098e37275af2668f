package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
	"github.com/noon-deploy/noon/internal/fault"
)

// Config says whose schema is changed, and how gently. Zero values are the
// defaults that the fields name.
type Config struct {
	URL    string // of a role that owns the tables, or is a member of their owner
	App    string // prefix of version schemas and roles: lower-case letters, digits and _, at most 30
	Schema string // that holds the tables: public
	Role   string // that the app had before noon; releases are members of it. The role of URL

	LockTimeout time.Duration // how long a strong lock is waited for, while everybody waits behind it: 200 ms
	LockBudget  time.Duration // how long a transaction is tried again: 2 min
	EndIdle     time.Duration // end sessions in the way that are idle in a transaction for longer than this; 0: never
	EndSessions bool          // end sessions of roles whose version goes away
	Workers     int           // of a backfill, 1 to 8: 2
	Batch       int           // most rows of one of its transactions: 5000
	BatchTime   time.Duration // that one of them shall take at most; four times that ends it: 25 ms
	MaxLag      time.Duration // of replicas, before a backfill pauses: 10 s
	Wait        bool          // wait for another engine's end instead of refusing
	Epoch       int64         // of the controller that asks; who has seen a newer one refuses. 0: nobody's

	// Make computes a plan, elsewhere; nil: [Make]. It needs PostgreSQL's
	// grammar and the memory for it.
	Make func(context.Context, change.Set, *pgcatalog.Catalog, Target) (Plan, error) `json:"-"`

	Log   *slog.Logger    // nil: none
	Fault *fault.Points   // nil: none
	Trace pgx.QueryTracer // is told of every statement; nil: none
}

// Engine changes the schema of one app in one database. It keeps no
// connection between calls. It may be used by several goroutines; calls that
// change something exclude each other, in all processes.
type Engine struct {
	c Config
}

var appName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z][a-z0-9_]{0,29}$`) })

// Open checks the configuration and that the server answers and can be worked
// with. Nothing is changed.
func Open(ctx context.Context, c Config) (*Engine, error) {
	if !appName().MatchString(c.App) {
		return nil, &noon.Error{Kind: noon.Invalid, Op: "open database", Subject: c.App, Err: errors.New("this can not begin the name of a schema"), Hint: "An app's name here has lower-case letters, digits and _, begins with a letter, and has at most 30 of them."}
	}
	c.Schema = cmp.Or(c.Schema, "public")
	c.LockTimeout = cmp.Or(c.LockTimeout, 200*time.Millisecond)
	c.LockBudget = cmp.Or(c.LockBudget, 2*time.Minute)
	c.Workers = min(max(cmp.Or(c.Workers, 2), 1), 8)
	c.Batch = max(cmp.Or(c.Batch, 5000), 1)
	c.BatchTime = cmp.Or(c.BatchTime, 25*time.Millisecond)
	c.MaxLag = cmp.Or(c.MaxLag, 10*time.Second)
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	if c.Make == nil {
		c.Make = makeHere
	}
	e := &Engine{c: c}
	conn, err := e.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer hangUp(ctx, conn)
	var user string
	var version int
	if err := conn.QueryRow(ctx, "select current_user, current_setting('server_version_num')::int").Scan(&user, &version); err != nil {
		return nil, explain("open database", c.App, err)
	}
	if version < 120000 {
		return nil, &noon.Error{Kind: noon.Invalid, Op: "open database", Subject: c.App, Err: fmt.Errorf("the server has version %d", version), Hint: "Upgrade it to PostgreSQL 12 or newer."}
	}
	e.c.Role = cmp.Or(c.Role, user)
	if err := e.unshared(ctx, conn); err != nil {
		return nil, err
	}
	return e, nil
}

// unshared refuses a pooler that gives one session of the server to several of
// its clients: noon's lock and settings belong to a session. Who is between the
// server and noon has told it another process than the server's. Where it is
// the same for two clients at a time, it is shared.
func (e *Engine) unshared(ctx context.Context, conn *pgx.Conn) error {
	backend := func(conn *pgx.Conn) (pid uint32, err error) {
		return pid, conn.QueryRow(ctx, "select pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&pid)
	}
	one, err := backend(conn)
	if err != nil || one == conn.PgConn().PID() {
		return explain("open database", e.c.App, err)
	}
	other, err := e.connect(ctx)
	if err != nil {
		return err
	}
	defer hangUp(ctx, other)
	two, err := backend(other)
	if err != nil || one != two {
		return explain("open database", e.c.App, err)
	}
	return &noon.Error{Kind: noon.Invalid, Op: "open database", Subject: e.c.App, Err: errors.New("the address is that of a pooler, which shares sessions"), Hint: "Give noon the address of the server itself; releases may use the pooler. Nothing was changed."}
}

func makeHere(_ context.Context, set change.Set, catalog *pgcatalog.Catalog, to Target) (Plan, error) {
	return Make(set, catalog, to), nil
}

// connect opens a connection whose settings do not depend on those of the role
// or the database. Whole tables are counted by one process: the others are the
// users'.
func (e *Engine) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(e.c.URL)
	if err != nil {
		return nil, &noon.Error{Kind: noon.Invalid, Op: "open database", Subject: e.c.App, Err: errors.New("the address can not be read"), Hint: "An address is postgres://USER:PASSWORD@HOST:PORT/DATABASE."}
	}
	config.RuntimeParams["application_name"] = e.application()
	config.Tracer = e.c.Trace
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, explain("open database", fmt.Sprintf("%s at %s:%d", config.Database, config.Host, config.Port), hide(err))
	}
	_, err = conn.Exec(ctx, `select set_config('statement_timeout', '0', false), set_config('idle_in_transaction_session_timeout', '0', false),
set_config('max_parallel_workers_per_gather', '0', false), set_config('search_path', $1, false)`, pgx.QueryExecModeSimpleProtocol, quote(e.c.Schema))
	if err != nil {
		hangUp(ctx, conn)
		return nil, explain("open database", config.Database, err)
	}
	return conn, nil
}

// hide leaves out the text of a connect error, which repeats the address, for
// its cause.
func hide(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil || code(err) != "" && code(next) == "" {
			return err
		}
		err = next
	}
}

// application names the engine's sessions, so that a newer controller knows
// those of older ones.
func (e *Engine) application() string {
	if e.c.Epoch > 0 {
		return fmt.Sprintf("noon %s epoch %d", e.c.App, e.c.Epoch)
	}
	return "noon " + e.c.App
}

// hangUp closes a connection whatever has become of ctx.
func hangUp(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = conn.Close(ctx) // what it held is rolled back in any case
}

// Plan computes how the version in force becomes the next. Everything that
// depends on what changes is looked at here, and the expressions are tried on
// empty copies of the tables, in a transaction that is rolled back. If the
// change can not be made the plan comes with an error that says why.
func (e *Engine) Plan(ctx context.Context, set change.Set) (Plan, error) {
	conn, err := e.connect(ctx)
	if err != nil {
		return Plan{}, err
	}
	defer hangUp(ctx, conn)
	list, err := versions(ctx, conn, e.c.App)
	if err != nil {
		return Plan{}, err
	}
	from := 0
	for _, v := range list {
		if v.State != StateContracted {
			return Plan{}, &noon.Error{Kind: noon.Conflict, Op: "plan schema change", Subject: versionSchema(e.c.App, v.Number), Err: fmt.Errorf("it is %s", v.State), Hint: "Contract or withdraw it first."}
		}
		from = v.Number
	}
	catalog, err := e.catalog(ctx, conn, from)
	if err != nil {
		return Plan{}, err
	}
	p, err := e.c.Make(ctx, set, catalog, Target{App: e.c.App, Schema: e.c.Schema, Role: e.c.Role, From: from})
	if err != nil {
		return p, err
	}
	if err := p.Refusal(); err != nil {
		return p, err
	}
	return p, e.probe(ctx, conn, p)
}

// catalog reads what a plan is made from, at one moment.
func (e *Engine) catalog(ctx context.Context, conn *pgx.Conn, version int) (*pgcatalog.Catalog, error) {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, explain("read the schema", e.c.Schema, err)
	}
	defer tx.Rollback(ctx) //nolint:errcheck // it has changed nothing
	c, err := pgcatalog.Read(ctx, tx, []string{e.c.Schema, versionSchema(e.c.App, version)})
	if err != nil {
		return nil, explain("read the schema", e.c.Schema, err)
	}
	return c, nil
}

// probe tries a plan's probe and rolls it back.
func (e *Engine) probe(ctx context.Context, conn *pgx.Conn, p Plan) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return explain("try the plan", p.name(), err)
	}
	defer tx.Rollback(ctx) //nolint:errcheck // that is its purpose
	for _, sql := range slices.Concat([]string{"set local lock_timeout = '5s'"}, p.Probe) {
		if _, err := tx.Exec(ctx, sql); err != nil {
			wrong := explain("try the plan", p.name(), fmt.Errorf("%w in: %s", err, sql))
			var own *noon.Error
			if errors.As(wrong, &own) && own.Kind == noon.Failure {
				own.Kind, own.Hint = noon.Invalid, "Correct the operation that the statement comes from. Nothing was changed."
			}
			return wrong
		}
	}
	return nil
}
