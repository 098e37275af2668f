package outline_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/dbtest"
	"github.com/noon-deploy/noon/internal/database/outline"
)

func of(t *testing.T, address string) noon.Schema {
	t.Helper()
	s, err := outline.Of(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server, err := dbtest.Postgres(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	address := server.PostgresURL("postgres")
	exec := func(text string) {
		t.Helper()
		conn, err := pgx.Connect(ctx, address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the test is done with it
		if _, err := conn.Exec(ctx, text); err != nil {
			t.Fatal(err)
		}
	}
	exec(`create table users (id bigint generated always as identity primary key, name text not null, mail varchar(50));
		create index users_mail on users (mail); create schema noon; create table noon.journal (n int)`)
	before := of(t, address)
	exec(`alter table users drop column name, alter mail type varchar(80), add age int default 0 check (age >= 0);
		create type state as enum ('open'); create view old as select id from users; drop index users_mail; create table noon.more (n int)`)
	want := []string{
		"- column users.name", "+ column old.id: bigint", "+ column users.age: integer default 0",
		"~ column users.mail: character varying(50), now character varying(80)",
		"+ constraint users.users_age_check: CHECK ((age >= 0))", "- index users.users_mail", "+ value state.open",
	}
	got := before.Difference(of(t, address))
	for _, line := range want {
		if !strings.Contains(strings.Join(got, "\n"), line) {
			t.Errorf("missing: %s", line)
		}
	}
	if len(got) != len(want)+1 || !strings.HasPrefix(got[len(got)-1], "+ view old: ") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	wrong := strings.Replace(address, dbtest.Password, "not-this-one", 1)
	if _, err := outline.Of(ctx, wrong); err == nil || strings.Contains(err.Error(), "not-this-one") {
		t.Errorf("with a wrong password: %v", err)
	}
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "shop's data.db")
	address := "sqlite:" + file
	if got := of(t, address); got == nil || len(got) != 0 {
		t.Errorf("a file that is not there: %v", got)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("looking has made it")
	}
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // the test is done with it
	for _, text := range []string{`create table users (id integer primary key, name text not null default 'x')`, `create index by_name on users (name)`} {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	want := noon.Schema{
		"table users": "", "column users.id": "integer", "column users.name": "text not null default 'x'",
		"index by_name": "CREATE INDEX by_name on users (name)",
	}
	got := of(t, address)
	for name, is := range want {
		if !strings.EqualFold(got[name], is) {
			t.Errorf("%s is %q, want %q", name, got[name], is)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
}

func TestOthers(t *testing.T) {
	t.Parallel()
	if s := of(t, "redis://localhost/0"); s != nil {
		t.Errorf("got %v", s)
	}
}
