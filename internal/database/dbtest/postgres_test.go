package dbtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon/internal/database/dbtest"
)

// A server answers, keeps what was committed through a crash, and leaves
// nothing behind.
func TestPostgres(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, err := dbtest.Postgres(ctx, "max_connections=20")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	url, err := s.PostgresDatabase(ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(t, url, "create table kept as select 7 as n; show max_connections"); got != "20" {
		t.Errorf("max_connections is %s, want what was set", got)
	}
	s.Kill()
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, url, "select n::text from kept"); got != "7" {
		t.Errorf("after the crash the table holds %s, want 7", got)
	}
}

// ask runs statements and returns the one value of the last.
func ask(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // the test has its answer
	results, err := conn.PgConn().Exec(t.Context(), sql).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	last := results[len(results)-1]
	if len(last.Rows) != 1 || len(last.Rows[0]) != 1 {
		t.Fatalf("%s: %d rows", sql, len(last.Rows))
	}
	return string(last.Rows[0][0])
}
