package e2e

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the app's database, looked at behind noon's back

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

// TestRehearse: a deployment waits before its database is changed until the
// change has worked on a copy, and one that has failed there is refused.
func TestRehearse(t *testing.T) {
	t.Parallel()
	m, path := machineWithDatabase(t)
	withStore := recipe{files: ", migrations/*", top: `
stores:
  db: {kind: sqlite, coexistence: shared, url: DATABASE, migrations: migrations, compatible: true, rehearsal: {required: true, mask: {customers.name: "'x'"}}}`}
	m.write("migrations/0001_init.sql", "CREATE TABLE customers (id integer PRIMARY KEY, name text, age text);\nINSERT INTO customers VALUES (1, 'Ada', '36'), (2, 'Alan', 'old');\n")
	m.buildWithDatabase(withStore)
	m.must("deploy", "r1", "--yes", "-e", site.Environment)

	m.write("migrations/0002_title.sql", "-- noon: expand\nALTER TABLE customers ADD COLUMN title text;\n")
	m.buildWithDatabase(withStore)
	d := m.begin("deploy", "r2", "-e", site.Environment)
	m.waitsFor(d.ID, "rehearsal of r2 on db (noon rehearse r2)")
	if columns := m.columns(path); strings.Contains(columns, "title") {
		t.Errorf("the database was changed meanwhile: %s", columns)
	}
	good := answer[noon.Rehearsal](m, "rehearse", "r2", "-e", site.Environment)
	if good.Status != noon.RehearsalGood || len(good.Report.Phases) != 2 || len(good.Report.Copy.Masked) != 1 {
		t.Errorf("the rehearsal is %+v", good)
	}
	m.ends(d.ID, noon.Warm, noon.Succeeded)
	if columns := m.columns(path); !strings.Contains(columns, "title") {
		t.Errorf("the database was not changed: %s", columns)
	}

	m.write("migrations/0003_number.sql", "-- noon: contract\nCREATE TABLE ages (id integer PRIMARY KEY, age integer CHECK (typeof(age) = 'integer'));\nINSERT INTO ages SELECT id, age FROM customers;\n")
	m.buildWithDatabase(withStore)
	before := m.columns(path)
	if r := m.cli("rehearse", "r3", "-e", site.Environment); r.code == 0 || !strings.Contains(r.stdout, "failed") || !strings.Contains(r.stderr, "CHECK") {
		t.Errorf("a change that can not work: %s", r)
	}
	if r := m.cli("plan", "r3", "-e", site.Environment); r.code == 0 || !strings.Contains(r.stderr, "db as r3 has it is broken") || !strings.Contains(r.stderr, "noon rehearse r3") {
		t.Errorf("the plan of it: %s", r)
	}
	if shown := m.must("rehearse", "--show", "r3", "-e", site.Environment); !strings.Contains(shown, "INSERT INTO ages") {
		t.Errorf("its report: %s", shown)
	}
	if list := answer[[]noon.Rehearsal](m, "rehearse", "--list", "-e", site.Environment); len(list) != 2 || list[0].Status != noon.RehearsalFailed {
		t.Errorf("the list is %+v", list)
	}
	if after := m.columns(path); after != before {
		t.Errorf("production was %s and is %s", before, after)
	}
	left, err := filepath.Glob(filepath.Join(m.dir, "noon_*"))
	if err != nil || len(left) > 0 {
		t.Errorf("copies are left: %q %v", left, err)
	}
}

// TestRehearsalEnds: a rehearsal that somebody stops, or whose controller is
// killed, says so and leaves nothing that the next one does not remove.
func TestRehearsalEnds(t *testing.T) {
	t.Parallel()
	m, _ := machineWithDatabase(t)
	begun := filepath.Join(m.dir, "begun")
	slow := fmt.Sprintf(`echo $$ >%[1]s.part; mv %[1]s.part %[1]s; sleep 600 & wait`, begun)
	m.write("migrations/0001_init.sql", "CREATE TABLE customers (id integer PRIMARY KEY, name text);\n")
	withStore := recipe{files: ", migrations/*", top: fmt.Sprintf(`
stores:
  db: {kind: sqlite, coexistence: shared, url: DATABASE, migrations: migrations, compatible: true, rehearsal: {copy: command, command: [sh, -c, %q]}}`, slow)}
	m.buildWithDatabase(withStore)
	m.must("deploy", "r1", "--yes", "-e", site.Environment)
	m.write("migrations/0002_title.sql", "-- noon: expand\nALTER TABLE customers ADD COLUMN title text;\n")
	m.buildWithDatabase(withStore)
	copying := func() (command int) {
		t.Helper()
		_ = os.Remove(begun) // of the one before
		m.must("rehearse", "r2", "--detach", "-e", site.Environment)
		eventually(t, 30*time.Second, "the copy is begun", func() error {
			data, err := os.ReadFile(begun)
			if err == nil {
				_, err = fmt.Sscan(string(data), &command)
			}
			return err
		})
		return command
	}
	command := copying()
	if r := m.cli("rehearse", "r2", "-e", site.Environment); r.code == 0 || !strings.Contains(r.stderr, "rehearsal 1 is under way") {
		t.Errorf("a second one meanwhile: %s", r)
	}
	if out := m.must("rehearse", "--stop", "-e", site.Environment); !strings.Contains(out, "rehearsal 1 is stopped") {
		t.Errorf("it is told to end: %s", out)
	}
	eventually(t, 10*time.Second, "what the command has started ends", func() error {
		if err := syscall.Kill(-command, 0); !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("process group %d is there: %w", command, err)
		}
		return nil
	})
	if r := m.cli("rehearse", "--stop", "-e", site.Environment); r.code == 0 || !strings.Contains(r.stderr, "none is under way") {
		t.Errorf("told to end again: %s", r)
	}

	command = copying()
	m.killController()
	_ = syscall.Kill(-command, syscall.SIGKILL) // of this test
	m.serve()
	if shown := answer[noon.Rehearsal](m, "rehearse", "--show", "-e", site.Environment); shown.ID != 2 || shown.Status != noon.RehearsalInterrupted {
		t.Errorf("after the controller was killed: %+v", shown)
	}
	if good := answer[noon.Rehearsal](m, "rehearse", "r2", "--copy", "dump", "-e", site.Environment); good.Status != noon.RehearsalGood {
		t.Errorf("the next one is %+v", good)
	}
	if left, err := filepath.Glob(filepath.Join(m.dir, "noon_*")); err != nil || len(left) > 0 {
		t.Errorf("copies are left: %q %v", left, err)
	}
}

// machineWithDatabase is a machine whose app has a SQLite file and migrations.
func machineWithDatabase(t *testing.T) (m *machine, path string) {
	t.Helper()
	m = newMachine(t)
	m.serve()
	m.configure(site)
	path = filepath.Join(m.dir, "app.db")
	if _, err := m.api.SetConfig(t.Context(), site, []api.ConfigChange{{Name: "DATABASE", Value: "sqlite:" + path + "?mode=rwc", Secret: true}}); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(m.repo, "migrations"), 0o700); err != nil {
		t.Fatal(err)
	}
	return m, path
}

// buildWithDatabase builds a release that has an address of a database.
func (m *machine) buildWithDatabase(r recipe) {
	m.t.Helper()
	m.commit(r)
	manifest, err := os.ReadFile(filepath.Join(m.repo, "noon.yaml"))
	if err != nil {
		m.t.Fatal(err)
	}
	m.write("noon.yaml", strings.Replace(string(manifest), "variables: [", "variables: [DATABASE, ", 1))
	m.git("add", "-A")
	m.git("commit", "-q", "-m", "with a database")
	answer[api.ListedRelease](m, "build", "-q")
}

// columns are those of every table of a SQLite file.
func (m *machine) columns(path string) string {
	m.t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		m.t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // it was only read
	var text string
	err = db.QueryRowContext(m.t.Context(), "SELECT group_concat(sql, '; ') FROM sqlite_master").Scan(&text)
	if err != nil {
		m.t.Fatal(fmt.Errorf("look at %s: %w", path, err))
	}
	return text
}
