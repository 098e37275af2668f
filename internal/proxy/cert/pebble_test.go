package cert_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	pebbleca "github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/cert"
)

// pebble is Let's Encrypt's authority for tests, on loopback. Every name leads
// to this machine.
type pebble struct {
	directory string
	api       *x509.CertPool // by which its API is trusted
	roots     *x509.CertPool // by which what it issues is trusted
	plain     net.Listener   // where it asks over HTTP
	secure    net.Listener   // where it asks over TLS
	broken    atomic.Bool    // it answers 503 to everything
	orders    atomic.Int64   // that were finalised
	accounts  atomic.Int64   // that were made
}

func newPebble(t *testing.T, seconds uint64) *pebble {
	t.Helper()
	p := &pebble{plain: loopback(t), secure: loopback(t), api: x509.NewCertPool(), roots: x509.NewCertPool()}
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	authority := pebbleca.New(quiet, store, "", "ecdsa", 0, 1, map[string]pebbleca.Profile{"default": {Description: "of the test", ValidityPeriod: seconds}})
	asker := va.New(quiet, port(p.plain), port(p.secure), false, resolver(t), store)
	front := wfe.New(quiet, store, asker, authority, []string{"pebble.test"}, false, false, 1, 1)
	handler := front.Handler()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.broken.Load() {
			http.Error(w, "broken for the test", http.StatusServiceUnavailable)
			return
		}
		if r.URL.Path == wfe.DirectoryPath && seconds != 0 {
			withoutRenewalInfo(t, w, r, handler)
			return
		}
		seen := &answer{ResponseWriter: w, status: http.StatusOK}
		handler.ServeHTTP(seen, r)
		switch { // it refuses a part of all nonces, to see them sent again
		case strings.HasPrefix(r.URL.Path, "/finalize-order/") && seen.status == http.StatusOK:
			p.orders.Add(1)
		case strings.HasPrefix(r.URL.Path, "/sign-me-up") && seen.status == http.StatusCreated:
			p.accounts.Add(1)
		}
	}))
	t.Cleanup(server.Close)
	p.directory = server.URL + wfe.DirectoryPath
	p.api.AddCert(server.Certificate())
	root, err := x509.ParseCertificate(authority.GetRootCert(0).Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	p.roots.AddCert(root)
	return p
}

// withoutRenewalInfo answers with the directory of an authority that suggests
// no time for renewals: for a short life it would be any moment, the last too.
func withoutRenewalInfo(t *testing.T, w http.ResponseWriter, r *http.Request, handler http.Handler) {
	t.Helper()
	whole := httptest.NewRecorder()
	handler.ServeHTTP(whole, r)
	var directory map[string]any
	if err := json.Unmarshal(whole.Body.Bytes(), &directory); err != nil {
		t.Error(err)
	}
	delete(directory, "renewalInfo")
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(directory); err != nil {
		t.Error(err)
	}
}

// answer remembers the status of an answer.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func loopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// resolver is a name server for which every name is this machine.
func resolver(t *testing.T) string {
	t.Helper()
	l := loopback(t)
	started := make(chan struct{})
	server := &dns.Server{Listener: l, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		answer := new(dns.Msg).SetReply(r)
		for _, q := range r.Question {
			if q.Qtype == dns.TypeA {
				answer.Answer = append(answer.Answer, &dns.A{
					Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1),
				})
			}
		}
		_ = w.WriteMsg(answer)
	})}
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		_ = server.ShutdownContext(context.Background())
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "127.0.0.1:" + strconv.Itoa(port(l))
}

// servePlain answers challenges on the port where the authority asks.
func (p *pebble) servePlain(t *testing.T, s *cert.Store) {
	t.Helper()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, ok := s.ServeChallenge(r.Host, r.URL.Path); ok { //nolint:contextcheck // it has no context, and bounds itself
			_, _ = io.WriteString(w, body)
			return
		}
		http.NotFound(w, r)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(p.plain)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

// site is one whose certificates come from the authority.
func (p *pebble) site(domains ...string) cert.Site {
	return cert.Site{Site: shop(), Domains: domains, TLS: &noon.TLS{
		MinVersion: "1.2", ACME: &noon.ACME{Email: "ops@example.com", Directory: p.directory, TermsAccepted: true},
	}}
}
