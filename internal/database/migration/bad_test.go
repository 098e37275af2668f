package migration_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
)

// untouched checks that nothing of the shop's first release changed.
func (w world) untouched(t *testing.T) {
	t.Helper()
	if got := w.ask(t, "SELECT * FROM orders ORDER BY id"); got != "1 a 0; 2 b 0; 3 c 0" {
		t.Errorf("something is half applied: %s", got)
	}
}

// settled is a world with the shop's first release.
func settled(t *testing.T, kind string) (world, migration.Set) {
	t.Helper()
	w := newWorld(t, kind)
	reach(t, w.open(t, migration.Options{}), w.set(t, shop()[:4]...), migration.Contracted)
	return w, w.set(t, shop()...)
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there now
	for _, scheme := range []string{"postgres", "mariadb"} {
		_, err := migration.Open(t.Context(), fmt.Sprintf("%s://ada:s3cret@%s/shop", scheme, l.Addr()), migration.Options{})
		wantError(t, err, noon.Unavailable, "connect", "Check that the server runs")
		wantNoSecret(t, err)
	}
	_, err = migration.Open(t.Context(), "sqlite:"+t.TempDir()+"/none.db", migration.Options{})
	wantError(t, err, noon.NotFound, "unable to open", "mode=rwc")
	for _, address := range []string{"oracle://ada:s3cret@h/d", "postgres://ada:s3cret@h:x/d", "mysql://ada:s3cret@h", "mysql://ada:s3cret@h/d?x=1", "mysql://ada:s3cret@h:%zz/", "sqlite:", "sqlite:a?cache=shared"} {
		_, err := migration.Open(t.Context(), address, migration.Options{})
		wantError(t, err, noon.Invalid, "read the address", "Write postgres://")
		wantNoSecret(t, err)
	}
}

func wantNoSecret(t *testing.T, err error) {
	t.Helper()
	if text := err.Error() + noon.HintOf(err); strings.Contains(text, "s3cret") || strings.Contains(text, "only-for-tests") {
		t.Errorf("the error tells the password: %s", text)
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"postgres", "mysql"} {
		w := newWorld(t, kind)
		_, err := migration.Open(t.Context(), strings.Replace(w.address, "only-for-tests", "s3cret", 1), migration.Options{})
		wantError(t, err, noon.Invalid, "", "Check user and password")
		wantNoSecret(t, err)
		_, err = migration.Open(t.Context(), w.address[:strings.LastIndex(w.address, w.name)]+"nowhere", migration.Options{})
		if kind == "postgres" {
			_, err = migration.Open(t.Context(), strings.Replace(w.address, "/"+w.name, "/nowhere", 1), migration.Options{})
		}
		wantError(t, err, noon.NotFound, "nowhere", "Create the database")
	}
}

// as is the address for another user, who has the password pw.
func (w world) as(user string) string {
	_, rest, _ := strings.Cut(w.address, "@")
	scheme, _, _ := strings.Cut(w.address, ":")
	return scheme + "://" + user + ":pw@" + rest
}

func TestPrivileges(t *testing.T) {
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		w, set := settled(t, "postgres")
		user := "u_" + w.name
		w.exec(t, "CREATE ROLE "+user+" LOGIN PASSWORD 'pw'")
		poor := w
		poor.address = w.as(user)
		db := poor.open(t, migration.Options{})
		wantError(t, db.Reach(t.Context(), set, migration.Expanded, nil), noon.Invalid, "permission denied", `GRANT CREATE, USAGE ON SCHEMA noon TO "`+user+`"`)
		w.exec(t, "GRANT USAGE ON SCHEMA noon TO "+user+"; GRANT ALL ON noon.migration TO "+user)
		wantError(t, db.Reach(t.Context(), set, migration.Expanded, nil), noon.Invalid, "must be owner of table orders", "ALTER TABLE orders OWNER TO")
		w.untouched(t)
		// In a database without a history the right to make one is missing.
		fresh := newWorld(t, "postgres")
		fresh.address = fresh.as(user)
		wantError(t, fresh.open(t, migration.Options{}).Reach(t.Context(), set, migration.Expanded, nil), noon.Invalid, "permission denied", `GRANT CREATE ON DATABASE `+fresh.name)
	})
	t.Run("mysql", func(t *testing.T) {
		t.Parallel()
		w, set := settled(t, "mysql")
		user := "u_" + w.name
		w.exec(t, "CREATE USER "+user+"@'127.0.0.1' IDENTIFIED BY 'pw'")
		w.exec(t, "GRANT SELECT ON "+w.name+".* TO "+user+"@'127.0.0.1'")
		w.exec(t, "GRANT SELECT, INSERT, DELETE ON "+w.name+".noon_migration TO "+user+"@'127.0.0.1'")
		poor := w
		poor.address = w.as(user)
		wantError(t, poor.open(t, migration.Options{}).Reach(t.Context(), set, migration.Expanded, nil), noon.Invalid, "denied", "GRANT ALTER ON `"+w.name+"`.* TO '"+user+"'@'127.0.0.1';")
		w.untouched(t)
		// Here, as everybody else of these tests may write all the same.
		w.exec(t, "SET GLOBAL read_only = 1")
		err := poor.open(t, migration.Options{}).Reach(t.Context(), set, migration.Expanded, nil)
		w.exec(t, "SET GLOBAL read_only = 0")
		wantError(t, err, noon.Conflict, "read-only", "Name the primary")
		w.untouched(t)
	})
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		w, set := settled(t, "postgres")
		w.exec(t, "ALTER DATABASE "+w.name+" SET default_transaction_read_only = on")
		wantError(t, w.open(t, migration.Options{}).Reach(t.Context(), set, migration.Expanded, nil), noon.Conflict, "read-only", "Name the primary")
		w.untouched(t)
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		if os.Getuid() == 0 {
			t.Skip("root may write every file")
		}
		w, set := settled(t, "sqlite")
		if err := os.Chmod(strings.TrimSuffix(strings.TrimPrefix(w.address, "sqlite:"), "?mode=rwc"), 0o400); err != nil {
			t.Fatal(err)
		}
		wantError(t, w.open(t, migration.Options{}).Reach(t.Context(), set, migration.Expanded, nil), noon.Conflict, "readonly", "can not be written")
	})
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	w, _ := settled(t, "sqlite")
	set := w.set(t, append(shop()[:4], "0002_fill.sql", "CREATE TABLE big (a TEXT);\nPRAGMA max_page_count = 20;\nINSERT INTO big WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 1000) SELECT hex(zeroblob(1000)) FROM c;\n")...)
	wantError(t, w.open(t, migration.Options{}).Reach(t.Context(), set, migration.Expanded, nil), noon.Failure, "full", "nothing of this step was changed")
	w.untouched(t)
	if got, err := w.tryAsk(t.Context(), "SELECT count(*) FROM big"); err == nil {
		t.Errorf("table big is there with %s rows", got)
	}
}

// A server whose disk is full has changed nothing, and goes on when there is
// room.
func TestServersDiskFull(t *testing.T) {
	t.Parallel()
	for kind, fill := range map[string]string{
		"postgres": "CREATE TABLE big (a text) TABLESPACE small;\nINSERT INTO big SELECT repeat('x', 1900) FROM generate_series(1, 20000);\n",
		"mysql":    "CREATE TABLE big (a text) DATA DIRECTORY = '%s';\nINSERT INTO big SELECT repeat('x', 1900) FROM seq_1_to_20000;\n",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir, grow := smallDisk(t)
			w, _ := settled(t, kind)
			if kind == "postgres" {
				w.exec(t, "CREATE TABLESPACE small LOCATION '"+dir+"'")
			} else {
				fill = fmt.Sprintf(fill, dir)
			}
			t.Cleanup(func() { // the disk goes, the server stays
				_, _ = w.app.ExecContext(context.WithoutCancel(t.Context()), "DROP TABLE big")
				_, _ = w.app.ExecContext(context.WithoutCancel(t.Context()), "DROP TABLESPACE small")
			})
			set := w.set(t, append(shop()[:4], "0002_fill.sql", fill)...)
			wantError(t, w.open(t, migration.Options{}).Reach(t.Context(), set, migration.Expanded, nil), noon.Failure, "", "disk is full")
			w.untouched(t)
			if got, err := w.tryAsk(t.Context(), "SELECT count(*) FROM big"); err == nil && got != "0" {
				t.Errorf("%s rows of a statement that has failed are there", got)
			}
			grow()
			if err := w.open(t, migration.Options{}).Reach(t.Context(), set, migration.Expanded, nil); err != nil {
				t.Fatal(err)
			}
			if got := w.ask(t, "SELECT count(*) FROM big"); got != "20000" {
				t.Errorf("there are %s rows", got)
			}
		})
	}
}

// smallDisk is a directory of the servers with room for 24 MiB, until it grows.
func smallDisk(t *testing.T) (dir string, grow func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a small file system can only be mounted by root")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	if dir, err = os.MkdirTemp("", "noon-disk"); err != nil { //nolint:usetesting // the server's account has to reach it
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the same
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=24m,mode=0700,uid="+nobody.Uid, "noon", dir).CombinedOutput(); err != nil {
		t.Skipf("no small file system can be mounted: %v %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "umount", "--lazy", dir).CombinedOutput(); err != nil {
			t.Errorf("%v %s", err, out)
		}
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return dir, func() {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "mount", "-o", "remount,size=256m", dir).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
	}
}

// A second migrator is told who the first is.
func TestLockHeld(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w world) {
		t := w.t
		slow := map[string]string{
			"postgres": "CREATE TABLE slow (i INTEGER); SELECT pg_sleep(600);", "mysql": "CREATE TABLE slow (i INTEGER); SELECT sleep(600);",
			"sqlite": "CREATE TABLE slow (i INTEGER); WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT max(i) FROM c WHERE i < 0;",
		}
		set := w.set(t, "1_slow.sql", slow[w.kind])
		ctx, cancel := context.WithCancel(t.Context())
		began, ended := make(chan struct{}), make(chan error, 1)
		tell := sync.OnceFunc(func() { close(began) })
		first := w.open(t, migration.Options{Who: "the first"})
		go func() {
			ended <- first.Reach(ctx, set, migration.Expanded, func(p migration.Progress) {
				if p.Statement == 2 {
					tell()
				}
			})
		}()
		<-began
		err := w.open(t, migration.Options{Patience: time.Millisecond}).Reach(t.Context(), set, migration.Expanded, nil)
		who := map[string]string{"postgres": "the first", "mysql": "user root", "sqlite": "the first"}
		wantError(t, err, noon.Conflict, who[w.kind], "Another noon")
		if !strings.Contains(err.Error(), "since") {
			t.Errorf("the error does not say since when: %v", err)
		}
		cancel()
		wantError(t, <-ended, noon.Unavailable, "", "")
	})
}

// A session that blocks is named, and ended only if that was asked for.
func TestBlocked(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"postgres", "mysql"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w, set := settled(t, kind)
			conn, err := w.app.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }() // noon has ended it
			if _, err := conn.ExecContext(t.Context(), "BEGIN"); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.ExecContext(t.Context(), "SELECT 'reader of orders' FROM orders"); err != nil {
				t.Fatal(err)
			}
			err = w.open(t, migration.Options{Budget: time.Second}).Reach(t.Context(), set, migration.Expanded, nil)
			user := map[string]string{"postgres": "postgres", "mysql": "root"}[kind]
			wantError(t, err, noon.Conflict, "idle in transaction", "--end-blockers")
			if !strings.Contains(err.Error(), user) || kind == "postgres" && !strings.Contains(err.Error(), "reader of orders") {
				t.Errorf("the error does not name user and query: %v", err)
			}
			w.untouched(t)
			reach(t, w.open(t, migration.Options{EndBlockers: true, Budget: time.Minute}), set, migration.Expanded)
		})
	}
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		w, set := settled(t, "sqlite")
		conn, err := w.app.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
			t.Fatal(err)
		}
		err = w.open(t, migration.Options{Budget: 300 * time.Millisecond}).Reach(t.Context(), set, migration.Expanded, nil)
		wantError(t, err, noon.Conflict, "was not to be had within 300ms", "Nothing of this step was changed")
		if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		closing(t, conn)
		w.untouched(t)
		reach(t, w.open(t, migration.Options{}), set, migration.Expanded)
	})
}

// What a statement gets wrong is told with its line, and nothing of its
// section stays.
func TestWrongStatement(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w world) {
		t := w.t
		set := w.set(t, "1_a.sql", "CREATE TABLE a (i INTEGER);\n\nCREATE TABEL b (i INTEGER);\n")
		db := w.open(t, migration.Options{})
		err := db.Reach(t.Context(), set, migration.Expanded, nil)
		wantError(t, err, noon.Invalid, "(1_a.sql:3)", "")
		if _, err := w.tryAsk(t.Context(), "SELECT * FROM a"); (err == nil) != (w.kind == "mysql") {
			t.Errorf("table a after the failure: %v", err)
		}
		// On MariaDB the first statement is done: the others may be corrected.
		reach(t, db, w.set(t, "1_a.sql", "CREATE TABLE a (i INTEGER);\n\nCREATE TABLE b (i INTEGER);\n"), migration.Expanded)
		w.ask(t, "SELECT * FROM a, b")
	})
}

func TestNeedsNoTransaction(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"postgres", "sqlite"} {
		w, _ := settled(t, kind)
		statement := map[string]string{"postgres": "CREATE INDEX CONCURRENTLY by_n ON orders (n);", "sqlite": "VACUUM;"}[kind]
		set := w.set(t, append(shop()[:4], "0002_n.sql", "CREATE TABLE x (i INTEGER);\n"+statement)...)
		wantError(t, w.open(t, migration.Options{}).Reach(t.Context(), set, migration.Expanded, nil), noon.Invalid, "(0002_n.sql:2)", "`-- noon: no-transaction`")
		w.untouched(t)
		if _, err := w.tryAsk(t.Context(), "SELECT * FROM x"); err == nil {
			t.Error("the section is half applied")
		}
	}
}

func TestDownMissing(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w world) {
		t := w.t
		files := shop()
		files[5] = strings.Split(files[5], "-- noon: down\n")[0]
		db, set := w.open(t, migration.Options{}), w.set(t, files...)
		reach(t, db, set, migration.Contracted)
		before := w.ask(t, "SELECT * FROM orders ORDER BY id")
		err := db.Rollback(t.Context(), set, 0, migration.Allow{Loss: true}, nil)
		wantError(t, err, noon.Invalid, "0002_title expand: there is no down script", "Nothing was changed")
		if got := w.ask(t, "SELECT * FROM orders ORDER BY id"); got != before {
			t.Errorf("something was changed: %s", got)
		}
	})
}
