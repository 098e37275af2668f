package releases_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon/examples/shop/releases"
	"github.com/noon-deploy/noon/internal/database/dbtest"
)

func TestPostgresReleases(t *testing.T) {
	server, err := dbtest.Postgres(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	url, err := server.PostgresDatabase(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // the test has its answer
	schema, err := os.ReadFile("../testdata/postgres.sql")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for n, sql := range []string{
		string(schema),
		"alter table orders rename name to customer",
		"alter table orders alter total type numeric(12,2) using total/100.0",
		"alter table orders add first_name text, add last_name text, drop customer",
		"create table depots (id bigint primary key, name text not null unique); insert into depots values (1,'north'),(2,'south'); alter table orders add depot bigint not null default 1 references depots(id); alter table orders alter depot drop default",
		"create table customers (session text primary key, email text not null); insert into customers select distinct session, email from orders; alter table orders drop email",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
		r := build(t, releases.Postgres, n+1)
		r.url = url
		base := r.web(t, dir)
		want(t, fmt.Sprint("r", n+1), 200, "ready")(get(t, base+"/healthz"))
		want(t, fmt.Sprint("r", n+1), 201, `"total":3900`)(smoke(t, base))
		_, text := smoke(t, base)
		t.Log(text)
	}
}
