package cert_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/cert"
)

func fileSite(site noon.Site, files noon.CertificateFiles, domains ...string) cert.Site {
	return cert.Site{Site: site, Domains: domains, TLS: &noon.TLS{MinVersion: "1.2", Certificates: []noon.CertificateFiles{files}}}
}

func TestEveryNameItsCertificate(t *testing.T) {
	t.Parallel()
	c, dir := newCA(t), t.TempDir()
	s := openStore(t, cert.Config{Dir: t.TempDir()})
	set(t, s,
		fileSite(shop(), pairIn(t, dir, "shop", c, 10, domain, "*.shop.example.com"), domain, "*.shop.example.com"),
		fileSite(blog(), pairIn(t, dir, "blog", c, 20, "blog.example.com", "a.shop.example.com"), "blog.example.com", "a.shop.example.com"),
		cert.Site{Site: noon.Site{App: "plain", Environment: "production"}, Domains: []string{"plain.example.com"}},
	)
	addr := listen(t, s)
	for name, want := range map[string]string{
		domain: "10", "x.shop.example.com": "10", "blog.example.com": "20", "a.shop.example.com": "20",
		"BLOG.example.com": "20", "plain.example.com": "", "other.example.com": "",
	} {
		if got := serial(t, addr, name, c.pool); got != want {
			t.Errorf("%s has certificate %q, want %q", name, got, want)
		}
	}
	// A client that names nobody gets the first site's.
	state, err := dial(t, addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil || state.PeerCertificates[0].SerialNumber.String() != "20" {
		t.Errorf("without a name: %v", err)
	}
}

func TestProtocolsAndVersions(t *testing.T) {
	t.Parallel()
	c := newCA(t)
	s := openStore(t, cert.Config{Dir: t.TempDir()})
	site := fileSite(shop(), pairIn(t, t.TempDir(), "shop", c, 10, domain), domain)
	set(t, s, site)
	addr := listen(t, s)
	hello := &tls.Config{ServerName: domain, RootCAs: c.pool, NextProtos: []string{"h2", "http/1.1"}}
	if state, err := dial(t, addr, hello); err != nil || state.NegotiatedProtocol != "h2" || state.Version != tls.VersionTLS13 {
		t.Errorf("%q, version %x, %v; want h2 over TLS 1.3", state.NegotiatedProtocol, state.Version, err)
	}
	old := &tls.Config{ServerName: domain, RootCAs: c.pool, MaxVersion: tls.VersionTLS12}
	if _, err := dial(t, addr, old); err != nil {
		t.Errorf("TLS 1.2: %v", err)
	}
	if _, err := dial(t, addr, &tls.Config{ServerName: domain, RootCAs: c.pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was spoken")
	}
	site.TLS = &noon.TLS{MinVersion: "1.3", Certificates: site.TLS.Certificates}
	set(t, s, site)
	if _, err := dial(t, addr, old); err == nil {
		t.Error("TLS 1.2 was spoken though the site wants 1.3")
	}
}

// TestFilesAreReplacedUnderHandshakes: no handshake fails while the two files
// are replaced one after the other, again and again.
func TestFilesAreReplacedUnderHandshakes(t *testing.T) {
	t.Parallel()
	c, dir := newCA(t), t.TempDir()
	s := openStore(t, cert.Config{Dir: t.TempDir(), Look: time.Millisecond})
	files := pairIn(t, dir, "shop", c, 100, domain)
	set(t, s, fileSite(shop(), files, domain))
	run(t, s)
	addr := listen(t, s)
	var stop atomic.Bool
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for !stop.Load() {
				if serial(t, addr, domain, c.pool) == "" {
					t.Error("a handshake failed")
					return
				}
			}
		})
	}
	for n := int64(101); n <= 110; n++ {
		certPEM, keyPEM := c.issue(t, n, nil, domain)
		if n%2 == 0 {
			write(t, files.Cert, certPEM)
			write(t, files.Key, keyPEM)
		} else {
			write(t, files.Key, keyPEM)
			write(t, files.Cert, certPEM)
		}
		want := big.NewInt(n).String()
		until(t, "certificate "+want, func() bool { return serial(t, addr, domain, c.pool) == want })
	}
	stop.Store(true)
	clients.Wait()
}

func TestBrokenFiles(t *testing.T) {
	t.Parallel()
	c, dir := newCA(t), t.TempDir()
	var log bytes.Buffer
	s := openStore(t, cert.Config{Dir: t.TempDir(), Log: textLog(&log)})
	files := pairIn(t, dir, "shop", c, 10, domain)
	set(t, s, fileSite(shop(), files, domain))
	addr := listen(t, s)
	otherCert, otherKey := c.issue(t, 11, nil, domain)
	for _, broken := range [][]byte{otherKey, []byte("no key"), {}} {
		write(t, files.Key, broken)
		s.Look()
		s.Look()
		if got := serial(t, addr, domain, c.pool); got != "10" {
			t.Errorf("certificate %q, want the one before", got)
		}
		if st := s.Status()[0]; !strings.Contains(st.Problem, files.Key) || st.NotAfter.IsZero() {
			t.Errorf("status %+v does not tell of the broken file", st)
		}
	}
	if err := os.Remove(files.Cert); err != nil {
		t.Fatal(err)
	}
	s.Look()
	if got := serial(t, addr, domain, c.pool); got != "10" {
		t.Errorf("certificate %q, want the one before", got)
	}
	if !strings.Contains(log.String(), "the one before stays") {
		t.Errorf("nothing was told: %s", log.String())
	}
	if n := strings.Count(log.String(), "private key does not match"); n > 1 {
		t.Errorf("it was told %d times", n)
	}
	write(t, files.Cert, otherCert)
	write(t, files.Key, otherKey)
	s.Look()
	if got := serial(t, addr, domain, c.pool); got != "11" {
		t.Errorf("certificate %q, want the one that is whole again", got)
	}
	if st := s.Status()[0]; st.Problem != "" {
		t.Errorf("status %+v", st)
	}
}

func TestFilesThatComeLater(t *testing.T) {
	t.Parallel()
	c, dir := newCA(t), t.TempDir()
	s := openStore(t, cert.Config{Dir: t.TempDir()})
	files := noon.CertificateFiles{Cert: filepath.Join(dir, "late.pem"), Key: filepath.Join(dir, "late.key")}
	good := pairIn(t, dir, "good", c, 20, "blog.example.com")
	sites := []cert.Site{fileSite(shop(), files, domain), fileSite(blog(), good, "blog.example.com")}
	err := s.Set(sites)
	if noon.KindOf(err) != noon.Failure || noon.HintOf(err) == "" || !strings.Contains(err.Error(), "late.pem") {
		t.Errorf("kind %q, hint %q: %v", noon.KindOf(err), noon.HintOf(err), err)
	}
	addr := listen(t, s)
	if got := serial(t, addr, "blog.example.com", c.pool); got != "20" {
		t.Errorf("the other site has certificate %q", got)
	}
	if got := serial(t, addr, domain, c.pool); got != "" {
		t.Errorf("certificate %q from nowhere", got)
	}
	pairIn(t, dir, "late", c, 30, domain)
	if err := s.Set(sites); err != nil {
		t.Errorf("the same sites again: %v", err)
	}
	s.Look()
	if got := serial(t, addr, domain, c.pool); got != "30" {
		t.Errorf("certificate %q, want 30", got)
	}
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	c, clients, strangers, dir := newCA(t), newCA(t), newCA(t), t.TempDir()
	list := filepath.Join(dir, "clients.pem")
	write(t, list, encode("CERTIFICATE", clients.cert.Raw))
	s := openStore(t, cert.Config{Dir: t.TempDir()})
	guarded := fileSite(shop(), pairIn(t, dir, "shop", c, 10, domain), domain)
	guarded.TLS.ClientCA = list
	set(t, s, guarded, fileSite(blog(), pairIn(t, dir, "blog", c, 20, "blog.example.com"), "blog.example.com"))
	addr := listen(t, s)
	as := func(who *ca) *tls.Config {
		config := &tls.Config{ServerName: domain, RootCAs: c.pool}
		if who != nil {
			certPEM, keyPEM := who.issue(t, 1, nil, "client")
			pair, err := tls.X509KeyPair(certPEM, keyPEM)
			if err != nil {
				t.Fatal(err)
			}
			// Sent also to a server that did not ask for this authority.
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		return config
	}
	for name, tt := range map[string]struct {
		who *ca
		in  bool
	}{"nobody": {nil, false}, "stranger": {strangers, false}, "client": {clients, true}} {
		if _, err := dial(t, addr, as(tt.who)); (err == nil) != tt.in {
			t.Errorf("%s: %v, want to be let in: %v", name, err, tt.in)
		}
	}
	if s.Admits("blog.example.com", domain) || !s.Admits(domain, domain) || !s.Admits(domain, "blog.example.com") || !s.Admits("", "unknown.example.com") {
		t.Error("a connection of another site may ask for the guarded one, or the other way round")
	}
	write(t, list, encode("CERTIFICATE", strangers.cert.Raw))
	s.Look()
	if _, err := dial(t, addr, as(clients)); err == nil {
		t.Error("a client of an authority that was taken away is let in")
	}
	if _, err := dial(t, addr, as(strangers)); err != nil {
		t.Errorf("a client of the new authority: %v", err)
	}
	write(t, list, []byte("not yet written"))
	s.Look()
	if err := s.RenewTickets(); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, addr, as(strangers)); err != nil {
		t.Errorf("while the file is broken those before count: %v", err)
	}
	guarded.TLS = &noon.TLS{MinVersion: "1.2", Certificates: guarded.TLS.Certificates, ClientCA: filepath.Join(dir, "missing.pem")}
	if err := s.Set([]cert.Site{guarded}); err == nil {
		t.Error("a missing file was not told")
	}
	if _, err := dial(t, addr, as(strangers)); err == nil {
		t.Error("without authorities everybody is let in")
	}
}

// responder says of every certificate that it is good.
func responder(t *testing.T, c *ca) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		asked, err := ocsp.ParseRequest(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer, err := ocsp.CreateResponse(c.cert, c.cert, ocsp.Response{
			Status: ocsp.Good, SerialNumber: asked.SerialNumber, ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(48 * time.Hour),
		}, c.key)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/ocsp-response")
		_, _ = w.Write(answer)
	}))
	t.Cleanup(server.Close)
	return server
}

func TestStapled(t *testing.T) {
	t.Parallel()
	c, dir := newCA(t), t.TempDir()
	url := responder(t, c).URL
	certPEM, keyPEM := c.issue(t, 77, func(x *x509.Certificate) { x.OCSPServer = []string{url} }, domain)
	files := noon.CertificateFiles{Cert: filepath.Join(dir, "a.pem"), Key: filepath.Join(dir, "a.key")}
	write(t, files.Cert, certPEM)
	write(t, files.Key, keyPEM)
	s := openStore(t, cert.Config{Dir: t.TempDir(), Look: 10 * time.Millisecond})
	set(t, s, fileSite(shop(), files, domain))
	run(t, s)
	addr := listen(t, s)
	until(t, "a staple", func() bool {
		state, err := dial(t, addr, &tls.Config{ServerName: domain, RootCAs: c.pool})
		if err != nil {
			t.Fatal(err)
		}
		if state.OCSPResponse == nil {
			return false
		}
		staple, err := ocsp.ParseResponseForCert(state.OCSPResponse, state.PeerCertificates[0], c.cert)
		if err != nil || staple.Status != ocsp.Good {
			t.Fatalf("staple %+v, %v", staple, err)
		}
		return true
	})
}
