package proxy_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// TestFencing goes through the table of what may follow what.
func TestFencing(t *testing.T) {
	t.Parallel()
	app := backend(t, says("x"))
	at := func(epoch, generation, sequence int64, release int) noon.Routing {
		r := routing(1, release, app)
		r.Fence, r.Sequence = noon.Fence{Epoch: epoch, Generation: generation}, sequence
		return r
	}
	for _, row := range []struct {
		name string
		next noon.Routing
		want noon.ErrorKind // "": accepted
	}{
		{"the same again", at(2, 5, 3, 1), ""},
		{"the same with another content", at(2, 5, 3, 2), noon.Conflict},
		{"next sequence", at(2, 5, 4, 2), ""},
		{"sequence before", at(2, 5, 2, 2), noon.Stale},
		{"next generation, sequence begins anew", at(2, 6, 0, 2), ""},
		{"generation before, higher sequence", at(2, 4, 9, 2), noon.Stale},
		{"next epoch, lower generation", at(3, 1, 0, 2), ""},
		{"epoch before, higher generation", at(1, 99, 99, 2), noon.Stale},
		{"epoch before, same content", at(1, 5, 3, 1), noon.Stale},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, proxy.Limits{})
			mustRoute(t, p, at(2, 5, 3, 1))
			err := p.Route(t.Context(), row.next)
			want := at(2, 5, 3, 1)
			if row.want != "" {
				wantKind(t, err, row.want)
			} else {
				if err != nil {
					t.Fatal(err)
				}
				want = row.next
			}
			st, err := p.Status(t.Context(), shop)
			if err != nil || st.Fence != want.Fence || st.Sequence != want.Sequence || st.Shares[0] != want.Shares[0] {
				t.Errorf("status %+v, %v; want that of %+v", st, err, want)
			}
			if a := get(t, client(t), p.url); a.header.Get("Noon-Release") != noon.ReleaseName(want.Shares[0].Revision.Release) && len(want.Endpoints) > 0 {
				t.Errorf("served by %q", a.header.Get("Noon-Release"))
			}
		})
	}
}

// TestInvalidRouting: each row is one mistake; nothing changes.
func TestInvalidRouting(t *testing.T) {
	t.Parallel()
	app := backend(t, says("r1"))
	p := start(t, proxy.Limits{})
	good := routing(1, 1, app)
	good.Domains = []string{"shop.example.com"}
	mustRoute(t, p, good)
	other := routing(1, 7, refusing(t))
	other.Site, other.Domains, other.Paths[0].Prefix = noon.Site{App: "blog", Environment: "production"}, []string{"example.com"}, "/blog/"
	mustRoute(t, p, other)
	for _, row := range []struct {
		name  string
		wreck func(*noon.Routing)
		want  string
	}{
		{"app", func(r *noon.Routing) { r.Site.App = "../shop" }, "lower-case"},
		{"fence", func(r *noon.Routing) { r.Fence.Epoch = -1 }, "negative"},
		{"shares too small", func(r *noon.Routing) { r.Shares[0].Points-- }, "sum to 9999"},
		{"shares too large", func(r *noon.Routing) { r.Shares = append(r.Shares, noon.Share{Revision: rev(2), Points: 1}) }, "sum to 10001"},
		{"share of nothing", func(r *noon.Routing) { r.Shares = append(r.Shares, noon.Share{Revision: rev(2)}) }, "0 points"},
		{"share overflow", func(r *noon.Routing) { r.Shares[0].Points = 1 << 62 }, "not 1 to 10000"},
		{"share twice", func(r *noon.Routing) {
			r.Shares = []noon.Share{{Revision: rev(1), Points: 5000}, {Revision: rev(1), Points: 5000}}
		}, "named twice"},
		{"share of no revision", func(r *noon.Routing) { r.Shares[0].Revision = noon.Revision{} }, "no revision"},
		{"path", func(r *noon.Routing) { r.Paths[0].Prefix = "api" }, "does not begin with /"},
		{"path of noon", func(r *noon.Routing) { r.Paths[0].Prefix = "/.noon/x" }, "noon's own"},
		{"path twice", func(r *noon.Routing) { r.Paths = append(r.Paths, noon.Path{Prefix: "//", Service: "api"}) }, "named twice"},
		{"path of all and of one", func(r *noon.Routing) {
			r.Paths = append(r.Paths, noon.Path{Prefix: "/", Service: "api", Revision: &noon.Revision{Release: 2}})
		}, "of all revisions and of one"},
		{"path of one twice", func(r *noon.Routing) {
			one := noon.Path{Prefix: "/a", Service: "api", Revision: &noon.Revision{Release: 2}}
			r.Paths = append(r.Paths, one, one)
		}, `path "/a" is named twice`},
		{"path of no revision", func(r *noon.Routing) { r.Paths[0].Revision = &noon.Revision{} }, "no revision"},
		{"redirect", func(r *noon.Routing) {
			r.Traffic.Redirects = []noon.Redirect{{From: "/a", To: "//evil.example", Status: 301}}
		}, "redirects: "},
		{"header", func(r *noon.Routing) { r.Traffic.Request.Remove = []string{"Host"} }, "request headers: Host"},
		{"header value", func(r *noon.Routing) { r.Traffic.Response.Set = map[string]string{"A": "b\r\nC: d"} }, "line break"},
		{"page", func(r *noon.Routing) { r.Traffic.Pages = map[string]string{"200": "x"} }, "pages: "},
		{"trusted", func(r *noon.Routing) { r.Traffic.Trusted = []string{"10.0.0.1/8"} }, "outside of its network"},
		{"limits", func(r *noon.Routing) { r.Traffic.Limits.Idle = -1 }, "limits must not be negative"},
		{"body", func(r *noon.Routing) { r.Traffic.Limits.Body = -1 }, "limits must not be negative"},
		{"replay", func(r *noon.Routing) { r.Traffic.Replay.Budget = 101 }, "replay: memory"},
		{"replay path", func(r *noon.Routing) { r.Traffic.Replay.Paths = []string{"a"} }, "replay: path"},
		{"health path", func(r *noon.Routing) {
			r.Traffic.Health = &noon.HealthCheck{Path: "/ x", Interval: 1e9, Timeout: 1e9}
		}, "is not a path"},
		{"health interval", func(r *noon.Routing) { r.Traffic.Health = &noon.HealthCheck{Path: "/x", Timeout: 1e9} }, "not possible"},
		{"segment", func(r *noon.Routing) { r.Segments = []noon.Segment{{Name: "Beta", Revision: rev(1)}} }, "segment: "},
		{"segment of no revision", func(r *noon.Routing) { r.Segments = []noon.Segment{{Name: "beta"}} }, "no revision"},
		{"segment twice", func(r *noon.Routing) {
			r.Segments = []noon.Segment{{Name: "beta", Revision: rev(1)}, {Name: "beta", Revision: rev(1)}}
		}, "segment beta is named twice"},
		{"segment's match", func(r *noon.Routing) {
			r.Segments = []noon.Segment{{Name: "beta", Revision: rev(1), Matches: []noon.Match{{In: "body", Name: "x"}}}}
		}, "neither header, cookie nor query"},
		{"segment's address", func(r *noon.Routing) {
			r.Segments = []noon.Segment{{Name: "beta", Revision: rev(1), Addresses: []string{"x"}}}
		}, "neither an address nor a network"},
		{"hold", func(r *noon.Routing) { r.Hold = &noon.Hold{Limit: time.Hour} }, "a request waits at most"},
		{"closed", func(r *noon.Routing) { r.Closed = &noon.Closed{Text: strings.Repeat("x", 3000)} }, "closed site has 3000 bytes"},
		{"path without service", func(r *noon.Routing) { r.Paths[0].Service = "" }, "name is empty"},
		{"domain", func(r *noon.Routing) { r.Domains = []string{"http://shop"} }, "not a host name"},
		{"domain of a star", func(r *noon.Routing) { r.Domains = []string{"*."} }, "not a host name"},
		{"domain twice", func(r *noon.Routing) { r.Domains = []string{"a.example", "A.example."} }, "named twice"},
		{"endpoint id twice", func(r *noon.Routing) { r.Endpoints = append(r.Endpoints, r.Endpoints[0]) }, "named twice"},
		{"endpoint without id", func(r *noon.Routing) { r.Endpoints[0].ID = "" }, "is empty"},
		{"endpoint without revision", func(r *noon.Routing) { r.Endpoints[0].Revision = noon.Revision{} }, "no revision"},
		{"endpoint without port", func(r *noon.Routing) { r.Endpoints[0].Address = "127.0.0.1" }, "host:port"},
		{"endpoint with a wrong port", func(r *noon.Routing) { r.Endpoints[0].Address = "127.0.0.1:0" }, "host:port"},
		{"endpoint that moves", func(r *noon.Routing) { r.Endpoints[0].Address = "127.0.0.1:9" }, "never changes"},
		{"endpoint of another site", func(r *noon.Routing) { r.Endpoints = other.Endpoints }, "is one of blog/production"},
		{"endpoint with a wrong protocol", func(r *noon.Routing) { r.Endpoints[0].Protocol = "h3" }, `protocol "h3"`},
		{"TLS without certificates", func(r *noon.Routing) { r.TLS = &noon.TLS{} }, "where certificates come from"},
		{"TLS from two places", func(r *noon.Routing) { r.TLS = &noon.TLS{Internal: true, ACME: &noon.ACME{TermsAccepted: true}} }, "more than one of"},
		{"TLS files that are not there", func(r *noon.Routing) {
			r.TLS = &noon.TLS{Certificates: []noon.CertificateFiles{{Cert: "/no/such.pem", Key: "/no/such.key"}}}
		}, "/no/such.pem"},
		{"TLS files without place", func(r *noon.Routing) {
			r.TLS = &noon.TLS{Certificates: []noon.CertificateFiles{{Cert: "a.pem", Key: ""}}}
		}, "absolute paths"},
		{"TLS version", func(r *noon.Routing) { r.TLS = &noon.TLS{Internal: true, MinVersion: "1.0"} }, `"1.0" is no version`},
		{"TLS canonical", func(r *noon.Routing) { r.TLS = &noon.TLS{Internal: true, Canonical: "example.org"} }, "not one of the domains"},
		{"TLS clients", func(r *noon.Routing) { r.TLS = &noon.TLS{Internal: true, ClientCA: "/dev/null"} }, "/dev/null holds no certificate"},
		{"TLS hsts", func(r *noon.Routing) { r.TLS = &noon.TLS{Internal: true, HSTS: &noon.HSTS{MaxAge: -1}} }, "negative"},
		{"ACME terms", func(r *noon.Routing) { r.TLS = &noon.TLS{ACME: &noon.ACME{}} }, "accepted the authority's terms"},
		{"ACME directory", func(r *noon.Routing) {
			r.TLS = &noon.TLS{ACME: &noon.ACME{TermsAccepted: true, Directory: "http://x"}}
		}, "not the https URL"},
		{"ACME email", func(r *noon.Routing) { r.TLS = &noon.TLS{ACME: &noon.ACME{TermsAccepted: true, Email: "x"}} }, "not an email address"},
		{"ACME for anybody", func(r *noon.Routing) {
			r.TLS = &noon.TLS{ACME: &noon.ACME{TermsAccepted: true, OnDemand: &noon.OnDemand{}}}
		}, "lets anybody"},
		{"ACME for a wildcard", func(r *noon.Routing) {
			r.Domains, r.TLS = []string{"*.example.com"}, &noon.TLS{ACME: &noon.ACME{TermsAccepted: true}}
		}, `no authority gives a certificate for "*.example.com"`},
		{"token", func(r *noon.Routing) { r.Previews = []noon.Preview{{Token: "a b", Revision: rev(1)}} }, "token must be"},
		{"token twice", func(r *noon.Routing) {
			r.Previews = []noon.Preview{{Token: "a", Revision: rev(1)}, {Token: "a", Revision: rev(2)}}
		}, "another preview"},
		{"domain and path of another site", func(r *noon.Routing) {
			r.Domains = []string{"Example.com"}
			r.Paths = append(r.Paths, noon.Path{Prefix: "/blog", Service: "web"})
		}, "example.com/blog/ is routed to blog/production"},
	} {
		bad := routing(2, 1, app)
		bad.Domains = good.Domains
		row.wreck(&bad)
		err := p.Route(t.Context(), bad)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q", row.name, err, row.want)
			continue
		}
		wantKind(t, err, noon.Invalid)
		if strings.Contains(err.Error(), "a b") {
			t.Errorf("%s: the token is in the message: %v", row.name, err)
		}
	}
	st, err := p.Sites(t.Context())
	if err != nil || len(st) != 2 || st[1].Fence != good.Fence {
		t.Errorf("sites %+v, %v", st, err)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	p := start(t, proxy.Limits{})
	r := routing(5, 1, backend(t, says("r1")))
	mustRoute(t, p, r)
	wantKind(t, p.Remove(t.Context(), shop, noon.Fence{Epoch: 1, Generation: 4}), noon.Stale)
	for range 2 { // the second time nothing is left to do
		if err := p.Remove(t.Context(), shop, noon.Fence{Epoch: 1, Generation: 6}); err != nil {
			t.Fatal(err)
		}
	}
	if a := get(t, client(t), p.url); a.status != 404 {
		t.Errorf("then %+v", a)
	}
	_, err := p.Status(t.Context(), shop)
	wantKind(t, err, noon.NotFound)
	for _, generation := range []int64{5, 6} {
		r.Fence.Generation, r.Sequence = generation, 99
		wantKind(t, p.Route(t.Context(), r), noon.Stale)
	}
	r.Fence.Generation = 7
	mustRoute(t, p, r)
	if a := get(t, client(t), p.url); a.body != "r1" {
		t.Errorf("routed again: %+v", a)
	}
	if err := p.Remove(t.Context(), noon.Site{App: "never", Environment: "seen"}, r.Fence); err != nil {
		t.Error(err)
	}
}

// TestHostsAndPaths: exact host, longest wildcard, any; longest path prefix on
// whole segments; two sites may share a host.
func TestHostsAndPaths(t *testing.T) {
	t.Parallel()
	p := start(t, proxy.Limits{})
	site := func(app string, release int, domains []string, prefixes ...string) {
		r := routing(1, release)
		r.Site, r.Domains, r.Paths = noon.Site{App: app, Environment: "production"}, domains, nil
		for i, prefix := range prefixes {
			service := []string{"web", "api", "admin"}[i]
			r.Paths = append(r.Paths, noon.Path{Prefix: prefix, Service: service})
			address := backend(t, says(app+"-"+service))
			r.Endpoints = append(r.Endpoints, noon.Endpoint{ID: app + service, Revision: rev(release), Service: service, Address: address})
		}
		mustRoute(t, p, r)
	}
	site("any", 1, nil, "/")
	site("exact", 2, []string{"shop.example.com"}, "/", "/api", "/api/admin/")
	site("blog", 3, []string{"shop.example.com"}, "/blog")
	site("wild", 4, []string{"*.example.com"}, "/")
	site("deep", 5, []string{"*.eu.example.com"}, "/")
	site("partial", 6, []string{"partial.example.net"}, "/only")
	c := client(t)
	for _, row := range []struct{ host, path, want string }{
		{"", "/", "any-web"},
		{"other.org", "/", "any-web"},
		{"shop.example.com", "/", "exact-web"},
		{"SHOP.Example.COM.:8080", "/", "exact-web"},
		{"shop.example.com", "/api", "exact-api"},
		{"shop.example.com", "/api/x?y", "exact-api"},
		{"shop.example.com", "/apix", "exact-web"},
		{"shop.example.com", "/api/admin/x", "exact-admin"},
		{"shop.example.com", "/blog/1", "blog-web"},
		{"a.example.com", "/", "wild-web"},
		{"a.b.example.com", "/", "wild-web"},
		{"a.eu.example.com", "/", "deep-web"},
		{"example.com", "/", "any-web"},
		{"partial.example.net", "/only", "partial-web"},
		{"partial.example.net", "/", "404"},
		{"[::1]:80", "/", "any-web"},
	} {
		a := get(t, c, p.url+row.path, withHost(row.host))
		if a.body != row.want && (row.want != "404" || a.status != 404) {
			t.Errorf("%s%s: %d %q, want %s", row.host, row.path, a.status, a.body, row.want)
		}
	}
}

// TestPathsOfPreviewedRevisions: a path that only a revision has which nobody
// is sent to hides no other site's.
func TestPathsOfPreviewedRevisions(t *testing.T) {
	t.Parallel()
	p := start(t, proxy.Limits{})
	domains := []string{"shop.example.com"}
	root := routing(1, 1, backend(t, says("shop")))
	root.Domains = domains
	mustRoute(t, p, root)
	blog := func(sequence int64, shares ...noon.Share) noon.Routing {
		two := rev(2)
		r := routing(sequence, 1, backend(t, says("blog r1")))
		r.Site.App, r.Domains, r.Shares = "blog", domains, shares
		r.Paths = []noon.Path{{Prefix: "/blog", Service: "web"}, {Prefix: "/new", Service: "web", Revision: &two}, {Prefix: "/blog/new", Service: "web", Revision: &two}}
		r.Endpoints = append(r.Endpoints, endpoints(2, backend(t, says("blog r2")))...)
		r.Previews = []noon.Preview{{Token: "look", Revision: two}}
		r.Segments = []noon.Segment{{Name: "beta", Revision: two, Matches: []noon.Match{{In: "header", Name: "X-Beta"}}}}
		return r
	}
	one, both := noon.Share{Revision: rev(1), Points: noon.PointsWhole}, noon.Share{Revision: rev(2), Points: noon.PointsWhole}
	check := func(state, path, want string, set ...func(*http.Request)) {
		t.Helper()
		for _, c := range []*http.Client{client(t), unencryptedH2(t)} {
			if a := get(t, c, p.url+path, append(set, withHost(domains[0]))...); a.body != want {
				t.Errorf("%s: %s is answered %d %q, want %q", state, path, a.status, a.body, want)
			}
		}
	}
	mustRoute(t, p, blog(1, one))
	check("previewed", "/new", "shop")
	check("previewed", "/new/x", "shop")
	check("previewed", "/blog/new", "blog r1")
	check("previewed", "/", "shop")
	check("previewed", "/new", "blog r2", withHeader("Noon-Preview", "look"))
	check("previewed", "/", "shop", withHeader("Noon-Preview", "look"))
	check("in a segment", "/new", "blog r2", withHeader("X-Beta", "1"))
	mustRoute(t, p, blog(2))
	check("nothing live", "/new", "shop")
	mustRoute(t, p, blog(3, both))
	check("live", "/new", "blog r2")
	closed := blog(4, one)
	closed.Closed = &noon.Closed{By: "anna"}
	mustRoute(t, p, closed)
	check("closed", "/new", "shop")
	if a := get(t, client(t), p.url+"/blog", withHost(domains[0])); a.status != http.StatusServiceUnavailable {
		t.Errorf("closed: %+v", a)
	}
}

func unencryptedH2(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: &http.Protocols{}, DisableCompression: true}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
