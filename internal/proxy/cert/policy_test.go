package cert_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/cert"
)

func TestRedirect(t *testing.T) {
	t.Parallel()
	on, off := noon.TLS{Redirect: true}, noon.TLS{}
	main := noon.TLS{Redirect: true, Canonical: domain}
	for _, tt := range []struct {
		name         string
		tls          noon.TLS
		host, target string
		secure       bool
		port         int
		want         string // "" none
	}{
		{"to HTTPS", on, domain, "/a?b=c", false, 0, "https://shop.example.com/a?b=c"},
		{"without the plain port", on, domain + ":8080", "/", false, 443, "https://shop.example.com/"},
		{"with the secure port", on, "localhost:8080", "/", false, 8443, "https://localhost:8443/"},
		{"address", on, "[::1]:8080", "/", false, 0, "https://[::1]/"},
		{"address and port", on, "[::1]", "/", false, 8443, "https://[::1]:8443/"},
		{"is secure", on, domain, "/", true, 0, ""},
		{"not asked for", off, domain, "/", false, 0, ""},
		{"canonical", main, "www.example.com", "/x", true, 0, "https://shop.example.com/x"},
		{"canonical and HTTPS at once", main, "www.example.com", "/x", false, 0, "https://shop.example.com/x"},
		{"is canonical", main, "SHOP.example.com.", "/", true, 0, ""},
		{"canonical over plain", noon.TLS{Canonical: domain}, "www.example.com:8080", "/", false, 0, "http://shop.example.com:8080/"},
		{"two slashes", on, domain, "//evil.example/", false, 0, "https://shop.example.com//evil.example/"},
		{"header in the target", on, domain, "/\r\nSet-Cookie: a=b", false, 0, ""},
		{"header in the host", on, "a\r\nb", "/", false, 0, ""},
		{"no host", on, "", "/", false, 0, ""},
		{"user in the host", on, "shop.example.com@evil.example", "/", false, 0, ""},
		{"options", on, domain, "*", false, 0, ""},
		{"proxy request", on, domain, "http://evil.example/", false, 0, ""},
	} {
		got, status, ok := cert.Redirect(tt.tls, tt.host, tt.target, tt.secure, tt.port)
		if got != tt.want || ok != (tt.want != "") || ok && status != 308 {
			t.Errorf("%s: %q, %d, %v; want %q", tt.name, got, status, ok, tt.want)
		}
	}
}

func FuzzRedirect(f *testing.F) {
	f.Add("shop.example.com:80", "/a?b", true, "", 8443)
	f.Add("[::1]", "//x", false, domain, 0)
	f.Add("a\r\nb", "/\n", false, "", 0)
	f.Fuzz(func(t *testing.T, host, target string, secure bool, canonical string, port int) {
		got, _, ok := cert.Redirect(noon.TLS{Redirect: true, Canonical: canonical}, host, target, secure, port)
		if !ok {
			return
		}
		u, err := url.Parse(got)
		if strings.ContainsAny(got, "\r\n \x00") || !strings.HasPrefix(got, "https://") || err == nil && u.User != nil {
			t.Errorf("%q", got)
		}
		if rest, found := strings.CutSuffix(got, target); !found || strings.ContainsAny(strings.TrimPrefix(rest, "https://"), "/?#@\\") {
			t.Errorf("%q does not lead to a host with %q", got, target)
		}
	})
}

func TestHSTSValue(t *testing.T) {
	t.Parallel()
	for want, h := range map[string]*noon.HSTS{
		"":                 nil,
		"max-age=15552000": {MaxAge: 180 * 24 * time.Hour},
		"max-age=0":        {},
		"max-age=31536000; includeSubDomains; preload": {MaxAge: 365 * 24 * time.Hour, Subdomains: true, Preload: true},
	} {
		if got := cert.HSTSValue(noon.TLS{HSTS: h}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestGate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	clock := func() time.Time { return now }
	a := &app{}
	may := cert.Gate(shop(), noon.OnDemand{Ask: "/allowed"}, a, clock)
	if err := may("good.example.com"); err != nil {
		t.Error(err)
	}
	first, again := may("bad.example.com"), may("bad.example.com")
	if first == nil || again == nil || len(a.questions()) != 2 {
		t.Errorf("a refused name was asked for again: %v", a.questions())
	}
	now = now.Add(2 * time.Minute)
	if may("bad.example.com") == nil || len(a.questions()) != 3 {
		t.Errorf("a name is refused for ever: %v", a.questions())
	}
	a.fail.Store(true)
	if may("good2.example.com") == nil {
		t.Error("allowed though nobody answered")
	}
	a.fail.Store(false)
	if err := may("good2.example.com"); err != nil {
		t.Errorf("an app that was away for a moment: %v", err)
	}
	for range 100 {
		_ = may("good3.example.com")
	}
	if n := len(a.questions()); n > 30 {
		t.Errorf("the app was asked %d times in a moment", n)
	}
	for name, err := range map[string]error{
		"no rule":    cert.Gate(shop(), noon.OnDemand{}, a, clock)("good.example.com"),
		"nobody":     cert.Gate(shop(), noon.OnDemand{Ask: "/allowed"}, nil, clock)("good.example.com"),
		"uncovered":  cert.Gate(shop(), noon.OnDemand{Allow: []string{"*.example.com"}}, nil, clock)("example.com"),
		"no host":    cert.Gate(shop(), noon.OnDemand{Allow: []string{"*.example.com"}}, nil, clock)("a/../b.example.com"),
		"empty name": cert.Gate(shop(), noon.OnDemand{Allow: []string{"*.example.com"}}, nil, clock)(".example.com"),
	} {
		if err == nil {
			t.Errorf("%s: allowed", name)
		}
	}
	if err := cert.Gate(shop(), noon.OnDemand{Allow: []string{"*.example.com"}}, nil, clock)("a.b.example.com"); err != nil {
		t.Error(err)
	}
	if err := errors.Join(may("")); err == nil {
		t.Error("nothing is allowed")
	}
}

func TestBucket(t *testing.T) {
	t.Parallel()
	now := time.Now()
	take := cert.Bucket(2, 5, func() time.Time { return now })
	count := func() (n int) {
		for take() {
			n++
		}
		return n
	}
	if n := count(); n != 5 {
		t.Errorf("%d at once, want 5", n)
	}
	now = now.Add(time.Second)
	if n := count(); n != 2 {
		t.Errorf("%d after a second, want 2", n)
	}
	now = now.Add(-time.Hour)
	if n := count(); n != 0 {
		t.Errorf("%d after the clock was set back", n)
	}
	now = now.Add(time.Hour * 24)
	if n := count(); n != 5 {
		t.Errorf("%d after a day, want 5", n)
	}
}
