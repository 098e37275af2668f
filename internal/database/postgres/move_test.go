package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/postgres"
)

const orders = `
create table orders (id bigint generated always as identity primary key, session text not null, email text not null default '', state text not null default 'placed');
create index orders_of_session on orders (session);
insert into orders (session, email) select 's' || n % 100, 'e' || n from generate_series(1, 300) n`

// An address goes from every order to the one row of its customer, a table that
// is new.
const addresses = `
operations:
  - create_table:
      name: customers
      columns:
        - {name: session, type: text, pk: true}
        - {name: note, type: text, nullable: true}
  - move_column:
      from: {table: orders, column: email, key: [session]}
      to: {table: customers, column: mail, key: [session]}
`

const profiles = `
create table orders (id bigint generated always as identity primary key, session text not null unique, email text, state text not null default 'placed');
create table customers (session text primary key, note text);
insert into orders (session, email) select 's' || n, 'e' || n from generate_series(0, 299) n;
insert into customers select 's' || n from generate_series(0, 299) n`

// The same between two tables that are there, a row for a row.
const profileMail = `
operations:
  - move_column:
      from: {table: orders, column: email, key: [session]}
      to: {table: customers, column: mail, key: [session]}
`

// A column moves to another table; both releases read and write it where they
// know it.
func TestMoveColumn(t *testing.T) {
	t.Parallel()
	s := newShop(t, orders)
	p := s.plan(t, addresses)
	one := s.release(t, "r1", 0)
	s.reach(t, p, postgres.Expanded)
	two := s.release(t, "r2", 1)
	both := func(session, want string) {
		t.Helper()
		if got := ask(t, one, "select count(*) > 0 from orders where session = '"+session+"' and email = '"+want+"'"); got != "t" {
			t.Errorf("the old release does not read %s of %s", want, session)
		}
		if got := ask(t, two, "select mail from customers where session = '"+session+"'"); got != want {
			t.Errorf("the new release reads %s of %s, want %s", got, session, want)
		}
	}
	if got := ask(t, two, "select count(*), count(mail) from customers"); got != "100|100" {
		t.Errorf("%s customers after the backfill", got)
	}
	if got := ask(t, one, "select count(distinct email) from orders"); got != "300" {
		t.Errorf("the old release reads %s addresses of 300 orders", got)
	}
	s.run(t, one, "update orders set email = 'old' where id = 1")
	if got := ask(t, one, "select email from orders where id = 101"); got != "e101" {
		t.Errorf("another order of this customer has %s", got)
	}
	both("s1", "old")
	s.run(t, two, "update customers set mail = 'new' where session = 's2'")
	both("s2", "new")
	if got := ask(t, one, "select count(distinct email) from orders where session = 's2'"); got != "1" {
		t.Errorf("the old release reads %s addresses where the new one has written", got)
	}
	s.run(t, one, "insert into orders (session, email) values ('first', 'a')")
	both("first", "a")
	s.run(t, two, "insert into customers (session, mail) values ('second', 'b'); insert into orders (session) values ('second')")
	both("second", "b")
	s.run(t, two, "insert into customers (session, mail) values ('s3', 'c') on conflict (session) do update set mail = excluded.mail")
	both("s3", "c")
	s.run(t, two, "update orders set session = 's3' where session = 's4'") // they are somebody else's now
	both("s3", "c")
	was := ask(t, one, "select email from orders where id = 6")
	s.run(t, one, "update orders set session = 's5' where id = 6")
	both("s5", was)

	if err := s.engine.Reach(t.Context(), postgres.Order{Version: 1, Phase: postgres.Withdrawn}, nil); noon.KindOf(err) != noon.Conflict {
		t.Errorf("a customer without an order would be lost: %v", err)
	}
	s.reach(t, p, postgres.Contracted)
	s.settled(t)
	if got := ask(t, two, "select string_agg(mail, ' ' order by session) from customers where session in ('s1', 's2', 's3', 's5', 'first', 'second')"); got != "a old new c "+was+" b" {
		t.Errorf("after the contraction: %s", got)
	}
	if got := ask(t, s.root, "select count(*) from information_schema.columns where table_schema = 'public' and table_name = 'orders' and column_name = 'email'"); got != "0" {
		t.Error("the old place is still there")
	}
}

// What the new release has written is there for the old one when the move is
// withdrawn.
func TestMoveWithdrawn(t *testing.T) {
	t.Parallel()
	s := newShop(t, profiles)
	p := s.plan(t, profileMail)
	s.reach(t, p, postgres.Expanded)
	two := s.release(t, "r2", 1)
	s.run(t, two, "update customers set mail = 'new' where session = 's1'")
	s.run(t, s.url, "insert into customers values ('later', 'x'); insert into orders (session, email) values ('later', 'm')")
	s.run(t, s.url, "insert into orders (session, email) values ('sooner', 'n'); insert into customers values ('sooner', 'x')")
	if got := ask(t, two, "select string_agg(mail, ' ' order by session) from customers where session in ('s1', 's2', 'later', 'sooner')"); got != "m new e2 n" {
		t.Errorf("the new release reads %s", got)
	}
	if err := s.engine.Reach(t.Context(), postgres.Order{Version: 1, Phase: postgres.Withdrawn}, nil); err != nil {
		t.Fatal(err)
	}
	s.empty(t)
	if got := ask(t, s.url, "select string_agg(email, ' ' order by session) from orders where session in ('s1', 's2', 'later', 'sooner')"); got != "m new e2 n" {
		t.Errorf("the old release reads %s", got)
	}
}

// A move that noon can not keep equal is refused with its reason.
func TestMoveRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t, "create table a (id int primary key, k text, v text); create table b (id int primary key, k text, n int unique)")
	for _, c := range []struct{ from, to, want string }{
		{"{table: a, column: v, key: [k]}", "{table: b, column: v, key: [id]}", `no index by which rows are found by "k"`},
		{"{table: a, column: v, key: [id]}", "{table: b, column: v, key: [k]}", `"k" is not unique`},
		{"{table: a, column: v, key: [id]}", "{table: b, column: k, key: [id]}", "there is a column of this name already"},
		{"{table: a, column: v, key: [id]}", "{table: a, column: w, key: [id]}", "it is in that table already"},
		{"{table: a, column: id, key: [id]}", "{table: b, column: w, key: [id]}", "it is part of the primary key"},
	} {
		s.refused(t, "operations: [{move_column: {from: "+c.from+", to: "+c.to+"}}]", c.want)
	}
	s.run(t, s.url, "create index on a (k)")
	s.refused(t, "operations: [{move_column: {from: {table: a, column: v, key: [k]}, to: {table: b, column: v, key: [n]}}}]", "operator does not exist")
	s.refused(t, "operations:\n  - create_table: {name: c, columns: [{name: k, type: text, pk: true}, {name: need, type: int}]}\n"+
		"  - move_column: {from: {table: a, column: v, key: [k]}, to: {table: c, column: v, key: [k]}}", "knows no value for it")
}

// mover is somebody who writes addresses through a release, and knows no more
// than that what both read in the end must be the same.
func mover(ctx context.Context, t *testing.T, url string, statements []string, seed uint64) {
	t.Helper()
	conn, err := pgx.Connect(context.WithoutCancel(ctx), url)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the test has its answer
	r := rand.New(rand.NewPCG(seed, 3))
	for n := 0; ctx.Err() == nil; n++ {
		sql := fmt.Sprintf(statements[r.IntN(len(statements))], r.IntN(40), fmt.Sprintf("w%d-%d", seed, n))
		if _, err := conn.Exec(context.WithoutCancel(ctx), sql); err != nil {
			t.Errorf("seed %d: %v in: %s", seed, err, sql)
			return
		}
	}
}

// Both releases write the addresses of the same few customers at once, in every
// phase. No statement fails, and in the end there is one address of each.
// NOON_SEED runs one seed.
func TestMoveUnderWriters(t *testing.T) {
	t.Parallel()
	first, n := uint64(1), uint64(4)
	if seed, err := strconv.ParseUint(os.Getenv("NOON_SEED"), 10, 64); err == nil {
		first, n = seed, 1
	}
	for seed := first; seed < first+n; seed++ {
		t.Run(fmt.Sprintf("seed%d", seed), func(t *testing.T) {
			t.Parallel()
			moveUnderWriters(t, seed)
		})
	}
}

func moveUnderWriters(t *testing.T, seed uint64) {
	t.Helper()
	tables, yaml := orders, addresses
	fresh := []string{
		"update customers set mail = '%[2]s' where session = 's%[1]d'", "update orders set state = '%[2]s' where session = 's%[1]d'",
		"insert into customers (session, mail) values ('s%[1]d', '%[2]s') on conflict (session) do update set mail = excluded.mail", "insert into orders (session, state) values ('s%[1]d', '%[2]s')",
	}
	old := []string{"update orders set email = '%[2]s' where session = 's%[1]d'", "insert into orders (session, email) values ('s%[1]d', '%[2]s')", "update orders set state = '%[2]s' where session = 's%[1]d'"}
	if seed%2 == 0 {
		tables, yaml = profiles, profileMail
		fresh = []string{fresh[0], fresh[1], "begin; update customers set note = '%[2]s' where session = 's%[1]d'; update orders set state = 'x' where session = 's%[1]d'; commit"}
		old = []string{old[0], old[2], "update customers set note = '%[2]s' where session = 's%[1]d'"}
	}
	s := newShop(t, tables)
	p := s.firstPlan(t, yaml)
	one, two := s.release(t, "r1", 0), s.release(t, "r2", 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	for w := range uint64(2) {
		all.Go(func() { mover(ctx, t, one, old, seed*100+w) })
	}
	s.reach(t, p, postgres.Expanded)
	for w := range uint64(2) {
		all.Go(func() { mover(ctx, t, two, fresh, seed*100+50+w) })
	}
	s.run(t, s.root, "select pg_sleep(1)")
	cancel()
	all.Wait()
	const differ = `select string_agg(c.session || ' ' || c.mail, ', ') from customers c where exists (select from orders o where o.session = c.session)
and not exists (select from orders o where o.session = c.session and (o.email = c.mail or o._noon_pending <> 0))`
	if got := ask(t, s.root, differ); got != "NULL" {
		t.Errorf("seed %d: no order has the address of these customers: %s", seed, got)
	}
	// What is marked goes to the customer now; nothing else does.
	sessions := ask(t, s.root, "select string_agg(session, ',') from customers where session not in (select session from orders where _noon_pending <> 0)")
	want := ask(t, two, "select session, mail from customers where session = any('{"+sessions+"}') order by 1")
	s.reach(t, p, postgres.Contracted)
	if got := ask(t, two, "select session, mail from customers where session = any('{"+sessions+"}') order by 1"); got != want {
		t.Errorf("seed %d: after the contraction:\n%s", seed, difference(want, got))
	}
}
