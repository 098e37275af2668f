package proxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// securely runs a proxy that speaks TLS for shop.example.com, and gives a
// client that trusts it.
func securely(t *testing.T, r noon.Routing, protocols ...string) (p *running, c *http.Client) {
	t.Helper()
	dir := shortDir(t)
	p = startListening(t, dir, proxy.Limits{}, "127.0.0.1:0", "tls:127.0.0.1:0")
	r.Domains = []string{"shop.example.com"}
	mustRoute(t, p, r)
	root, err := p.proxy.InternalRoot()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(root) {
		t.Fatalf("no certificate: %q", root)
	}
	secure := p.proxy.Addrs()[1].String()
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		Protocols:       &http.Protocols{},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, secure)
		},
	}
	for _, name := range protocols {
		switch name {
		case "h2":
			transport.Protocols.SetHTTP2(true)
		default:
			transport.Protocols.SetHTTP1(true)
		}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return p, &http.Client{Transport: transport}
}

func overTLS(r noon.Routing, change ...func(*noon.TLS)) noon.Routing {
	r.TLS = &noon.TLS{Internal: true, MinVersion: "1.2"}
	for _, f := range change {
		f(r.TLS)
	}
	return r
}

func TestTLS(t *testing.T) {
	t.Parallel()
	app := backend(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, r.Header.Get("X-Forwarded-Proto"), " ", r.Proto, " ", n)
	})
	for _, protocol := range []string{"h1", "h2"} {
		p, c := securely(t, overTLS(routing(1, 1, app), func(s *noon.TLS) { s.Redirect, s.HSTS = true, &noon.HSTS{MaxAge: 3600e9} }), protocol)
		for size := range 3 {
			body := strings.Repeat("x", size*100_000)
			a, err := do(c, request(t, http.MethodPost, "https://shop.example.com/", strings.NewReader(body)))
			if want := fmt.Sprint("https HTTP/1.1 ", len(body)); err != nil || a.body != want || a.header.Get("Strict-Transport-Security") != "max-age=3600" || a.header.Get("Noon-Release") != "r1" {
				t.Errorf("%s: %+v %v, want %q", protocol, a, err, want)
			}
		}
		plain := get(t, client(t), p.url+"/a?b=c", withHost("shop.example.com"))
		if plain.status != http.StatusPermanentRedirect || !strings.HasPrefix(plain.header.Get("Location"), "https://shop.example.com:") || !strings.HasSuffix(plain.header.Get("Location"), "/a?b=c") {
			t.Errorf("plain: %+v", plain)
		}
	}
}

// TestH2C: HTTP/2 without TLS from users, and to instances that speak nothing
// else, with trailers as gRPC has them.
func TestH2C(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		w.Header().Set("Content-Type", "application/grpc")
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprint(w, r.Proto, " ", string(body))
		w.Header().Set("Grpc-Status", "0")
	}))
	s.Config.Protocols = &http.Protocols{}
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	r := routing(1, 1, s.Listener.Addr().String())
	r.Endpoints[0].Protocol = noon.H2C
	p := start(t, proxy.Limits{})
	mustRoute(t, p, r)
	for _, http2 := range []bool{true, false} {
		transport := &http.Transport{Protocols: &http.Protocols{}}
		transport.Protocols.SetUnencryptedHTTP2(http2)
		transport.Protocols.SetHTTP1(!http2)
		t.Cleanup(transport.CloseIdleConnections)
		for range 3 {
			res, err := (&http.Client{Transport: transport}).Do(request(t, http.MethodPost, p.url+"/", strings.NewReader("hello")))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil || string(body) != "HTTP/2.0 hello" || res.Trailer.Get("Grpc-Status") != "0" {
				t.Errorf("http2 %v: %q %v %v", http2, body, res.Trailer, err)
			}
		}
	}
}

// TestSecureToH2C: over TLS and HTTP/1.1 to an instance that speaks HTTP/2
// alone; the request is known to be secure, and is not redirected for ever.
func TestSecureToH2C(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.Proto, " ", r.Header.Get("X-Forwarded-Proto"))
	}))
	s.Config.Protocols = &http.Protocols{}
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	r := overTLS(routing(1, 1, s.Listener.Addr().String()), func(s *noon.TLS) { s.Redirect = true })
	r.Endpoints[0].Protocol = noon.H2C
	_, c := securely(t, r, "h1")
	for range 2 {
		if a := get(t, c, "https://shop.example.com/"); a.body != "HTTP/2.0 https" {
			t.Errorf("%+v", a)
		}
	}
}

// TestPreviewCookieIsSecure: what was given over TLS is never sent without.
func TestPreviewCookieIsSecure(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"h1", "h2"} {
		r := overTLS(routing(1, 1, backend(t, says("ok"))))
		r.Previews = []noon.Preview{{Token: "secret", Revision: rev(1)}}
		p, c := securely(t, r, protocol)
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		for url, want := range map[string]bool{"https://shop.example.com": true, p.url: false} {
			cl := c
			if !want {
				cl = client(t)
			}
			a := get(t, cl, url+"/.noon/preview/secret", withHost("shop.example.com"))
			if cookie := a.header.Get("Set-Cookie"); strings.Contains(cookie, "; Secure") != want || cookie == "" {
				t.Errorf("%s %s: %q", protocol, url, cookie)
			}
		}
	}
}

// TestEndWhileBeginning: connections that have not got to HTTP do not hold up
// the end of the proxy.
func TestEndWhileBeginning(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	p, err := proxy.Open(proxy.Config{Dir: dir, Listen: []string{"tls:127.0.0.1:0", "proxy:127.0.0.1:0"}, Control: dir + "/p.sock", Limits: proxy.Limits{Header: time.Hour, Stop: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	for _, a := range p.Addrs() {
		conn, err := net.Dial("tcp", a.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	c := proxy.NewClient(dir + "/p.sock")
	eventually(t, "both are accepted", func() bool {
		tr, err := c.Traffic(t.Context(), 100*time.Millisecond)
		return err == nil && tr.Connections == 2
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestAsk: an app is asked whether a name may have a certificate, over no
// connection at all, and is not answered for.
func TestAsk(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	p, _ := securely(t, overTLS(routing(1, 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/never":
			<-release
		case r.URL.Query().Get("domain") != "a.example.com":
			w.WriteHeader(http.StatusForbidden)
		default:
			_, _ = fmt.Fprint(w, strings.Repeat("yes", 10_000))
		}
	})), func(s *noon.TLS) { s.Redirect = true }), "h1")
	t.Cleanup(func() { close(release) })
	for target, want := range map[string]int{"/allowed?domain=a.example.com": 200, "/allowed?domain=b.example.com": 403} {
		if status, err := p.proxy.Ask(t.Context(), shop, target); status != want || err != nil {
			t.Errorf("%s: %d %v, want %d", target, status, err, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if status, err := p.proxy.Ask(ctx, shop, "/never"); err == nil {
		t.Errorf("an app that does not answer: %d", status)
	}
}
