package mariadb_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/dbtest"
	"github.com/noon-deploy/noon/internal/database/mariadb"
)

// What can not be served is refused in the plan, with the reason and what to
// do, before anything is changed.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t, people+`; CREATE TABLE bare (a INT NOT NULL); CREATE TABLE isam (id INT PRIMARY KEY) ENGINE=MyISAM;
		CREATE TABLE pets (id INT PRIMARY KEY, owner BIGINT, kind VARCHAR(9), big VARCHAR(9) AS (UPPER(kind)), size INT, CONSTRAINT small CHECK (size < 9), CONSTRAINT owned FOREIGN KEY (owner) REFERENCES users (id), KEY both_of (kind, size), UNIQUE (size));
		CREATE VIEW adults AS SELECT last FROM users; CREATE TRIGGER names BEFORE UPDATE ON users FOR EACH ROW SET NEW.first = TRIM(NEW.first)`)
	before := ask(t, s.root(), "SELECT group_concat(table_name ORDER BY 1) FROM information_schema.tables WHERE table_schema = database()")
	for _, c := range []struct{ operation, says string }{
		{"alter_column: {table: bare, column: a, type: bigint}", "no primary key"},
		{"alter_column: {table: isam, column: id, type: bigint}", "engine is MyISAM"},
		{"alter_column: {table: users, column: id, type: int}", "the server makes its values"},
		{"alter_column: {table: pets, column: owner, type: int}", "constraint owned uses it"},
		{"alter_column: {table: pets, column: kind, type: text}", "generated column big uses it"},
		{"alter_column: {table: pets, column: size, type: bigint}", "constraint small uses it"},
		{"alter_column: {table: users, column: last, type: text}", "view adults uses it"},
		{"alter_column: {table: users, column: first, type: text}", "trigger names uses it"},
		{"alter_column: {table: users, column: age, type: int}", "NOT NULL without a default"},
		{"alter_column: {table: users, column: note, type: int not null}", "holds more than a type"},
		{"alter_column: {table: users, column: note, type: int, up: (SELECT 1)}", "asks another table"},
		{"alter_column: {table: users, column: note, type: int, up: id}", "value the server makes later"},
		{"alter_column: {table: users, column: note, type: int, up: nothing + 1}", "Unknown column 'nothing'"},
		{"alter_column: {table: users, column: note, type: int, up: no_such(note)}", "no_such"},
		{"alter_column: {table: users, column: note, type: int, up: COUNT(*)}", "Invalid use of group function"},
		{"alter_column: {table: users, column: note, type: int, up: \"1) OR (\"}", "error in your SQL syntax"},
		{"alter_column: {table: users, column: note, type: nothing}", "Unknown data type"},
		{"alter_column: {table: users, column: note, type: int, default: \"'x'\"}", "Invalid default value"},
		{"alter_column: {table: users, column: note, unique: {name: u}}", "noon can change type, nullable and default"},
		{"alter_column: {table: users, column: nothing, type: int}", "there is no such column"},
		{"rename_column: {table: users, from: mail, to: age}", "there is such a column"},
		{"add_column: {table: users, column: {name: x, type: int}}", "NOT NULL, and rows that are there"},
		{"add_column: {table: users, column: {name: x, type: int, nullable: true, check: {name: c, constraint: x > 0}}}", "can have type, nullable, default and comment"},
		{"drop_column: {table: users, column: age}", "NOT NULL without a default"},
		{"drop_column: {table: pets, column: id}", "primary key"},
		{"drop_table: {name: users}", "foreign key owned of pets uses it"},
		{"create_table: {name: noon_x, columns: [{name: id, type: int}]}", "are noon's"},
		{"create_table: {name: users, columns: [{name: id, type: int}]}", "there is such a table"},
		{"drop_index: {name: PRIMARY}", "tables have an index"},
		{"drop_index: {name: owned}", "foreign key owned needs it"},
		{"create_index: {name: i, table: users, columns: [mail], predicate: id > 0}", "columns only"},
		{"create_constraint: {table: users, name: c, type: check, check: id > 0}", "can not serve two releases over this operation"},
		{"sql: {up: SELECT 1}", "can not serve two releases over this operation"},
	} {
		_, err := s.engine.Plan(t.Context(), read(t, "operations:\n- "+c.operation))
		if noon.KindOf(err) != noon.Invalid || !strings.Contains(err.Error(), c.says) || !strings.Contains(noon.HintOf(err), "Nothing was changed.") {
			t.Errorf("%s\ngives %v\nhint %s", c.operation, err, noon.HintOf(err))
		}
	}
	says(t, s.root(), "SELECT group_concat(table_name ORDER BY 1) FROM information_schema.tables WHERE table_schema = database()", before)
}

// Privileges that are missing are told with the GRANT that gives them.
func TestPrivileges(t *testing.T) {
	t.Parallel()
	s := newShop(t, people)
	set := read(t, renewal)
	for _, take := range []string{
		"REVOKE CREATE USER ON *.* FROM %[1]s_noon", "REVOKE PROCESS ON *.* FROM %[1]s_noon", "REVOKE TRIGGER ON `%[2]s`.* FROM %[1]s_noon",
		"REVOKE ALTER ON `%[2]s\\_%%`.* FROM %[1]s_noon", "REVOKE CREATE VIEW ON `%[2]s\\_%%`.* FROM %[1]s_noon", "REVOKE GRANT OPTION ON `%[2]s\\_%%`.* FROM %[1]s_noon",
	} {
		s.run(t, s.root(), fmt.Sprintf(take, s.app, strings.ReplaceAll(s.app, "_", `\_`)))
		_, err := s.engine.Plan(t.Context(), set)
		hint := noon.HintOf(err)
		_, grants, ok := strings.Cut(hint, "run: ")
		if noon.KindOf(err) != noon.Invalid || !ok || !strings.Contains(hint, "Nothing was changed") {
			t.Fatalf("%s: %v, hint: %s", take, err, hint)
		}
		grants, _, _ = strings.Cut(grants, "Nothing")
		s.run(t, s.root(), grants)
		if _, err := s.engine.Plan(t.Context(), set); err != nil {
			t.Errorf("%s, then %s: %v", take, grants, err)
		}
	}
}

// A transaction that does not end is named; nobody waits behind a change for
// longer than the limit, and the change goes on when the way is free.
func TestBlocked(t *testing.T) {
	t.Parallel()
	s := newShop(t, people)
	p := s.plan(t, renewal)
	db, err := pool(s.old())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // its transaction has ended
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM users").Scan(&n); err != nil {
		t.Fatal(err)
	}
	e := s.open(t, mariadb.Config{LockTimeout: 100 * time.Millisecond, LockBudget: 500 * time.Millisecond})
	err = e.Reach(t.Context(), mariadb.Order{Plan: &p, Phase: mariadb.Expanded}, nil)
	if noon.KindOf(err) != noon.Conflict || !strings.Contains(err.Error(), s.app+"_app") || noon.HintOf(err) == "" {
		t.Errorf("blocked: %v", err)
	}
	says(t, s.old(), "SELECT count(*) FROM users", "2")
	tries := make(chan struct{}, 1000)
	ended := make(chan error, 1)
	go func() {
		ended <- e.Reach(context.WithoutCancel(t.Context()), mariadb.Order{Version: p.To, Phase: mariadb.Expanded}, func(p mariadb.Progress) {
			if p.Try > 1 {
				tries <- struct{}{}
			}
		})
	}()
	<-tries
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("when the way is free: %v", err)
	}
}

// Those who use a table meanwhile do not wait for long, whatever keeps a change
// waiting: neither before it begins its work nor at its end. See watch.check.
func TestBlockedWhileOthersWork(t *testing.T) {
	t.Parallel()
	s := newShop(t, crowded)
	p := s.plan(t, renewal)
	c := newCrowd(t)
	c.come(2, s.old(), oldWords())
	db, err := pool(s.old())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // its transactions have ended
	var tx *sql.Tx
	reader := func() {
		if tx, err = db.BeginTx(context.WithoutCancel(t.Context()), nil); err != nil {
			t.Error(err)
		} else if _, err = tx.ExecContext(t.Context(), "SELECT count(*) FROM users"); err != nil {
			t.Error(err)
		}
	}
	reader()
	defer s.watch.During(s.app, "blocked")()
	held := map[string]int{}
	err = s.engine.Reach(t.Context(), mariadb.Order{Plan: &p, Phase: mariadb.Expanded}, func(p mariadb.Progress) {
		if p.Stage == "fill users" && tx == nil {
			reader()
		}
		if p.Try > 2 && tx != nil {
			held[p.Stage]++
			_, tx = tx.Rollback(), nil
		}
	})
	if err != nil || held["add columns to users"] == 0 || held["index users users_name"] == 0 {
		t.Errorf("held up %v: %v", held, err)
	}
	c.stop(t)
}

// A controller that another has taken over from changes nothing, and what it has
// under way is ended.
func TestEpochs(t *testing.T) {
	t.Parallel()
	s := newShop(t, people)
	p := s.plan(t, renewal)
	db, err := pool(s.old())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // its transaction has ended
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "UPDATE users SET own = 1"); err != nil {
		t.Fatal(err)
	}
	before, after := s.open(t, mariadb.Config{Epoch: 1, Wait: true}), s.open(t, mariadb.Config{Epoch: 2, Wait: true})
	tries, ended := make(chan struct{}, 10000), make(chan error, 1)
	go func() {
		ended <- before.Reach(t.Context(), mariadb.Order{Plan: &p, Phase: mariadb.Expanded}, func(p mariadb.Progress) {
			if p.Try > 1 {
				tries <- struct{}{}
			}
		})
	}()
	<-tries
	if _, err := after.Role(t.Context(), "r1", 0, password); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil || noon.HintOf(err) == "" {
		t.Errorf("what was under way ended with %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	if err := before.Reach(t.Context(), mariadb.Order{Plan: &p, Phase: mariadb.Expanded}, nil); noon.KindOf(err) != noon.Stale || noon.HintOf(err) == "" {
		t.Errorf("the controller before: %v", err)
	}
	if err := after.Reach(t.Context(), mariadb.Order{Version: p.To, Phase: mariadb.Expanded}, nil); err != nil {
		t.Error(err)
	}
}

// Sessions of the release that would be cut off hold up what cuts them off.
func TestSessions(t *testing.T) {
	t.Parallel()
	s := newShop(t, people)
	p := s.plan(t, renewal)
	one := s.release(t, "r1", 0)
	s.reach(t, p, mariadb.Expanded)
	two := s.release(t, "r2", p.To)
	for address, phase := range map[string]mariadb.Phase{one: mariadb.Contracted, s.old(): mariadb.Contracted, two: mariadb.Withdrawn} {
		db, err := pool(address)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		err = s.engine.Reach(t.Context(), mariadb.Order{Version: p.To, Phase: phase}, nil)
		if noon.KindOf(err) != noon.Conflict || !strings.Contains(err.Error(), "1 sessions use the version") {
			t.Errorf("%s: %v", phase, err)
		}
		if address == two {
			if err := s.engine.DropRole(t.Context(), "r2"); noon.KindOf(err) != noon.Conflict {
				t.Errorf("the user of a session is dropped: %v", err)
			}
			if _, err := s.engine.Role(t.Context(), "r2", 0, password); noon.KindOf(err) != noon.Conflict {
				t.Errorf("the user of a session changes its version: %v", err)
			}
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	s.reach(t, p, mariadb.Withdrawn)
	s.run(t, s.root(), "CREATE USER "+mariadb.Name(s.app, "r9"))
	if _, err := s.engine.Role(t.Context(), "r9", 0, password); noon.KindOf(err) != noon.Conflict || !strings.Contains(err.Error(), "noon has not made") {
		t.Errorf("somebody else's user: %v", err)
	}
}

// A server with a binary log says what it needs.
func TestBinaryLog(t *testing.T) {
	t.Parallel()
	server := dbtest.ForTest(t, dbtest.MariaDB, "log-bin=binary", "server-id=1", "binlog-format=STATEMENT")
	s := &shop{server: server, app: "s"}
	if _, err := server.MariaDBDatabase(t.Context(), s.app); err != nil {
		t.Fatal(err)
	}
	if _, err := mariadb.Open(t.Context(), mariadb.Config{URL: s.root(), App: "s"}); noon.KindOf(err) != noon.Invalid || !strings.Contains(noon.HintOf(err), "binlog_format") {
		t.Errorf("a log of statements: %v", err)
	}
	s.run(t, s.root(), "SET GLOBAL binlog_format = 'MIXED'")
	w := newWatch(t.Context(), server.MariaDBURL("mysql"))
	t.Cleanup(w.Close)
	s = newShopOn(t, server, w, people)
	_, err := s.engine.Plan(t.Context(), read(t, renewal))
	if noon.KindOf(err) != noon.Invalid || !strings.Contains(noon.HintOf(err), "SET GLOBAL log_bin_trust_function_creators = 1") {
		t.Errorf("no trust: %v", err)
	}
	s.run(t, s.root(), "SET GLOBAL log_bin_trust_function_creators = 1")
	p := s.plan(t, renewal)
	s.reach(t, p, mariadb.Expanded)
	s.run(t, s.release(t, "r2", p.To), "INSERT INTO users (email, age, name) VALUES ('x', 1, 'a b')")
	says(t, s.old(), "SELECT age, first FROM users WHERE mail = 'x'", "1|a")
}

// What is wrong with the address or the server is said.
func TestOpen(t *testing.T) {
	t.Parallel()
	s := newShop(t, people)
	for url, says := range map[string]string{
		"postgres://a:geheim@b/c": "does not begin with", s.as("nobody", s.app): "Access denied", "mariadb://a:geheim@127.0.0.1:1/x": "refused",
		s.noon() + "?x=1": `parameter "x"`, "mariadb://a:geheim@127.0.0.1:1": "names no database", "mysql://%zz": "no URL",
	} {
		_, err := mariadb.Open(t.Context(), mariadb.Config{URL: url, App: "shop"})
		if err == nil || !strings.Contains(err.Error(), says) || noon.HintOf(err) == "" || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v, hint %s", url, err, noon.HintOf(err))
		}
	}
	if _, err := mariadb.Open(t.Context(), mariadb.Config{URL: s.noon(), App: "Shop"}); noon.KindOf(err) != noon.Invalid {
		t.Errorf("a name that can not be: %v", err)
	}
}
