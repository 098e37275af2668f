package ledger_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite" // to look at the file behind the ledger's back

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/ledger"
)

// TestMain is also the process that crash_test.go kills.
func TestMain(m *testing.M) {
	if path := os.Getenv(crashEnv); path != "" {
		if err := crashChild(context.Background(), path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func production() noon.Site { return noon.Site{App: "shop", Environment: "production"} }

func staging() noon.Site { return noon.Site{App: "shop", Environment: "staging"} }

func noon2026() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC) }

func fixedClock() ledger.Option { return ledger.WithClock(noon2026) }

func testKey() ledger.Key {
	var k ledger.Key
	for i := range k {
		k[i] = byte(i + 1)
	}
	return k
}

func open(t *testing.T, path string, opts ...ledger.Option) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), path, testKey(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func newPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "ledger.db")
}

func fresh(t *testing.T, opts ...ledger.Option) *ledger.Ledger {
	t.Helper()
	return open(t, newPath(t), opts...)
}

// failer is a *testing.T or a *rapid.T.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func noErr(t failer, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must returns v, or ends the test.
func must[T any](v T, err error) func(failer) T {
	return func(t failer) T {
		t.Helper()
		noErr(t, err)
		return v
	}
}

// walking is a deployment of r1 to r2 with every part of it filled.
func walking(site noon.Site) noon.Deployment {
	at := noon2026()
	return noon.Deployment{
		Site: site, Status: noon.Walking, At: 1, By: "ada", Created: at, Started: at.Add(time.Second),
		Error: &noon.Error{Kind: noon.Failure, Op: "check", Hint: "look"},
		Plan: noon.Plan{
			Kind: noon.PlanDeploy, Site: site, From: noon.Revision{Release: 1}, To: noon.Revision{Release: 2, Config: 3},
			States: []noon.State{{Kind: noon.Settled}, {Kind: noon.Prepared, Changes: []string{"r2 is unpacked"}}},
		},
	}
}

func create(t *testing.T, l *ledger.Ledger, d noon.Deployment) noon.Deployment {
	t.Helper()
	return must(l.Create(t.Context(), d))(t)
}

func acquire(t *testing.T, l *ledger.Ledger, site noon.Site) int64 {
	t.Helper()
	return must(l.Acquire(t.Context(), site, t.Name()))(t)
}

// wantKind checks that an error is of a kind and that its reader is told what
// to do about it.
func wantKind(t failer, err error, kind noon.ErrorKind) {
	t.Helper()
	if err == nil || noon.KindOf(err) != kind {
		t.Fatalf("error is %v of kind %q, want kind %q", err, noon.KindOf(err), kind)
	}
}

func wantHint(t failer, err error, kind noon.ErrorKind, hint string) {
	t.Helper()
	wantKind(t, err, kind)
	if !strings.Contains(noon.HintOf(err), hint) {
		t.Fatalf("hint of %v is %q, want %q in it", err, noon.HintOf(err), hint)
	}
}

func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	noErr(t, err)
	return db
}

func rawExec(t *testing.T, path, text string) {
	t.Helper()
	db := raw(t, path)
	_, err := db.ExecContext(t.Context(), text)
	noErr(t, err)
	noErr(t, db.Close())
}

// dump is everything a ledger holds but its seal and the dates of migrations.
func dump(t *testing.T, path string) string {
	t.Helper()
	db := raw(t, path)
	var b strings.Builder
	for _, table := range []string{"counter", "release", "config_version", "config_value", "lease", "deployment", "event", "job_run"} {
		dumpTable(t, db, &b, table)
	}
	noErr(t, db.Close())
	return b.String()
}

func dumpTable(t *testing.T, db *sql.DB, b *strings.Builder, table string) {
	t.Helper()
	order := " ORDER BY 1, 2, 3, 4"
	if table == "counter" {
		order = " ORDER BY 1" // it has no more
	}
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+table+order)
	noErr(t, err)
	defer func() { noErr(t, rows.Close()) }()
	fmt.Fprintln(b, table)
	columns := must(rows.Columns())(t)
	for rows.Next() {
		cells := make([]any, len(columns))
		for i := range cells {
			cells[i] = new(string)
		}
		noErr(t, rows.Scan(cells...))
		for _, c := range cells {
			fmt.Fprintf(b, "\t%s", *c.(*string))
		}
		fmt.Fprintln(b)
	}
	noErr(t, rows.Err())
}

// filesWith returns which of the files of dir hold text.
func filesWith(t *testing.T, dir, text string) (names []string) {
	t.Helper()
	for _, e := range must(os.ReadDir(dir))(t) {
		if bytes.Contains(must(os.ReadFile(filepath.Join(dir, e.Name())))(t), []byte(text)) {
			names = append(names, e.Name())
		}
	}
	return names
}
