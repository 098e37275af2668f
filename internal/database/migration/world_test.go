package migration_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the drivers with which tests look at what was done

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/dbtest"
	"github.com/noon-deploy/noon/internal/database/migration"
	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// kinds of servers that everything is tested on.
func kinds() []string { return []string{"postgres", "mysql", "sqlite"} }

// everywhere runs a test on every server, with a database of its own.
func everywhere(t *testing.T, test func(world)) {
	t.Helper()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(newWorld(t, kind))
		})
	}
}

// world is an empty database, seen by the side of its app.
type world struct {
	t       *testing.T
	kind    string
	name    string
	address string
	app     *sql.DB
}

func newWorld(t *testing.T, kind string) world {
	t.Helper()
	if kind == "sqlite" {
		return newWorldOn(t, kind, nil)
	}
	return newWorldOn(t, kind, server(t, kind))
}

// newWorldOn makes a database of a server; SQLite has none.
func newWorldOn(t *testing.T, kind string, s *dbtest.Server) world {
	t.Helper()
	w := world{t: t, kind: kind, name: fmt.Sprintf("w%d", shared().names.Add(1))}
	var err error
	switch kind {
	case "postgres":
		w.address, err = s.PostgresDatabase(t.Context(), w.name)
	case "mysql":
		w.address, err = s.MariaDBDatabase(t.Context(), w.name)
	default:
		w.address = "sqlite:" + filepath.Join(t.TempDir(), "app.db") + "?mode=rwc"
	}
	if err != nil {
		t.Fatal(err)
	}
	w.app = openApp(t, kind, w.address)
	if kind == "sqlite" {
		w.exec(t, "PRAGMA journal_mode = WAL")
	}
	return w
}

func openApp(t *testing.T, kind, address string) *sql.DB {
	t.Helper()
	driver, dsn := "pgx", address
	switch kind {
	case "mysql":
		driver, dsn = "mysql", strings.Replace(strings.Replace(strings.TrimPrefix(address, "mariadb://"), "@", "@tcp(", 1), "/", ")/", 1)
	case "sqlite":
		driver, dsn = "sqlite", "file:"+strings.TrimPrefix(address, "sqlite:")+"&_pragma=busy_timeout(20000)"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closing(t, db) })
	return db
}

// close lets go of the connections before the test ends.
func (w world) close(t *testing.T) {
	t.Helper()
	closing(t, w.app)
}

func (w world) exec(t *testing.T, query string) {
	t.Helper()
	if _, err := w.app.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// ask returns the values of a query, those of a row with blanks between, rows
// with semicolons.
func (w world) ask(t *testing.T, query string) string {
	t.Helper()
	got, err := w.tryAsk(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return got
}

func (w world) tryAsk(ctx context.Context, query string) (string, error) {
	rows, err := w.app.QueryContext(ctx, query)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var lines []string
	for rows.Next() {
		values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return "", err
		}
		var fields []string
		for _, v := range values {
			if !v.Valid {
				v.String = "NULL"
			}
			fields = append(fields, v.String)
		}
		lines = append(lines, strings.Join(fields, " "))
	}
	return strings.Join(lines, "; "), rows.Err()
}

func (w world) dialect() sqltext.Dialect { return sqltext.Dialect(w.kind) }

// open opens the database as noon does, with short waits.
func (w world) open(t *testing.T, opts migration.Options) *migration.Database {
	t.Helper()
	if opts.Budget == 0 {
		opts.Budget = 20 * time.Second
	}
	if opts.Who == "" {
		opts.Who = "ada@test"
	}
	db, err := migration.Open(t.Context(), w.address, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closing(t, db) })
	return db
}

func closing(t *testing.T, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// files makes a set of names and texts.
func (w world) set(t *testing.T, files ...string) migration.Set {
	t.Helper()
	set, err := read(w.dialect(), files...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func read(d sqltext.Dialect, files ...string) (migration.Set, error) {
	dir := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		dir[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return migration.Read(dir, d)
}

func reach(t *testing.T, db *migration.Database, set migration.Set, phase migration.Phase) {
	t.Helper()
	if err := db.Reach(t.Context(), set, phase, nil); err != nil {
		t.Fatalf("reach %s: %v (hint: %s)", phase, err, noon.HintOf(err))
	}
}

// wantError checks kind, words of the text and words of the hint of an error.
func wantError(t *testing.T, err error, kind noon.ErrorKind, words, hint string) {
	t.Helper()
	if err == nil {
		t.Fatalf("there is no error, want one with %q", words)
	}
	if noon.KindOf(err) != kind || !strings.Contains(err.Error(), words) || !strings.Contains(noon.HintOf(err), hint) {
		t.Fatalf("the error is of kind %s: %v\nhint: %s\nwant kind %s with %q, hint with %q", noon.KindOf(err), err, noon.HintOf(err), kind, words, hint)
	}
}

// standing is the standing of every migration: "1 applied; 2 pending contract".
func standing(t *testing.T, db *migration.Database, set migration.Set) string {
	t.Helper()
	all, err := db.Status(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range all {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%d %s %s", s.Number, s.Standing, s.Next)))
	}
	return strings.Join(lines, "; ")
}
