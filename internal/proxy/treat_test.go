package proxy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// shown is what an instance was sent.
type shown struct {
	Header http.Header
	URI    string
	Path   string
	Body   int64
}

// shows is an instance that tells what it was sent.
func shows(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body)
	w.Header().Set("X-App", "app")
	w.Header().Set("Noon-Anything", "of the app")
	_ = json.NewEncoder(w).Encode(shown{r.Header, r.RequestURI, r.URL.Path, n})
}

// each runs a test over HTTP/1.1 and over HTTP/2.
func each(t *testing.T, f func(t *testing.T, c *http.Client)) {
	t.Helper()
	for _, name := range []string{"h1", "h2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			transport := &http.Transport{Protocols: &http.Protocols{}, DisableCompression: true}
			transport.Protocols.SetHTTP1(name == "h1")
			transport.Protocols.SetUnencryptedHTTP2(name == "h2")
			t.Cleanup(transport.CloseIdleConnections)
			f(t, &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }})
		})
	}
}

func showsOf(t *testing.T, a answer) shown {
	t.Helper()
	var s shown
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		t.Fatalf("%+v: %v", a, err)
	}
	return s
}

func TestSegmentsAndPins(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		p := start(t, proxy.Limits{})
		r := routing(1, 1, backend(t, says("r1")))
		r.Endpoints = append(r.Endpoints, endpoints(2, backend(t, says("r2")))...)
		r.Endpoints = append(r.Endpoints, endpoints(3, backend(t, says("r3")))...)
		r.Shares = []noon.Share{{Revision: rev(1), Points: noon.PointsWhole}}
		r.Segments = []noon.Segment{
			{Name: "pinned", Revision: rev(3), Visitors: []string{"me"}},
			{Name: "staff", Revision: rev(2), Matches: []noon.Match{
				{In: "header", Name: "X-Staff"}, {In: "cookie", Name: "group", Values: []string{"a b", "beta"}}, {In: "query", Name: "try", Values: []string{"new one"}},
			}},
			{Name: "elsewhere", Revision: rev(2), Addresses: []string{"198.51.100.0/24"}},
		}
		r.Previews = []noon.Preview{{Token: "secret", Revision: rev(1)}}
		r.Traffic.Trusted = []string{"127.0.0.1"}
		mustRoute(t, p, r)
		for name, row := range map[string]struct {
			want  string
			query string
			set   []func(*http.Request)
		}{
			"everybody":         {"r1", "", nil},
			"visitor":           {"r3", "", []func(*http.Request){withHeader("Cookie", "a=b; noon_visitor=me")}},
			"other visitor":     {"r1", "", []func(*http.Request){withHeader("Cookie", "noon_visitor=me2")}},
			"header":            {"r2", "", []func(*http.Request){withHeader("X-Staff", "")}},
			"cookie":            {"r2", "", []func(*http.Request){withHeader("Cookie", "group=beta")}},
			"other cookie":      {"r1", "", []func(*http.Request){withHeader("Cookie", "group=alpha")}},
			"query":             {"r2", "?x=1&try=new+one", nil},
			"other query":       {"r1", "?try=old", nil},
			"address":           {"r2", "", []func(*http.Request){withHeader("X-Forwarded-For", "198.51.100.7")}},
			"the first counts":  {"r3", "", []func(*http.Request){withHeader("Cookie", "noon_visitor=me"), withHeader("X-Staff", "1")}},
			"preview over both": {"r1", "", []func(*http.Request){withHeader("X-Staff", "1"), withHeader("Noon-Preview", "secret")}},
		} {
			if a := get(t, c, p.url+"/"+row.query, row.set...); a.body != row.want || a.header.Get("Noon-Release") != row.want {
				t.Errorf("%s: %+v, want %s", name, a, row.want)
			}
		}
	})
}

// TestPathsOfRevisions: a path that only the new revision has is found with a
// preview token, and by its users; those of the old one get what it has.
func TestPathsOfRevisions(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		p := start(t, proxy.Limits{})
		one, two := rev(1), rev(2)
		r := routing(1, 1, backend(t, says("web1")))
		api := endpoints(2, backend(t, says("api2")))[0]
		api.Service = "api"
		old := endpoints(1, backend(t, says("admin1")))[0]
		old.Service = "admin"
		r.Endpoints = append(append(r.Endpoints, api, old), endpoints(2, backend(t, says("web2")))...)
		r.Paths = []noon.Path{
			{Prefix: "/", Service: "web"},
			{Prefix: "/api", Service: "api", Revision: &two},
			{Prefix: "/admin", Service: "admin", Revision: &one},
			{Prefix: "/both", Service: "admin", Revision: &one},
			{Prefix: "/both", Service: "api", Revision: &two},
		}
		r.Previews = []noon.Preview{{Token: "new", Revision: two}}
		mustRoute(t, p, r)
		for path, want := range map[string][2]string{
			"/": {"web1", "web2"}, "/api/x": {"web1", "api2"}, "/admin": {"admin1", "web2"}, "/both/x": {"admin1", "api2"},
		} {
			if a := get(t, c, p.url+path); a.body != want[0] {
				t.Errorf("%s: %+v, want %s", path, a, want[0])
			}
			if a := get(t, c, p.url+path, withHeader("Noon-Preview", "new")); a.body != want[1] {
				t.Errorf("%s with the token: %+v, want %s", path, a, want[1])
			}
		}
		// Without a path for the rest, what only the other has is not found.
		r.Sequence, r.Fence.Generation, r.Paths = 2, 2, r.Paths[1:]
		mustRoute(t, p, r)
		if a := get(t, c, p.url+"/api"); a.status != http.StatusNotFound {
			t.Errorf("%+v", a)
		}
		if a := get(t, c, p.url+"/api", withHeader("Noon-Preview", "new")); a.body != "api2" {
			t.Errorf("%+v", a)
		}
		r.Sequence, r.Fence.Generation = 3, 3
		r.Paths = append(r.Paths, noon.Path{Prefix: "/both/", Service: "web"})
		wantKind(t, p.Route(t.Context(), r), noon.Invalid)
	})
}

// TestStrip: instances see the path without the prefix, however it is written;
// the rest of it stays as it was sent.
func TestStrip(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		p := start(t, proxy.Limits{})
		r := routing(1, 1, backend(t, shows))
		r.Paths = []noon.Path{{Prefix: "/", Service: "web", Strip: true}, {Prefix: "/api/v1", Service: "web", Strip: true}, {Prefix: "/whole", Service: "web"}}
		mustRoute(t, p, r)
		for path, want := range map[string]string{
			"/api/v1":              "/",
			"/api/v1/":             "/",
			"/api/v1/a%2Fb?q=1;2":  "/a%2Fb?q=1;2",
			"/%61pi/v1/a%2Fb":      "/a%2Fb",
			"/api/%761/x?":         "/x?",
			"/api/v1%2Fx":          "/x",
			"/api/v1//x":           "//x",
			"/api/v12":             "/api/v12",
			"/whole/x":             "/whole/x",
			"/other":               "/other",
			"/api%2Fv1/caf%C3%A9/": "/caf%C3%A9/",
		} {
			s := showsOf(t, get(t, c, p.url+path, withHeader("X-Forwarded-Prefix", "/evil")))
			if s.URI != want {
				t.Errorf("%s: %s, want %s", path, s.URI, want)
			}
			prefix := ""
			if !strings.HasPrefix(path, "/whole") && path != "/other" && path != "/api/v12" {
				prefix = "/api/v1"
			}
			if got := s.Header.Get("X-Forwarded-Prefix"); got != prefix {
				t.Errorf("%s: prefix %q, want %q", path, got, prefix)
			}
		}
	})
}

// TestStripped: what is left is what the instance would have read behind the
// prefix.
func TestStripped(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.StringMatching(`(/[a-c]{1,2}){0,2}`).Draw(t, "prefix")
		rest := rapid.StringMatching(`((/|%2F|%2f)([a-c]|%61|%25|%C3%A9){0,3}){0,3}`).Draw(t, "rest")
		var raw strings.Builder
		for _, b := range []byte(prefix) {
			if rapid.Bool().Draw(t, "escaped") {
				fmt.Fprintf(&raw, "%%%02X", b)
			} else {
				raw.WriteByte(b)
			}
		}
		got := proxy.Stripped(raw.String()+rest, len(prefix))
		read, err := url.PathUnescape(got)
		want, werr := url.PathUnescape(rest)
		if want == "" {
			want = "/"
		}
		if err != nil || werr != nil || read != want || got[0] != '/' {
			t.Fatalf("%q %q: %q, read %q, want %q: %v %v", raw.String(), rest, got, read, want, err, werr)
		}
	})
}

func TestTreatment(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		p := start(t, proxy.Limits{})
		r := routing(1, 1, backend(t, shows))
		r.Domains = []string{"shop.example.com", "old.example.com"}
		r.Traffic = noon.Traffic{
			Redirects: []noon.Redirect{
				{From: "/*", To: "https://shop.example.com/*", Status: 308, Host: "old.example.com"},
				{From: "/blog/*", To: "/news/*", Status: 301},
				{From: "/here", To: "/there?a=b", Status: 302},
			},
			Request:  noon.HeaderRules{Remove: []string{"X-Secret"}, Set: map[string]string{"X-Set": "by the site", "X-New": "new"}},
			Response: noon.HeaderRules{Remove: []string{"x-app"}, Set: map[string]string{"X-Frame-Options": "DENY"}},
			Pages:    map[string]string{"404": "<h1>nothing here</h1>", "5xx": "<h1>we are sorry</h1>"},
		}
		mustRoute(t, p, r)
		for _, row := range []struct{ host, path, location string }{
			{"shop.example.com", "/blog/a/b?c=d", "/news/a/b?c=d"},
			{"shop.example.com", "/blog", "/news/"},
			{"shop.example.com", "/here?x=y", "/there?a=b"},
			{"old.example.com", "/x?y=z", "https://shop.example.com/x?y=z"},
			{"shop.example.com", "/blogs", ""},
			{"shop.example.com", "/here/", ""},
		} {
			a := get(t, c, p.url+row.path, withHost(row.host))
			if a.header.Get("Location") != row.location || (a.status == http.StatusOK) != (row.location == "") {
				t.Errorf("%s%s: %+v, want %q", row.host, row.path, a, row.location)
			}
		}
		a := get(t, c, p.url+"/x", withHost("shop.example.com"), withHeader("X-Secret", "1"), withHeader("X-Set", "by the user"), withHeader("X-Keep", "1"))
		s := showsOf(t, a)
		for name, want := range map[string]string{"X-Secret": "", "X-Set": "by the site", "X-New": "new", "X-Keep": "1"} {
			if got := strings.Join(s.Header.Values(name), ","); got != want {
				t.Errorf("request: %s is %q, want %q", name, got, want)
			}
		}
		for name, want := range map[string]string{"X-App": "", "X-Frame-Options": "DENY", "Noon-Anything": "", "Noon-Release": "r1"} {
			if got := strings.Join(a.header.Values(name), ","); got != want {
				t.Errorf("answer: %s is %q, want %q", name, got, want)
			}
		}
		r.Sequence, r.Fence.Generation, r.Shares = 2, 2, nil
		mustRoute(t, p, r)
		page := get(t, c, p.url+"/", withHost("shop.example.com"), withHeader("Accept", "text/html"))
		if page.status != http.StatusServiceUnavailable || page.body != "<h1>we are sorry</h1>" || page.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("page: %+v", page)
		}
		if a := get(t, c, p.url+"/", withHost("shop.example.com"), withHeader("Accept", "application/json")); !json.Valid([]byte(a.body)) {
			t.Errorf("page for a program: %+v", a)
		}
	})
}

// TestBodyLimit: too large a body is refused with 413, whether its length is
// known or not; the instance is never sent more, nor half a body as a whole.
func TestBodyLimit(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		whole := make(chan int64, 100)
		p := treated(t, noon.Traffic{Limits: noon.TrafficLimits{Body: 200_000}}, func(_ http.ResponseWriter, r *http.Request) {
			if n, err := io.Copy(io.Discard, r.Body); err == nil {
				whole <- n
			}
		})
		for _, size := range []int64{0, 10, 199_999, 200_000, 200_001, 300_000, 5_000_000} {
			for _, length := range []int64{size, -1} {
				req := request(t, http.MethodPost, p.url, io.LimitReader(zeros{}, size))
				if req.ContentLength = length; size == 0 {
					req.Body = http.NoBody
				}
				want := http.StatusOK
				if size > 200_000 {
					want = http.StatusRequestEntityTooLarge
				}
				if a, err := do(c, req); err != nil || a.status != want {
					t.Errorf("%d bytes as %d: %+v %v, want %d", size, length, a, err, want)
				}
			}
		}
		if close(whole); len(whole) != 8 {
			t.Errorf("%d bodies came whole, want 8", len(whole))
		}
		for n := range whole {
			if n > 200_000 {
				t.Errorf("the instance was sent %d bytes", n)
			}
		}
	})
}

// TestTrusted: what a trusted address says of the user is believed and passed
// on, from nobody else.
func TestTrusted(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		for trusted, want := range map[string]string{
			"127.0.0.0/8": "203.0.113.9, 192.0.2.1, 127.0.0.1 https public.example.com",
			"10.0.0.0/8":  "127.0.0.1 http x",
			"":            "127.0.0.1 http x",
		} {
			var tr noon.Traffic
			if trusted != "" {
				tr.Trusted = []string{trusted, "192.0.2.1"}
			}
			p := treated(t, tr, shows)
			s := showsOf(t, get(t, c, p.url, withHost("x"), withHeader("X-Forwarded-For", "6.6.6.6, 203.0.113.9, 192.0.2.1"),
				withHeader("X-Forwarded-Proto", "https"), withHeader("X-Forwarded-Host", "public.example.com"), withHeader("X-Real-IP", "6.6.6.6")))
			got := s.Header.Get("X-Forwarded-For") + " " + s.Header.Get("X-Forwarded-Proto") + " " + s.Header.Get("X-Forwarded-Host")
			if got != want || s.Header.Get("X-Real-Ip") != "" {
				t.Errorf("%q: %q, want %q (real ip %q)", trusted, got, want, s.Header.Get("X-Real-Ip"))
			}
		}
	})
}
