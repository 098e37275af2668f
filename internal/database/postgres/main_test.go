package postgres_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/dbtest"
	"github.com/noon-deploy/noon/internal/database/postgres"
)

// shared is the server of the tests that do not kill theirs.
var shared struct {
	server *dbtest.Server
	n      atomic.Int64
	plan   sync.Mutex // one parser at a time: each other one costs 265 MB
}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childArg {
		os.Exit(child())
	}
	server, err := dbtest.Postgres(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	shared.server = server
	code := m.Run()
	if err := server.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// shop is a database of one test with an app in it, and an engine that logs in
// by a role of its own: no superuser, but one that may create roles.
type shop struct {
	server *dbtest.Server
	app    string
	owner  string
	root   string // address for the superuser
	url    string // address for the owner
	noon   string // address for noon
	engine *postgres.Engine
}

const password = "only-for-tests"

func newShop(t testing.TB, tables string) *shop {
	t.Helper()
	return newShopOn(t, shared.server, tables)
}

func newShopOn(t testing.TB, server *dbtest.Server, tables string) *shop {
	t.Helper()
	n := shared.n.Add(1)
	s := &shop{server: server, app: fmt.Sprintf("s%d", n), owner: fmt.Sprintf("s%d", n)}
	root, err := server.PostgresDatabase(t.Context(), s.app)
	if err != nil {
		t.Fatal(err)
	}
	s.root = root
	s.run(t, root, fmt.Sprintf("create role %[1]s login password '%[2]s'; alter database %[1]s owner to %[1]s; alter schema public owner to %[1]s; "+
		"create role %[1]s_noon login createrole password '%[2]s'; grant %[1]s to %[1]s_noon with admin option", s.owner, password))
	s.url, s.noon = s.as(s.owner), s.as(s.owner+"_noon")
	for sql := range strings.SplitSeq(tables, ";\nvacuum ") { // which needs to be alone
		if sql == "analyze users" {
			sql = "vacuum " + sql
		}
		s.run(t, s.url, sql)
	}
	s.engine = s.open(t, postgres.Config{})
	return s
}

// as is the database's address for a role.
func (s *shop) as(role string) string {
	return strings.Replace(s.root, dbtest.Superuser+":"+dbtest.Password, role+":"+password, 1)
}

func (s *shop) open(t testing.TB, c postgres.Config) *postgres.Engine {
	t.Helper()
	if c.URL == "" {
		c.URL = s.noon
	}
	c.App, c.Role = s.app, s.owner
	e, err := postgres.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (s *shop) connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func (s *shop) run(t testing.TB, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // the test has its answer
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%v in: %s", err, sql)
	}
}

// ask gives the rows of a query, a line each, columns apart by |.
func ask(t testing.TB, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // the test has its answer
	results, err := conn.PgConn().Exec(t.Context(), sql).ReadAll()
	if err != nil {
		t.Fatalf("%v in: %s", err, sql)
	}
	var lines []string
	for _, row := range results[len(results)-1].Rows {
		var cells []string
		for _, c := range row {
			if c == nil {
				cells = append(cells, "NULL")
			} else {
				cells = append(cells, string(c))
			}
		}
		lines = append(lines, strings.Join(cells, "|"))
	}
	return strings.Join(lines, "\n")
}

func read(t testing.TB, yaml string) change.Set {
	t.Helper()
	set, err := change.Read(change.File{Name: "change.yaml", Data: []byte(yaml)})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func (s *shop) plan(t testing.TB, yaml string) postgres.Plan {
	t.Helper()
	p, err := s.try(t, yaml)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (s *shop) try(t testing.TB, yaml string) (postgres.Plan, error) {
	t.Helper()
	set := read(t, yaml)
	shared.plan.Lock()
	defer shared.plan.Unlock()
	return s.engine.Plan(t.Context(), set)
}

func (s *shop) reach(t testing.TB, p postgres.Plan, phase postgres.Phase) {
	t.Helper()
	if err := s.engine.Reach(t.Context(), postgres.Order{Plan: &p, Phase: phase}, nil); err != nil {
		t.Fatal(err)
	}
}

// release is the address of a release that sees a version.
func (s *shop) release(t testing.TB, release string, version int) string {
	t.Helper()
	name, err := s.engine.Role(t.Context(), release, version, password)
	if err != nil {
		t.Fatal(err)
	}
	return s.as(name)
}
