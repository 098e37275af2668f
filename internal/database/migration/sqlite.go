package migration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// file is a SQLite database.
type file struct {
	opts Options
	path string
	keys bool // foreign keys are enforced, not only checked at the end
}

// openSQLite reads sqlite:PATH with ?mode=rwc (create it) and ?foreign_keys=on.
func openSQLite(address string, opts Options) (*Database, error) {
	_, rest, _ := strings.Cut(address, ":")
	rest = strings.TrimPrefix(rest, "//")
	path, query, _ := strings.Cut(rest, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, err
	}
	if path == "" {
		return nil, errors.New("it names no file")
	}
	f := file{opts: opts, path: path}
	mode := "rw" // a wrong path shall not make an empty database
	for name, v := range values {
		switch {
		case name == "mode" && (v[0] == "rw" || v[0] == "rwc"):
			mode = v[0]
		case name == "foreign_keys" && (v[0] == "on" || v[0] == "off"):
			f.keys = v[0] == "on"
		default:
			return nil, fmt.Errorf("it has the parameter %s=%s; known are mode=rwc and foreign_keys=on", name, v[0])
		}
	}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + url.Values{
		"mode": {mode}, "_error_rc": {"1"}, "_pragma": {fmt.Sprintf("busy_timeout(%d)", opts.LockTimeout.Milliseconds())},
	}.Encode()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	return &Database{
		db: db, name: "sqlite:" + path, dialect: sqltext.SQLite, table: historyTable(sqltext.SQLite), opts: opts,
		server: server{f, f, f, f},
	}, nil
}

// prepare leaves the journal mode as it is. Foreign keys are off unless the
// address says otherwise, so that rebuilding a table deletes nothing
// elsewhere; check looks before the commit.
func (f file) prepare(ctx context.Context, c *sql.Conn) error {
	keys := "OFF"
	if f.keys {
		keys = "ON"
	}
	_, err := c.ExecContext(ctx, `PRAGMA foreign_keys = `+keys)
	return err
}

// lock is a lock of a file beside the database, which ends with the process.
func (f file) lock(ctx context.Context, c *sql.Conn) (func() error, *holder, error) {
	real, err := filepath.EvalSymlinks(f.path)
	if err != nil {
		return nil, nil, err
	}
	return lockFile(real+".noon-migration", f.opts.Who)
}

func (f file) begin(ctx context.Context, c *sql.Conn, _ bool) error {
	_, err := c.ExecContext(ctx, `BEGIN IMMEDIATE`)
	return err
}

// check refuses rows that point nowhere, where SQLite has not looked.
func (f file) check(ctx context.Context, c *sql.Conn) error {
	if f.keys {
		return nil
	}
	var table, parent string
	var row sql.NullInt64
	err := c.QueryRowContext(ctx, `SELECT "table", rowid, parent FROM pragma_foreign_key_check LIMIT 1`).Scan(&table, &row, &parent)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("check foreign keys: %w", err)
	}
	return &noon.Error{
		Kind: noon.Failure, Op: "check foreign keys of", Subject: table, Err: fmt.Errorf("row %d refers to a row of %s that is not there", row.Int64, parent),
		Hint: "Nothing of this section was changed. `PRAGMA foreign_key_check` lists such rows; if they were there before, repair them first.",
	}
}

func (f file) number(context.Context, *sql.Conn) (int64, error) { return int64(os.Getpid()), nil }

func (f file) waiting(context.Context, *sql.Conn, int64) (int, error) { return 0, nil } // nobody can see them

func (f file) lag(context.Context, *sql.Conn) (time.Duration, string, error) { return 0, "", nil } // there are no replicas

func (f file) class(st sqltext.Statement) class {
	switch first := st.Words(1)[0]; {
	case first.Is("VACUUM", "PRAGMA", "ANALYZE", "REINDEX"):
		return repeatable
	case first.Is("ATTACH", "DETACH"):
		return opaque
	}
	return transactional
}

func (f file) execute(ctx context.Context, c *sql.Conn, st sqltext.Statement, _ bool) error {
	_, err := c.ExecContext(ctx, st.Text)
	return err
}

func (f file) look(context.Context, *sql.Conn, sqltext.Statement) (string, error) { return "", nil }

func (f file) happened(context.Context, *sql.Conn, sqltext.Statement, string) (bool, error) {
	return false, nil // no statement of SQLite has to be observed
}

func (f file) blockers(context.Context, *sql.DB, int64) ([]Blocker, error) { return lockers(f.path) }

func (f file) end(context.Context, *sql.DB, Blocker) error {
	return errors.New("a process that uses a SQLite database is not ended by noon")
}

// explain is by primary result code: https://sqlite.org/rescode.html
func (f file) explain(err error) problem {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return connectionProblem(err)
	}
	out := problem{kind: noon.Failure, hint: "Nothing of this step was changed. Correct it and try again."}
	switch e.Code() & 0xff {
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED:
		out.kind, out.retry = noon.Conflict, true
	case codes.SQLITE_FULL:
		out.hint = "The disk, or what max_page_count allows, is full. Free space; nothing of this step was changed."
	case codes.SQLITE_READONLY:
		out.kind, out.hint = noon.Conflict, "The file or its directory can not be written by this user. Nothing was changed."
	case codes.SQLITE_CANTOPEN, codes.SQLITE_PERM:
		out.kind, out.hint = noon.NotFound, "Check the path, and that this user may read and write the file and its directory. A new database is made with sqlite:PATH?mode=rwc."
	case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB:
		out.kind, out.hint = noon.Invalid, "The file is damaged or no SQLite database. Bring a copy back."
	case codes.SQLITE_IOERR:
		out.hint = "The disk reports errors. Look at the kernel's log (dmesg); nothing of this step was changed."
	case codes.SQLITE_INTERRUPT:
		out.kind, out.hint = noon.Unavailable, "It was interrupted. Nothing of this step was changed; try again."
	case codes.SQLITE_ERROR:
		out.kind = noon.Invalid
		if strings.Contains(e.Error(), "within a transaction") || strings.Contains(e.Error(), "transaction in progress") {
			out.hint = "Nothing of this section was changed. Put the statement into a section of its own with the directive `-- noon: no-transaction`."
		}
	}
	return out
}
