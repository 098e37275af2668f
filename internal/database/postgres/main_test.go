package postgres_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
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
	watch  *watch
	n      atomic.Int64
	plan   sync.Mutex        // one parser at a time: each other one costs 265 MB
	plans  map[string][]byte // of new shops, by their change, for an app called shop0000; under plan
}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childArg {
		os.Exit(child())
	}
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) { // nobody has chosen: tests wait for servers more than they compute
		if err := flag.Set("test.parallel", strconv.Itoa(3*runtime.GOMAXPROCS(0))); err != nil {
			panic(err)
		}
	}
	server, err := dbtest.Postgres(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	shared.plans = map[string][]byte{}
	shared.server, shared.watch = server, newWatch(context.Background(), server.PostgresURL("postgres"))
	code := m.Run()
	shared.watch.Close()
	shared.watch.Told()
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
	watch  *watch
	tables string // that it began with
}

const password = "only-for-tests"

func newShop(tb testing.TB, tables string) *shop {
	tb.Helper()
	return newShopOn(tb, shared.server, shared.watch, tables)
}

// newShopOn makes one on a server that is watched.
func newShopOn(tb testing.TB, server *dbtest.Server, w *watch, tables string) *shop {
	tb.Helper()
	name := fmt.Sprintf("shop%04d", shared.n.Add(1))
	s := &shop{server: server, app: name, owner: name, tables: tables, watch: w}
	tb.Cleanup(func() { w.Check(tb, s.app) })
	root, err := server.PostgresDatabase(tb.Context(), s.app)
	if err != nil {
		tb.Fatal(err)
	}
	s.root = root
	s.run(tb, root, fmt.Sprintf("create role %[1]s login password '%[2]s'; alter database %[1]s owner to %[1]s; alter schema public owner to %[1]s; "+
		"create role %[1]s_noon login createrole password '%[2]s'; grant %[1]s to %[1]s_noon with admin option", s.owner, password))
	s.url, s.noon = s.as(s.owner), s.as(s.owner+"_noon")
	for sql := range strings.SplitSeq(tables, ";\nvacuum ") { // which needs to be alone
		if sql == "analyze users" {
			sql = "vacuum " + sql
		}
		s.run(tb, s.url, sql)
	}
	s.engine = s.open(tb, postgres.Config{})
	return s
}

// as is the database's address for a role.
func (s *shop) as(role string) string {
	return strings.Replace(s.root, dbtest.Superuser+":"+dbtest.Password, role+":"+password, 1)
}

func (s *shop) open(tb testing.TB, c postgres.Config) *postgres.Engine {
	tb.Helper()
	if c.URL == "" {
		c.URL = s.noon
	}
	c.App, c.Role = s.app, s.owner
	e, err := postgres.Open(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func (s *shop) connect(tb testing.TB, url string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.WithoutCancel(tb.Context())) })
	return conn
}

func (s *shop) run(tb testing.TB, url, sql string) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(tb.Context()) //nolint:errcheck // the test has its answer
	if _, err := conn.Exec(tb.Context(), sql); err != nil {
		tb.Fatalf("%v in: %s", err, sql)
	}
}

// ask gives the rows of a query, a line each, columns apart by |.
func ask(tb testing.TB, url, sql string) string {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(tb.Context()) //nolint:errcheck // the test has its answer
	results, err := conn.PgConn().Exec(tb.Context(), sql).ReadAll()
	if err != nil {
		tb.Fatalf("%v in: %s", err, sql)
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

func read(tb testing.TB, yaml string) change.Set {
	tb.Helper()
	set, err := change.Read(change.File{Name: "change.yaml", Data: []byte(yaml)})
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

func (s *shop) plan(tb testing.TB, yaml string) postgres.Plan {
	tb.Helper()
	p, err := s.try(tb, yaml)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func (s *shop) try(tb testing.TB, yaml string) (postgres.Plan, error) {
	tb.Helper()
	set := read(tb, yaml)
	shared.plan.Lock()
	defer shared.plan.Unlock()
	return s.engine.Plan(tb.Context(), set)
}

// firstPlan is the plan of a shop that has only its tables. The same change of
// the same tables is planned once, for the parser is slow with the race detector.
func (s *shop) firstPlan(tb testing.TB, yaml string) postgres.Plan {
	tb.Helper()
	const app = "shop0000"
	shared.plan.Lock()
	text := shared.plans[s.tables+yaml]
	shared.plan.Unlock()
	if text == nil {
		var err error
		if text, err = json.Marshal(s.plan(tb, yaml)); err != nil {
			tb.Fatal(err)
		}
		shared.plan.Lock()
		shared.plans[s.tables+yaml] = bytes.ReplaceAll(text, []byte(s.app), []byte(app))
		shared.plan.Unlock()
	}
	var p postgres.Plan
	if err := json.Unmarshal(bytes.ReplaceAll(text, []byte(app), []byte(s.app)), &p); err != nil {
		tb.Fatal(err)
	}
	return p
}

func (s *shop) reach(tb testing.TB, p postgres.Plan, phase postgres.Phase) {
	tb.Helper()
	defer s.watch.During(s.app, string(phase))()
	if err := s.engine.Reach(tb.Context(), postgres.Order{Plan: &p, Phase: phase}, nil); err != nil {
		tb.Fatal(err)
	}
}

// release is the address of a release that sees a version.
func (s *shop) release(tb testing.TB, release string, version int) string {
	tb.Helper()
	name, err := s.engine.Role(tb.Context(), release, version, password)
	if err != nil {
		tb.Fatal(err)
	}
	return s.as(name)
}
