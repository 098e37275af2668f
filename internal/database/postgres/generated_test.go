package postgres_test

import (
	"testing"

	"github.com/noon-deploy/noon/internal/database/postgres"
)

const priced = `
create table pay (id integer generated always as identity primary key, cents text not null default '1', tax int default 0, note text,
  euros text generated always as (cents || '.' || coalesce(tax, 0)) stored, twice int generated always as (tax * 2) stored, loud text generated always as (upper(note)) stored);
create index pay_euros on pay (euros);
insert into pay (cents, tax, note) select n::text, n, 'n' from generate_series(1, 300) n`

// Columns that generated ones are computed from change, and generated columns
// change their name or go: both releases read what the server would compute.
func TestGeneratedColumns(t *testing.T) {
	t.Parallel()
	s := newShop(t, priced)
	const change = `operations:
  - alter_column: {table: pay, column: cents, type: integer, up: cents::integer, down: cents::text}
  - rename_column: {table: pay, from: tax, to: vat}
  - rename_column: {table: pay, from: euros, to: eur}
  - drop_column: {table: pay, column: note, down: "'gone'"}
  - drop_column: {table: pay, column: loud}
`
	if !modern(t) {
		s.refused(t, change, "generated column euros uses it, and this server can not let it keep its values")
		return
	}
	p := s.plan(t, change)
	one, two := s.release(t, "r1", 0), s.release(t, "r2", 1)
	s.reach(t, p, postgres.Expanded)
	s.run(t, one, "insert into pay (cents, tax, note) values ('401', 1, 'old'); update pay set cents = '402' where id = 2")
	s.run(t, two, "insert into pay (cents, vat) values (403, 3); insert into pay (vat) values (4); update pay set cents = 405, vat = 5 where id = 5")
	const want = "2|402|2|402.2|4\n5|405|5|405.5|10\n301|401|1|401.1|2\n302|403|3|403.3|6\n303|1|4|1.4|8"
	if got := ask(t, one, "select id, cents, tax, euros, twice from pay where id > 300 or id in (2, 5) order by id"); got != want {
		t.Errorf("the old release reads\n%s", got)
	}
	if got := ask(t, one, "select string_agg(loud, ' ' order by id) from pay where id > 300"); got != "OLD GONE GONE" {
		t.Errorf("the old release reads %s", got)
	}
	const read = "select id, cents, vat, eur, twice from pay where id > 300 or id in (2, 5) order by id"
	if got := ask(t, two, read); got != want {
		t.Errorf("the new release reads\n%s", got)
	}
	s.reach(t, p, postgres.Contracted)
	s.settled(t)
	if got := ask(t, two, read); got != want {
		t.Errorf("after the contraction\n%s", got)
	}
	s.run(t, two, "insert into pay (cents, vat) values (404, 4); update pay set cents = cents + 100 where id = 2; update pay set vat = 7 where id = 5; update pay set eur = 'wrong' where id = 303")
	if got := ask(t, two, read); got != "2|502|2|502.2|4\n5|405|7|405.7|14\n301|401|1|401.1|2\n302|403|3|403.3|6\n303|1|4|1.4|8\n304|404|4|404.4|8" {
		t.Errorf("then\n%s", got)
	}
	if got := ask(t, s.root, "select count(*) from pay where eur is distinct from cents || '.' || coalesce(vat, 0)"); got != "0" {
		t.Errorf("%s values were not computed", got)
	}
	if got := ask(t, s.root, "select string_agg(attname || attgenerated::text, ' ' order by attnum) from pg_attribute where attrelid = 'pay'::regclass and attnum > 0 and not attisdropped"); got != "id vat eur twices cents" {
		t.Errorf("the columns are %s", got)
	}
	s.refused(t, "operations: [{alter_column: {table: pay, column: cents, type: text, up: cents::text, down: cents::integer}}]", "trigger public.~~generated_eur uses it")
}

// What has no old form to be computed from is refused, with what to do; a
// change that is withdrawn leaves generated columns as they were.
func TestGeneratedColumnsRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t, priced)
	for change, reason := range map[string]string{
		"{drop_column: {table: pay, column: cents, down: \"'1'\"}}":                 "generated column euros uses it",
		"{alter_column: {table: pay, column: tax, type: text}}":                     "generated column euros uses it",
		"{alter_column: {table: pay, column: euros, type: integer, down: \"'1'\"}}": "of which only type, up and what is demanded of it can change",
		"{alter_column: {table: pay, column: loud, type: integer, up: \"length(loud)\"}}, {alter_column: {table: pay, column: note, type: varchar(9), up: note, down: note}}": "it is computed from note, which changes in the same release",
		"{drop_column: {table: pay, column: loud, down: \"'X'\"}}":                                             "which the server computes for both releases",
		"{move_column: {from: {table: pay, column: loud, key: [id]}, to: {table: pay, column: l, key: [id]}}}": "it is a generated column",
	} {
		s.refused(t, "operations: ["+change+"]", reason)
	}
	if !modern(t) {
		return
	}
	p := s.plan(t, "operations: [{alter_column: {table: pay, column: cents, type: bigint, up: cents::bigint, down: cents::text}}]")
	s.reach(t, p, postgres.Expanded)
	s.reach(t, p, postgres.Withdrawn)
	s.empty(t)
	if got := ask(t, s.url, "update pay set cents = '7' where id = 1 returning euros"); got != "7.1" {
		t.Errorf("it is computed as %s", got)
	}
}

// A generated column gets another type: a trigger computes it for both releases,
// and goes on to.
func TestGeneratedColumnGetsAnotherType(t *testing.T) {
	t.Parallel()
	s := newShop(t, priced)
	p := s.plan(t, `operations:
  - alter_column: {table: pay, column: twice, type: text, up: "'t' || twice || coalesce(note, '')"}
  - alter_column: {table: pay, column: euros, type: varchar(40), check: {name: short, constraint: length(euros) < 20}}
  - rename_column: {table: pay, from: tax, to: vat}
`)
	one, two := s.release(t, "r1", 0), s.release(t, "r2", 1)
	s.reach(t, p, postgres.Expanded)
	s.run(t, one, "insert into pay (cents, tax, note) values ('401', 1, 'o'), (repeat('9', 30), 2, 'long'); update pay set tax = 20 where id = 2; update pay set note = 'z' where id = 3")
	s.run(t, two, "insert into pay (cents, vat) values ('403', 3); update pay set vat = 50 where id = 5; update pay set twice = 'wrong', note = 'y' where id = 6")
	if got := ask(t, one, "select id, tax, twice from pay where id in (2, 3, 5, 6, 301, 303) order by id"); got != "2|20|40\n3|3|6\n5|50|100\n6|6|12\n301|1|2\n303|3|6" {
		t.Errorf("the old release reads\n%s", got)
	}
	const read, want = "select id, vat, twice, euros from pay where id in (2, 3, 5, 6, 301, 303) order by id", "2|20|t40n|2.20\n3|3|t6z|3.3\n5|50|t100n|5.50\n6|6|t12y|6.6\n301|1|t2o|401.1\n303|3|t6|403.3"
	if got := ask(t, two, read); got != want {
		t.Errorf("the new release reads\n%s", got)
	}
	if err := s.engine.Reach(t.Context(), postgres.Order{Plan: &p, Phase: postgres.Contracted, Version: 1}, nil); err == nil {
		t.Error("it is contracted with a row that is too long")
	}
	s.run(t, one, "update pay set cents = '402' where id = 302")
	s.reach(t, p, postgres.Contracted)
	s.settled(t)
	s.run(t, two, "update pay set vat = vat where id = 2; update pay set note = 'end' where id = 5; insert into pay (id, cents, vat, note) overriding system value values (400, '4', 4, 'x')")
	if got := ask(t, two, "select id, twice, euros from pay where id in (2, 5, 302, 400) order by id"); got != "2|t40n|2.20\n5|t100end|5.50\n302|t4long|402.2\n400|t8x|4.4" {
		t.Errorf("after the contraction\n%s", got)
	}
	if got := ask(t, s.root, "select indexdef from pg_indexes where indexname = 'pay_euros'"); got != "CREATE INDEX pay_euros ON public.pay USING btree (euros)" {
		t.Errorf("the index is %s", got)
	}
}
