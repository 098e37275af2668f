package daemon

import (
	"context"
	"database/sql"
	"log/slog"
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/dbtest"
)

// mariaShop is a versioned store on a real MariaDB server, as releases of a
// shop use it.
type mariaShop struct {
	t       *testing.T
	d       *databases
	address string // that noon is given
	files   map[string]string
}

func newMariaShop(t *testing.T, settings ...string) *mariaShop {
	t.Helper()
	server := dbtest.ForTest(t, dbtest.MariaDB, settings...)
	address, err := server.MariaDBDatabase(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	return &mariaShop{t: t, address: address, files: map[string]string{}, d: &databases{catalog: &catalog{key: []byte("key")}, log: slog.New(slog.DiscardHandler)}}
}

// release is the store as a release brings it, with the files there are now.
func (s *mariaShop) release(n int) *migrated {
	return &migrated{
		Store: noon.Store{Name: "db", Kind: "mariadb", Coexistence: noon.Versioned, URL: "DATABASE_URL", Role: "shop_before_noon", Migrations: "migrations"},
		site:  noon.Site{App: "my-shop", Environment: "production"}, release: noon.ReleaseName(n), address: s.address, files: maps.Clone(s.files),
	}
}

// as runs a statement as a release does, with the address that it gets, and
// returns the first value.
func (s *mariaShop) as(m *migrated, text string) (string, error) {
	values := map[string]string{"DATABASE_URL": s.address}
	if err := s.d.catalog.ownAddresses(m.site, m.release, noon.App{Stores: []noon.Store{m.Store}}, values); err != nil {
		return "", err
	}
	u, err := url.Parse(values["DATABASE_URL"])
	if err != nil {
		return "", err
	}
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr, config.DBName = u.User.Username(), "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
	config.Passwd, _ = u.User.Password()
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return "", err
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }() // nothing was written by the pool itself
	if !strings.HasPrefix(text, "SELECT") {
		_, err := db.ExecContext(s.t.Context(), text)
		return "", err
	}
	var value string
	err = db.QueryRowContext(s.t.Context(), text).Scan(&value)
	return value, err
}

func (s *mariaShop) says(m *migrated, text, want string) {
	s.t.Helper()
	got, err := s.as(m, text)
	if err != nil || got != want {
		s.t.Errorf("%s: %s gives %q, %v; want %q", m.release, text, got, err, want)
	}
}

func (s *mariaShop) must(phase noon.DataPhase, m, left *migrated) {
	s.t.Helper()
	task := noon.DataTask{Data: noon.Data{Store: "db", Phase: phase}, Site: m.site}
	if err := s.d.versioned(context.WithoutCancel(s.t.Context()), task, *m, left, func(string) {}); err != nil {
		s.t.Fatalf("%s for %s: %v\nhint: %s", phase, m.release, err, noon.HintOf(err))
	}
}

// TestVersionedStoreOnMariaDB takes a store through a first deployment, a
// change that is withdrawn, the same change completed, and a release without a
// change.
func TestVersionedStoreOnMariaDB(t *testing.T) {
	t.Parallel()
	s := newMariaShop(t)
	s.files["0001_init.yaml"] = `operations:
- create_table: {name: orders, columns: [{name: id, type: bigint, pk: true}, {name: customer, type: varchar(100)}, {name: total, type: varchar(20)}]}`
	s.files["0002_index.yaml"] = `operations:
- create_index: {name: orders_customer, table: orders, columns: [customer]}`
	r1 := s.release(1)
	s.must(noon.DataAlone, r1, nil)
	s.says(r1, "INSERT INTO orders VALUES (1, 'Ada Lovelace', '17')", "")
	s.says(r1, "SELECT customer FROM orders", "Ada Lovelace")

	s.files["0003_names.yaml"] = `operations:
- rename_column: {table: orders, from: customer, to: buyer}
- alter_column: {table: orders, column: total, type: int, down: "CAST(total AS CHAR)"}`
	r2 := s.release(2)
	s.must(noon.DataAdmitted, r2, r1)
	s.says(r2, "SELECT customer FROM orders", "Ada Lovelace")
	for range 2 { // again, as after a crash
		s.must(noon.DataBoth, r2, r1)
	}
	s.says(r2, "SELECT buyer FROM orders WHERE id = 1", "Ada Lovelace")
	s.says(r2, "INSERT INTO orders VALUES (2, 'Alan Turing', 4)", "")
	s.says(r1, "SELECT concat(customer, total) FROM orders WHERE id = 2", "Alan Turing4")

	s.must(noon.DataAlone, r1, r2) // back
	s.says(r1, "SELECT count(*) FROM orders", "2")
	if _, err := s.as(r2, "SELECT 1"); err == nil {
		t.Error("the release that was left can still connect")
	}

	s.must(noon.DataBoth, r2, r1)
	s.must(noon.DataAlone, r2, r1) // completed
	s.says(r2, "SELECT group_concat(buyer ORDER BY id) FROM orders WHERE total + 1 < 19", "Ada Lovelace,Alan Turing")
	if _, err := s.as(r1, "SELECT 1"); err == nil {
		t.Error("the release before can still connect")
	}
	r3 := s.release(3)
	s.must(noon.DataBoth, r3, r2)
	s.says(r3, "SELECT buyer FROM orders WHERE id = 2", "Alan Turing")
	s.says(r2, "SELECT buyer FROM orders WHERE id = 2", "Alan Turing")
	s.must(noon.DataAlone, r3, r2)
	s.says(r3, "SELECT count(*) FROM orders", "2")

	changed := s.release(4)
	changed.files["0001_init.yaml"] += " # changed"
	task := noon.DataTask{Data: noon.Data{Store: "db", Phase: noon.DataBoth}, Site: changed.site}
	err := s.d.versioned(t.Context(), task, *changed, r3, func(string) {})
	if noon.KindOf(err) != noon.Conflict || !strings.Contains(err.Error(), "applied with another content") || noon.HintOf(err) == "" {
		t.Errorf("an applied file that changed: %v", err)
	}
}
