package releases_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon/examples/shop/releases"
	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/dbtest"
	"github.com/noon-deploy/noon/internal/database/postgres"
	"github.com/noon-deploy/noon/internal/load"
)

// Each release sells while the one before it does, and sees what that one has
// sold as its own.
func TestReleasesShareADatabase(t *testing.T) {
	db := openDatabase(t)
	dir := t.TempDir()
	var old shop
	before, stop := "", func() {}
	for n := 1; n <= releases.Postgres.Count(); n++ {
		s := build(t, releases.Postgres, n)
		version := db.expand(n)
		if n > 1 {
			db.withdraw(version)
			buy(t, before, "Alan Turing", 4)
			version = db.expand(n)
		}
		s.url = db.role(n, version)
		now, stopNow := s.open(t, dir)
		want(t, fmt.Sprintf("r%d", n), http.StatusOK, "ready")(get(t, now+"/healthz"))
		for _, base := range []string{now, before} {
			if base != "" {
				buy(t, base, "Ada Lovelace", 5)
				buy(t, base, "Noon", 1)
			}
		}
		if before != "" {
			if diff := cmp.Diff(stored(t, before), stored(t, now)); diff != "" {
				t.Errorf("r%d sees other orders than r%d:\n%s", n, n-1, diff)
			}
			if diff := cmp.Diff(old.report(t, dir), s.report(t, dir)); diff != "" {
				t.Errorf("r%d reports another day than r%d:\n%s", n, n-1, diff)
			}
		}
		stop()
		db.contract(version)
		buy(t, now, "Grace Hopper", 2)
		want(t, fmt.Sprintf("r%d alone", n), http.StatusOK, "ready")(get(t, now+"/healthz"))
		old, before, stop = s, now, stopNow
	}
	for _, o := range stored(t, before) {
		if o.Attempts != 2 || !strings.HasSuffix(o.Email, "@shop.example") || o.Total != 2900*o.Pieces {
			t.Errorf("%+v", o)
		}
	}
}

// buy buys pieces of the kite, and presses the button twice.
func buy(t *testing.T, base, name string, pieces int) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	customer := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := customer.PostForm(base+"/cart", url.Values{"product": {"kite"}, "quantity": {fmt.Sprint(pieces)}})
	want(t, "put into the cart", http.StatusSeeOther, "")(read(t, r, err))
	first, _, _ := strings.Cut(name, " ")
	form := url.Values{"key": {"the key of " + t.Name() + r.Header.Get("Set-Cookie")[:40]}, "name": {name}, "email": {first + "@shop.example"}}
	for range 2 {
		r, err = customer.PostForm(base+"/checkout", form)
		want(t, "buy", http.StatusSeeOther, "")(read(t, r, err))
	}
	r, err = customer.Get(base + r.Header.Get("Location"))
	want(t, "look at the order", http.StatusOK, "Thank you, "+first)(read(t, r, err))
}

// report is what a release tells of today.
func (s shop) report(t *testing.T, dir string) string {
	t.Helper()
	out, err := s.command(t, dir, "nightly", time.Now().UTC().Format(time.DateOnly)).CombinedOutput()
	_, report, found := strings.Cut(string(out), "report made")
	if err != nil || !found {
		t.Fatalf("%v\n%s", err, out)
	}
	return report
}

// stored are all orders as a release tells them.
func stored(t *testing.T, base string) []load.StoredOrder {
	t.Helper()
	var all []load.StoredOrder
	err := load.OrdersOverHTTP(base, "", ownersToken)(t.Context(), func(o load.StoredOrder) { all = append(all, o) })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// database is a database of the shop that releases share.
type database struct {
	t      *testing.T
	engine *postgres.Engine
	url    string
}

func openDatabase(t *testing.T) *database {
	t.Helper()
	server := dbtest.ForTest(t, dbtest.Postgres)
	address, err := server.PostgresDatabase(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // it has done its work
	if _, err := conn.Exec(t.Context(), "create role keeper login createrole password 'beans'; alter database shop owner to keeper"); err != nil {
		t.Fatal(err)
	}
	d := &database{t: t, url: fmt.Sprintf("postgres://keeper:beans@127.0.0.1:%d/shop?sslmode=disable", server.Port())}
	if d.engine, err = postgres.Open(t.Context(), postgres.Config{URL: d.url, App: "shop", Wait: true}); err != nil {
		t.Fatal(err)
	}
	return d
}

// expand has the database serve release n besides the one before, and returns
// the version of the schema that it sees.
func (d *database) expand(n int) int {
	d.t.Helper()
	tree, err := releases.Postgres.Tree(n)
	if err != nil {
		d.t.Fatal(err)
	}
	older, err := releases.Postgres.Tree(max(1, n-1))
	if err != nil {
		d.t.Fatal(err)
	}
	var files []change.File
	for name, text := range tree {
		if _, done := older[name]; strings.HasPrefix(name, "migrations/pg/") && (!done || n == 1) {
			files = append(files, change.File{Name: name, Data: []byte(text)})
		}
	}
	set, err := change.Read(files...)
	if err != nil {
		d.t.Fatal(err)
	}
	plan, err := d.engine.Plan(d.t.Context(), set)
	if err != nil {
		d.t.Fatalf("r%d: %v", n, err)
	}
	if err := d.engine.Reach(d.t.Context(), postgres.Order{Plan: &plan, Phase: postgres.Expanded}, nil); err != nil {
		d.t.Fatalf("r%d: %v", n, err)
	}
	return plan.To
}

func (d *database) contract(version int) { d.reach(version, postgres.Contracted) }
func (d *database) withdraw(version int) { d.reach(version, postgres.Withdrawn) }

func (d *database) reach(version int, phase postgres.Phase) {
	d.t.Helper()
	if err := d.engine.Reach(d.t.Context(), postgres.Order{Version: version, Phase: phase, AcceptLoss: true}, nil); err != nil {
		d.t.Fatalf("version %d is not %s: %v", version, phase, err)
	}
}

// role is the address for release n, which sees a version.
func (d *database) role(n, version int) string {
	d.t.Helper()
	name, err := d.engine.Role(d.t.Context(), fmt.Sprintf("r%d", n), version, "secret")
	if err != nil {
		d.t.Fatal(err)
	}
	u, err := url.Parse(d.url)
	if err != nil {
		d.t.Fatal(err)
	}
	u.User = url.UserPassword(name, "secret")
	return u.String()
}
