package h1_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/noon-deploy/noon/internal/proxy/h1"
)

func parse(t *testing.T, raw string) h1.Request {
	t.Helper()
	var r h1.Request
	if n, err := r.Parse([]byte(raw)); n != len(raw) || err != nil {
		t.Fatalf("%q: %d, %v", raw, n, err)
	}
	return r
}

func TestTargets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line, path, query, scheme, host, hostname, origin string
		asked                                             bool // there is a query
	}{
		{"GET /a/b?c=d?e HTTP/1.1", "/a/b", "c=d?e", "", "site:80", "site", "/a/b?c=d?e", true},
		{"GET /a? HTTP/1.1", "/a", "", "", "site:80", "site", "/a?", true},
		{"GET /a%20b HTTP/1.1", "/a%20b", "", "", "site:80", "site", "/a%20b", false},
		{"GET HTTPS://[::1]:8443/a?b HTTP/1.1", "/a", "b", "HTTPS", "[::1]:8443", "[::1]", "/a?b", true},
		{"GET http://other HTTP/1.1", "/", "", "http", "other", "other", "/", false},
		{"GET http://other?b HTTP/1.1", "/", "b", "http", "other", "other", "/?b", true},
		{"GET http://other/?b HTTP/1.1", "/", "b", "http", "other", "other", "/?b", true},
		{"OPTIONS * HTTP/1.1", "*", "", "", "site:80", "site", "*", false},
		{"OPTIONS http://other:1 HTTP/1.1", "", "", "http", "other:1", "other", "*", false},
		{"OPTIONS http://other?b HTTP/1.1", "/", "b", "http", "other", "other", "/?b", true},
		{"CONNECT other:443 HTTP/1.1", "", "", "", "other:443", "other", "", false},
	} {
		r := parse(t, c.line+"\r\nHost: site:80\r\n\r\n")
		got := []string{string(r.Path), string(r.Query), string(r.Scheme), string(r.Host), string(r.Hostname), string(r.AppendTarget(nil))}
		want := []string{c.path, c.query, c.scheme, c.host, c.hostname, c.origin}
		if strings.Join(got, "\n") != strings.Join(want, "\n") || (r.Query != nil) != c.asked {
			t.Errorf("%s: %q, a query: %v; want %q, %v", c.line, got, r.Query != nil, want, c.asked)
		}
		if r.Connect != strings.HasPrefix(c.line, "CONNECT") || r.Asterisk != (c.origin == "*") {
			t.Errorf("%s: connect %v, asterisk %v", c.line, r.Connect, r.Asterisk)
		}
	}
}

func TestConnectionOfARequest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		minor, fields, upgrade   string
		close, continues, trails bool
	}{
		{"1", "", "", false, false, false},
		{"0", "", "", true, false, false},
		{"1", "Connection: CLOSE\r\n", "", true, false, false},
		{"1", "Connection: keep-alive\r\n", "", false, false, false},
		{"0", "Connection: Keep-Alive\r\n", "", false, false, false},
		{"0", "Connection: keep-alive, close\r\n", "", true, false, false},
		{"1", "Connection: keep-alive\r\nConnection: a, close\r\n", "", true, false, false},
		{"1", "Connection: closed\r\n", "", false, false, false},
		{"1", "Connection: Upgrade\r\nUpgrade: WebSocket\r\n", "WebSocket", false, false, false},
		{"1", "Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\n", "websocket", false, false, false},
		{"1", "Upgrade: websocket\r\n", "", false, false, false},
		{"1", "Connection: upgrade\r\n", "", false, false, false},
		{"1", "Connection: upgrade\r\nUpgrade:\r\n", "", false, false, false},
		{"1", "Connection: upgrade\r\nUpgrade: h2c\r\n", "", false, false, false},
		{"0", "Connection: upgrade\r\nUpgrade: websocket\r\n", "", true, false, false},
		{"1", "Expect: 100-continue\r\nContent-Length: 1\r\n", "", false, true, false},
		{"0", "Expect: 100-continue\r\nContent-Length: 1\r\n", "", true, false, false},
		{"1", "Connection: TE\r\nTE: trailers\r\n", "", false, false, true},
		{"1", "Connection: te\r\nTE: gzip;q=0.5 , Trailers;x\r\n", "", false, false, true},
		{"1", "TE: trailers\r\n", "", false, false, false},
		{"1", "Connection: te\r\nTE: gzip\r\n", "", false, false, false},
	} {
		r := parse(t, "GET / HTTP/1."+c.minor+"\r\nHost: a\r\n"+c.fields+"\r\n")
		if r.Close != c.close || string(r.Upgrade) != c.upgrade || r.Expect100 != c.continues || r.Trailers != c.trails {
			t.Errorf("HTTP/1.%s %q: close %v, upgrade %q, expect %v, trailers %v; want %v, %q, %v, %v", c.minor, c.fields, r.Close, r.Upgrade, r.Expect100, r.Trailers, c.close, c.upgrade, c.continues, c.trails)
		}
	}
}

func TestValuesOfARequest(t *testing.T) {
	t.Parallel()
	r := parse(t, "HEAD / HTTP/1.1\r\nCookie: a\r\nHost: site\r\nCOOKIE: b\r\nUser-Agent: x y\r\nContent-Length: 9223372036854775807\r\n\r\n")
	if string(r.Value(h1.Cookie)) != "a" || !r.Repeated(h1.Cookie) || string(r.Value(h1.UserAgent)) != "x y" || r.Repeated(h1.UserAgent) || r.Value(h1.Accept) != nil {
		t.Errorf("cookie %q (%v), user agent %q, accept %q", r.Value(h1.Cookie), r.Repeated(h1.Cookie), r.Value(h1.UserAgent), r.Value(h1.Accept))
	}
	if !r.Head || r.Length != 1<<63-1 || r.Minor != 1 {
		t.Errorf("head %v, length %d, minor %d", r.Head, r.Length, r.Minor)
	}
	dropped := parse(t, "GET / HTTP/1.1\r\nHost: site\r\nUpgrade: h2c\r\nTE: trailers\r\n\r\n")
	for k := range h1.Kind(255) {
		if v := dropped.Value(k); v != nil && k != h1.Host || dropped.Repeated(k) {
			t.Errorf("%s: %q", k, v)
		}
	}
	r.Reset()
	if r.Method != nil || r.Value(h1.Cookie) != nil || len(r.Fields) != 0 || r.Fields[:1][0].Name != nil {
		t.Errorf("after Reset: %+v", r)
	}
}

// A request that is parsed into one that was used has nothing of that left.
func TestParseForgets(t *testing.T) {
	t.Parallel()
	var used h1.Request
	for _, raw := range []string{
		"POST http://a:1/b?c HTTP/1.1\r\nHost: x\r\nX_Y: z\r\nConnection: close, upgrade, te\r\nUpgrade: websocket\r\nTE: trailers\r\nExpect: 100-continue\r\nCookie: a\r\nCookie: a\r\nTransfer-Encoding: chunked\r\n\r\n",
		"OPTIONS * HTTP/1.0\r\nHost: y\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "HEAD / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: z\r\n\r\n",
	} {
		if n, err := used.Parse([]byte(raw)); n != len(raw) || err != nil {
			t.Fatal(n, err)
		}
		if fresh := parse(t, raw); head(&fresh) != head(&used) || used.Repeated(h1.Cookie) != fresh.Repeated(h1.Cookie) || string(used.Value(h1.Cookie)) != string(fresh.Value(h1.Cookie)) {
			t.Errorf("%q: used %s, fresh %s", raw, head(&used), head(&fresh))
		}
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n":       "field 1 is folded over two lines (RFC 9112 5.2) (400)",
		"GET / HTTP/1.1\r\nHost: a\r\nX-Y : b\r\n\r\n":   `field 2: a blank between the name "X-Y" and the colon (RFC 9112 5.1) (400)`,
		"GET / HTTP/1.1\r\nHost: a\r\nX-Y: \x01\r\n\r\n": `field "X-Y": control byte 0x01 in the value (RFC 9110 5.5) (400)`,
		"GET / HTTP/2.0\r\n\r\n":                         "HTTP/2.0 is not spoken here, HTTP/1.1 and HTTP/1.0 are (RFC 9110 2.5) (505)",
		"\x16\x03\x01\x02\x00\x01":                       "a TLS handshake where plain HTTP is spoken (400)",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: " + strings.Repeat("x", 99) + "\r\n\r\n": `the transfer coding "` + strings.Repeat("x", 40) + `" is not known here, only chunked is (RFC 9112 6.1) (501)`,
		"GET http://a:b@c/ HTTP/1.1\r\n\r\n": "the target names a user (RFC 9110 4.2.4) (400)",
	} {
		var r h1.Request
		if n, err := r.Parse([]byte(raw)); n != 0 || err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", raw, err, want)
		}
	}
}

// A head that comes byte by byte is parsed once for every line, not for every
// byte.
func TestAdvanced(t *testing.T) {
	t.Parallel()
	raw := []byte("GET /" + strings.Repeat("a", 8000) + " HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n")
	parsed, seen := 0, 0
	for end := 1; end <= len(raw); end++ {
		if h1.Advanced(raw[:end], seen) {
			parsed, seen = parsed+1, end
		}
	}
	if parsed != 5 { // the first byte, and four lines
		t.Errorf("parsed %d times", parsed)
	}
	// A line that never ends is noticed.
	raw = bytes.Repeat([]byte("a"), 20<<10)
	var r h1.Request
	for end, seen := 1, 0; ; end++ {
		if end == len(raw) {
			t.Fatal("a line of 20 KiB is waited for")
		}
		if !h1.Advanced(raw[:end], seen) {
			continue
		}
		seen = end
		if _, err := r.Parse(raw[:end]); err != nil {
			if e, ok := errors.AsType[*h1.Error](err); !ok || e.Status != 414 {
				t.Errorf("%v", err)
			}
			break
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	var r h1.Request
	var a h1.Response
	var c h1.Chunked
	upgrade := []byte("GET http://[::1]:80/a%20b?c HTTP/1.1\r\nHost: b\r\nConnection: Upgrade, X-A, TE\r\nTE: trailers\r\nX-A: b\r\nX_B: c\r\nUpgrade: websocket\r\n\r\n")
	body := []byte("5;ext\r\nhello\r\n3\r\nabc\r\n0\r\nX-Checksum: abc\r\nHost: a\r\n\r\n")
	buf, small, large, good := make([]byte, len(body)), []byte(minimal), []byte(browser), []byte(answer)
	for name, f := range map[string]func(){
		"minimal request": func() { _, _ = r.Parse(small) },
		"browser's":       func() { _, _ = r.Parse(large) },
		"upgrade":         func() { _, _ = r.Parse(upgrade) },
		"answer":          func() { _, _ = a.Parse(good, false) },
		"chunks":          func() { c.Reset(); copy(buf, body); _, _, _, _ = c.Decode(buf) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if n, err := r.Parse(upgrade); n != len(upgrade) || err != nil {
		t.Error(n, err)
	}
}
