package realapps

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon/internal/database/dbtest"
)

// grant is what a journey leaves behind.
type grant struct {
	Store    string `json:"store"`
	User     string `json:"user"`
	Relation string `json:"relation"`
	Object   string `json:"object"`
}

// OpenFGA brings a migration command: the old version serves while it runs,
// and works with what it has made, so that users can go back and forth.
func TestOpenFGA(t *testing.T) {
	chosen(t, "openfga")
	t.Parallel()
	db := database(t, "openfga") // before noon, so that it outlives what noon runs
	m := newMachine(t, "openfga", "permissions")
	m.set(map[string]string{"SITE_URL": m.url}, map[string]string{"OPENFGA_DATASTORE_URI": db})
	m.release("1.8.4", map[string]string{"version": "1.8.4"})
	m.walk("r1", "deploy", "r1")
	was := query(t, db, pgx.RowTo[int64], "select max(version_id) from goose_db_version")
	m.release("1.22.1", map[string]string{"version": "1.22.1"})
	users := startLoad[grant](m, 4, m.program("journey/main.go"), "loop")
	users.more(20)
	m.walk("r2", "deploy", "r2")
	users.more(20)
	if now := query(t, db, pgx.RowTo[int64], "select max(version_id) from goose_db_version"); now[0] <= was[0] {
		t.Errorf("the schema is at %d, as before: nothing was migrated", now[0])
	}
	m.walk("r1", "rollback")
	users.more(20)
	m.walk("r2", "deploy", "r2")
	users.more(20)
	told := users.good()
	stored := query(t, db, pgx.RowToStructByPos[grant], `select store, _user as "user", relation, object_type || ':' || object_id as object
		from tuple where _user not like 'user:smoke%'`)
	same(t, "permissions", stored, told)
}

// database is an empty one of a server of its own.
func database(t *testing.T, name string) string {
	t.Helper()
	server := dbtest.ForTest(t, dbtest.Postgres)
	url, err := server.PostgresDatabase(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// query reads rows: pgx.RowTo for values, pgx.RowToStructByPos for structs.
func query[T any](t *testing.T, url string, row pgx.RowToFunc[T], sql string) []T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // the test has its answer
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, row)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return list
}
