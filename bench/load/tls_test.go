//go:build linux

package load_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/noon-deploy/noon/bench/load"
)

func secure(t *testing.T, protocol int) load.Plan {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != protocol || r.URL.Path != "/a" || r.Host != "example.com" {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 200))
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return load.Plan{
		Address: s.Listener.Addr().String(), Body: 200, Connections: 2, Streams: 8, Host: "example.com", Path: "/a",
		Requests: [][]byte{[]byte("GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n")},
		TLS:      &tls.Config{RootCAs: pool, ServerName: "example.com", MinVersion: tls.VersionTLS13},
		Warm:     30 * time.Millisecond, Window: 100 * time.Millisecond, Mark: func() error { return nil },
	}
}

func TestTLS(t *testing.T) {
	p := secure(t, 1)
	res, err := load.RunTLS(p)
	if err != nil || res.Errors > 0 || res.Requests() == 0 {
		t.Fatalf("%v, %d answers, %d errors: %v", err, res.Requests(), res.Errors, res.Example)
	}
	p.Body = 100
	if res, err = load.RunTLS(p); err == nil {
		t.Errorf("wrong bodies pass: %d answers, %d errors", res.Requests(), res.Errors)
	}
}

func TestHTTP2(t *testing.T) {
	p := secure(t, 2)
	res, err := load.RunHTTP2(p)
	if err != nil || res.Errors > 0 || res.Requests() == 0 {
		t.Fatalf("%v, %d answers, %d errors: %v", err, res.Requests(), res.Errors, res.Example)
	}
	p.Path = "/other"
	if res, err = load.RunHTTP2(p); err == nil {
		t.Errorf("wrong answers pass: %d answers, %d errors", res.Requests(), res.Errors)
	}
}
