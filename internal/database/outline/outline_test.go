package outline_test

import (
	"context"
	"database/sql"
	"fmt"
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
	server := dbtest.ForTest(t, dbtest.Postgres)
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

func TestMariaDB(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := dbtest.ForTest(t, dbtest.MariaDB)
	address, err := server.MariaDBDatabase(ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("mysql", fmt.Sprintf("root:%s@tcp(127.0.0.1:%d)/shop?multiStatements=true", dbtest.Password, server.Port()))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // the test is done with it
	exec := func(text string) {
		t.Helper()
		if _, err := db.ExecContext(ctx, text); err != nil {
			t.Fatal(err)
		}
	}
	exec("create table users (id bigint auto_increment primary key, name varchar(50) not null, mail varchar(50), key users_mail (mail)); create table noon_migration (n int)")
	before := of(t, address)
	exec(`alter table users drop column name, modify mail varchar(80), drop key users_mail, add age int default 0, add constraint old check (age >= 0);
		create table orders (id int primary key, user bigint, constraint bought foreign key (user) references users (id) on delete cascade);
		create unique index orders_user on orders (user, id desc); create view ids as select id from users;
		create trigger hello before insert on orders for each row set new.user = 1; alter table noon_migration add m int`)
	want := []string{
		"- column users.name", "~ column users.mail: varchar(50), now varchar(80)", "- index users.users_mail", "+ column users.age: int(11) default 0",
		"+ constraint users.old: check (`age` >= 0)", "+ table orders", "+ column orders.id: int(11) not null", "+ column orders.user: bigint(20)",
		"+ constraint orders.bought: foreign key (user) references users (id) on delete cascade on update restrict",
		"+ index orders.PRIMARY: unique btree (id)", "+ index orders.orders_user: unique btree (user, id", "+ view ids: select ",
		"+ column ids.id: bigint(20) not null default 0", "+ trigger orders.hello: before insert set new.user = 1",
	}
	got := before.Difference(of(t, address))
	for _, line := range want {
		if !strings.Contains(strings.Join(got, "\n"), line) {
			t.Errorf("missing: %s", line)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	if _, err := outline.Of(ctx, strings.Replace(address, dbtest.Password, "not-this-one", 1)); err == nil || strings.Contains(err.Error(), "not-this-one") {
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
