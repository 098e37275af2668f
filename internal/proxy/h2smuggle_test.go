package proxy_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestSmuggledOverH2: what would be another request, or another field, in
// HTTP/1.1 reaches no instance; what is harmless reaches it as it is.
func TestSmuggledOverH2(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	p := serving(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.Host, " ", r.Header))
	})
	base := func(change ...string) []string {
		fields := []string{":method", "GET", ":scheme", "http", ":authority", "shop", ":path", "/"}
		for i := 0; i < len(change); i += 2 {
			if at := slices.Index(fields, change[i]); at >= 0 {
				fields[at+1] = change[i+1]
			} else {
				fields = append(fields, change[i], change[i+1])
			}
		}
		return fields
	}
	bad := [][]string{
		{":method", "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET"},
		{":method", "GET /evil HTTP/1.1"},
		{":method", "G\tT"},
		{":method", "GET "},
		{":path", "/ HTTP/1.1\r\nX: y"},
		{":path", "/a b"},
		{":path", "/ HTTP/1.0"},
		{":path", "/a\x00b"},
		{":path", "/#evil"},
		{":path", "http://other/"},
		{":path", "/\xff"},
		{":path", ""},
		{":path", "*"},
		{":authority", "shop\r\nX: y"},
		{":authority", "shop x"},
		{":authority", "user@shop"},
		{":authority", "shop/evil"},
		{":authority", "a,b"},
		{":authority", "shop:99999999"},
		{"x-evil", "a\r\nHost: other"},
		{"x-evil", "a\nb"},
		{"x-evil", "a\rb"},
		{"x-evil", "a\x00b"},
		{"x evil", "a"},
		{"x:evil", "a"},
		{"x-evil\r\nhost", "a"},
		{"X-Evil", "a"},
		{"transfer-encoding", "chunked"},
		{"transfer-encoding", " chunked"},
		{"connection", "close"},
		{"upgrade", "websocket"},
		{"te", "gzip"},
		{"expect", "200-ok"},
		{":protocol", "websocket"},
		{":status", "200"},
	}
	for _, change := range bad {
		u := dialH2(t, strings.TrimPrefix(p.url, "http://"), nil)
		_, a, err := u.send(true, base(change...)...)
		if err != nil {
			t.Fatal(err)
		}
		if a.wait(t); a.err == nil || a.status >= 500 {
			t.Errorf("%q: %d %v", change, a.status, a.err)
		}
		u.close()
	}
	mu.Lock()
	if len(seen) > 0 {
		t.Errorf("an instance was sent %q", seen)
	}
	mu.Unlock()
	u := dialH2(t, strings.TrimPrefix(p.url, "http://"), nil)
	for _, change := range [][]string{{"content-length", "0"}, {"content_length", "5"}, {"te", "trailers"}, {"host", "shop"}, {"cookie", "a=b"}} {
		_, a, err := u.send(true, base(change...)...)
		if err != nil {
			t.Fatal(err)
		}
		if a.wait(t); a.err != nil {
			t.Errorf("%q: %v", change, a.err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, s := range seen {
		if strings.Contains(s, "Content_length") || strings.Contains(s, "Te:") || !strings.Contains(s, "GET / shop ") {
			t.Errorf("an instance was sent %q", s)
		}
	}
}
