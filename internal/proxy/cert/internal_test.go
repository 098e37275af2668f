package cert_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/cert"
)

func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func internalSite() cert.Site {
	return cert.Site{Site: shop(), TLS: &noon.TLS{MinVersion: "1.2", Internal: true}}
}

func TestInternalAuthority(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var first []byte
	for range 2 { // the second time it is the one that is kept
		s := openStore(t, cert.Config{Dir: dir})
		if s.InternalRoot() != nil {
			t.Error("an authority that nobody has asked for")
		}
		set(t, s, internalSite())
		if first == nil {
			first = s.InternalRoot()
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(first) || string(s.InternalRoot()) != string(first) {
			t.Fatal("the authority is not the one before")
		}
		addr := listen(t, s)
		for _, name := range []string{"localhost", "a.b.example.com", "127.0.0.1"} { // a client does not send an address as a name
			if _, err := dial(t, addr, &tls.Config{ServerName: name, RootCAs: roots}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	onlyOwner(t, dir)
}

func TestInternalAuthorityIsShared(t *testing.T) {
	t.Parallel()
	shared, err := cert.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	one := openStore(t, cert.Config{Dir: dir, Shared: shared})
	two := openStore(t, cert.Config{Dir: t.TempDir(), Shared: shared})
	set(t, one, internalSite())
	set(t, two, internalSite())
	if string(one.InternalRoot()) != string(two.InternalRoot()) {
		t.Error("two proxies have two authorities")
	}
	later := openStore(t, cert.Config{Dir: dir, Shared: away{shared}})
	set(t, later, internalSite())
	if string(later.InternalRoot()) != string(one.InternalRoot()) {
		t.Error("without the controller there is another authority")
	}
}
