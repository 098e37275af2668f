package rules_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/rules"
)

func TestRedirect(t *testing.T) {
	t.Parallel()
	r, err := rules.CompileRedirects([]noon.Redirect{
		{From: "/old", To: "/new", Status: 301},
		{From: "/old/*", To: "/new/*", Status: 308},
		{From: "/old/deep/*", To: "https://deep.example.com/*", Status: 302},
		{From: "/all/*", To: "/*", Status: 307},
		{From: "/q/*", To: "/search?q=*", Status: 303},
		{From: "/gone/*", To: "/", Status: 301},
		{From: "/old", To: "/www-new", Status: 302, Host: "WWW.example.com"},
		{From: "/*", To: "https://example.com/*", Status: 308, Host: "www.example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		host, path, query, location string
		status                      int
	}{
		{"shop", "/old", "", "/new", 301},
		{"shop", "/old", "a=1&b", "/new?a=1&b", 301},
		{"shop", "/old/", "", "/new/", 308},
		{"shop", "/old/x/y", "a", "/new/x/y?a", 308},
		{"shop", "/old/deep", "", "https://deep.example.com/", 302},
		{"shop", "/old/deep/x", "", "https://deep.example.com/x", 302},
		{"shop", "/old/deeper", "", "/new/deeper", 308},
		{"shop", "/older", "", "", 0},
		{"shop", "/", "", "", 0},
		{"shop", "", "", "", 0},
		{"shop", "*", "", "", 0},
		{"shop", "/q/caps", "lang=de", "/search?q=caps", 303},
		{"shop", "/gone/x", "a", "/?a", 301},
		{"www.example.com", "/old", "", "/www-new", 302},
		{"www.example.com", "/old/x", "", "/new/x", 308},
		{"www.example.com", "/else", "a", "https://example.com/else?a", 308},
		{"www.example.com", "/", "", "https://example.com/", 308},
		{"shop", "/all//evil.example", "", "/evil.example", 307},
		{"shop", `/all/\evil.example`, "", "/evil.example", 307},
		{"shop", `/all/\/evil.example`, "", "/evil.example", 307},
		{"shop", "/old/a\r\nSet-Cookie:x", "b\n", "/new/a%0D%0ASet-Cookie:x?b%0A", 308},
		{"shop", "/old/%2e%2e/é", "", "/new/%2e%2e/%C3%A9", 308},
	} {
		location, status, ok := r.Redirect(tc.host, tc.path, tc.query)
		if location != tc.location || status != tc.status || ok != (tc.status != 0) {
			t.Errorf("%s%s?%s: %q %d, want %q %d", tc.host, tc.path, tc.query, location, status, tc.location, tc.status)
		}
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	f, err := rules.CompileFields(noon.HeaderRules{
		Remove: []string{"Server", "X-Powered-By"},
		Set:    map[string]string{"X-Frame-Options": "DENY", "server": "shop"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, gone := range map[string]bool{
		"Server": true, "SERVER": true, "x-powered-by": true, "X-Frame-Options": true, "X-Frame-Option": false, "": false,
		"X-Frame-Options-And-More": false, "Date": false,
	} {
		if f.Removes([]byte(name)) != gone {
			t.Errorf("%q: removed is %v", name, !gone)
		}
	}
	if got, want := string(f.AppendSet([]byte("A: b\r\n"))), "A: b\r\nX-Frame-Options: DENY\r\nserver: shop\r\n"; got != want {
		t.Errorf("set %q, want %q", got, want)
	}
	if diff := cmp.Diff([]rules.Field{{Name: "X-Frame-Options", Value: "DENY"}, {Name: "server", Value: "shop"}}, f.Set()); diff != "" {
		t.Error(diff)
	}
	var none rules.Fields
	if !none.Empty() || f.Empty() || none.Removes([]byte("A")) || len(none.AppendSet(nil)) != 0 {
		t.Error("no rules change something")
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	p, err := rules.CompilePages(map[string]string{"404": "not here", "5xx": "broken", "503": "soon"})
	if err != nil {
		t.Fatal(err)
	}
	for status, want := range map[int]string{404: "not here", 403: "", 500: "broken", 503: "soon", 599: "broken", 200: "", 0: "", -100: "", 1000: ""} {
		if got, ok := p.Page(status); string(got) != want || ok != (want != "") {
			t.Errorf("%d: %q %v", status, got, ok)
		}
	}
}

func TestCompileTellsEverything(t *testing.T) {
	t.Parallel()
	_, err := rules.Compile(noon.Traffic{
		Redirects: []noon.Redirect{
			{From: "old", To: "/", Status: 301}, {From: "/a", To: "/b", Status: 301}, {From: "/a", To: "/c", Status: 301}, {From: "/b", To: "/c"},
		},
		Request:  noon.HeaderRules{Remove: []string{"Host"}},
		Response: noon.HeaderRules{Set: map[string]string{"A": "b\n", "B": "1", "b": "2", "Content-Length": "0"}},
		Pages:    map[string]string{"200": "", "404": strings.Repeat("x", noon.PageLimit+1)},
		Trusted:  []string{"10.0.0.0/8", "10.0.0.1/8", "shop", "fe80::1%eth0"},
	})
	if err == nil {
		t.Fatal("all of it is taken")
	}
	for _, part := range []string{
		"redirects: ", `"old" does not begin with /`, "two redirects from /a", "0 is no status", "request headers: Host says how", "A: it holds a line break",
		"b is set twice", "Content-Length says how", `"200" is not a status`, "131073 bytes", `"10.0.0.1/8" has bits outside of its network; it is 10.0.0.0/8`,
		`"shop" is neither`, `"fe80::1%eth0" is neither`,
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in:\n%v", part, err)
		}
	}
	if zero, err := rules.Compile(noon.Traffic{}); err != nil || !zero.Request.Empty() || !zero.Trusted.Empty() {
		t.Errorf("nothing compiles to %+v, %v", zero, err)
	}
}

// FuzzRedirect: whatever is asked for, the location can not leave its site, nor
// its line.
func FuzzRedirect(f *testing.F) {
	for _, seed := range []string{"/all/x", "/all//evil.example", `/all/\evil`, "/all/\r\nA: b", "/in/%0d%0a", "/all/?", "/in/#", "/all/\t//evil"} {
		f.Add(seed, "a=b")
	}
	r, err := rules.CompileRedirects([]noon.Redirect{{From: "/all/*", To: "/*", Status: 301}, {From: "/in/*", To: "/new/*", Status: 301}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		location, _, ok := r.Redirect("shop", path, query)
		if !ok {
			return
		}
		if strings.ContainsAny(location, "\r\n\t \\\x00") || !strings.HasPrefix(location, "/") || strings.HasPrefix(location, "//") {
			t.Fatalf("%q?%q: %q", path, query, location)
		}
		if u, err := url.Parse(location); err == nil && u.Host != "" {
			t.Fatalf("%q?%q: %q leads to host %q", path, query, location, u.Host)
		}
	})
}

func TestNothingIsAllocated(t *testing.T) {
	traffic, err := rules.Compile(noon.Traffic{
		Redirects: []noon.Redirect{{From: "/old", To: "/new", Status: 301}, {From: "/old/*", To: "/new/*", Status: 301}},
		Request:   noon.HeaderRules{Remove: []string{"X-Debug"}, Set: map[string]string{"X-Site": "shop"}},
		Pages:     map[string]string{"404": "x"},
		Trusted:   []string{"10.0.0.0/8", "2001:db8::/32"},
	})
	if err != nil {
		t.Fatal(err)
	}
	segments, err := rules.CompileSegments([]noon.Segment{{
		Name: "beta", Visitors: []string{"v"}, Addresses: []string{"192.0.2.0/24"},
		Matches: []noon.Match{{In: "cookie", Name: "beta", Values: []string{"1"}}, {In: "query", Name: "x", Values: []string{"y"}}, {In: "header", Name: "X-Beta"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	req := &request{fields: map[string]string{"cookie": "a=b; beta=2; noon_visitor=w"}, query: "a=b&x=z", address: address("198.51.100.7")}
	forwarded := [][]byte{[]byte(`for=203.0.113.7, for="[2001:db8::1]:80"`)}
	xff := [][]byte{[]byte("203.0.113.7, 2001:db8::1")}
	peer, name := address("10.1.2.3"), []byte("x-debug")
	buf := make([]byte, 0, 256)
	got := testing.AllocsPerRun(100, func() {
		if _, _, ok := traffic.Redirects.Redirect("shop", "/a/b/c", ""); ok {
			t.Error("redirected")
		}
		if !traffic.Request.Removes(name) {
			t.Error("kept")
		}
		buf = traffic.Request.AppendSet(buf[:0])
		if _, ok := traffic.Pages.Page(404); !ok {
			t.Error("no page")
		}
		o := traffic.Trusted.Origin(peer, forwarded, xff)
		if o.Client.Is6() {
			t.Error(o.Client)
		}
		buf = o.AppendForwarded(o.AppendFor(buf), "https", name)
		if _, _, ok := segments.Of(req); ok {
			t.Error("in the segment")
		}
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkOrigin(b *testing.B) {
	trusted, err := rules.CompileAddresses([]string{"10.0.0.0/8"})
	if err != nil {
		b.Fatal(err)
	}
	xff := [][]byte{[]byte("203.0.113.7, 10.7.7.7")}
	peer := address("10.1.2.3")
	b.ReportAllocs()
	for b.Loop() {
		o := trusted.Origin(peer, nil, xff)
		if !o.Trusted {
			b.Fatal("not trusted")
		}
	}
}
