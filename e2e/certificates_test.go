package e2e

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/noon-deploy/noon/internal/proxy/cert/sharing"
)

// Certificates are in the ledger, for every proxy and for the backup, and a
// proxy that starts while there is no controller serves with what it has had.
func TestCertificatesAreShared(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.args = append(m.args, "--listen", "tls:127.0.0.1:0")
	up(m, recipe{envs: "production: {warm: 0s, domains: [shop.example.com], tls: {internal: true}}"})
	before := m.authority()
	place := sharing.NewClient(filepath.Join(m.data, "run", "certs.sock"))
	defer place.Close()
	keys, err := place.List(t.Context(), "")
	if err != nil || !slices.ContainsFunc(keys, func(k string) bool { return strings.HasSuffix(k, "root.pem") }) {
		t.Errorf("the ledger has %q, %v", keys, err)
	}
	m.killController()
	proxy := m.onePart("proxy").pid
	m.kill(proxy)
	eventually(t, soon, "there is another proxy", func() error {
		if list := m.parts("proxy"); len(list) != 1 || list[0].pid == proxy {
			return fmt.Errorf("there are %v", list)
		}
		return nil
	})
	if after := m.authority(); after != before {
		t.Error("another authority issues the certificates")
	}
}

// authority gives who has issued the certificate of the site.
func (m *machine) authority() string {
	m.t.Helper()
	var key string
	eventually(m.t, soon, "there is a certificate", func() error {
		config := &tls.Config{ServerName: "shop.example.com", InsecureSkipVerify: true} //nolint:gosec // who issued it is what is looked at
		c, err := (&tls.Dialer{Config: config}).DialContext(m.t.Context(), "tcp", m.secure)
		if err != nil {
			return err
		}
		defer c.Close()
		key = string(c.(*tls.Conn).ConnectionState().PeerCertificates[0].AuthorityKeyId) //nolint:forcetypeassert // it dials nothing else
		return nil
	})
	return key
}
