package dbtest_test

import (
	"database/sql"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql" // to look at what a server holds

	"github.com/noon-deploy/noon/internal/database/dbtest"
)

// A server answers, keeps what was committed through a crash, and leaves
// nothing behind.
func TestMariaDB(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, err := dbtest.MariaDB(ctx, "max-connections=33")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	url, err := s.MariaDBDatabase(ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	tell(t, url, "CREATE TABLE kept AS SELECT 7 AS n")
	if got := tell(t, url, "SELECT @@max_connections"); got != "33" {
		t.Errorf("max_connections is %s, want what was set", got)
	}
	s.Kill()
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if got := tell(t, url, "SELECT n FROM kept"); got != "7" {
		t.Errorf("after the crash the table holds %s, want 7", got)
	}
}

// tell runs a statement and returns the one value that it gives, if any.
func tell(t *testing.T, url, query string) string {
	t.Helper()
	rest := strings.TrimPrefix(url, "mariadb://")
	at := strings.Replace(rest, "@", "@tcp(", 1)
	db, err := sql.Open("mysql", strings.Replace(at, "/", ")/", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // the test has its answer
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	value := ""
	for rows.Next() {
		if err := rows.Scan(&value); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return value
}
