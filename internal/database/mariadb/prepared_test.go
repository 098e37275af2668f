package mariadb_test

import (
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/database/mariadb"
)

// Statements that a release has prepared before a phase work after it.
func TestPreparedStatements(t *testing.T) {
	t.Parallel()
	s := newShop(t, people)
	one := s.release(t, "r1", 0)
	p := s.plan(t, renewal)
	held := s.prepared(t, one, "INSERT INTO users (mail, age, first, last) VALUES (?, '7', 'a', 'b')", "UPDATE users SET age = '8' WHERE mail = ?", "DELETE FROM users WHERE mail = ?")
	old := s.prepared(t, s.old(), "INSERT INTO users (mail, age, first, last) VALUES (?, '7', 'a', 'b')", "UPDATE users SET age = '8' WHERE mail = ?")
	use := func(when string, list []*sql.Stmt) {
		t.Helper()
		for i, st := range list {
			if _, err := st.ExecContext(t.Context(), when); err != nil {
				t.Errorf("%s: statement %d: %v", when, i, err)
			}
		}
	}
	use("before", held)
	s.reach(t, p, mariadb.Expanded)
	use("expanded", held)
	use("expanded old", old)
	use("again", held)
	s.reach(t, p, mariadb.Withdrawn)
	use("withdrawn", held)
	use("withdrawn old", old)
	s.reach(t, p, mariadb.Expanded)
	use("expanded again", held)
	two := s.release(t, "r2", p.To)
	held = s.prepared(t, two, "INSERT INTO users (email, age, name) VALUES (?, 7, 'a b')", "UPDATE users SET age = 8 WHERE email = ?")
	use("two", held)
	use("two again", held)
}

// Statements that are prepared while the server makes a trigger work after it.
// The server does not prepare them anew, because it takes them for newer than
// the trigger: they have not locked a table that it would read.
func TestPreparedWhileATriggerIsMade(t *testing.T) {
	t.Parallel()
	s := newShop(t, people)
	one := s.release(t, "r1", 0)
	p := s.plan(t, renewal)
	var held []*sql.Stmt
	meanwhile := func(connection int64, text string) func(int64, error) {
		if !strings.HasPrefix(text, "CREATE TRIGGER") {
			return func(int64, error) {}
		}
		writes := s.writing(t)
		var all sync.WaitGroup
		all.Go(func() {
			defer writes()
			s.waiting(t, connection)
			for _, address := range []string{one, s.old()} {
				held = append(held, s.prepared(t, address, "INSERT INTO users (mail, age, first, last) VALUES (?, '7', 'a', 'b')", "UPDATE users SET age = '8' WHERE id > ?")...)
			}
		})
		return func(int64, error) {
			all.Wait()
			for i, st := range held {
				if _, err := st.ExecContext(t.Context(), "0"); err != nil {
					t.Errorf("statement %d: %v", i, err)
				}
			}
		}
	}
	e := s.open(t, mariadb.Config{LockTimeout: time.Minute, Trace: meanwhile})
	if err := e.Reach(t.Context(), mariadb.Order{Plan: &p, Phase: mariadb.Expanded}, nil); err != nil {
		t.Fatal(err)
	}
	if len(held) != 8 {
		t.Errorf("%d statements were prepared meanwhile, want 8", len(held))
	}
	two := s.release(t, "r2", p.To)
	says(t, two, "SELECT GROUP_CONCAT(DISTINCT age), GROUP_CONCAT(name) FROM users", "8|Ada Lovelace,Alan Turing,a b,a b,a b,a b,a b,a b")
}

// What a release's database does not tell, or tells wrongly, is corrected before
// triggers ask for it.
func TestVersionIsTold(t *testing.T) {
	t.Parallel()
	s := newShop(t, people)
	p := s.plan(t, renewal)
	s.reach(t, p, mariadb.Expanded)
	two := s.release(t, "r2", p.To)
	s.reach(t, p, mariadb.Contracted)
	s.run(t, s.root(), "ALTER DATABASE "+mariadb.Name(s.app, "r2")+" COMMENT = 'none'")
	next := s.plan(t, "operations: [{alter_column: {table: users, column: age, type: bigint, up: age + 100, down: age - 100}}]")
	s.reach(t, next, mariadb.Expanded)
	three := s.release(t, "r3", next.To)
	s.run(t, two, "UPDATE users SET age = 5, name = 'two' WHERE id = 1")
	s.run(t, three, "INSERT INTO users (email, age, name) VALUES ('x', 107, 'three')")
	for address, want := range map[string]string{two: "5|two\n41|Alan Turing\n7|three", three: "105|two\n141|Alan Turing\n107|three"} {
		says(t, address, "SELECT age, name FROM users ORDER BY id", want)
	}
	says(t, s.root(), "SELECT REGEXP_SUBSTR(schema_comment, 'version .*') FROM information_schema.schemata WHERE schema_name LIKE '"+s.app+"\\_r%' ORDER BY schema_name", "version 1\nversion 2")
}

// writing has a transaction write users until what it returns is called.
func (s *shop) writing(t *testing.T) (end func()) {
	t.Helper()
	db, err := pool(s.root())
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "UPDATE users SET note = 'x' WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = tx.Rollback()
		_ = db.Close() // nothing was written
	}
}

// waiting returns when a session waits for the lock of a table.
func (s *shop) waiting(t *testing.T, connection int64) {
	t.Helper()
	until := time.Now().Add(time.Minute)
	for ask(t, s.root(), fmt.Sprintf("SELECT count(*) FROM information_schema.processlist WHERE id = %d AND state LIKE 'Waiting for table metadata lock%%'", connection)) != "1" {
		if time.Now().After(until) {
			t.Error("nobody waits")
			return
		}
		<-time.After(time.Millisecond)
	}
}

// prepared are statements that sessions of an address have prepared.
func (s *shop) prepared(t *testing.T, address string, texts ...string) []*sql.Stmt {
	t.Helper()
	db, err := pool(address)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() }) // nothing is under way
	var list []*sql.Stmt
	for _, text := range texts {
		st, err := db.PrepareContext(t.Context(), text)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		list = append(list, st)
	}
	return list
}
