package migration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// postgres is a PostgreSQL server, 12 or later.
type postgres struct {
	opts Options
	user string
}

const (
	connections  = 3                // of the pool: one that works, one that looks, one to spare
	connectLimit = 10 * time.Second // if the address does not say
)

func openPostgres(address string, opts Options) (*Database, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("it is no URL: %w", hideURL(err))
	}
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, hideAddress(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // nothing is prepared: definitions change
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectLimit
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = fitting("noon migration: "+opts.Who, 63)
	}
	config.Tracer = opts.Trace
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(connections)
	p := postgres{opts: opts, user: config.User}
	return &Database{
		db: db, name: withoutPassword(u), dialect: sqltext.PostgreSQL, table: historyTable(sqltext.PostgreSQL), opts: opts,
		server: server{p, p, p, p},
	}, nil
}

// prepare sets what a statement before may have set back, and makes the server
// look whether noon is still there while a statement runs (PostgreSQL 14).
func (p postgres) prepare(ctx context.Context, c *sql.Conn) error {
	if _, err := c.ExecContext(ctx, `RESET ALL; RESET ROLE`); err != nil {
		return err
	}
	_, err := c.ExecContext(ctx, fmt.Sprintf(`SET lock_timeout = %d`, p.opts.LockTimeout.Milliseconds()))
	if err != nil {
		return err
	}
	_, err = c.ExecContext(ctx, `SELECT set_config(name, '1s', false) FROM pg_catalog.pg_settings WHERE name = 'client_connection_check_interval'`)
	return err
}

// The advisory lock of migrators; the space of two numbers is not that of one.
const (
	lockSpace = 0x6e6f6f6e // "noon"
	lockWhat  = 1
)

func (p postgres) lock(ctx context.Context, c *sql.Conn) (func() error, *holder, error) {
	var got bool
	if err := c.QueryRowContext(ctx, fmt.Sprintf(`SELECT pg_try_advisory_lock(%d, %d)`, lockSpace, lockWhat)).Scan(&got); err != nil {
		return nil, nil, fmt.Errorf("take the lock of migrations: %w", err)
	}
	if got {
		return func() error {
			_, err := c.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf(`SELECT pg_advisory_unlock(%d, %d)`, lockSpace, lockWhat))
			if err != nil && p.explain(err).lost {
				return nil // it went with the connection
			}
			return err
		}, nil, nil
	}
	h := holder{who: "a session that has just ended"}
	err := c.QueryRowContext(ctx, fmt.Sprintf(`SELECT a.pid, format('process %%s of the server (user %%s from %%s, %%s), since %%s', a.pid, a.usename,
		coalesce(host(a.client_addr), 'this machine'), coalesce(nullif(a.application_name, ''), 'unnamed'), to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'))
		FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND l.classid = %d AND l.objid = %d AND l.objsubid = 2 AND l.granted
		AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())`, lockSpace, lockWhat)).Scan(&h.session, &h.who)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, nil, fmt.Errorf("ask who holds the lock of migrations: %w", err)
	}
	return nil, &h, nil
}

func (p postgres) begin(ctx context.Context, c *sql.Conn, unlimited bool) error {
	limit := p.opts.Timeout
	if unlimited {
		limit = 0
	}
	_, err := c.ExecContext(ctx, fmt.Sprintf(`BEGIN; SET LOCAL lock_timeout = %d; SET LOCAL statement_timeout = %d`, p.opts.LockTimeout.Milliseconds(), limit.Milliseconds()))
	return err
}

// check lets constraints fail that wait for the commit.
func (p postgres) check(ctx context.Context, c *sql.Conn) error {
	_, err := c.ExecContext(ctx, `SET CONSTRAINTS ALL IMMEDIATE`)
	return err
}

func (p postgres) number(ctx context.Context, c *sql.Conn) (n int64, err error) {
	err = c.QueryRowContext(ctx, `SELECT pg_backend_pid()`).Scan(&n)
	return n, err
}

func (p postgres) waiting(ctx context.Context, c *sql.Conn, session int64) (n int, err error) {
	err = c.QueryRowContext(ctx, `SELECT count(DISTINCT pid) FROM pg_catalog.pg_locks WHERE NOT granted AND $1::int = ANY (pg_blocking_pids(pid))`, session).Scan(&n)
	return n, err
}

// lag is not told to who is not of pg_monitor: a replica has no state then.
func (p postgres) lag(ctx context.Context, c *sql.Conn) (lag time.Duration, blind string, err error) {
	var seconds float64
	err = c.QueryRowContext(ctx, `SELECT coalesce(extract(epoch FROM max(replay_lag)), 0)::float8,
CASE WHEN bool_or(state IS NULL) THEN 'As a superuser: GRANT pg_monitor TO ' || quote_ident(current_user) || '.' ELSE '' END FROM pg_catalog.pg_stat_replication`).Scan(&seconds, &blind)
	return time.Duration(seconds * float64(time.Second)), blind, err
}

// concurrentIndex reports whether an index is built while the table is in use.
func concurrentIndex(st sqltext.Statement) bool {
	return st.Begins("CREATE", "INDEX", "CONCURRENTLY") || st.Begins("CREATE", "UNIQUE", "INDEX", "CONCURRENTLY")
}

// indexName is the name of the index that a statement makes or drops, as it is
// written, with its schema; "" if it has none.
func indexName(st sqltext.Statement) string {
	after := false
	var name strings.Builder
	for _, t := range st.Tokens {
		switch {
		case t.Is("CONCURRENTLY"):
			after = true
		case !after || !t.Meaningful() || t.Is("IF", "NOT", "EXISTS") && name.Len() == 0:
		case t.Is("ON", "CASCADE", "RESTRICT") || t.Text == ";" || t.Text == "," || t.Text == "(":
			return name.String()
		default:
			name.WriteString(t.Text)
		}
	}
	return name.String()
}

func (p postgres) class(st sqltext.Statement) class {
	first := st.Words(1)[0]
	switch {
	case concurrentIndex(st), st.Begins("DROP", "INDEX", "CONCURRENTLY"):
		return observed
	case first.Is("REINDEX", "VACUUM", "ANALYZE", "CLUSTER", "CHECKPOINT", "SET", "RESET"), st.Begins("ALTER", "SYSTEM"):
		return repeatable
	case first.Is("CALL"), st.Has("CONCURRENTLY") && first.Is("ALTER"), outside(st):
		return opaque
	}
	return transactional
}

// outside reports whether the statement makes or drops what no transaction
// holds.
func outside(st sqltext.Statement) bool {
	words := st.Words(2)
	return len(words) == 2 && words[0].Is("CREATE", "DROP", "ALTER") && words[1].Is("DATABASE", "TABLESPACE", "SUBSCRIPTION")
}

// execute runs a statement outside of a transaction. One that works beside
// others keeps nobody waiting while it waits for them.
func (p postgres) execute(ctx context.Context, c *sql.Conn, st sqltext.Statement, _ bool) error {
	limit := p.opts.LockTimeout
	if st.Has("CONCURRENTLY") {
		limit = p.opts.Budget
	}
	if _, err := c.ExecContext(ctx, fmt.Sprintf(`SET lock_timeout = %d`, limit.Milliseconds())); err != nil {
		return err
	}
	_, err := c.ExecContext(ctx, st.Text)
	return err
}

// look tells how an index is: none, valid or invalid.
func (p postgres) look(ctx context.Context, c *sql.Conn, st sqltext.Statement) (string, error) {
	name := indexName(st)
	if table := indexTable(st); table != "" && !strings.Contains(name, ".") {
		// The index is in the schema of its table, wherever that is found.
		var schema string
		err := c.QueryRowContext(ctx, `SELECT quote_ident(n.nspname) FROM pg_catalog.pg_class k JOIN pg_catalog.pg_namespace n ON n.oid = k.relnamespace WHERE k.oid = to_regclass($1)::oid`, table).Scan(&schema)
		if errors.Is(err, sql.ErrNoRows) {
			return "none", nil
		}
		if err != nil {
			return "", err
		}
		name = schema + "." + name
	}
	var seen string
	err := c.QueryRowContext(ctx, `SELECT coalesce((SELECT CASE WHEN indisvalid THEN 'valid' ELSE 'invalid' END FROM pg_catalog.pg_index WHERE indexrelid = to_regclass($1)::oid), 'none')`, name).Scan(&seen)
	return seen, err
}

// indexTable is the table of the index that a statement makes.
func indexTable(st sqltext.Statement) string {
	if !st.Begins("CREATE") {
		return ""
	}
	after := false
	var name strings.Builder
	for _, t := range st.Tokens {
		switch {
		case !after:
			after = t.Is("ON")
		case !t.Meaningful() || t.Is("ONLY") && name.Len() == 0:
		case t.Is("USING") || t.Text == "(":
			return name.String()
		default:
			name.WriteString(t.Text)
		}
	}
	return name.String()
}

// happened drops the index that a build has left without finishing it.
func (p postgres) happened(ctx context.Context, c *sql.Conn, st sqltext.Statement, seen string) (bool, error) {
	now, err := p.look(ctx, c, st)
	if err != nil {
		return false, err
	}
	if !concurrentIndex(st) {
		return now == "none" && seen != "none", nil
	}
	if now == "invalid" && seen != "invalid" {
		name := indexName(st)
		if table := indexTable(st); strings.Contains(table, ".") && !strings.Contains(name, ".") {
			name = table[:strings.LastIndex(table, ".")+1] + name
		}
		if _, err := c.ExecContext(ctx, `DROP INDEX CONCURRENTLY IF EXISTS `+name); err != nil {
			return false, fmt.Errorf("drop the index that was left unfinished: %w", err)
		}
		return false, nil
	}
	return now == "valid" && seen != "valid", nil
}
