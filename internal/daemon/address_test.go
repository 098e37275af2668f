package daemon

import (
	"strings"
	"testing"

	"github.com/noon-deploy/noon"
)

func TestOwnAddresses(t *testing.T) {
	t.Parallel()
	c := &catalog{key: []byte("key")}
	site := noon.Site{App: "shop", Environment: "production"}
	app := noon.App{Stores: []noon.Store{
		{Name: "db", Coexistence: noon.Versioned, URL: "DATABASE_URL"},
		{Name: "cache", Coexistence: noon.Shared, URL: "CACHE_URL"},
	}}
	values := map[string]string{
		"DATABASE_URL": "postgres://owner:secret@db.internal:5432/shop?sslmode=require", "CACHE_URL": "redis://a:b@c/0",
	}
	if err := c.ownAddresses(site, "r7", app, values); err != nil {
		t.Fatal(err)
	}
	got := values["DATABASE_URL"]
	if !strings.HasPrefix(got, "postgres://shop_production_db_r7_shop:") || !strings.HasSuffix(got, "@db.internal:5432/shop?sslmode=require") {
		t.Errorf("the address is %s", got)
	}
	if strings.Contains(got, "secret") || strings.Contains(got, "owner") {
		t.Errorf("the owner's own credentials are handed on: %s", got)
	}
	if values["CACHE_URL"] != "redis://a:b@c/0" {
		t.Errorf("a shared store's address is changed: %s", values["CACHE_URL"])
	}
	one, again, other := c.rolePassword(site, "db", "r7"), c.rolePassword(site, "db", "r7"), c.rolePassword(site, "db", "r8")
	if one == other || one != again {
		t.Error("passwords are not one for each role")
	}
	for address, says := range map[string]string{
		"host=db user=a": "does not begin with", "mysql://a:b@c/d": "does not begin with", "postgres:///shop": "names no host", "postgres://c": "names no database",
		"postgres://c/d?user=a": "stands in the query", "postgres://a:b@c:x/d": "not a URL",
	} {
		err := c.ownAddresses(site, "r7", app, map[string]string{"DATABASE_URL": address})
		if noon.KindOf(err) != noon.Invalid || !strings.Contains(err.Error(), says) || noon.HintOf(err) == "" {
			t.Errorf("%s: %v", address, err)
		}
		if err != nil && strings.Contains(err.Error(), "a:b") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

// A release on MariaDB connects to a database of its own.
func TestOwnAddressesOfMariaDB(t *testing.T) {
	t.Parallel()
	c := &catalog{key: []byte("key")}
	site := noon.Site{App: "shop", Environment: "production"}
	app := noon.App{Stores: []noon.Store{{Name: "db", Kind: "mariadb", Coexistence: noon.Versioned, URL: "DATABASE_URL"}}}
	values := map[string]string{"DATABASE_URL": "mysql://owner:secret@db.internal:3306/shop?tls=true"}
	if err := c.ownAddresses(site, "r7", app, values); err != nil {
		t.Fatal(err)
	}
	got := values["DATABASE_URL"]
	if !strings.HasPrefix(got, "mysql://shop_production_db_r7:") || !strings.HasSuffix(got, "@db.internal:3306/shop_production_db_r7?tls=true") || strings.Contains(got, "secret") {
		t.Errorf("the address is %s", got)
	}
	err := c.ownAddresses(site, "r7", app, map[string]string{"DATABASE_URL": "postgres://a:b@c/d"})
	if noon.KindOf(err) != noon.Invalid || !strings.Contains(err.Error(), "does not begin with mysql://") || noon.HintOf(err) == "" {
		t.Errorf("an address of another server: %v", err)
	}
}

func TestPrefixesAreApart(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 40)
	seen := map[string]bool{}
	for _, app := range []string{"shop", "my-shop", "my_shop", "9lives", long} {
		for _, env := range []string{"production", "staging", long} {
			for _, store := range []string{"db", "db-2", "db_2"} {
				name := prefix(noon.Site{App: app, Environment: env}, store)
				if seen[name] || len(name) > maxPrefix {
					t.Errorf("%s, %s, %s: %s", app, env, store, name)
				}
				seen[name] = true
			}
		}
	}
}
