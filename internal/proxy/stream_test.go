package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// h2client speaks HTTP/2 without TLS.
func h2client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: &http.Protocols{}, DisableCompression: true}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// eachApp runs a test with an instance that speaks HTTP/1.1, and with one that
// speaks HTTP/2 alone.
func eachApp(t *testing.T, traffic noon.Traffic, app http.HandlerFunc, f func(t *testing.T, p *running)) {
	t.Helper()
	for _, name := range []string{"to h1", "to h2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, proxy.Limits{})
			r := routing(1, 1)
			r.Traffic = traffic
			if name == "to h2" {
				r.Endpoints = h2Endpoints(1, h2backend(t, app))
			} else {
				r.Endpoints = endpoints(1, backend(t, app))
			}
			mustRoute(t, p, r)
			f(t, p)
		})
	}
}

// h2backend is an instance that speaks HTTP/2 alone.
func h2backend(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.Protocols = &http.Protocols{}
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.Listener.Addr().String()
}

func h2Endpoints(release int, addresses ...string) []noon.Endpoint {
	list := endpoints(release, addresses...)
	for i := range list {
		list[i].Protocol = noon.H2C
	}
	return list
}

// TestTrailersOverH2: both ways, with and without a length.
func TestTrailersOverH2(t *testing.T) {
	t.Parallel()
	eachApp(t, noon.Traffic{}, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "Sum")
		_, _ = fmt.Fprint(w, n, " ", r.Trailer.Get("Count"))
		w.Header().Set("Sum", "42")
		w.Header().Set(http.TrailerPrefix+"Late", "said later")
	}, func(t *testing.T, p *running) {
		t.Helper()
		c := h2client(t)
		for _, length := range []int64{-1, 100_000} {
			req := request(t, http.MethodPost, p.url, io.LimitReader(zeros{}, 100_000))
			req.ContentLength = length
			req.Trailer = http.Header{"Count": {"7"}}
			res, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil || string(body) != "100000 7" || res.Trailer.Get("Sum") != "42" || res.Trailer.Get("Late") != "said later" {
				t.Errorf("%d: %q %v %v", length, body, res.Trailer, err)
			}
		}
	})
}

// TestInterimOverH2: interim answers are passed on, and are not part of the
// final one; 100 is only sent when the body is wanted.
func TestInterimOverH2(t *testing.T) {
	t.Parallel()
	eachApp(t, noon.Traffic{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n)
	}, func(t *testing.T, p *running) {
		t.Helper()
		var hints []string
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(code, h.Get("Link")))
			return nil
		}}
		req := request(t, http.MethodPost, p.url, strings.NewReader("body"), withHeader("Expect", "100-continue"))
		a, err := do(h2client(t), req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
		if err != nil || a.body != "4" || a.header.Get("Link") != "" || !slices.Contains(hints, "103</a.css>; rel=preload") || !slices.Contains(hints, "100") {
			t.Errorf("%+v %v, hints %q", a, err, hints)
		}
	})
}

// TestDuplexOverH2: an answer goes on while the request does, and ends it when
// it ends.
func TestDuplexOverH2(t *testing.T) {
	t.Parallel()
	eachApp(t, noon.Traffic{}, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		in := bufio.NewScanner(r.Body)
		for in.Scan() && in.Text() != "enough" {
			_, _ = fmt.Fprintln(w, "you said", in.Text())
			_ = http.NewResponseController(w).Flush()
		}
	}, func(t *testing.T, p *running) {
		t.Helper()
		body, says := io.Pipe()
		defer func() { _ = says.Close() }()
		go func() { _, _ = io.WriteString(says, "begin\n") }()
		res, err := h2client(t).Do(request(t, http.MethodPost, p.url, body))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		heard := bufio.NewReader(res.Body)
		for _, word := range []string{"begin", "one", "two"} {
			if word != "begin" {
				_, _ = fmt.Fprintln(says, word)
			}
			if line, err := heard.ReadString('\n'); err != nil || line != "you said "+word+"\n" {
				t.Fatalf("%q %v", line, err)
			}
		}
		_, _ = fmt.Fprintln(says, "enough")
		if rest, err := io.ReadAll(heard); err != nil || len(rest) > 0 {
			t.Errorf("%q %v", rest, err)
		}
	})
}

// TestCutOverH2: an answer of which no more comes is not taken for whole.
func TestCutOverH2(t *testing.T) {
	t.Parallel()
	for _, head := range []string{"Content-Length: 100", "Transfer-Encoding: chunked"} {
		app := saysOnce(t, "HTTP/1.1 200 OK\r\n"+head+"\r\n\r\n5\r\nhello\r\n")
		p := start(t, proxy.Limits{})
		mustRoute(t, p, routing(1, 1, app))
		if a, err := do(h2client(t), request(t, http.MethodPost, p.url, nil)); err == nil {
			t.Errorf("%s: %+v, want an answer that is cut", head, a)
		}
	}
}

// saysOnce is an instance that writes one text on every connection.
func saysOnce(t *testing.T, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.Copy(io.Discard, req.Body)
					_, _ = io.WriteString(conn, text)
				}
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}

// TestEventsOverH2: a drain at its limit ends them properly, and the
// connection goes on.
func TestEventsOverH2(t *testing.T) {
	t.Parallel()
	old := backend(t, streamingApp())
	p := start(t, proxy.Limits{})
	mustRoute(t, p, routing(1, 1, old))
	c := h2client(t)
	res, err := c.Do(request(t, http.MethodGet, p.url+"/events", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	events := bufio.NewScanner(res.Body)
	nextEvent(t, events)
	if requests, streams := work(t, p, "r1_"+old); requests != 0 || streams != 1 {
		t.Errorf("%d requests, %d streams", requests, streams)
	}
	mustRoute(t, p, routing(2, 2, backend(t, says("r2"))))
	if err := p.Drain(t.Context(), shop, []string{"r1_" + old}, 50*time.Millisecond); err != nil {
		t.Error(err)
	}
	for events.Scan() {
	}
	if events.Err() != nil {
		t.Errorf("the events ended with %v", events.Err())
	}
	if a := get(t, c, p.url); a.body != "r2" {
		t.Errorf("%+v", a)
	}
}

// TestManyStreams: what one connection carries does not get mixed up, and one
// stream that nobody reads holds up no other.
func TestManyStreams(t *testing.T) {
	t.Parallel()
	eachApp(t, noon.Traffic{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/endless" {
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 64<<10))
			}
			return
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprint(w, r.URL.Path, " ", len(body), " ", bytes.Count(body, body[:1]))
	}, func(t *testing.T, p *running) {
		t.Helper()
		c := h2client(t)
		res, err := c.Do(request(t, http.MethodGet, p.url+"/endless", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				size := 1 + i*499
				body := bytes.Repeat([]byte{byte(i)}, size)
				a, err := do(c, request(t, http.MethodPost, fmt.Sprint(p.url, "/", i), bytes.NewReader(body)))
				if want := fmt.Sprint("/", i, " ", size, " ", size); err != nil || a.body != want {
					t.Errorf("%+v %v, want %q", a, err, want)
				}
			})
		}
		wg.Wait()
	})
}

// TestLimitsOverH2: as many at a time as the site takes; others wait their
// turn, and one that is too many is told so, all on one connection.
func TestLimitsOverH2(t *testing.T) {
	t.Parallel()
	g := &gate{open: make(chan struct{})}
	p := treated(t, noon.Traffic{Limits: noon.TrafficLimits{InFlight: 2, Queue: 3, QueueTime: time.Minute}}, g.ServeHTTP)
	u := dialH2(t, strings.TrimPrefix(p.url, "http://"), nil)
	var asked []*h2answer
	for i := range 5 {
		a, err := u.get(fmt.Sprint("/", i))
		if err != nil {
			t.Fatal(err)
		}
		asked = append(asked, a)
		eventually(t, "it is there", func() bool { return len(g.seen()) == min(i+1, 2) && crowded(t, p) == max(i-1, 0) })
	}
	if a, err := u.get("/surplus"); err != nil || a.wait(t).status != http.StatusServiceUnavailable {
		t.Errorf("a sixth: %+v %v", a, err)
	}
	u.mu.Lock()
	err := u.framer.WriteRSTStream(7, http2.ErrCodeCancel) // the fourth
	u.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has left the queue", func() bool { return crowded(t, p) == 2 })
	close(g.open)
	for _, i := range []int{0, 1, 2, 4} {
		if a := asked[i].wait(t); a.err != nil || a.body.String() != fmt.Sprint("/", i) {
			t.Errorf("%d: %q %v", i, &a.body, a.err)
		}
	}
}

// TestSlowOverH2: a user who sends nothing more of a body, or takes nothing of
// an answer, is not waited for beyond the time of the request.
func TestSlowOverH2(t *testing.T) {
	t.Parallel()
	var reached sync.Map
	eachApp(t, noon.Traffic{Limits: noon.TrafficLimits{Total: 300 * time.Millisecond}}, func(w http.ResponseWriter, r *http.Request) {
		reached.Store(r.URL.Path, true)
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/large" {
			_, _ = w.Write(make([]byte, 8<<20))
		}
	}, func(t *testing.T, p *running) {
		t.Helper()
		u := dialH2(t, strings.TrimPrefix(p.url, "http://"), nil)
		post := func(path string, length int) *h2answer {
			t.Helper()
			fields := []string{":method", "POST", ":scheme", "http", ":authority", "x", ":path", path}
			if length > 0 {
				fields = append(fields, "content-length", fmt.Sprint(length))
			}
			id, a, err := u.send(false, fields...)
			if err == nil {
				err = u.data(id, false, []byte("some"))
			}
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		if a := post("/short", 10).wait(t); a.status != http.StatusRequestTimeout {
			t.Errorf("a short body: %d %v", a.status, a.err)
		}
		if _, ok := reached.Load("/short"); ok {
			t.Error("the instance was sent a part of a short body")
		}
		for path, length := range map[string]int{"/long": 1 << 20, "/any": 0} {
			if a := post(path, length).wait(t); a.status == http.StatusOK {
				t.Errorf("%s: %d %v", path, a.status, a.err)
			}
		}
		// The window of a stream is a MiB, and nothing opens it.
		u.mu.Lock()
		u.deaf = true
		u.mu.Unlock()
		a, err := u.get("/large")
		if err != nil {
			t.Fatal(err)
		}
		if a.wait(t); a.err == nil {
			t.Errorf("%d bytes were taken", a.body.Len())
		}
		eventually(t, "nothing is in flight", func() bool { n, _ := work(t, p, "r1_"+routedTo(t, p)); return n == 0 })
	})
}

// TestConnectOverH2: noon is no forward proxy, and WebSockets come over
// HTTP/1.1.
func TestConnectOverH2(t *testing.T) {
	t.Parallel()
	p := serving(t, says("ok"))
	u := dialH2(t, strings.TrimPrefix(p.url, "http://"), nil)
	_, a, err := u.send(true, ":method", "CONNECT", ":authority", "shop:443")
	if err != nil || a.wait(t).status != http.StatusMethodNotAllowed {
		t.Errorf("%+v %v", a, err)
	}
}

// TestUserOfH2Leaves: one who leaves while nobody is ready leaves its place.
func TestUserOfH2Leaves(t *testing.T) {
	t.Parallel()
	p := start(t, proxy.Limits{Hold: time.Minute, HoldMost: 1})
	mustRoute(t, p, routing(1, 1))
	ctx, cancel := context.WithCancel(t.Context())
	c := h2client(t)
	gone := make(chan struct{})
	req := request(t, http.MethodGet, p.url, nil).WithContext(ctx)
	go func() {
		defer close(gone)
		_, _ = do(c, req)
	}()
	held := func() int {
		seen, err := p.Traffic(t.Context(), 100*time.Millisecond)
		if err != nil {
			return -1
		}
		return seen.Held
	}
	eventually(t, "it waits", func() bool { return held() == 1 })
	cancel()
	<-gone
	eventually(t, "it has left", func() bool { return held() == 0 })
}

// TestSilentOverH2: connections on which nothing is said, or not enough, end.
func TestSilentOverH2(t *testing.T) {
	t.Parallel()
	p := startListening(t, shortDir(t), proxy.Limits{Header: 2 * time.Second, Idle: time.Second}, "127.0.0.1:0", "tls:127.0.0.1:0")
	r := overTLS(routing(1, 1, backend(t, says("ok"))))
	r.Domains = []string{"shop.example.com"}
	mustRoute(t, p, r)
	secure := p.proxy.Addrs()[1].String()
	var wg sync.WaitGroup
	for _, said := range []string{"", "PRI * HT", http2.ClientPreface} {
		conn, err := tls.Dial("tcp", secure, h2TLS())
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer func() { _ = conn.Close() }()
			_, _ = io.WriteString(conn, said)
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.Copy(io.Discard, conn); os.IsTimeout(err) {
				t.Errorf("%q: it goes on", said)
			}
		})
	}
	wg.Wait()
	u := dialH2(t, secure, h2TLS())
	if a, err := u.get("/"); err != nil || a.wait(t).err != nil {
		t.Fatal(a, err)
	}
	eventually(t, "it ends", func() bool { u.mu.Lock(); defer u.mu.Unlock(); return u.err != nil })
}
