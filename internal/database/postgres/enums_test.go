package postgres_test

import (
	"testing"

	"github.com/noon-deploy/noon/internal/database/postgres"
)

const labelled = `
create type status as enum ('new', 'it''s paid', 'sent');
create table orders (id int primary key, state status not null default 'new', before status);
create index orders_state on orders (state, id);
create table parcels (id int primary key, state status default 'it''s paid');
insert into orders select n, (enum_range(null::status))[1 + n % 3], null from generate_series(1, 300) n;
insert into parcels values (1), (2)`

const statusChange = `operations:
  - rename_enum_value: {type: status, from: "it's paid", to: paid}
  - rename_enum_value: {type: status, from: new, to: sent}
  - rename_enum_value: {type: status, from: sent, to: new}
`

// Values of an enum type get other names, two of them each other's: each
// release finds the type and its values as it knows them.
func TestEnumValueRenamed(t *testing.T) {
	t.Parallel()
	s := newShop(t, labelled)
	p := s.plan(t, statusChange)
	one, two := s.release(t, "r1", 0), s.release(t, "r2", 1)
	s.reach(t, p, postgres.Expanded)
	s.run(t, one, "insert into orders (id) values (301); insert into orders values (302, 'it''s paid'::status, 'sent')")
	s.run(t, two, "insert into orders (id) values (303); insert into orders values (304, 'paid'::status, 'new'); update orders set before = state where id = 1")
	if got := ask(t, one, "select id, state, before from orders where id in (1, 301, 302, 303, 304) order by 1"); got != "1|it's paid|it's paid\n301|new|NULL\n302|it's paid|sent\n303|new|NULL\n304|it's paid|sent" {
		t.Errorf("the old release reads\n%s", got)
	}
	const read = "select id, state, before from orders where id in (1, 301, 302, 303, 304) and state in ('paid'::status, 'sent') order by 1"
	const want = "1|paid|paid\n301|sent|NULL\n302|paid|new\n303|sent|NULL\n304|paid|new"
	if got := ask(t, two, read); got != want {
		t.Errorf("the new release reads\n%s", got)
	}
	s.reach(t, p, postgres.Contracted)
	s.settled(t)
	s.run(t, two, "insert into parcels (id) values (3)")
	if got := ask(t, two, read+"; select string_agg(id || state::text, ' ' order by id) from parcels"); got != "1paid 2paid 3paid" {
		t.Errorf("parcels are %s", got)
	}
	if got := ask(t, two, read); got != want {
		t.Errorf("after the contraction the release reads\n%s", got)
	}
	if got := ask(t, s.root, `select string_agg(n.nspname || '.' || t.typname || ' of ' || pg_get_userbyid(t.typowner) || ' ' || enum_range(null::public.status)::text, ', ')
from pg_type t join pg_namespace n on n.oid = t.typnamespace where t.typtype = 'e'`); got != "public.status of "+s.owner+" {sent,paid,new}" {
		t.Errorf("the types are %s", got)
	}
	if got := ask(t, s.root, "select indexdef from pg_indexes where indexname = 'orders_state'"); got != "CREATE INDEX orders_state ON public.orders USING btree (state, id)" {
		t.Errorf("the index is %s", got)
	}
}

// A release that goes takes its type along.
func TestEnumValueKeptAfterAll(t *testing.T) {
	t.Parallel()
	s := newShop(t, labelled)
	p := s.plan(t, statusChange)
	one := s.release(t, "r1", 0)
	s.reach(t, p, postgres.Expanded)
	s.reach(t, p, postgres.Withdrawn)
	s.empty(t)
	if got := ask(t, one, "select count(*), count(*) filter (where state = 'new'::status), enum_range(null::status) from orders"); got != `300|100|{new,"it's paid",sent}` {
		t.Errorf("the old release reads %s", got)
	}
}

// What the new type could not be put in the place of is refused in the plan.
func TestEnumValueRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t, labelled)
	for sql, c := range map[string]struct{ undo, reason string }{
		"create function f(status) returns int language sql as 'select 1'":                             {"drop function f", "function f(status) uses type"},
		"create domain d as status":                                                                    {"drop domain d", "type d uses type"},
		"create table many (all_of status[])":                                                          {"drop table many", "all_of of table many uses type"},
		"create view v as select state from orders":                                                    {"drop view v", "view public.v uses it"},
		"alter table parcels add constraint open check (state <> 'sent')":                              {"alter table parcels drop constraint open", "check open compares it"},
		"create index sent on orders (id) where state = 'sent'":                                        {"drop index sent", "index sent compares it"},
		"alter table parcels alter state set default (enum_range(null::status))[1]":                    {"alter table parcels alter state drop default", "its default is an expression"},
		"create table keys (state status primary key)":                                                 {"drop table keys", "part of the primary key"},
		"create schema elsewhere; create table elsewhere.t (state public.status); select 1":            {"drop schema elsewhere cascade", "elsewhere.t uses type"},
		"create function g() returns setof orders language sql as 'select * from orders'; select 1":    {"drop function g", ""},
		"create table parts (state status, id int) partition by list (state); select 1":                {"drop table parts", "is partitioned"},
		"create table gen (state status, n bool generated always as (state is null) stored); select 1": {"drop table gen", "generated column"},
	} {
		s.run(t, s.root, sql)
		if c.reason == "" {
			s.plan(t, statusChange)
		} else {
			s.refused(t, statusChange, c.reason)
		}
		s.run(t, s.root, c.undo)
	}
	for change, reason := range map[string]string{
		"{rename_enum_value: {type: status, from: old, to: older}}":                                                                                         `it has no value "old"`,
		"{rename_enum_value: {type: status, from: new, to: sent}}":                                                                                          `it would have the value "sent" twice`,
		"{rename_enum_value: {type: status, from: new, to: old}}, {add_enum_value: {type: status, value: held}}":                                            "the same release renames a value",
		"{rename_enum_value: {type: status, from: new, to: old}}, {add_column: {table: parcels, column: {name: s, type: status, nullable: true}}}":          "the same release renames a value",
		"{alter_column: {table: parcels, column: state, type: text, up: state::text, down: state::status}}, {drop_table: {name: parcels}}":                  "other operations of this release change it",
		"{rename_enum_value: {type: status, from: new, to: old}}, {add_column: {table: orders, column: {name: s, type: text}, up: (before::status)::text}}": "the same release renames a value",
	} {
		s.refused(t, "operations: ["+change+"]", reason)
	}
}
