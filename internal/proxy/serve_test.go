package proxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/proxy"
)

// serving starts a proxy in front of one instance.
func serving(t *testing.T, handler http.HandlerFunc) *running {
	t.Helper()
	p := start(t, proxy.Limits{})
	mustRoute(t, p, routing(1, 1, backend(t, handler)))
	return p
}

func TestHeadersUpstream(t *testing.T) {
	t.Parallel()
	type upstream struct {
		Header http.Header
		Host   string
		URI    string
	}
	p := serving(t, func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(upstream{r.Header, r.Host, r.RequestURI})
	})
	ask := func(path string, set ...func(*http.Request)) upstream {
		var u upstream
		if err := json.Unmarshal([]byte(get(t, client(t), p.url+path, set...).body), &u); err != nil {
			t.Fatal(err)
		}
		return u
	}
	u := ask("/a%2fb//c?q=1;2&%zz",
		withHost("shop.example.com"), withHeader("X-Forwarded-For", "6.6.6.6"), withHeader("X-Forwarded-Proto", "https"),
		withHeader("X-Forwarded-Host", "evil"), withHeader("Forwarded", "for=evil"), withHeader("Noon-Preview", ""),
		withHeader("Cookie", "a=1; noon_visitor=me; b=2"), withHeader("Connection", "X-Drop"), withHeader("X-Drop", "1"))
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "shop.example.com",
		"Forwarded": "", "Cookie": "a=1; b=2", "X-Drop": "", "Accept-Encoding": "", "Noon-Preview": "",
	} {
		if got := u.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if u.Host != "shop.example.com" || u.URI != "/a%2fb//c?q=1;2&%zz" {
		t.Errorf("host %q, uri %q", u.Host, u.URI)
	}
	if len(u.Header.Get("X-Request-Id")) < 16 {
		t.Errorf("request id %q", u.Header.Get("X-Request-Id"))
	}
	if got := ask("/", withHeader("X-Request-Id", "mine-1")).Header.Get("X-Request-Id"); got != "mine-1" {
		t.Errorf("request id %q, want the client's", got)
	}
	if got := ask("/", withHeader("X-Request-Id", strings.Repeat("x", 129))).Header.Get("X-Request-Id"); len(got) > 64 {
		t.Errorf("request id %q was believed", got)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		content := bytes.Repeat([]byte("0123456789"), 100_000)
		p := serving(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/trailers":
				w.Header().Set("Trailer", "Sum")
				_, _ = fmt.Fprint(w, "body")
				w.Header().Set("Sum", "42")
			case "/early":
				w.Header().Set("Link", "</a.css>; rel=preload")
				w.WriteHeader(http.StatusEarlyHints)
				_, _ = fmt.Fprint(w, "late")
			case "/too-large":
				w.WriteHeader(http.StatusRequestEntityTooLarge)
			default:
				w.Header().Set("Noon-Release", "r999")
				http.ServeContent(w, r, "file.bin", time.Time{}, bytes.NewReader(content))
			}
		})
		if a := get(t, c, p.url+"/file"); !bytes.Equal([]byte(a.body), content) || a.header.Get("Noon-Release") != "r1" {
			t.Errorf("%d bytes, %v", len(a.body), a.header)
		}
		if a := get(t, c, p.url+"/file", withHeader("Range", "bytes=10-19")); a.status != 206 || a.body != "0123456789" {
			t.Errorf("range: %d %q", a.status, a.body)
		}
		head, err := do(c, request(t, http.MethodHead, p.url+"/file", nil))
		if err != nil || head.body != "" || head.header.Get("Content-Length") != "1000000" {
			t.Errorf("head: %+v %v", head, err)
		}
		res, err := c.Do(request(t, http.MethodGet, p.url+"/trailers", nil))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.Trailer.Get("Sum") != "42" {
			t.Errorf("trailer %v, %v", res.Trailer, err)
		}
		_ = res.Body.Close()
		raw := dialRaw(t, p.url)
		if a := raw.get("/early"); a.status != http.StatusEarlyHints || a.header.Get("Link") == "" {
			t.Errorf("early hints: %+v", a)
		}
		// An instance that refuses an upload before it has read it.
		large := request(t, http.MethodPost, p.url+"/too-large", io.LimitReader(zeros{}, 8<<20))
		large.ContentLength = 8 << 20
		if res, err := c.Do(large); err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("early refusal: %v %v", res, err)
		} else {
			_ = res.Body.Close()
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestUploads: fixed, chunked, with 100-continue, and an answer that begins
// while the upload goes on.
func TestUploads(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		p := serving(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/echo" {
				_ = http.NewResponseController(w).EnableFullDuplex()
				_ = http.NewResponseController(w).Flush()
				buf := make([]byte, 1024)
				for {
					n, err := r.Body.Read(buf)
					_, _ = w.Write(buf[:n])
					_ = http.NewResponseController(w).Flush()
					if err != nil {
						return
					}
				}
			}
			n, err := io.Copy(io.Discard, r.Body)
			_, _ = fmt.Fprint(w, n, err)
		})
		for _, size := range []int64{1, replayed, replayed + 1, 3 << 20} {
			for _, length := range []int64{size, -1} {
				req := request(t, http.MethodPut, p.url+"/", io.LimitReader(zeros{}, size))
				req.ContentLength = length
				if a, err := do(c, req); err != nil || a.body != fmt.Sprint(size, " <nil>") {
					t.Errorf("%d bytes as %d: %+v %v", size, length, a, err)
				}
			}
		}
		raw := dialRaw(t, p.url)
		raw.raw("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
		if line, err := raw.r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("%q %v", line, err)
		}
		if _, err := raw.r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if a := raw.send("abc"); a.body != "3 <nil>" {
			t.Errorf("after 100: %+v", a)
		}
		pr, pw := io.Pipe()
		res, err := c.Do(request(t, http.MethodPost, p.url+"/echo", pr))
		if err == nil {
			t.Cleanup(func() { _ = res.Body.Close() })
		}
		for _, word := range []string{"one", "two"} {
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(pw, word); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 3)
			if _, err := io.ReadFull(res.Body, buf); err != nil || string(buf) != word {
				t.Fatalf("echo %q %v", buf, err)
			}
		}
		_ = pw.Close()
		if res.ProtoMajor == 1 && !res.Close {
			t.Error("the answer began before the upload ended: the connection must be given up")
		}
	})
}

// TestUnreadBodies: answers to requests whose bodies nobody reads, by the
// instance and by the proxy itself, leave connections that can be used.
func TestUnreadBodies(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		p := start(t, proxy.Limits{Hold: time.Millisecond})
		site := routing(1, 1, backend(t, func(http.ResponseWriter, *http.Request) {}))
		site.Domains = []string{"shop.example.com"}
		mustRoute(t, p, site)
		for i := range 300 {
			req := request(t, http.MethodPost, p.url, strings.NewReader("unread"), withHost([]string{"shop.example.com", "unknown"}[i%2]))
			if a, err := do(c, req); err != nil || a.status != []int{200, 404}[i%2] {
				t.Fatalf("%d: %+v %v", i, a, err)
			}
		}
	})
}

const replayed = 64 << 10

func (c *rawConn) raw(s string) {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(s)); err != nil {
		c.t.Fatal(err)
	}
}

// TestStreamsAreNotBuffered: each line arrives before the next is made.
func TestStreamsAreNotBuffered(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	p := serving(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		for i := range 3 {
			_, _ = fmt.Fprintf(w, "{\"n\":%d}\n", i)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
			}
		}
	})
	c := dialRaw(t, p.url)
	c.raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	for seen := 0; seen < 3; {
		line, err := c.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line, `{"n":`) {
			seen++
			next <- struct{}{}
		}
	}
}

func TestWebSocketAndEvents(t *testing.T) {
	t.Parallel()
	app := backend(t, streamingApp())
	p := start(t, proxy.Limits{})
	mustRoute(t, p, routing(1, 1, app))
	chat, events := openChat(t, p), openEvents(t, p)
	chat.say("hello")
	nextEvent(t, events)
	if requests, streams := work(t, p, "r1_"+app); requests != 0 || streams != 2 {
		t.Errorf("%d requests, %d streams, want 0 and 2", requests, streams)
	}
	chat.say(strings.Repeat("long", 5000))
	if err := chat.c.CloseNow(); err != nil {
		t.Error(err)
	}
	eventually(t, "the stream is no longer counted", func() bool { _, streams := work(t, p, "r1_"+app); return streams == 1 })
}

func TestPages(t *testing.T) {
	t.Parallel()
	p := start(t, proxy.Limits{Hold: time.Millisecond})
	c := client(t)
	if a := get(t, c, p.url+"/"); a.status != 404 || !strings.HasPrefix(a.body, "404 Not Found\nNo application") {
		t.Errorf("plain: %+v", a)
	}
	if a := get(t, c, p.url+"/", withHeader("Accept", "text/html,*/*")); !strings.Contains(a.body, "<h1>Not Found</h1>") {
		t.Errorf("html: %+v", a)
	}
	mustRoute(t, p, routing(1, 1))
	a := get(t, c, p.url+"/", withHeader("Accept", "application/json"))
	if a.status != 503 || a.header.Get("Retry-After") == "" || !json.Valid([]byte(a.body)) {
		t.Errorf("json: %+v", a)
	}
	nothing := routing(2, 1)
	nothing.Shares = nil
	mustRoute(t, p, nothing)
	if a := get(t, c, p.url+"/"); a.status != 503 || !strings.Contains(a.body, "No release is live") {
		t.Errorf("nothing live: %+v", a)
	}
	if a := dialRaw(t, p.url).send("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"); a.status != 405 {
		t.Errorf("connect: %+v", a)
	}
	if a := dialRaw(t, p.url).send("GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 80<<10) + "\r\n\r\n"); a.status != 431 {
		t.Errorf("large header: %+v", a.status)
	}
}

// TestClientLeaves: it is not the instance's failure, and the instance is told.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		arrived, left := make(chan struct{}), make(chan struct{})
		app := backend(t, func(_ http.ResponseWriter, r *http.Request) {
			close(arrived)
			<-r.Context().Done()
			close(left)
		})
		p := start(t, proxy.Limits{})
		mustRoute(t, p, routing(1, 1, app))
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-arrived; cancel() }()
		if _, err := do(c, request(t, http.MethodGet, p.url, nil).WithContext(ctx)); err == nil {
			t.Error("the client should have left")
		}
		<-left
		eventually(t, "nothing is in flight", func() bool { n, _ := work(t, p, "r1_"+app); return n == 0 })
		st, err := p.Status(t.Context(), shop)
		if err != nil || st.Endpoints[0].Failed != 0 {
			t.Errorf("%+v %v", st, err)
		}
	})
}
