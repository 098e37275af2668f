package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/database/dbtest"
)

// TestVersionedMariaDB: releases that know a table by other names and types
// replace one another on one MariaDB database while customers order: rehearsed,
// deployed, rolled back, deployed again, completed. No order fails or is lost.
func TestVersionedMariaDB(t *testing.T) {
	t.Parallel()
	s := openMariaShop(t)
	s.release(`operations:
- create_table: {name: orders, columns: [{name: id, type: bigint, pk: true}, {name: customer, type: varchar(100)}, {name: total, type: varchar(20)}]}
`, "INSERT INTO orders (id, customer, total) VALUES (?, 'Ada Lovelace', '17')")
	s.must("deploy", "r1", "--yes", "-e", site.Environment)
	s.welcome()
	s.release(`operations:
- rename_column: {table: orders, from: customer, to: buyer}
- alter_column: {table: orders, column: total, type: int, down: "CAST(total AS CHAR)"}
`, "INSERT INTO orders (id, buyer, total) VALUES (?, 'Alan Turing', 4)")
	r := answer[noon.Rehearsal](s.machine, "rehearse", "r2", "-e", site.Environment)
	if r.Status != noon.RehearsalGood || len(r.Report.Phases) != 2 || len(r.Report.Broken) > 0 || r.Report.Load.Failed > 0 {
		t.Errorf("the rehearsal is %+v", r)
	}
	if out := s.must("plan", "r2", "-e", site.Environment); !strings.Contains(out, "rehearsed just now on") && !strings.Contains(out, "rehearsed 1m ago on") {
		t.Errorf("the plan does not know of the rehearsal: %s", out)
	}
	s.must("deploy", "r2", "--yes", "-e", site.Environment)
	s.ordered("r2")
	s.must("rollback", "--yes", "-e", site.Environment)
	s.ordered("r1")
	s.must("deploy", "r2", "--yes", "-e", site.Environment)
	s.ordered("r2")
	s.release("", "INSERT INTO orders (id, buyer, total) VALUES (?, 'Grace Hopper', 5)")
	s.must("deploy", "r3", "--yes", "-e", site.Environment) // which completes what r2 has brought
	s.ordered("r3")
	s.close()
	s.says("SELECT group_concat(column_name ORDER BY column_name) FROM information_schema.columns WHERE table_schema = 'shop' AND table_name = 'orders'", "customer,id,total_v2")
	s.says("SELECT count(*) FROM information_schema.triggers WHERE trigger_schema = 'shop'", "0")
	s.says("SELECT count(*) FROM mysql.user WHERE user LIKE '%\\_r1' OR user LIKE 'noon%'", "0")
	s.says("SELECT count(*) FROM information_schema.schemata WHERE schema_name LIKE '%\\_r1' OR schema_name LIKE 'noon%'", "0")
	s.says("SELECT count(DISTINCT customer) FROM orders", "3")
	s.says("SELECT count(*) FROM orders", fmt.Sprint(s.taken.Load()))
}

// mariaShop is an app with a MariaDB database and customers who order.
type mariaShop struct {
	*machine
	t        *testing.T
	owner    *sql.DB
	releases int
	taken    atomic.Int64 // orders that were acknowledged
	next     atomic.Int64
	leave    context.CancelFunc
	all      sync.WaitGroup
}

func openMariaShop(t *testing.T) *mariaShop {
	t.Helper()
	server := dbtest.ForTest(t, dbtest.MariaDB)
	address, err := server.MariaDBDatabase(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	config := mysql.NewConfig()
	config.User, config.Passwd, config.Net, config.Addr, config.DBName = "root", dbtest.Password, "tcp", fmt.Sprint("127.0.0.1:", server.Port()), "shop"
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	s := &mariaShop{machine: newMachine(t), t: t, owner: sql.OpenDB(connector)}
	t.Cleanup(func() { _ = s.owner.Close() }) // it was only read
	unpacked, err := filepath.Abs(filepath.Join("..", ".cache", "servers", "usr", "bin"))
	if err != nil {
		t.Fatal(err)
	}
	s.awaitUp(s.start("PATH=" + os.Getenv("PATH") + string(os.PathListSeparator) + unpacked))
	s.configure(site)
	if _, err := s.api.SetConfig(t.Context(), site, []api.ConfigChange{{Name: "DATABASE", Value: address, Secret: true}}); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.repo, "migrations"), 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

// release builds the next release, with a change of the schema and its own way
// to write an order.
func (s *mariaShop) release(change, order string) {
	s.t.Helper()
	s.releases++
	if change != "" {
		s.write(fmt.Sprintf("migrations/%04d_change.yaml", s.releases), change)
	}
	s.write("order.sql", order)
	s.buildWithDatabase(recipe{files: ", migrations/*, order.sql", envs: "production: {warm: 10m}", top: `
stores:
  db: {kind: mariadb, coexistence: versioned, url: DATABASE, migrations: migrations, rehearsal: {required: true}}`})
}

// welcome lets customers order until close.
func (s *mariaShop) welcome() {
	ctx, leave := context.WithCancel(s.t.Context())
	s.leave = leave
	s.t.Cleanup(leave)
	for range 3 {
		s.all.Go(func() {
			for ctx.Err() == nil {
				if err := s.order(); err != nil { //nolint:contextcheck // what is begun is ended
					s.t.Error(err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(10 * time.Millisecond):
				}
			}
		})
	}
}

func (s *mariaShop) order() error {
	address := fmt.Sprintf("http://%s/order?id=%d", s.address, s.next.Add(1))
	req, err := http.NewRequestWithContext(context.WithoutCancel(s.t.Context()), http.MethodPost, address, http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("order: %s: %s %w", res.Status, body, err)
	}
	s.taken.Add(1)
	return nil
}

// ordered waits until a release has taken orders.
func (s *mariaShop) ordered(release string) {
	s.t.Helper()
	if got := s.get("/"); !strings.Contains(got, release) {
		s.t.Errorf("live is %q, want %s", got, release)
	}
	before := s.taken.Load()
	eventually(s.t, soon, "customers order", func() error {
		if n := s.taken.Load(); n < before+20 {
			return fmt.Errorf("%d orders were taken, and %d before", n, before)
		}
		return nil
	})
}

func (s *mariaShop) close() {
	s.leave()
	s.all.Wait()
}

func (s *mariaShop) says(query, want string) {
	s.t.Helper()
	var got string
	if err := s.owner.QueryRowContext(s.t.Context(), query).Scan(&got); err != nil || got != want {
		s.t.Errorf("%s\ngives %q, %v, want %q", query, got, err, want)
	}
}
