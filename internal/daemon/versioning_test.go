package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/dbtest"
)

// shopDB is a versioned store on a real server, as releases of a shop use it.
type shopDB struct {
	t       *testing.T
	d       *databases
	primary *dbtest.Server
	owner   string // address that noon is given
	role    string // that owns the tables, if it is another one
	super   string // address of the superuser
	files   map[string]string
}

func newShopDB(t *testing.T, settings ...string) *shopDB {
	t.Helper()
	server := dbtest.ForTest(t, dbtest.Postgres, settings...)
	s := &shopDB{t: t, primary: server, files: map[string]string{}, d: &databases{catalog: &catalog{key: []byte("key")}, log: slog.New(slog.DiscardHandler)}}
	s.exec(server.PostgresURL("postgres"), "create role owner login createrole password 'o'")
	s.exec(server.PostgresURL("postgres"), "create database shop owner owner")
	s.super = server.PostgresURL("shop")
	s.exec(s.super, "alter schema public owner to owner")
	u, err := url.Parse(server.PostgresURL("shop"))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("owner", "o")
	s.owner = u.String()
	return s
}

func (s *shopDB) exec(address, text string) {
	s.t.Helper()
	if _, err := s.try(address, text); err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
}

// try runs statements and returns the first value of the last one.
func (s *shopDB) try(address, text string) (string, error) {
	ctx := s.t.Context()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the test has its answer
	results, err := conn.PgConn().Exec(ctx, text).ReadAll()
	if err != nil || len(results) == 0 || len(results[len(results)-1].Rows) == 0 {
		return "", err
	}
	return string(results[len(results)-1].Rows[0][0]), nil
}

// release is the store as a release brings it, with the files there are now.
func (s *shopDB) release(n int) *migrated {
	return &migrated{
		Store: noon.Store{Name: "db", Kind: "postgres", Coexistence: noon.Versioned, URL: "DATABASE_URL", Role: s.role, Migrations: "migrations"},
		site:  noon.Site{App: "my-shop", Environment: "production"}, release: noon.ReleaseName(n), address: s.owner, files: maps.Clone(s.files),
	}
}

// as runs statements as a release does, with the address that it gets.
func (s *shopDB) as(m *migrated, text string) (string, error) {
	values := map[string]string{"DATABASE_URL": s.owner}
	if err := s.d.catalog.ownAddresses(m.site, m.release, noon.App{Stores: []noon.Store{m.Store}}, values); err != nil {
		return "", err
	}
	return s.try(values["DATABASE_URL"], text)
}

func (s *shopDB) says(m *migrated, text, want string) {
	s.t.Helper()
	got, err := s.as(m, text)
	if err != nil || got != want {
		s.t.Errorf("%s: %s gives %q, %v; want %q", m.release, text, got, err, want)
	}
}

func (s *shopDB) reach(phase noon.DataPhase, m, left *migrated) error {
	task := noon.DataTask{Data: noon.Data{Store: "db", Phase: phase}, Site: m.site}
	return s.d.versioned(s.t.Context(), task, *m, left, func(string) {})
}

func (s *shopDB) must(phase noon.DataPhase, m, left *migrated) {
	s.t.Helper()
	if err := s.reach(phase, m, left); err != nil {
		s.t.Fatalf("%s for %s: %v\nhint: %s", phase, m.release, err, noon.HintOf(err))
	}
}

// TestVersionedStore takes a store through a first deployment, a change that is
// withdrawn, the same change completed, and a release without a change.
func TestVersionedStore(t *testing.T) {
	t.Parallel()
	s := newShopDB(t)
	s.files["0001_init.yaml"] = `operations:
- create_table: {name: orders, columns: [{name: id, type: bigint, pk: true}, {name: customer, type: text, nullable: false}]}`
	s.files["0002_index.yaml"] = `operations:
- create_index: {name: orders_customer, table: orders, columns: [customer]}`
	r1 := s.release(1)
	s.must(noon.DataAlone, r1, nil)
	s.says(r1, "insert into orders values (1, 'Ada Lovelace'); select customer from orders", "Ada Lovelace")

	s.files["0003_names.yaml"] = `operations:
- rename_column: {table: orders, from: customer, to: buyer}`
	r2 := s.release(2)
	s.must(noon.DataAdmitted, r2, r1)
	s.says(r2, "select customer from orders", "Ada Lovelace")
	for range 2 { // again, as after a crash
		s.must(noon.DataBoth, r2, r1)
	}
	s.says(r2, "insert into orders values (2, 'Alan Turing'); select buyer from orders where id = 1", "Ada Lovelace")
	s.says(r1, "select customer from orders where id = 2", "Alan Turing")

	s.must(noon.DataAlone, r1, r2) // back
	s.says(r1, "select count(*) from orders", "2")
	if _, err := s.as(r2, "select 1"); err == nil {
		t.Error("the release that was left can still connect")
	}

	s.must(noon.DataBoth, r2, r1)
	s.must(noon.DataAlone, r2, r1) // completed
	s.says(r2, "select string_agg(buyer, ', ' order by id) from orders", "Ada Lovelace, Alan Turing")
	if _, err := s.as(r1, "select 1"); err == nil {
		t.Error("the release before can still connect")
	}
	r3 := s.release(3)
	s.must(noon.DataBoth, r3, r2)
	s.says(r3, "select buyer from orders where id = 2", "Alan Turing")
	s.says(r2, "select buyer from orders where id = 2", "Alan Turing")
	s.must(noon.DataAlone, r3, r2)
	s.says(r3, "select count(*) from orders", "2")
}

// TestFirstDeploymentGoesOn: a first deployment that was killed in one of its
// files brings all of them when it is gone on with.
func TestFirstDeploymentGoesOn(t *testing.T) {
	t.Parallel()
	for name, crash := range map[string]string{
		"half expanded": "update noon.version set state = 'expanding'",
		"expanded":      "select 1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShopDB(t)
			s.files["0001_init.yaml"] = `operations:
- create_table: {name: orders, columns: [{name: id, type: bigint, pk: true}, {name: customer, type: text, nullable: false}]}`
			s.files["0002_index.yaml"] = `operations:
- create_index: {name: orders_customer, table: orders, columns: [customer]}`
			r1 := s.release(1)
			v, err := s.d.versioning(t.Context(), *r1, 0)
			if err != nil {
				t.Fatal(err)
			}
			v.progress = func(string) {}
			if _, err := v.expand(t.Context(), "0001_init.yaml"); err != nil {
				t.Fatal(err)
			}
			s.exec(s.super, crash)
			s.must(noon.DataAlone, r1, nil)
			s.says(r1, "insert into orders values (1, 'Ada Lovelace'); select customer from orders", "Ada Lovelace")
			if got, err := s.try(s.super, "select count(*) from pg_indexes where indexname = 'orders_customer'"); err != nil || got != "1" {
				t.Errorf("%s indexes, %v", got, err)
			}
			s.must(noon.DataAlone, r1, nil) // again
		})
	}
}

// TestVersionedStoreWithAnOwnRole: noon connects as a role of its own, the
// tables are the app's.
func TestVersionedStoreWithAnOwnRole(t *testing.T) {
	t.Parallel()
	s := newShopDB(t)
	s.exec(s.super, "create role noon login createrole password 'n'")
	s.exec(s.super, "grant owner to noon with admin option")
	s.exec(s.super, "grant create on database shop to noon")
	s.owner, s.role = strings.Replace(s.owner, "owner:o@", "noon:n@", 1), "owner"
	s.files["0001_init.yaml"] = `operations:
- create_table: {name: orders, columns: [{name: id, type: bigint, pk: true}, {name: customer, type: text}]}`
	r1 := s.release(1)
	s.must(noon.DataAlone, r1, nil)
	s.says(r1, "insert into orders values (1, 'Ada'); select customer from orders", "Ada")
	s.files["0002_names.yaml"] = `operations:
- rename_column: {table: orders, from: customer, to: buyer}`
	r2 := s.release(2)
	s.must(noon.DataBoth, r2, r1)
	s.says(r2, "insert into orders values (2, 'Alan'); select buyer from orders where id = 1", "Ada")
	s.says(r1, "select customer from orders where id = 2", "Alan")
	s.must(noon.DataAlone, r2, r1)
	s.says(r2, "select string_agg(buyer, ' ' order by id) from orders", "Ada Alan")
}

func TestVersionedStoreRefuses(t *testing.T) {
	t.Parallel()
	s := newShopDB(t)
	s.files["0001_init.yaml"] = `operations:
- create_table: {name: orders, columns: [{name: id, type: bigint, pk: true}]}`
	r1 := s.release(1)
	s.must(noon.DataAlone, r1, nil)
	changed := s.release(2)
	changed.files["0001_init.yaml"] += " # changed"
	err := s.reach(noon.DataBoth, changed, r1)
	if noon.KindOf(err) != noon.Conflict || !strings.Contains(err.Error(), "applied with another content") || noon.HintOf(err) == "" {
		t.Errorf("an applied file that changed: %v", err)
	}
	bad := s.release(2)
	bad.files = map[string]string{"0001_init.yaml": r1.files["0001_init.yaml"], "0002_gone.yaml": `operations:
- drop_column: {table: orders, column: nothing}`}
	err = s.reach(noon.DataBoth, bad, r1)
	if noon.KindOf(err) != noon.Invalid || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("a column that is not there: %v", err)
	}
	lacking := s.release(2)
	lacking.files = map[string]string{"0002_more.yaml": `operations:
- create_table: {name: more, columns: [{name: id, type: bigint, pk: true}]}`}
	for _, phase := range []noon.DataPhase{noon.DataAdmitted, noon.DataBoth, noon.DataAlone} {
		err = s.reach(phase, lacking, nil)
		if noon.KindOf(err) != noon.Conflict || !strings.Contains(err.Error(), "changed by 0001_init.yaml, and r2 does not know of it") || noon.HintOf(err) == "" {
			t.Errorf("%s for a release without a file that was applied: %v", phase, err)
		}
	}
	s.says(r1, "select count(*) from orders", "0")
}

// A store whose address is that of a replica is refused before a deployment
// begins, and by each of its tasks, and nothing is begun.
func TestReplicaRefused(t *testing.T) {
	t.Parallel()
	s := newShopDB(t)
	standby, err := dbtest.Standby(t.Context(), s.primary)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := standby.Close(); err != nil {
			t.Error(err)
		}
	})
	s.files["0001_init.yaml"] = "operations:\n- create_table: {name: orders, columns: [{name: id, type: bigint, pk: true}]}"
	r1 := s.release(1)
	r1.address = strings.Replace(s.owner, fmt.Sprint(":", s.primary.Port()), fmt.Sprint(":", standby.Port()), 1)
	refused := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "read replica") && !strings.Contains(err.Error(), "read-only") || !strings.Contains(noon.HintOf(err), "primary") {
			t.Errorf("%s: %v (%s)", what, err, noon.HintOf(err))
		}
	}
	refused("the check", s.d.checkVersioned(t.Context(), *r1))
	for _, phase := range []noon.DataPhase{noon.DataAdmitted, noon.DataBoth, noon.DataAlone} {
		refused(string(phase), s.reach(phase, r1, nil))
	}
	files := *r1
	files.Coexistence, files.files = noon.Shared, map[string]string{"0001_init.sql": "create table orders (id int);"}
	for _, phase := range []noon.DataPhase{noon.DataBoth, noon.DataAlone} {
		refused("sql "+string(phase), s.d.sql(t.Context(), noon.DataTask{Data: noon.Data{Store: "db", Phase: phase}, Site: r1.site}, files, nil, func(string) {}))
	}
	if got, err := s.try(s.super, "select count(*) from pg_namespace where nspname like '%noon%' or nspname like '%shop%'"); got != "0" || err != nil {
		t.Errorf("%s schemas were made on the primary (%v)", got, err)
	}
}
