package rehearsal_test

import (
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
)

// TestKept: a copy that is to be kept is there afterwards, changed, under the
// name that the report has, also after the next rehearsal.
func TestKept(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, kind)
			w.rows(10)
			w.files["0001_title.sql"] = "ALTER TABLE customers ADD COLUMN title varchar(20);"
			w.order.Keep = true
			name := w.good().Copy.Kept
			if !strings.HasPrefix(filepath.Base(name), "noon_kept_") {
				t.Fatalf("it is kept as %q", name)
			}
			t.Cleanup(func() { w.remove(name) })
			w.order.Keep = false
			w.good()
			kept := w.open(name)
			var rows int
			if err := kept.QueryRowContext(t.Context(), "SELECT count(*) FROM customers WHERE title IS NULL").Scan(&rows); err != nil || rows != 10 {
				t.Errorf("the copy has %d rows, %v", rows, err)
			}
			if err := kept.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// open opens a database beside that of the world.
func (w *world) open(name string) *sql.DB {
	w.t.Helper()
	address := "sqlite:" + name + "?mode=rw"
	if w.kind != "sqlite" {
		u, err := url.Parse(w.address)
		if err != nil {
			w.t.Fatal(err)
		}
		u.Path = "/" + name
		address = u.String()
	}
	db, err := migration.Connect(w.t.Context(), address)
	if err != nil {
		w.t.Fatal(err)
	}
	return db
}

// remove removes a copy that was kept. The server may be gone with the test.
func (w *world) remove(name string) {
	if w.kind == "sqlite" {
		_ = os.Remove(name) // so may its directory
		return
	}
	_, _ = w.db.Exec("DROP DATABASE " + name)
}

// TestTemplate: a copy made by the server itself, of a database that nobody is
// connected to.
func TestTemplate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "postgres")
	w.rows(300)
	before := w.everything()
	w.files["0001_title.sql"] = "ALTER TABLE customers ADD COLUMN title varchar(20) NOT NULL DEFAULT 'none';"
	w.order.Copy = noon.CopyTemplate
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	report := w.good()
	if report.Copy.Kind != noon.CopyTemplate || report.Copy.Rows != 300 || report.Copy.Kept != "" {
		t.Errorf("the copy is %+v", report.Copy)
	}
	statement(t, report, "ADD COLUMN title")
	w.db = w.open(strings.TrimPrefix(mustParse(t, w.address).Path, "/"))
	t.Cleanup(func() { _ = w.db.Close() }) // its statements were answered
	w.same(before)
}

func mustParse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestElsewhere: the copy is made on another server, whose roles are others, and
// what its users do is the app's own load.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	w, copies := newWorld(t, "postgres"), newWorld(t, "postgres")
	w.rows(200)
	before := w.everything()
	w.order.Server = copies.address
	w.order.Users = "SELECT count(*) FROM customers WHERE mail LIKE 'mail1%';\nUPDATE customers SET name = name WHERE id = 5;"
	w.files["0001_title.sql"] = "-- noon: expand\nALTER TABLE customers ADD COLUMN title varchar(20);\nSELECT pg_sleep(1);\n"
	report := w.good()
	if report.Load.Count == 0 || report.Load.Failed > 0 {
		t.Errorf("the load is %+v", report.Load)
	}
	w.same(before)
}
