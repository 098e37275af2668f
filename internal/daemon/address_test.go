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
	if !strings.HasPrefix(got, "postgres://noon_shop_production_db_r7:") || !strings.HasSuffix(got, "@db.internal:5432/shop?sslmode=require") {
		t.Errorf("the address is %s", got)
	}
	if strings.Contains(got, "secret") || strings.Contains(got, "owner") {
		t.Errorf("the owner's own credentials are handed on: %s", got)
	}
	if values["CACHE_URL"] != "redis://a:b@c/0" {
		t.Errorf("a shared store's address is changed: %s", values["CACHE_URL"])
	}
	if c.rolePassword("a") == c.rolePassword("b") || c.rolePassword("a") != c.rolePassword("a") {
		t.Error("passwords are not one for each role")
	}
	for address, says := range map[string]string{
		"host=db user=a": "does not begin with", "mysql://a:b@c/d": "does not begin with", "postgres:///shop": "names no host",
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

func TestRolesFit(t *testing.T) {
	t.Parallel()
	long := noon.Site{App: strings.Repeat("a", 40), Environment: strings.Repeat("e", 40)}
	a, b := role(long, "db", "r1"), role(long, "db2", "r1")
	if len(a) > maxRole || a == b || !strings.HasSuffix(a, "_r1") {
		t.Errorf("%s, %s", a, b)
	}
}
