package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// treated routes to one instance with a treatment.
func treated(t *testing.T, traffic noon.Traffic, handler http.HandlerFunc) *running {
	t.Helper()
	p := start(t, proxy.Limits{})
	r := routing(1, 1, backend(t, handler))
	r.Traffic = traffic
	mustRoute(t, p, r)
	return p
}

// stalls begins an answer and never ends it.
func stalls(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/chunked":
	case "/events":
		w.Header().Set("Content-Type", "text/event-stream")
	default:
		w.Header().Set("Content-Length", "1000000")
	}
	_, _ = io.WriteString(w, "begun")
	_ = http.NewResponseController(w).Flush()
	if r.URL.Path == "/events" {
		_, _ = io.ReadAll(r.Body)
	}
	<-r.Context().Done()
}

// TestIdle: an instance that falls silent within its answer ends it, but not
// an event stream.
func TestIdle(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		p := treated(t, noon.Traffic{Limits: noon.TrafficLimits{Idle: 50 * time.Millisecond}}, stalls)
		for _, path := range []string{"/", "/chunked"} {
			a, err := do(c, request(t, http.MethodGet, p.url+path, nil))
			if err == nil || a.body != "begun" {
				t.Errorf("%s: %+v %v, want an answer that is cut", path, a, err)
			}
		}
		text, err := p.Metrics(t.Context())
		if err != nil || !strings.Contains(string(text), `kind="timeout"} 2`) {
			t.Errorf("%v: it is not told why", err)
		}
		raw := dialRaw(t, p.url)
		raw.raw("GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
		for line := ""; !strings.Contains(line, "begun"); {
			if line, err = raw.r.ReadString('n'); err != nil {
				t.Fatal(err)
			}
		}
		_ = raw.conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if b, err := raw.r.Peek(4); !os.IsTimeout(err) {
			t.Errorf("the stream has ended: %q %v", b, err)
		}
	})
}

// TestIdleIsNotSlow: an answer that goes on takes as long as it needs.
func TestIdleIsNotSlow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		p := treated(t, noon.Traffic{Limits: noon.TrafficLimits{Idle: 10 * time.Second}}, func(w http.ResponseWriter, _ *http.Request) {
			for range 5 {
				_, _ = w.Write(bytes.Repeat([]byte("x"), 300_000))
				_ = http.NewResponseController(w).Flush()
			}
		})
		if a := get(t, c, p.url); len(a.body) != 1_500_000 {
			t.Errorf("%d bytes", len(a.body))
		}
	})
}

// TestTotal: the time of a request with its answer, wherever it is spent.
func TestTotal(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		p := treated(t, noon.Traffic{Limits: noon.TrafficLimits{Total: time.Second}}, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/never":
				<-r.Context().Done()
			case "/drips":
				for r.Context().Err() == nil {
					_, _ = io.WriteString(w, "drip")
					_ = http.NewResponseController(w).Flush()
				}
			case "/ok":
				_, _ = io.WriteString(w, "ok")
			default:
				stalls(w, r)
			}
		})
		if a := get(t, c, p.url+"/never"); a.status != http.StatusGatewayTimeout {
			t.Errorf("never: %+v", a)
		}
		for _, path := range []string{"/drips", "/", "/chunked"} {
			if a, err := do(c, request(t, http.MethodGet, p.url+path, nil)); err == nil {
				t.Errorf("%s: %d, want an answer that is cut", path, a.status)
			}
		}
		for range 5 { // on one connection: each has its own
			if a := get(t, c, p.url+"/ok"); a.body != "ok" {
				t.Errorf("%+v", a)
			}
		}
		r := dialRaw(t, p.url)
		r.raw("GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
		_ = r.conn.SetReadDeadline(time.Now().Add(1500 * time.Millisecond))
		if text, err := io.ReadAll(r.r); !os.IsTimeout(err) || !strings.Contains(string(text), "begun") {
			t.Errorf("a stream has ended: %q %v", text, err)
		}
		// The body does not come.
		slow := dialRaw(t, p.url)
		slow.raw("POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nfive!")
		if a := slow.send(""); a.status != http.StatusRequestTimeout {
			t.Errorf("slow body: %+v", a)
		}
	})
}

// TestTotalOfOneThatWaits: a request that waits for an instance is told when
// its time is over.
func TestTotalOfOneThatWaits(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		p := start(t, proxy.Limits{Hold: time.Minute})
		r := routing(1, 1)
		r.Traffic.Limits.Total = 50 * time.Millisecond
		mustRoute(t, p, r)
		if a := get(t, c, p.url); a.status != http.StatusGatewayTimeout {
			t.Errorf("%+v", a)
		}
	})
}

// TestConnections: connections that carry nothing make room for new ones; if
// all are busy, new ones wait until one ends.
func TestConnections(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var busy atomic.Int64
	p := start(t, proxy.Limits{Connections: 4})
	mustRoute(t, p, routing(1, 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/busy" {
			busy.Add(1)
			<-release
		}
		_, _ = io.WriteString(w, "ok")
	})))
	var kept []*rawConn
	for range 20 { // more than there may be, one after the other
		c := dialRaw(t, p.url)
		if a := c.get("/"); a.body != "ok" {
			t.Fatalf("%+v", a)
		}
		kept = append(kept, c)
	}
	tr, err := p.Traffic(t.Context(), 100*time.Millisecond)
	if err != nil || tr.Connections > 4 {
		t.Errorf("%d connections, %v", tr.Connections, err)
	}
	if _, err := kept[0].r.ReadByte(); err == nil {
		t.Error("the first was not closed")
	}
	if a := kept[19].get("/"); a.body != "ok" {
		t.Errorf("the last was closed: %+v", a)
	}
	var all []*rawConn
	for range 4 {
		c := dialRaw(t, p.url)
		c.raw("GET /busy HTTP/1.1\r\nHost: x\r\n\r\n")
		all = append(all, c)
	}
	eventually(t, "all are busy", func() bool { return busy.Load() == 4 })
	waits := dialRaw(t, p.url)
	waits.raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	_ = waits.conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if b, err := waits.r.Peek(1); !os.IsTimeout(err) {
		t.Errorf("it is served: %q %v", b, err)
	}
	_ = waits.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	close(release)
	if a := waits.send(""); a.body != "ok" {
		t.Errorf("%+v", a)
	}
	for _, c := range all { // nothing that was busy was lost
		if a := c.send(""); a.body != "ok" {
			t.Errorf("%+v", a)
		}
	}
}

// TestConnectionsEnd: a proxy that is full ends.
func TestConnectionsEnd(t *testing.T) {
	t.Parallel()
	p := start(t, proxy.Limits{Connections: 1})
	mustRoute(t, p, routing(1, 1, backend(t, stalls)))
	for range 3 {
		dialRaw(t, p.url).raw("GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	eventually(t, "one is served", func() bool { _, streams := work(t, p, "r1_"+routedTo(t, p)); return streams == 1 })
}

func routedTo(t *testing.T, p *running) string {
	t.Helper()
	list, err := p.Show(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list[0].Endpoints[0].Address
}

// half is an instance that reads a part of a body and goes.
func half(t *testing.T, n int64) string {
	t.Helper()
	return backend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, n)
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}
	})
}

// TestSpool: a large body at a path that may be sent twice reaches another
// instance after the first has taken a part of it, from memory and from disk.
// Nothing is left of it.
func TestSpool(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		sums := backend(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/again/unread" {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
				return
			}
			h := sha256.New()
			n, err := io.Copy(h, r.Body)
			_, _ = fmt.Fprintf(w, "%d %x %v", n, h.Sum(nil), err)
		})
		dies := half(t, 100_000)
		p := start(t, proxy.Limits{})
		r := routing(1, 1, sums, dies)
		r.Traffic.Replay = noon.Replay{Paths: []string{"/again"}, Memory: 200_000, Spool: 3_000_000, Budget: 100}
		mustRoute(t, p, r)
		body := make([]byte, 3_100_000)
		for i := range body {
			body[i] = byte(i * 7 >> 3)
		}
		for i, size := range []int{90_000, 199_999, 200_000, 200_001, 1_000_000, 3_100_000} {
			want := fmt.Sprintf("%d %x <nil>", size, sha256.Sum256(body[:size]))
			for range 4 {
				a, err := do(c, request(t, http.MethodPost, p.url+"/again/x", bytes.NewReader(body[:size]), func(r *http.Request) {
					if i%2 == 1 {
						r.Header.Set("Expect", "100-continue")
					}
				}))
				if err != nil || a.body != want {
					t.Errorf("%d: %+v %v, want %s", size, a, err, want)
				}
			}
		}
		st, err := p.Status(t.Context(), shop)
		if err != nil || !slices.ContainsFunc(st.Endpoints, func(e noon.EndpointStatus) bool { return e.ID == "r1_"+dies && e.Failed > 0 }) {
			t.Errorf("no instance has died: %+v %v", st, err)
		}
		for range 10 { // an answer that comes before the body is read
			if a, err := do(c, request(t, http.MethodPost, p.url+"/again/unread", bytes.NewReader(body))); err == nil && a.status != http.StatusRequestEntityTooLarge {
				t.Errorf("unread: %+v", a)
			}
		}
		entries, err := os.ReadDir(p.dir)
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".body") {
				t.Errorf("%s is left", e.Name())
			}
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// TestSpoolOfOneThatLeaves: half a body is none.
func TestSpoolOfOneThatLeaves(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	p := treated(t, noon.Traffic{Replay: noon.Replay{Paths: []string{"/"}, Spool: 1 << 20}}, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	c := dialRaw(t, p.url)
	c.raw("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n" + strings.Repeat("x", 400_000))
	_ = c.conn.(*net.TCPConn).CloseWrite()
	if b, err := bufio.NewReader(c.conn).ReadByte(); err == nil {
		t.Errorf("it was answered: %q", b)
	}
	if asked.Load() != 0 {
		t.Error("the instance was sent half a body")
	}
}
