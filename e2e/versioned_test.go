package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/examples/shop/releases"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/database/dbtest"
	customers "github.com/noon-deploy/noon/internal/load"
)

// Six releases of the shop, each of which knows the tables by names and types
// that the one before has never heard of, replace one another in one PostgreSQL
// database while customers buy. Whatever a release writes the other one sees as
// its own; nobody waits in vain, and every order is there at the end as the
// customer was told.
func TestVersionedDatabase(t *testing.T) {
	t.Parallel()
	s := openVersionedShop(t)
	s.deploy(1)
	s.welcome()
	s.deploy(2)
	s.deploy(3)
	s.rollBack(2)
	s.deploy(3)
	s.deploy(4)
	s.deployThroughCrash(5)
	s.deploy(6)
	s.completed(6)
	s.close()
}

// versionedShop is the shop with its database, its releases and its customers.
type versionedShop struct {
	*machine
	t         *testing.T
	server    *dbtest.Server
	owner     *pgx.Conn // sees everything
	site      noon.Site
	live      int
	customers *customers.Load
	leave     context.CancelFunc
	ended     chan error
}

// unhurried is for what takes seconds on a machine that has nothing else to do.
const unhurried = 4 * time.Minute

const (
	ownersToken = "only for the owner"
	shopsRole   = "shopkeeper" // owns the database and may make roles, and is no superuser
)

// openVersionedShop has all releases built and nothing deployed.
func openVersionedShop(t *testing.T) *versionedShop {
	t.Helper()
	server, address, owner := shopDatabase(t)
	s := &versionedShop{machine: newMachine(t), t: t, server: server, owner: owner, site: noon.Site{App: "shop", Environment: "production"}, ended: make(chan error, 1)}
	s.binary = plainBinary
	s.serve()
	s.configure(address)
	env := goEnvironment(t)
	s.git("init", "-q")
	for n := 1; n <= releases.Postgres.Count(); n++ {
		s.build(n, env)
	}
	return s
}

// shopDatabase makes a server with the shop's database, and returns the
// database's address for the shop and a connection that sees everything.
func shopDatabase(t *testing.T) (*dbtest.Server, string, *pgx.Conn) {
	t.Helper()
	ctx := t.Context()
	server := dbtest.ForTest(t, dbtest.Postgres, "log_line_prefix=%u ")
	address, err := server.PostgresDatabase(ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	owner, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = owner.Close(context.WithoutCancel(ctx)) }) // the server goes next
	if _, err := owner.Exec(ctx, "create role "+shopsRole+" login createrole password 'beans'; alter database shop owner to "+shopsRole); err != nil {
		t.Fatal(err)
	}
	return server, fmt.Sprintf("postgres://%s:beans@127.0.0.1:%d/shop?sslmode=disable", shopsRole, server.Port()), owner
}

func (s *versionedShop) configure(address string) {
	s.t.Helper()
	data := filepath.Join(s.dir, "shop")
	_, err := s.api.SetConfig(s.t.Context(), s.site, []api.ConfigChange{
		{Name: markName, Value: s.mark},
		{Name: "DATA_DIR", Value: data},
		{Name: "DATABASE_URL", Value: address, Secret: true},
		{Name: "SESSION_KEY", Value: "sixteen letters!", Secret: true},
		{Name: "ADMIN_TOKEN", Value: ownersToken, Secret: true},
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// build builds release n. The last one can be gone back from for as long as it
// takes to compare, the others for longer than this takes.
func (s *versionedShop) build(n int, env []string) {
	s.t.Helper()
	if err := releases.Postgres.Write(s.repo, n); err != nil {
		s.t.Fatal(err)
	}
	manifest, err := os.ReadFile(filepath.Join(s.repo, "noon.yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	text := strings.Replace(string(manifest), "variables: [", "variables: ["+markName+", ", 1)
	if n == releases.Postgres.Count() {
		text = strings.Replace(text, "warm: 10m", "warm: 1m", 1)
	}
	s.write("noon.yaml", text)
	s.git("add", "--all")
	s.git("commit", "--quiet", "--message", releases.Postgres.Title(n))
	if r := s.cliWith("", env, "build", "-q"); r.code != 0 {
		s.t.Fatalf("build r%d: %s", n, r)
	}
}

// deploy replaces the release that is live by release n, looks on while
// customers use it, and compares how the two releases see the data.
func (s *versionedShop) deploy(n int) {
	s.t.Helper()
	s.move(n, func() { s.must("deploy", noon.ReleaseName(n), "--yes", "-e", s.site.Environment) })
	s.equal(n-1, n)
}

// deployThroughCrash is deploy while the controller is killed.
func (s *versionedShop) deployThroughCrash(n int) {
	s.t.Helper()
	s.move(n, func() {
		d := s.begin("deploy", noon.ReleaseName(n), "-e", s.site.Environment)
		eventually(s.t, unhurried, "the database is being changed", func() error {
			v, err := s.deployment(d.ID)
			if err != nil {
				return err
			}
			for _, e := range v.Events {
				if e.Kind == noon.Intent && e.Subject == "expand db" {
					return nil
				}
			}
			return fmt.Errorf("it is %s, waits for %q, error %s", v.Status, v.Waiting, fmt.Sprint(v.Error))
		})
		s.killController()
		s.serve()
		eventually(s.t, unhurried, "the next controller goes on", func() error {
			v, err := s.deployment(d.ID)
			if err == nil && v.Status != noon.Warm {
				err = fmt.Errorf("it is %s, waits for %q, error %s", v.Status, v.Waiting, fmt.Sprint(v.Error))
			}
			return err
		})
	})
	s.equal(n-1, n)
}

// rollBack goes back to release n, which is warm.
func (s *versionedShop) rollBack(n int) {
	s.t.Helper()
	s.move(n, func() { s.must("rollback", "--yes", "-e", s.site.Environment) })
}

// move runs a command that takes customers to release n.
func (s *versionedShop) move(n int, command func()) {
	s.t.Helper()
	if s.customers == nil {
		command()
		s.live = n
		return
	}
	s.customers.SetAllowed(noon.ReleaseName(s.live), noon.ReleaseName(n))
	command()
	s.customers.SetAllowed(noon.ReleaseName(n))
	s.live = n
	s.bought()
	s.good()
}

// welcome lets customers come.
func (s *versionedShop) welcome() {
	s.t.Helper()
	ctx, leave := context.WithCancel(s.t.Context())
	s.leave = leave
	s.customers = customers.New(customers.Config{Base: "http://" + s.address, Rate: 6, Streams: 4, Seed: 12, Timeout: 30 * time.Second})
	s.customers.SetAllowed(noon.ReleaseName(s.live))
	go func() { s.ended <- s.customers.Run(ctx) }()
	s.bought()
}

// bought waits until the live release has taken orders.
func (s *versionedShop) bought() {
	s.t.Helper()
	before := s.customers.Result().OrdersAcknowledged
	eventually(s.t, unhurried, "customers buy", func() error {
		r := s.customers.Result()
		if r.OrdersAcknowledged < before+3 {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
}

// good wants nothing to have gone wrong for customers until now.
func (s *versionedShop) good() {
	s.t.Helper()
	if r := s.customers.Result(); r.Failed+r.WrongRelease+r.StreamsCut > 0 {
		s.t.Fatalf("r%d is live: %+v", s.live, r)
	}
}

// differences are what an order of the release before (a) and the same order of
// release n (b) must not have: SQL with the schema of either for %s.
func differences(n int) string {
	return map[int]string{
		2: "a.name is distinct from b.customer",
		3: "a.total is distinct from b.total * 100",
		4: "a.customer is distinct from rtrim(b.first_name || ' ' || b.last_name) or b.first_name = ''",
		5: "b.depot is distinct from case when a.pieces > 3 then 2 else 1 end",
		6: "a.email is distinct from (select c.email from %[2]s.customers c where c.session = b.session)",
	}[n]
}

// equal compares the orders as two releases see them, at one moment.
func (s *versionedShop) equal(before, n int) {
	s.t.Helper()
	if differences(n) == "" {
		return
	}
	var orders, different int
	a, b := s.schema(before), s.schema(n)
	query := fmt.Sprintf("select count(*), count(*) filter (where a.id is null or b.id is null or "+differences(n)+
		") from %[1]s.orders a full join %[2]s.orders b using (id)", a, b)
	if err := s.owner.QueryRow(s.t.Context(), query).Scan(&orders, &different); err != nil {
		s.t.Fatalf("compare r%d and r%d: %v", before, n, err)
	}
	if orders == 0 || different > 0 {
		s.t.Errorf("r%d and r%d see %d of %d orders differently", before, n, different, orders)
	}
}

// schema is the schema of the views of release n.
func (s *versionedShop) schema(n int) string {
	s.t.Helper()
	var name string
	err := s.owner.QueryRow(s.t.Context(), `select nspname from pg_namespace where nspname like '%\_v' || $1`, strconv.Itoa(n)).Scan(&name)
	if err != nil {
		s.t.Fatalf("find the views of r%d: %v", n, err)
	}
	return pgx.Identifier{name}.Sanitize()
}

// completed waits until nothing is left of the releases before n.
func (s *versionedShop) completed(n int) {
	s.t.Helper()
	eventually(s.t, unhurried, "the release before is gone", func() error {
		var left []string
		err := s.owner.QueryRow(s.t.Context(), `select coalesce(array_agg(what order by what), '{}') from (
			select nspname as what from pg_namespace where nspname ~ '_v[0-9]+$' and nspname !~ ('_v' || $1 || '$')
			union all select rolname from pg_roles where rolname ~ '_r[0-9]+' and rolname !~ ('_r' || $1 || '(_|$)')
			union all select attname from pg_attribute where attrelid = 'public.orders'::regclass and not attisdropped
				and attname in ('name', 'customer', 'email')
			union all select attname from pg_attribute where attrelid = 'public.orders'::regclass and not attisdropped and attname like '\_noon\_%'
			union all select tgname from pg_trigger where not tgisinternal) as x`, strconv.Itoa(n)).Scan(&left)
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return fmt.Errorf("left are %v", left)
		}
		return nil
	})
	if r := s.cli("rollback", "--yes", "-e", s.site.Environment); r.code == 0 || !strings.Contains(r.stderr, "point of no return") {
		s.t.Errorf("going back to a release whose data are gone: %s", r)
	}
	s.bought()
}

// close lets customers finish and compares what they were told with what there
// is.
func (s *versionedShop) close() {
	s.t.Helper()
	s.leave()
	if err := <-s.ended; err != nil {
		s.t.Fatal(err)
	}
	s.good()
	var v customers.Verification
	eventually(s.t, unhurried, "the worker has handled every order", func() (err error) {
		v, err = s.customers.Verify(s.t.Context(), customers.OrdersOverHTTP("http://"+s.address, "", ownersToken))
		if err == nil && v.Unhandled > 0 {
			err = fmt.Errorf("%d are not handled", v.Unhandled)
		}
		return err
	})
	if v.Stored != v.Acknowledged || v.Missing+v.Duplicated+v.Resent+v.HandledTwice+v.UploadsLost > 0 {
		s.t.Errorf("%+v", v)
	}
	r := s.customers.Result()
	for n := range releases.Postgres.Count() {
		if r.PerRelease[noon.ReleaseName(n+1)] == 0 {
			s.t.Errorf("nobody was served by r%d", n+1)
		}
	}
	s.statements()
	s.t.Logf("%d requests, none failed; %d orders, slowest answer %s", r.Requests, v.Stored, r.Latency.Max)
}

// statements wants every statement of every release to have been carried out,
// but those that a release gave up itself when it ended.
func (s *versionedShop) statements() {
	s.t.Helper()
	if _, err := s.owner.Exec(s.t.Context(), "select 1/0"); err == nil {
		s.t.Error("a statement that can not succeed did")
	}
	log, err := os.ReadFile(filepath.Join(s.server.Dir(), "log"))
	if err != nil {
		s.t.Fatal(err)
	}
	if !strings.Contains(string(log), "\n"+dbtest.Superuser+" ERROR:  division by zero") {
		s.t.Error("the server's log does not name who failed")
	}
	for _, line := range regexp.MustCompile(`(?m)^\S+_r\d+\S* (ERROR|FATAL|PANIC):.*$`).FindAllString(string(log), -1) {
		if !strings.Contains(line, "due to user request") {
			s.t.Errorf("a statement of a release failed: %s", line)
		}
	}
}
