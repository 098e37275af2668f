package pgcatalog_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon/internal/database/dbtest"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
)

const shop = `
create type status as enum ('new', 'paid', 'sent');
create table customer (
  id bigint generated always as identity primary key,
  email varchar(80) collate "C" not null unique,
  name text default 'nobody',
  upper_name text generated always as (upper(name)) stored);
comment on column customer.name is 'as it is written';
create table orders (
  id serial primary key, customer_id bigint not null references customer (id) on delete cascade,
  state status not null default 'new', total numeric(10,2) check (total >= 0), note text);
alter table orders add constraint short check (length(note) < 100) not valid;
create index orders_open on orders (state, lower(note)) include (total) where customer_id > 0;
create view open_orders as select o.id, o.total, c.name from orders o join customer c on c.id = o.customer_id;
create materialized view totals as select sum(total) as total from orders;
create table log (at timestamptz not null, line text, primary key (at)) partition by range (at);
create table log_2026 partition of log for values from ('2026-01-01') to ('2027-01-01');
create function touch() returns trigger language plpgsql as 'begin return new; end';
create trigger touched before update of note on orders for each row when (new.note is not null) execute function touch();
alter table orders enable row level security;
create policy mine on orders for select using (customer_id > 0);
create publication feed for table orders (id, total) where (total > 0), customer;
create statistics orders_stats on state, total from orders;
create schema other;
create table other.fresh (a int, b int, primary key (b, a));
create table other.tree (up bigint references customer (id));
insert into customer (email) select 'c' || n from generate_series(1, 500) n;
analyze customer;
`

func open(t *testing.T, sql string) *pgx.Conn {
	t.Helper()
	server := dbtest.ForTest(t, dbtest.Postgres)
	url, err := server.PostgresDatabase(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	if !published(t, conn) {
		sql = strings.Replace(sql, "orders (id, total) where (total > 0)", "orders", 1)
	}
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
	return conn
}

// published reports whether the server can publish parts of a table.
func published(t *testing.T, conn *pgx.Conn) bool {
	t.Helper()
	var version int
	if err := conn.QueryRow(t.Context(), "select current_setting('server_version_num')::int").Scan(&version); err != nil {
		t.Fatal(err)
	}
	return version >= 150000
}

func read(t *testing.T, conn *pgx.Conn, schemas ...string) *pgcatalog.Catalog {
	t.Helper()
	c, err := pgcatalog.Read(t.Context(), conn, schemas)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Everything that the shop has is found, in a fixed order.
func TestRead(t *testing.T) {
	t.Parallel()
	conn := open(t, shop)
	c := read(t, conn)
	if diff := cmp.Diff(read(t, conn), c); diff != "" {
		t.Errorf("two reads differ:\n%s", diff)
	}
	if got := strings.Join(c.Schemas, " "); got != "other public" {
		t.Errorf("schemas %s", got)
	}
	if c.Server.Database != "shop" || !c.Server.Superuser || !c.Server.CreateRole || c.Server.TimeZone != "UTC" || c.Server.Version < 120000 {
		t.Errorf("server %+v", c.Server)
	}
	var names []string
	for _, table := range c.Tables {
		names = append(names, fmt.Sprintf("%s=%s", table.Name, table.Kind))
	}
	want := "other.fresh=table other.tree=table public.customer=table public.log=partitioned table public.log_2026=table " +
		"public.open_orders=view public.orders=table public.totals=materialized view"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("tables\n got %s\nwant %s", got, want)
	}
	if diff := cmp.Diff([]pgcatalog.Enum{{Name: pgcatalog.Name{Schema: "public", Name: "status"}, Values: []string{"new", "paid", "sent"}}}, c.Enums); diff != "" {
		t.Error(diff)
	}
	wantFeed := []pgcatalog.Publication{{Name: "feed", Tables: []pgcatalog.PublishedTable{
		{Name: pgcatalog.Name{Schema: "public", Name: "customer"}},
		{Name: pgcatalog.Name{Schema: "public", Name: "orders"}, Columns: []string{"id", "total"}, Filter: "(total > (0)::numeric)"},
	}}}
	if !published(t, conn) {
		wantFeed[0].Tables[1].Columns, wantFeed[0].Tables[1].Filter = nil, ""
	}
	if diff := cmp.Diff(wantFeed, c.Publications); diff != "" {
		t.Error(diff)
	}
	t.Run("columns", func(t *testing.T) { t.Parallel(); checkColumns(t, c) })
	t.Run("constraints", func(t *testing.T) { t.Parallel(); checkConstraints(t, c) })
	t.Run("dependents", func(t *testing.T) { t.Parallel(); checkDependents(t, c) })
}

func checkColumns(t *testing.T, c *pgcatalog.Catalog) {
	t.Helper()
	customer := c.Table("public", "customer")
	text := pgcatalog.Name{Schema: "pg_catalog", Name: "text"}
	want := []pgcatalog.Column{
		{Number: 1, Name: "id", Type: "bigint", TypeKind: "b", TypeName: pgcatalog.Name{Schema: "pg_catalog", Name: "int8"}, NotNull: true, Identity: "always"},
		{Number: 2, Name: "email", Type: "character varying(80)", TypeKind: "b", TypeName: pgcatalog.Name{Schema: "pg_catalog", Name: "varchar"}, NotNull: true, Collation: `pg_catalog."C"`},
		{Number: 3, Name: "name", Type: "text", TypeKind: "b", TypeName: text, Default: "'nobody'::text", Comment: "as it is written"},
		{Number: 4, Name: "upper_name", Type: "text", TypeKind: "b", TypeName: text, Default: "upper(name)", Generated: true},
	}
	if diff := cmp.Diff(want, customer.Columns); diff != "" {
		t.Error(diff)
	}
	if customer.Rows != 500 || customer.HeapBytes == 0 || customer.IndexBytes == 0 {
		t.Errorf("customer has %d rows, %d and %d bytes", customer.Rows, customer.HeapBytes, customer.IndexBytes)
	}
	if rows := c.Table("other", "fresh").Rows; rows != 0 {
		t.Errorf("an empty table has %d rows", rows)
	}
	wantSequence := []pgcatalog.Sequence{{Name: pgcatalog.Name{Schema: "public", Name: "customer_id_seq"}, Column: "id", Identity: true}}
	if diff := cmp.Diff(wantSequence, customer.Sequences); diff != "" {
		t.Error(diff)
	}
	if log := c.Table("public", "log"); len(log.Children) != 1 || !slices.Equal(log.PartitionKey, []string{"at"}) || c.Table("public", "log_2026").Parents[0] != log.Name {
		t.Errorf("partitions of log: %v", log.Children)
	}
}

func checkConstraints(t *testing.T, c *pgcatalog.Catalog) {
	t.Helper()
	if got := strings.Join(c.Table("other", "fresh").PrimaryKey(), " "); got != "b a" {
		t.Errorf("primary key (%s), want the order of the key", got)
	}
	orders := c.Table("public", "orders")
	fk := orders.Constraint("orders_customer_id_fkey")
	if fk == nil || fk.References == nil || fk.References.Name != "customer" || fk.ReferencesAre[0] != "id" || !strings.Contains(fk.Definition, "ON DELETE CASCADE") {
		t.Errorf("foreign key %+v", fk)
	}
	if short := orders.Constraint("short"); short == nil || short.Validated || short.Expression != "(length(note) < 100)" {
		t.Errorf("check %+v", short)
	}
	index := orders.Index("orders_open")
	want := pgcatalog.Index{
		Name: "orders_open", Columns: []string{"state", "total", "customer_id", "note"}, Keys: 2, Valid: true, Expression: true,
		Definition: "CREATE INDEX orders_open ON public.orders USING btree (state, lower(note)) INCLUDE (total) WHERE (customer_id > 0)",
		Predicate:  "(customer_id > 0)", Method: "btree", Bytes: 8192,
	}
	if diff := cmp.Diff(&want, index); diff != "" {
		t.Error(diff)
	}
	var from []string
	for _, in := range c.Inbound(pgcatalog.Name{Schema: "public", Name: "customer"}) {
		from = append(from, in.From.String())
	}
	if !slices.Equal(from, []string{"other.tree", "public.orders"}) {
		t.Errorf("referenced by %v", from)
	}
}

// A foreign key from a schema that was not asked for is known all the same.
func TestInboundFromElsewhere(t *testing.T) {
	t.Parallel()
	c := read(t, open(t, shop), "public")
	in := c.Inbound(pgcatalog.Name{Schema: "public", Name: "customer"})
	if len(in) != 2 || in[1].From.String() != "other.tree" {
		t.Errorf("referenced by %+v", in)
	}
}

func checkDependents(t *testing.T, c *pgcatalog.Catalog) {
	t.Helper()
	var got []string
	for _, name := range []string{"customer", "orders"} {
		for _, d := range c.Table("public", name).Dependents {
			got = append(got, fmt.Sprintf("%s: %s %s of %s uses %s", name, d.Kind, d.Name, d.Of, strings.Join(d.Columns, ",")))
		}
	}
	want := []string{
		"customer: generated column public.upper_name of public.customer uses name",
		"customer: view public.open_orders of public.open_orders uses id,name",
		"orders: materialized view public.totals of public.totals uses total",
		"orders: policy public.mine of public.orders uses customer_id",
		"orders: publication .feed of public.orders uses id,total",
		"orders: statistics public.orders_stats of public.orders_stats uses state,total",
		"orders: trigger public.touched of public.orders uses note",
		"orders: view public.open_orders of public.open_orders uses id,customer_id,total",
	}
	if c.Server.Version < 150000 { // nothing but whole tables is published there
		want = slices.Delete(want, 4, 5)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A session says who it is and whom it waits for.
func TestSessions(t *testing.T) {
	t.Parallel()
	conn := open(t, "create table a (n int)")
	other, err := pgx.Connect(t.Context(), conn.Config().ConnString()+"&application_name=web")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(t.Context()) //nolint:errcheck // the test has its answer
	if _, err := other.Exec(t.Context(), "begin; lock table a"); err != nil {
		t.Fatal(err)
	}
	list, err := pgcatalog.Sessions(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(s pgcatalog.Session) bool { return s.Application == "web" })
	if i < 0 || list[i].State != "idle in transaction" || list[i].User != "postgres" || !strings.Contains(list[i].Query, "lock table a") {
		t.Errorf("sessions %+v", list)
	}
}

// A thousand tables take as many questions as one.
func TestManyTables(t *testing.T) {
	t.Parallel()
	conn := open(t, `do $$ begin for n in 1..500 loop execute format('create table t%s (id int primary key, a text)', n); end loop; end $$`)
	counted := &counter{Querier: conn}
	c, err := pgcatalog.Read(t.Context(), counted, []string{"public"})
	if err != nil || len(c.Tables) != 500 {
		t.Fatalf("%d tables, %v", len(c.Tables), err)
	}
	if counted.n > 15 {
		t.Errorf("%d queries for 500 tables", counted.n)
	}
	if c.Table("public", "t77") == nil || c.Table("public", "t501") != nil {
		t.Error("a table is not found by its name")
	}
}

type counter struct {
	pgcatalog.Querier
	n int
}

func (c *counter) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	c.n++
	return c.Querier.Query(ctx, sql, args...)
}
