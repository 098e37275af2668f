package daemon

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/mariadb"
	"github.com/noon-deploy/noon/internal/database/postgres"
)

// maxPrefix is the longest prefix of names in a database that the schema engine
// takes, in bytes.
const maxPrefix = 30

// prefix is what the names of a site's version schemas and roles for one store
// begin with. Roles are the server's, not the database's: the prefix tells
// environments and stores of one server apart.
func prefix(site noon.Site, store string) string {
	whole := strings.Join([]string{site.App, site.Environment, store}, "_")
	name := strings.ReplaceAll(whole, "-", "_")
	if c := name[0]; c < 'a' || c > 'z' {
		name = "app_" + name
	}
	if len(name) <= maxPrefix && name == whole {
		return name
	}
	sum := sha256.Sum256([]byte(whole))
	return name[:min(len(name), maxPrefix-9)] + "_" + hex.EncodeToString(sum[:])[:8]
}

// rolePassword derives the password by which a release of a site connects to a
// store. Who does not know the key of the controller can not guess it; nothing
// has to be stored.
func (c *catalog) rolePassword(site noon.Site, store, release string) string {
	mac := hmac.New(sha256.New, c.key)
	_, _ = mac.Write([]byte("role " + prefix(site, store) + " " + release))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)[:20]))
}

// ownAddresses gives a release addresses of its versioned stores with its own
// role in them.
func (c *catalog) ownAddresses(site noon.Site, release string, app noon.App, values map[string]string) error {
	for _, s := range app.Stores {
		address, ok := values[s.URL]
		if s.Coexistence != noon.Versioned || !ok {
			continue
		}
		u, err := serverURL(s.Kind, address)
		if err != nil {
			return &noon.Error{
				Kind: noon.Invalid, Op: "read address of store", Subject: s.Name, Err: fmt.Errorf("%s: %w", s.URL, err),
				Hint: fmt.Sprintf("Set it as a URL: `noon env set --secret %s` with postgres://user:password@host:5432/database, or mysql://user:password@host:3306/database.", s.URL),
			}
		}
		name := postgres.RoleName(prefix(site, s.Name), release, strings.TrimPrefix(u.Path, "/"))
		if ofMySQL(s.Kind) { // where the release's views are in a database of its own
			name = mariadb.Name(prefix(site, s.Name), release)
			u.Path = "/" + name
		}
		u.User = url.UserPassword(name, c.rolePassword(site, s.Name, release))
		values[s.URL] = u.String()
	}
	return nil
}

// ofMySQL reports whether a store of a kind is in MariaDB or MySQL.
func ofMySQL(kind string) bool { return kind == "mariadb" || kind == "mysql" }

// serverURL reads an address in which a user can be replaced. Its value is in
// no error: it holds a password.
func serverURL(kind, address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, errors.New("it is not a URL")
	case ofMySQL(kind) && u.Scheme != "mysql" && u.Scheme != "mariadb":
		return nil, errors.New("it does not begin with mysql:// or mariadb://")
	case !ofMySQL(kind) && u.Scheme != "postgres" && u.Scheme != "postgresql":
		return nil, errors.New("it does not begin with postgres://")
	case u.Host == "" && u.Query().Get("host") == "":
		return nil, errors.New("it names no host")
	case u.Path == "" || u.Path == "/":
		return nil, errors.New("it names no database")
	case u.Query().Has("user") || u.Query().Has("password"):
		return nil, errors.New("the user stands in the query; it has to stand before the host")
	}
	return u, nil
}
