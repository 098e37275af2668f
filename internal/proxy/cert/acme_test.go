package cert_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/cert"
)

const domain = "shop.example.com"

// serial makes a handshake that trusts roots and gives the serial number of
// the certificate, "" if it fails.
func serial(t *testing.T, addr, name string, roots *x509.CertPool) string {
	t.Helper()
	state, err := dial(t, addr, &tls.Config{ServerName: name, RootCAs: roots})
	if err != nil {
		return ""
	}
	return state.PeerCertificates[0].SerialNumber.String()
}

func TestIssuedOverHTTP(t *testing.T) {
	t.Parallel()
	p := newPebble(t, 0)
	_ = p.secure.Close() // nobody is there, which is told at once
	dir := t.TempDir()
	s := openStore(t, cert.Config{Dir: dir, Roots: p.api})
	p.servePlain(t, s)
	addr := listen(t, s)
	set(t, s, p.site(domain))
	run(t, s)
	until(t, "a certificate", func() bool { return serial(t, addr, domain, p.roots) != "" })
	if _, ok := s.ServeChallenge(domain, "/.well-known/acme-challenge/unknown-token"); ok {
		t.Error("a challenge that nobody asked for was answered")
	}
	onlyOwner(t, dir)
	for _, st := range s.Status() {
		if st.Name != domain || st.Source != "acme" || st.NotAfter.IsZero() || st.Problem != "" {
			t.Errorf("status %+v", st)
		}
	}
}

// onlyOwner: no file of the directory is for anybody else.
func onlyOwner(t *testing.T, dir string) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		seen++
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil || seen < 5 {
		t.Errorf("%d files, %v", seen, err)
	}
}

func TestIssuedOverTLS(t *testing.T) {
	t.Parallel()
	p := newPebble(t, 0)
	_ = p.plain.Close()
	s := openStore(t, cert.Config{Dir: t.TempDir(), Roots: p.api})
	serveTLS(t, p.secure, s)
	set(t, s, p.site(domain))
	run(t, s)
	until(t, "a certificate", func() bool { return serial(t, p.secure.Addr().String(), domain, p.roots) != "" })
	if serial(t, p.secure.Addr().String(), "other.example.com", p.roots) != "" {
		t.Error("a name of nobody was answered")
	}
	_, err := dial(t, p.secure.Addr().String(), &tls.Config{ServerName: "other.example.com", InsecureSkipVerify: true})
	if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("a name of nobody: %v, want the alert unrecognized_name", err)
	}
}

// TestServesFromDisk: a process that begins while authority and network are
// away has what the one before it had, with its first handshake.
func TestServesFromDisk(t *testing.T) {
	t.Parallel()
	p := newPebble(t, 0)
	_ = p.secure.Close()
	dir := t.TempDir()
	before := openStore(t, cert.Config{Dir: dir, Roots: p.api})
	p.servePlain(t, before)
	addr := listen(t, before)
	set(t, before, p.site(domain))
	stop := run(t, before)
	until(t, "a certificate", func() bool { return serial(t, addr, domain, p.roots) != "" })
	stop()
	p.broken.Store(true)
	after := openStore(t, cert.Config{Dir: dir, Roots: p.api})
	set(t, after, p.site(domain))
	if got, want := serial(t, listen(t, after), domain, p.roots), serial(t, addr, domain, p.roots); got == "" || got != want {
		t.Errorf("certificate %q after, %q before", got, want)
	}
}

// TestRenewal: a certificate is replaced in time, under handshakes none of
// which fails; and a failing authority takes nothing away.
func TestRenewal(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for a certificate to become due")
	}
	const renewed = "renewed.example.com" // certmagic counts failures by name, in the whole process
	p := newPebble(t, 18)
	_ = p.secure.Close()
	s := openStore(t, cert.Config{Dir: t.TempDir(), Roots: p.api, Renew: 100 * time.Millisecond})
	p.servePlain(t, s)
	addr := listen(t, s)
	set(t, s, p.site(renewed))
	run(t, s)
	first := ""
	until(t, "a certificate", func() bool { first = serial(t, addr, renewed, p.roots); return first != "" })
	until(t, "another certificate", func() bool {
		now, err := dial(t, addr, &tls.Config{ServerName: renewed, RootCAs: p.roots})
		if err != nil {
			t.Fatalf("a handshake failed: %v", err)
		}
		return now.PeerCertificates[0].SerialNumber.String() != first
	})
}

func TestFailingAuthority(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for a certificate to become due")
	}
	const failing = "failing.example.com"
	p := newPebble(t, 24)
	_ = p.secure.Close()
	s := openStore(t, cert.Config{Dir: t.TempDir(), Roots: p.api, Renew: 100 * time.Millisecond})
	p.servePlain(t, s)
	addr := listen(t, s)
	set(t, s, p.site(failing))
	run(t, s)
	first := ""
	until(t, "a certificate", func() bool { first = serial(t, addr, failing, p.roots); return first != "" })
	p.broken.Store(true)
	until(t, "a problem", func() bool { return s.Status()[0].Problem != "" })
	if now, err := dial(t, addr, &tls.Config{ServerName: failing, InsecureSkipVerify: true}); err != nil || now.PeerCertificates[0].SerialNumber.String() != first {
		t.Errorf("the certificate is gone: %v", err)
	}
}

// TestTwoProxies: two that share a place issue one certificate with one
// account, also when the authority asks the other of the two.
func TestTwoProxies(t *testing.T) {
	t.Parallel()
	p := newPebble(t, 0)
	shared, err := cert.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	one := openStore(t, cert.Config{Dir: t.TempDir(), Roots: p.api, Shared: shared})
	two := openStore(t, cert.Config{Dir: t.TempDir(), Roots: p.api, Shared: shared})
	p.servePlain(t, one)
	serveTLS(t, p.secure, two)
	addr := listen(t, one)
	names := []string{domain, "www.example.com"}
	for _, s := range []*cert.Store{one, two} {
		set(t, s, p.site(names...))
		run(t, s)
	}
	for _, name := range names {
		until(t, "a certificate for "+name, func() bool {
			a, b := serial(t, addr, name, p.roots), serial(t, p.secure.Addr().String(), name, p.roots)
			return a != "" && a == b
		})
	}
	if n := p.orders.Load(); n != 2 {
		t.Errorf("%d orders for two names", n)
	}
	if n := p.accounts.Load(); n != 1 {
		t.Errorf("%d accounts, want 1", n)
	}
}

// away is a place that can not be reached.
type away struct{ cert.Shared }

func (away) Load(context.Context, string) ([]byte, time.Time, error) {
	return nil, time.Time{}, errors.New("the controller is away")
}

func (away) Lock(context.Context, string, string, time.Duration) (bool, error) {
	return false, errors.New("the controller is away")
}

// TestWithoutTheController: what was shared is served when nobody can be
// asked for it, by a process that has just begun.
func TestWithoutTheController(t *testing.T) {
	t.Parallel()
	p := newPebble(t, 0)
	_ = p.secure.Close()
	shared, err := cert.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	before := openStore(t, cert.Config{Dir: dir, Roots: p.api, Shared: shared})
	p.servePlain(t, before)
	addr := listen(t, before)
	set(t, before, p.site(domain))
	run(t, before)
	until(t, "a certificate", func() bool { return serial(t, addr, domain, p.roots) != "" })
	after := openStore(t, cert.Config{Dir: dir, Roots: p.api, Shared: away{shared}})
	set(t, after, p.site(domain))
	if got, want := serial(t, listen(t, after), domain, p.roots), serial(t, addr, domain, p.roots); got == "" || got != want {
		t.Errorf("certificate %q after, %q before", got, want)
	}
}

// TestSharedLater: what one proxy had before there were several is theirs too.
func TestSharedLater(t *testing.T) {
	t.Parallel()
	p := newPebble(t, 0)
	_ = p.secure.Close()
	dir := t.TempDir()
	alone := openStore(t, cert.Config{Dir: dir, Roots: p.api})
	p.servePlain(t, alone)
	addr := listen(t, alone)
	set(t, alone, p.site(domain))
	stop := run(t, alone)
	until(t, "a certificate", func() bool { return serial(t, addr, domain, p.roots) != "" })
	stop()
	shared, err := cert.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	again := openStore(t, cert.Config{Dir: dir, Roots: p.api, Shared: shared})
	set(t, again, p.site(domain))
	if serial(t, listen(t, again), domain, p.roots) == "" {
		t.Error("the certificate is not served while it is not shared yet")
	}
	run(t, again)
	until(t, "the certificate to be shared", func() bool {
		keys, err := shared.List(t.Context(), "certificates")
		return err == nil && slices.ContainsFunc(keys, func(k string) bool { return strings.HasSuffix(k, ".pem") })
	})
	if n := p.orders.Load(); n != 1 {
		t.Errorf("%d orders for one name: what there was is not taken", n)
	}
}

// app answers questions about names.
type app struct {
	mu    sync.Mutex
	asked []string
	fail  atomic.Bool
}

func (a *app) Ask(_ context.Context, site noon.Site, target string) (int, error) {
	u, err := url.Parse(target)
	if err != nil || site != shop() || u.Path != "/allowed" {
		return 0, errors.New("a wrong question")
	}
	if a.fail.Load() {
		return 0, errors.New("nobody is there")
	}
	name := u.Query().Get("domain")
	a.mu.Lock()
	a.asked = append(a.asked, name)
	a.mu.Unlock()
	if strings.HasPrefix(name, "good") {
		return 200, nil
	}
	return 404, nil
}

func (a *app) questions() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked)
}

func TestOnDemand(t *testing.T) {
	t.Parallel()
	p := newPebble(t, 0)
	_ = p.plain.Close()
	a := &app{}
	s := openStore(t, cert.Config{Dir: t.TempDir(), Roots: p.api, Ask: a})
	serveTLS(t, p.secure, s)
	addr := p.secure.Addr().String()
	site := p.site("*.tenants.example.com")
	site.TLS.ACME.OnDemand = &noon.OnDemand{Ask: "/allowed", Allow: []string{"*.tenants.example.com"}}
	set(t, s, site)
	run(t, s)
	if serial(t, addr, "good.tenants.example.com", p.roots) == "" {
		t.Error("a name that the app allows has no certificate")
	}
	for range 3 {
		if serial(t, addr, "bad.tenants.example.com", p.roots) != "" {
			t.Error("a name that the app refuses has a certificate")
		}
	}
	if serial(t, addr, "good.elsewhere.example.com", p.roots) != "" {
		t.Error("a name outside of the rule has a certificate")
	}
	got := a.questions()
	if n := len(slices.DeleteFunc(slices.Clone(got), func(n string) bool { return n != "bad.tenants.example.com" })); n != 1 {
		t.Errorf("the app was asked %d times for a name it refuses: %v", n, got)
	}
	if slices.Contains(got, "good.elsewhere.example.com") {
		t.Errorf("the app was asked for a name outside of the rule: %v", got)
	}
	if n := p.orders.Load(); n != 1 {
		t.Errorf("%d orders, want 1", n)
	}
}

// TestDamagedCertificate: what is on disk and can not be read is obtained anew.
func TestDamagedCertificate(t *testing.T) {
	t.Parallel()
	p := newPebble(t, 0)
	dir := t.TempDir()
	before := openStore(t, cert.Config{Dir: dir, Roots: p.api})
	p.servePlain(t, before) // it answers for the other one too: they share the directory
	_ = p.secure.Close()
	addr := listen(t, before)
	set(t, before, p.site(domain))
	stop := run(t, before)
	until(t, "a certificate", func() bool { return serial(t, addr, domain, p.roots) != "" })
	stop()
	matches, err := filepath.Glob(filepath.Join(dir, "items", "certificates", "*", domain, domain+".pem"))
	if err != nil || len(matches) != 1 {
		t.Fatal(matches, err)
	}
	data, err := os.ReadFile(matches[0])
	if err != nil {
		t.Fatal(err)
	}
	write(t, matches[0], data[:len(data)/3])
	after := openStore(t, cert.Config{Dir: dir, Roots: p.api})
	addr = listen(t, after)
	set(t, after, p.site(domain))
	run(t, after)
	until(t, "a new certificate", func() bool { return serial(t, addr, domain, p.roots) != "" })
}
