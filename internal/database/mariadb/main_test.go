package mariadb_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/dbtest"
	"github.com/noon-deploy/noon/internal/database/mariadb"
)

// shared is the server of the tests that do not kill theirs.
var shared struct {
	server *dbtest.Server
	watch  *watch
	n      atomic.Int64
}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childArg {
		os.Exit(child())
	}
	server, err := dbtest.MariaDB(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	shared.server, shared.watch = server, newWatch(context.Background(), server.MariaDBURL("mysql"))
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

const password = "only-for-tests"

// shop is a database of one test with an app in it, and an engine that logs in
// as a user of its own, with the privileges that it asks for and no more.
type shop struct {
	server *dbtest.Server
	watch  *watch
	app    string
	engine *mariadb.Engine
}

func newShop(tb testing.TB, tables string) *shop {
	tb.Helper()
	return newShopOn(tb, shared.server, shared.watch, tables)
}

// newShopOn makes one on a server that is watched.
func newShopOn(tb testing.TB, server *dbtest.Server, w *watch, tables string) *shop {
	tb.Helper()
	s := &shop{server: server, watch: w, app: fmt.Sprintf("s_%d", shared.n.Add(1))}
	if _, err := server.MariaDBDatabase(tb.Context(), s.app); err != nil {
		tb.Fatal(err)
	}
	releases := "`" + strings.ReplaceAll(s.app, "_", `\_`) + "\\_%`.*"
	s.run(tb, s.root(), fmt.Sprintf("CREATE USER %[1]s_app IDENTIFIED BY '%[2]s'; GRANT ALL ON `%[3]s`.* TO %[1]s_app; CREATE USER %[1]s_noon IDENTIFIED BY '%[2]s'; "+
		"GRANT CREATE USER, PROCESS ON *.* TO %[1]s_noon; GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, TRIGGER, SHOW VIEW, CREATE TEMPORARY TABLES ON `%[3]s`.* TO %[1]s_noon; "+
		"GRANT SELECT, INSERT, UPDATE, DELETE, SHOW VIEW, EXECUTE, LOCK TABLES, CREATE TEMPORARY TABLES, CREATE, ALTER, DROP, CREATE VIEW ON %[4]s TO %[1]s_noon WITH GRANT OPTION",
		s.app, password, strings.ReplaceAll(s.app, "_", `\_`), releases))
	s.run(tb, s.old(), tables)
	s.engine = s.open(tb, mariadb.Config{})
	tb.Cleanup(func() { w.Check(tb, s.app) })
	return s
}

func (s *shop) root() string { return s.server.MariaDBURL(s.app) }

// as is the address of a database for a user.
func (s *shop) as(user, database string) string {
	return fmt.Sprintf("mariadb://%s:%s@127.0.0.1:%d/%s", user, password, s.server.Port(), database)
}

// old is the address that the app has had before noon.
func (s *shop) old() string { return s.as(s.app+"_app", s.app) }

func (s *shop) noon() string { return s.as(s.app+"_noon", s.app) }

func (s *shop) open(tb testing.TB, c mariadb.Config) *mariadb.Engine {
	tb.Helper()
	c.App, c.User = s.app, s.app+"_app"
	if c.URL == "" {
		c.URL = s.noon()
	}
	e, err := mariadb.Open(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// pool opens connections as an app does.
func pool(address string) (*sql.DB, error) {
	rest := strings.TrimPrefix(address, "mariadb://")
	user, rest, _ := strings.Cut(rest, ":")
	word, rest, _ := strings.Cut(rest, "@")
	host, database, _ := strings.Cut(rest, "/")
	config := mysql.NewConfig()
	config.User, config.Passwd, config.Net, config.Addr, config.DBName = user, word, "tcp", host, database
	config.InterpolateParams, config.MultiStatements, config.Logger = true, true, silence{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

type silence struct{}

func (silence) Print(...any) {}

func (s *shop) run(tb testing.TB, address, text string) {
	tb.Helper()
	if err := s.try(tb, address, text); err != nil {
		tb.Fatalf("%v in: %s", err, text)
	}
}

func (s *shop) try(tb testing.TB, address, text string) error {
	tb.Helper()
	db, err := pool(address)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // nothing was written by the pool itself
	_, err = db.ExecContext(tb.Context(), text)
	return err
}

// ask gives the rows of a query, a line each, columns apart by |.
func ask(tb testing.TB, address, query string) string {
	tb.Helper()
	db, err := pool(address)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = db.Close() }() // nothing was written by the pool itself
	rows, err := db.QueryContext(tb.Context(), query)
	if err != nil {
		tb.Fatalf("%v in: %s", err, query)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		tb.Fatal(err)
	}
	var lines []string
	for rows.Next() {
		values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			tb.Fatal(err)
		}
		var cells []string
		for _, v := range values {
			if v.Valid {
				cells = append(cells, v.String)
			} else {
				cells = append(cells, "NULL")
			}
		}
		lines = append(lines, strings.Join(cells, "|"))
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func says(tb testing.TB, address, query, want string) {
	tb.Helper()
	if got := ask(tb, address, query); got != want {
		tb.Errorf("%s\ngives %s\nwant  %s", query, got, want)
	}
}

func read(tb testing.TB, yaml string) change.Set {
	tb.Helper()
	set, err := change.Read(change.File{Name: "change.yaml", Data: []byte(yaml)})
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

func (s *shop) plan(tb testing.TB, yaml string) mariadb.Plan {
	tb.Helper()
	p, err := s.engine.Plan(tb.Context(), read(tb, yaml))
	if err != nil {
		tb.Fatalf("%v\nhint: %s", err, noon.HintOf(err))
	}
	return p
}

func (s *shop) reach(tb testing.TB, p mariadb.Plan, phase mariadb.Phase) {
	tb.Helper()
	defer s.watch.During(s.app, string(phase))()
	if err := s.engine.Reach(tb.Context(), mariadb.Order{Plan: &p, Version: p.To, Phase: phase}, nil); err != nil {
		tb.Fatalf("%s: %v\nhint: %s", phase, err, noon.HintOf(err))
	}
}

// release is the address of a release that sees a version.
func (s *shop) release(tb testing.TB, release string, version int) string {
	tb.Helper()
	name, err := s.engine.Role(tb.Context(), release, version, password)
	if err != nil {
		tb.Fatalf("%v\nhint: %s", err, noon.HintOf(err))
	}
	return s.as(name, name)
}
