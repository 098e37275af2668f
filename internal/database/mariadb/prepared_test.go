package mariadb_test

import (
	"database/sql"
	"testing"

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
