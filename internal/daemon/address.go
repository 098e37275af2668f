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
)

// maxRole is the longest name of a role that PostgreSQL keeps whole, in bytes.
const maxRole = 63

// role is the name under which one release of a site connects to a versioned
// store: by it the database tells the releases apart.
func role(site noon.Site, store, release string) string {
	name := strings.Join([]string{"noon", site.App, site.Environment, store, release}, "_")
	if len(name) <= maxRole {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return "noon_" + hex.EncodeToString(sum[:])[:24] + "_" + release
}

// rolePassword derives the password of a role. Who does not know the key of
// the controller can not guess it; nothing has to be stored.
func (c *catalog) rolePassword(name string) string {
	mac := hmac.New(sha256.New, c.key)
	_, _ = mac.Write([]byte("role " + name))
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
		u, err := serverURL(address)
		if err != nil {
			return &noon.Error{
				Kind: noon.Invalid, Op: "read address of store", Subject: s.Name, Err: fmt.Errorf("%s: %w", s.URL, err),
				Hint: fmt.Sprintf("Set it as a URL: `noon env set --secret %s` with postgres://user:password@host:5432/database.", s.URL),
			}
		}
		name := role(site, s.Name, release)
		u.User = url.UserPassword(name, c.rolePassword(name))
		values[s.URL] = u.String()
	}
	return nil
}

// serverURL reads an address in which a user can be replaced. Its value is in
// no error: it holds a password.
func serverURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, errors.New("it is not a URL")
	case u.Scheme != "postgres" && u.Scheme != "postgresql":
		return nil, errors.New("it does not begin with postgres://")
	case u.Host == "" && u.Query().Get("host") == "":
		return nil, errors.New("it names no host")
	case u.Query().Has("user") || u.Query().Has("password"):
		return nil, errors.New("the user stands in the query; it has to stand before the host")
	}
	return u, nil
}
