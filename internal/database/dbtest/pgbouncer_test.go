package dbtest_test

import (
	"strings"
	"testing"

	"github.com/noon-deploy/noon/internal/database/dbtest"
)

// A pooler lets a role in that was made after it had started.
func TestPgBouncer(t *testing.T) {
	t.Parallel()
	s, err := dbtest.Postgres(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // nothing depends on it
	pooler, err := dbtest.PgBouncer(t.Context(), s, "default_pool_size=3")
	if err != nil {
		t.Fatal(err)
	}
	defer pooler.Close() //nolint:errcheck // nothing depends on it
	if got := ask(t, s.PostgresURL("postgres"), "create role late superuser login password '"+dbtest.Password+"'; select count(*)::text from pg_roles where rolname = 'late'"); got != "1" {
		t.Fatalf("%s roles were made", got)
	}
	url := strings.Replace(pooler.PostgresURL("postgres"), "//"+dbtest.Superuser+":", "//late:", 1)
	if got := ask(t, url, "select session_user::text"); got != "late" {
		t.Errorf("by way of the pooler I am %s", got)
	}
	if got, err := pooler.Console(t.Context(), "show config"); err != nil || !strings.Contains(got, "default_pool_size|3|") {
		t.Errorf("the pooler's settings: %v\n%s", err, got)
	}
}
