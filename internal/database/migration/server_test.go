package migration_test

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
)

// What MariaDB would do by copying or blocking is refused, unless nobody has
// to wait or the file allows it.
func TestBlockingChange(t *testing.T) {
	t.Parallel()
	w, _ := settled(t, "mysql")
	change := func(text string) error {
		files := append(shop()[:4], "0002_type.sql", text)
		return w.open(t, migration.Options{}).Reach(t.Context(), w.set(t, files...), migration.Expanded, nil)
	}
	err := change("\nALTER TABLE orders MODIFY COLUMN n BIGINT NOT NULL;")
	wantError(t, err, noon.Invalid, "(0002_type.sql:2): change a table in use: the server would copy it", "-- noon: blocking")
	w.untouched(t)
	wantError(t, change("ALTER TABLE orders PARTITION BY HASH (id) PARTITIONS 2;"), noon.Invalid, "change of partitions", "blocking")
	if err := change("-- noon: blocking \"three rows\"\nALTER TABLE orders MODIFY COLUMN n BIGINT NOT NULL;"); err != nil {
		t.Fatal(err)
	}
	if got := w.ask(t, "SELECT data_type FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'orders' AND column_name = 'n'"); got != "bigint" {
		t.Errorf("n is %s", got)
	}
	set := w.set(t, "0001_orders.sql", shop()[1], "0002_type.sql", "-- noon: blocking \"three rows\"\nALTER TABLE orders MODIFY COLUMN n BIGINT NOT NULL;",
		"0003_new.sql", "CREATE TABLE fresh (i INTEGER);\nALTER TABLE fresh MODIFY i BIGINT;\nCREATE UNIQUE INDEX fi ON fresh (i);\nALTER TABLE orders ADD KEY nk (n), ALGORITHM=INPLACE;\n")
	files := w.open(t, migration.Options{})
	wantError(t, files.Reach(t.Context(), w.set(t, "0001_orders.sql", "SELECT 1;"), migration.Expanded, nil), noon.Conflict, "was applied", "")
	reach(t, files, set, migration.Expanded)
}

// The index that a build has left unfinished is dropped, and built again.
func TestInvalidIndex(t *testing.T) {
	t.Parallel()
	w, _ := settled(t, "postgres")
	w.exec(t, "UPDATE orders SET n = 0")
	set := w.set(t, append(shop()[:4], "0002_n.sql", "-- noon: expand\n-- noon: no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY by_n ON public.orders (n);\n")...)
	db := w.open(t, migration.Options{})
	wantError(t, db.Reach(t.Context(), set, migration.Expanded, nil), noon.Failure, "(0002_n.sql:3): ERROR: could not create unique index", "")
	const indexes = "SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid = 'orders'::regclass ORDER BY 1"
	if got := w.ask(t, indexes); got != "orders_pkey true" {
		t.Errorf("after the failure: %s", got)
	}
	w.exec(t, "UPDATE orders SET n = id")
	reach(t, db, set, migration.Expanded)
	if got := w.ask(t, indexes); got != "orders_pkey true; by_n true" {
		t.Errorf("in the end: %s", got)
	}
}

// An index is built although a transaction is open for a while.
func TestIndexBesideTransaction(t *testing.T) {
	t.Parallel()
	w, _ := settled(t, "postgres")
	tx, err := w.app.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "UPDATE orders SET n = 0 WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	set := w.set(t, append(shop()[:4], "0002_n.sql", "-- noon: no-transaction\nCREATE INDEX CONCURRENTLY by_n ON orders (n);\n")...)
	db := w.open(t, migration.Options{Budget: time.Minute, LockTimeout: 50 * time.Millisecond})
	ended := make(chan error, 1)
	go func() { ended <- db.Reach(t.Context(), set, migration.Expanded, nil) }()
	waitFor(t, func() bool {
		got, err := w.tryAsk(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'CREATE INDEX%'")
		return err == nil && got == "1"
	})
	w2 := openApp(t, "postgres", w.address)
	if _, err := w2.ExecContext(t.Context(), "UPDATE orders SET n = 1 WHERE id = 2"); err != nil { // nobody waits for the index
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// waitFor polls a condition until it holds.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatal("it never held")
		case <-tick.C:
		}
	}
}

// Whether a statement took effect that the database can not be asked about is
// asked of people.
func TestQuestion(t *testing.T) {
	t.Parallel()
	w, _ := settled(t, "mysql")
	w.exec(t, "CREATE TABLE gone (i INTEGER)")
	dir := write(t, append(shop()[:4], "0002_cut.sql", "TRUNCATE TABLE gone;\nCREATE TABLE last_one (i INTEGER);\n")...)
	if !w.dies(t, dir, "expanded", "migration.statement.after:1") {
		t.Fatal("the process was not killed")
	}
	set := w.set(t, append(shop()[:4], "0002_cut.sql", "TRUNCATE TABLE gone;\nCREATE TABLE last_one (i INTEGER);\n")...)
	err := w.open(t, migration.Options{}).Reach(t.Context(), set, migration.Expanded, nil)
	wantError(t, err, noon.Conflict, "0002_cut (0002_cut.sql:1): statement 1 of section \"expand\" was begun by child", "--resolve 2=done")
	w.exec(t, "INSERT INTO gone VALUES (1)")
	reach(t, w.open(t, migration.Options{Resolve: map[int64]migration.Resolution{2: migration.TakeAsDone}}), set, migration.Expanded)
	if got := w.ask(t, "SELECT (SELECT count(*) FROM gone), count(*) FROM last_one"); got != "1 0" {
		t.Errorf("after the answer: %s", got)
	}
}

// Foreign keys are as they were after a table was rebuilt, and the journal of
// the app stays WAL.
func TestRebuildTable(t *testing.T) {
	t.Parallel()
	w, _ := settled(t, "sqlite")
	w.exec(t, "CREATE TABLE lines (id INTEGER PRIMARY KEY, o INTEGER NOT NULL REFERENCES orders (id) ON DELETE CASCADE)")
	w.exec(t, "INSERT INTO lines VALUES (1, 1), (2, 3)")
	rebuild := func(where string) migration.Set {
		return w.set(t, append(shop()[:4], "0002_rebuild.sql", "CREATE TABLE fresh (id INTEGER PRIMARY KEY, name TEXT);\nINSERT INTO fresh SELECT id, name FROM orders"+where+";\nDROP TABLE orders;\nALTER TABLE fresh RENAME TO orders;\n")...)
	}
	db := w.open(t, migration.Options{})
	wantError(t, db.Reach(t.Context(), rebuild(" WHERE id < 3"), migration.Expanded, nil), noon.Failure, "row 2 refers to a row of orders that is not there", "foreign_key_check")
	w.untouched(t)
	reach(t, db, rebuild(""), migration.Expanded)
	if got := w.ask(t, "SELECT (SELECT count(*) FROM lines), (SELECT count(*) FROM orders), journal_mode FROM pragma_journal_mode"); got != "2 3 wal" {
		t.Errorf("after the rebuild: %s", got)
	}
	strict := w
	strict.address = strings.Replace(w.address, "mode=rwc", "foreign_keys=on", 1)
	set := w.set(t, append(shop()[:4], "0002_rebuild.sql", "CREATE TABLE fresh (id INTEGER PRIMARY KEY, name TEXT);\nINSERT INTO fresh SELECT id, name FROM orders;\nDROP TABLE orders;\nALTER TABLE fresh RENAME TO orders;\n", "0003_bad.sql", "INSERT INTO lines VALUES (9, 9);")...)
	wantError(t, strict.open(t, migration.Options{}).Reach(t.Context(), set, migration.Expanded, nil), noon.Failure, "FOREIGN KEY constraint failed", "")
}

func TestCopy(t *testing.T) {
	t.Parallel()
	w, _ := settled(t, "sqlite")
	from, to := strings.TrimSuffix(strings.TrimPrefix(w.address, "sqlite:"), "?mode=rwc"), filepath.Join(t.TempDir(), "copy.db")
	if err := migration.Copy(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
	w.exec(t, "DELETE FROM orders")
	copied := world{t: t, kind: "sqlite", app: openApp(t, "sqlite", "sqlite:"+to+"?mode=rw")}
	copied.untouched(t)
	wantError(t, migration.Copy(t.Context(), from, to), noon.Conflict, "exists", "never replaces")
	wantError(t, migration.Copy(t.Context(), from, filepath.Join(to, "below")), noon.Failure, "", "can be written")
	wantError(t, migration.Copy(t.Context(), from+".none", to+"2"), noon.Failure, "no such file", "")
}

// Keys of every usual type are taken in their order, each row once.
func TestKeys(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w world) {
		t := w.t
		types := map[string][]string{
			"postgres": {"bigint", "text", "uuid", "numeric(10,2)", "timestamptz"},
			"mysql":    {"BIGINT", "VARCHAR(40)", "BINARY(16)", "DECIMAL(10,2)", "DATETIME(6)"},
			"sqlite":   {"INTEGER", "TEXT", "BLOB", "REAL", "DATETIME"},
		}[w.kind]
		make := map[string][]string{
			"postgres": {"i", "'it''s \\ ' || i", "md5(i::text)::uuid", "i * 1.25", "now() + i * interval '1 hour 1 ms'"},
			"mysql":    {"i", "concat('it''s \\\\ ', i)", "unhex(md5(i))", "i * 1.25", "date_add('2026-01-01', INTERVAL i * 3600001 MICROSECOND)"},
			"sqlite":   {"i", "'it''s \\ ' || i", "randomblob(16)", "i * 1.25", "datetime('2026-01-01', i || ' hours')"},
		}[w.kind]
		var files []string
		for n, typ := range types {
			w.exec(t, fmt.Sprintf("CREATE TABLE t%d (k %s PRIMARY KEY, n INTEGER NOT NULL)", n, typ))
			w.exec(t, fmt.Sprintf("INSERT INTO t%d WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 50) SELECT %s, 0 FROM c", n, make[n]))
			files = append(files, fmt.Sprintf("%d_t.sql", n+1), fmt.Sprintf("-- noon: data over t%d.k in 7\nUPDATE t%d SET n = n + 1 WHERE k BETWEEN :low AND :high;", n, n))
		}
		reach(t, w.open(t, migration.Options{Pause: -1}), w.set(t, files...), migration.Migrated)
		for n, typ := range types {
			if got := w.ask(t, fmt.Sprintf("SELECT min(n), max(n), count(*) FROM t%d", n)); got != "1 1 50" {
				t.Errorf("key of type %s: %s", typ, got)
			}
		}
	})
}

// Batches wait while replicas are behind.
func TestLag(t *testing.T) {
	t.Parallel()
	w, set := settled(t, "sqlite")
	asked, waited := 0, 0
	db := w.open(t, migration.Options{BatchTime: time.Millisecond, Lag: func(context.Context) (time.Duration, error) {
		asked++
		return time.Duration(10-asked) * time.Second, nil
	}})
	err := db.Reach(t.Context(), set, migration.Migrated, func(p migration.Progress) {
		if strings.HasPrefix(p.Waiting, "for replicas: they are ") {
			waited++
		}
	})
	if err != nil || waited != 4 { // 9, 8, 7 and 6 seconds are above 5
		t.Errorf("it waited %d times: %v", waited, err)
	}
}

// Batches that can not see replicas go on, and it is said once, before and
// while they run; who may see them is told nothing.
func TestReplicasUnseen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "postgres")
	role := "blind_" + w.name
	w.exec(t, fmt.Sprintf("create role %[1]s login password 'p'; alter schema public owner to %[1]s; grant create on database %[2]s to %[1]s", role, w.name))
	files := []string{"0001_t.sql", "CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t SELECT generate_series(1, 50);", "0002_a.sql", "-- noon: data over t.id in 10\nUPDATE t SET a = id WHERE id BETWEEN :low AND :high;"}
	set := w.set(t, files...)
	u, err := url.Parse(w.address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "p")
	db, err := migration.Open(t.Context(), u.String(), migration.Options{BatchTime: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, db)
	reach(t, db, set, migration.Expanded)
	left, err := db.Pending(t.Context(), set, migration.Migrated)
	if err != nil || len(left) != 1 {
		t.Fatalf("%v, %v", left, err)
	}
	if advice, err := db.Blind(t.Context(), left); err != nil || advice != "" {
		t.Errorf("without replicas: %q, %v", advice, err)
	}
	replica(t, w.address)
	want := "As a superuser: GRANT pg_monitor TO " + role + "."
	if advice, err := db.Blind(t.Context(), left); err != nil || advice != want {
		t.Errorf("with one: %q, %v", advice, err)
	}
	if advice, err := db.Blind(t.Context(), nil); err != nil || advice != "" {
		t.Errorf("without batches: %q, %v", advice, err)
	}
	var told []string
	err = db.Reach(t.Context(), set, migration.Migrated, func(p migration.Progress) {
		if p.Warning != "" {
			told = append(told, p.Warning)
		}
	})
	if err != nil || len(told) != 1 || told[0] != migration.Unseen+". "+want {
		t.Errorf("it was told %q, %v", told, err)
	}
	w.exec(t, "grant pg_monitor to "+role)
	if advice, err := db.Blind(t.Context(), left); err != nil || advice != "" {
		t.Errorf("with the right to: %q, %v", advice, err)
	}
}

// replica is connected to a server as one of its replicas is.
func replica(t *testing.T, address string) {
	t.Helper()
	config, err := pgconn.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["replication"] = "database"
	conn, err := pgconn.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
}

func TestSquash(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w world) {
		t := w.t
		files := journey(w.kind)
		old := w.set(t, files...)
		text, err := old.Squash(3)
		if err != nil {
			t.Fatal(err)
		}
		squashed := w.set(t, "0003_base.sql", text, "0004_more.sql", "CREATE TABLE more (i INTEGER);")
		db := w.open(t, migration.Options{})
		reach(t, db, squashed, migration.Expanded) // a new database runs it whole, at once
		w.wantForward(t)
		if got := standing(t, db, squashed); got != "3 applied; 4 applied" {
			t.Errorf("new: %s", got)
		}
		wantError(t, db.Rollback(t.Context(), squashed, 0, migration.Allow{Loss: true}, nil), noon.Invalid, "there is no down script", "")

		before := newWorld(t, w.kind)
		db = before.open(t, migration.Options{})
		reach(t, db, old, migration.Migrated)
		wantError(t, db.Reach(t.Context(), squashed, migration.Expanded, nil), noon.Conflict, "sections that it stands for were run", "from before they were squashed")
		reach(t, db, old, migration.Contracted)
		if got := standing(t, db, squashed); got != "3 squashed; 4 pending expand" {
			t.Errorf("before: %s", got)
		}
		reach(t, db, squashed, migration.Expanded)
		before.wantForward(t)
		if got := standing(t, db, squashed); got != "3 applied; 4 applied" {
			t.Errorf("after: %s", got)
		}
		if _, err := old.Squash(1); noon.KindOf(err) != noon.Invalid {
			t.Errorf("squash of one: %v", err)
		}
	})
}

// What loses data is taken back only when that is allowed, and what was only
// expanded without its contraction.
func TestRollback(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w world) {
		t := w.t
		files := shop()
		files[5] = strings.Replace(files[5], "-- noon: contract\n", "-- noon: contract\n-- noon: irreversible \"old names go\"\n", 1)
		set, db := w.set(t, files...), w.open(t, migration.Options{})
		back := func(to int64, allow migration.Allow) error { return db.Rollback(t.Context(), set, to, allow, nil) }
		reach(t, db, set, migration.Migrated)
		if err := back(1, migration.Allow{}); err != nil {
			t.Fatal(err)
		}
		if got := w.ask(t, "SELECT * FROM orders ORDER BY id"); got != "1 a 1; 2 b 1; 3 c 1" {
			t.Errorf("after going back from migrated: %s", got)
		}
		reach(t, db, set, migration.Contracted)
		wantError(t, back(0, migration.Allow{}), noon.Conflict, "0002_title contract: old names go", "--lossy")
		lossy := func(s migration.Section) (string, bool) { return "it drops a column", s.Kind == migration.Contract }
		wantError(t, back(0, migration.Allow{Computed: lossy}), noon.Conflict, "0002_title contract", "--lossy")
		if err := back(0, migration.Allow{Loss: true}); err != nil {
			t.Fatal(err)
		}
		if got := standing(t, db, set); got != "1 pending expand; 2 pending expand" {
			t.Errorf("in the end: %s", got)
		}
	})
}

// A half done section of a server without transactions is not taken back.
func TestRollbackOfHalf(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "mysql")
	set := w.set(t, "1_a.sql", "CREATE TABLE a (i INTEGER);\nCREATE TABEL b (i INTEGER);\n-- noon: down\nDROP TABLE b;\nDROP TABLE a;")
	db := w.open(t, migration.Options{})
	wantError(t, db.Reach(t.Context(), set, migration.Expanded, nil), noon.Invalid, "1_a.sql:2", "")
	wantError(t, db.Rollback(t.Context(), set, 0, migration.Allow{}, nil), noon.Conflict, "half done: 1 of 2 statements", "may be changed")
	// Where the first statement has failed nothing was begun.
	set = w.set(t, "1_a.sql", "CREATE TABLE a (i INTEGER);\nCREATE TABLE c (i INTEGER);\n", "2_b.sql", "CREATE TABEL b (i INTEGER);\n-- noon: down\nDROP TABLE b;")
	wantError(t, db.Reach(t.Context(), set, migration.Expanded, nil), noon.Invalid, "2_b.sql:1", "")
	if err := db.Rollback(t.Context(), set, 1, migration.Allow{}, nil); err != nil {
		t.Error(err)
	}
	if got := standing(t, db, set); got != "1 applied; 2 pending expand" {
		t.Errorf("in the end: %s", got)
	}
}
