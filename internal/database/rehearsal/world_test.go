package rehearsal_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
	"github.com/noon-deploy/noon/internal/database/rehearsal"
)

// world is a production database with the files that a release brings.
type world struct {
	t       testing.TB
	kind    string // postgres, mysql, sqlite
	address string
	db      *sql.DB
	files   map[string]string
	order   rehearsal.Order
}

func newWorld(tb testing.TB, kind string) *world {
	tb.Helper()
	ctx := tb.Context()
	w := &world{t: tb, kind: kind, files: map[string]string{}}
	name := fmt.Sprintf("production_%d", shared().names.Add(1))
	var err error
	switch kind {
	case "postgres":
		w.address, err = server(tb, kind).PostgresDatabase(ctx, name)
	case "mysql", tellsLocks:
		w.address, err = server(tb, kind).MariaDBDatabase(ctx, name)
	default:
		w.address = "sqlite:" + filepath.Join(tb.TempDir(), name+".db") + "?mode=rwc"
	}
	if err != nil {
		tb.Fatal(err)
	}
	if w.db, err = migration.Connect(ctx, w.address); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = w.db.Close() }) // its statements were answered
	w.order = rehearsal.Order{Address: w.address, Owner: name, Log: slog.New(slog.DiscardHandler)}
	return w
}

func (w *world) exec(list ...string) {
	w.t.Helper()
	for _, text := range list {
		if _, err := w.db.ExecContext(w.t.Context(), text); err != nil {
			w.t.Fatalf("%s: %v", text, err)
		}
	}
}

// rows fills customers: number, name, mail, and an age as text.
func (w *world) rows(n int) {
	w.t.Helper()
	w.exec("CREATE TABLE customers (id integer PRIMARY KEY, name varchar(100) NOT NULL, mail varchar(100), age varchar(100))")
	for from := 1; from <= n; from += 500 {
		var values []string
		for i := from; i < from+500 && i <= n; i++ {
			values = append(values, fmt.Sprintf("(%d, 'Name %d', 'mail%d@example.org', '%d')", i, i, i, i%90))
		}
		w.exec("INSERT INTO customers VALUES " + strings.Join(values, ", "))
	}
}

// rehearse runs the files on a copy as a deployment does.
func (w *world) rehearse(ctx context.Context) (noon.RehearsalReport, error, error) {
	w.t.Helper()
	set, err := w.set()
	if err != nil {
		w.t.Fatal(err)
	}
	o := w.order
	for _, text := range w.files {
		o.Texts = append(o.Texts, text)
	}
	o.Steps = append(slices.Clone(o.Steps), reaching(set, noon.DataBoth, migration.Migrated), reaching(set, noon.DataAlone, migration.Contracted))
	return rehearsal.Run(ctx, o)
}

func (w *world) set() (migration.Set, error) {
	dialect, _ := migration.DialectOf(w.address)
	return migration.ReadFiles(w.files, dialect)
}

func reaching(set migration.Set, phase noon.DataPhase, to migration.Phase) rehearsal.Step {
	return rehearsal.Step{Phase: phase, Before: phase == noon.DataBoth, Run: func(ctx context.Context, c rehearsal.Copy) error {
		db, err := migration.Open(ctx, c.Address, migration.Options{Trace: c.Trace})
		if err != nil {
			return err
		}
		defer db.Close() //nolint:errcheck // the test has its answer
		return db.Reach(ctx, set, to, c.Says)
	}}
}

// good wants the change to work.
func (w *world) good() noon.RehearsalReport {
	w.t.Helper()
	report, verdict, err := w.rehearse(w.t.Context())
	if err != nil || verdict != nil {
		w.t.Fatalf("verdict: %v\n%s\nerror: %v\n%s", verdict, noon.HintOf(verdict), err, noon.HintOf(err))
	}
	return report
}

// everything is all that production holds, and what other databases there are.
func (w *world) everything() string {
	w.t.Helper()
	sum := sha256.Sum256([]byte(w.order.Owner))
	mine := hex.EncodeToString(sum[:])[:10]
	list := map[string][]string{
		"postgres": {
			"select coalesce(string_agg(format('%s.%s.%s %s %s', table_schema, table_name, column_name, data_type, column_default), '; ' order by table_schema, table_name, ordinal_position), '') from information_schema.columns where table_schema not in ('pg_catalog', 'information_schema')",
			"select coalesce(string_agg(c::text, '; ' order by id), '') from customers c",
			"select string_agg(datname, ' ' order by datname) from pg_database where datname like '%" + mine + "%'",
			"select string_agg(rolname, ' ' order by rolname) from pg_roles where rolname <> 'plain'",
		},
		"mysql": {
			"SELECT group_concat(concat(table_name, '.', column_name, ' ', column_type) ORDER BY table_name, ordinal_position) FROM information_schema.columns WHERE table_schema = database()",
			"SELECT md5(group_concat(concat_ws(',', id, name, mail, age) ORDER BY id)) FROM customers",
			"SELECT group_concat(schema_name) FROM information_schema.schemata WHERE schema_name LIKE '%" + mine + "%'",
		},
		"sqlite": {
			"SELECT group_concat(sql) FROM sqlite_master",
			"SELECT group_concat(id || ',' || name || ',' || mail || ',' || age) FROM customers",
		},
	}[w.kind]
	var all []string
	for _, query := range list {
		var text sql.NullString
		if err := w.db.QueryRowContext(w.t.Context(), query).Scan(&text); err != nil {
			w.t.Fatalf("%s: %v", query, err)
		}
		all = append(all, text.String)
	}
	if w.kind == "sqlite" {
		path, _, _ := strings.Cut(strings.TrimPrefix(w.address, "sqlite:"), "?")
		left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "noon*"))
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, left...)
	}
	return strings.Join(all, "\n")
}

// same wants production to be what it was.
func (w *world) same(before string) {
	w.t.Helper()
	after := w.everything()
	if after == before {
		return
	}
	i := 0
	for i < min(len(before), len(after)) && before[i] == after[i] {
		i++
	}
	w.t.Errorf("production was …%.300s\nand is …%.300s", before[max(0, i-50):], after[max(0, i-50):])
}

func kinds() []string { return []string{"postgres", "mysql", "sqlite"} }
