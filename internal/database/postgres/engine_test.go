package postgres_test

import (
	"testing"

	"github.com/noon-deploy/noon/internal/database/postgres"
)

const users = `
create table users (id bigint generated always as identity primary key, mail text not null, age text not null default '7', note text);
create index users_age on users (age, lower(mail)) where age <> '0';
alter table users add constraint age_check check (length(age) < 4);
insert into users (mail, age) select 'u' || n, (n % 90)::text from generate_series(1, 1000) n`

const ageAndMail = `
operations:
  - alter_column: {table: users, column: age, type: integer, up: age::integer, down: age::text}
  - rename_column: {table: users, from: mail, to: email}
`

// A type changes and a column is renamed; both releases read and write, and
// each sees what the other wrote.
func TestTypeAndName(t *testing.T) {
	t.Parallel()
	s := newShop(t, users)
	_, err := s.try(t, ageAndMail)
	if err == nil {
		t.Error("a check that does not fit the new type was accepted")
	}
	s.run(t, s.url, "alter table users drop constraint age_check; drop index users_age; create index users_age on users (age, lower(mail))")
	p := s.plan(t, ageAndMail)
	one := s.release(t, "r1", 0)
	s.reach(t, p, postgres.Expanded)
	two := s.release(t, "r2", 1)

	s.run(t, one, "insert into users (mail, age) values ('old', '33')")
	s.run(t, two, "insert into users (email, age) values ('new', 44)")
	s.run(t, two, "insert into users (email) values ('default')")
	s.run(t, one, "update users set age = '34' where mail = 'new'")
	s.run(t, two, "update users set age = age + 1 where email = 'old'")
	if got := ask(t, one, "select mail, age from users where id > 1000 order by id"); got != "old|34\nnew|34\ndefault|7" {
		t.Errorf("the old release sees\n%s", got)
	}
	if got := ask(t, two, "select email, age from users where id > 1000 order by id"); got != "old|34\nnew|34\ndefault|7" {
		t.Errorf("the new release sees\n%s", got)
	}
	s.reach(t, p, postgres.Contracted)
	if got := ask(t, two, "select sum(age), count(*) from users"); got != "44185|1003" {
		t.Errorf("after the contraction: %s", got)
	}
	if got := ask(t, s.url, "select string_agg(column_name || ' ' || data_type || ' ' || is_nullable || coalesce(' ' || column_default, ''), ', ' order by ordinal_position) from information_schema.columns where table_schema = 'public'"); got != "id bigint NO, email text NO, note text YES, age integer NO ('7'::text)::integer" {
		t.Errorf("the table is (%s)", got)
	}
	if got := ask(t, s.url, "select indexdef from pg_indexes where indexname = 'users_age'"); got != "CREATE INDEX users_age ON public.users USING btree (age, lower(email))" {
		t.Errorf("the index is %s", got)
	}
}
