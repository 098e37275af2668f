package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/proxy"
)

// TestDeadEndpoint: nobody notices that one of two instances refuses
// connections, a POST with a body neither.
func TestDeadEndpoint(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		p := start(t, proxy.Limits{})
		dead, alive := refusing(t), backend(t, func(w http.ResponseWriter, r *http.Request) {
			body := new(strings.Builder)
			_, _ = bufio.NewReader(r.Body).WriteTo(body)
			_, _ = fmt.Fprint(w, body)
		})
		mustRoute(t, p, routing(1, 1, dead, alive))
		for i := range 100 {
			body := fmt.Sprint("order ", i)
			a, err := do(c, request(t, http.MethodPost, p.url, strings.NewReader(body)))
			if err != nil || a.body != body {
				t.Fatalf("%d: %+v %v", i, a, err)
			}
		}
		st, err := p.Status(t.Context(), shop)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range st.Endpoints {
			// It is only asked again when the moment in which it is avoided is over.
			if e.ID == "r1_"+dead && (e.Failed == 0 || e.Failed > 50) || e.ID == "r1_"+alive && e.Served != 100 {
				t.Errorf("%+v", e)
			}
		}
	})
}

// TestAllDead: the request is held and tried again; it is answered as soon as
// somebody listens.
func TestAllDead(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		p := start(t, proxy.Limits{Hold: 20 * time.Second})
		address := refusing(t)
		mustRoute(t, p, routing(1, 1, address))
		answered := make(chan answer, 1)
		go func() {
			a, _ := do(c, request(t, http.MethodPost, p.url, strings.NewReader("x")))
			answered <- a
		}()
		eventually(t, "it was tried", func() bool {
			st, err := p.Status(t.Context(), shop)
			return err == nil && st.Endpoints[0].Failed > 0
		})
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Skipf("the port was taken meanwhile: %v", err)
		}
		s := &http.Server{Handler: says("r1"), ReadHeaderTimeout: time.Minute}
		var wg sync.WaitGroup
		wg.Go(func() { _ = s.Serve(l) })
		t.Cleanup(func() { _ = s.Close(); wg.Wait() })
		if a := <-answered; a.body != "r1" {
			t.Errorf("%+v", a)
		}
	})
}

// closer is a server that closes every connection as soon as its answer is
// read, without saying so: the worst moment for the next request.
func closer(t *testing.T, served *atomic.Int64) string {
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
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				_ = req.Body.Close()
				served.Add(1)
				_, _ = fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}

// TestServerClosesIdle: an instance that closes idle connections while
// requests are sent. Nothing is lost, and no POST is sent twice.
func TestServerClosesIdle(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		var served atomic.Int64
		p := start(t, proxy.Limits{})
		mustRoute(t, p, routing(1, 1, closer(t, &served)))
		l := newLoad()
		var sent sync.WaitGroup
		for range 4 {
			sent.Go(func() {
				for i := range 100 {
					var req *http.Request
					switch i % 3 {
					case 0:
						req = request(t, http.MethodPost, p.url, nil)
					case 1:
						req = request(t, http.MethodPost, p.url, strings.NewReader("order"))
					default:
						req = request(t, http.MethodDelete, p.url, nil)
					}
					if err := wantOK(do(c, req)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		sent.Wait()
		if served.Load() != 400 {
			t.Errorf("the instance saw %d requests, 400 were sent", served.Load())
		}
		l.run(4, func() error { return wantOK(do(c, request(t, http.MethodGet, p.url, nil))) })
		eventually(t, "GETs are sent", func() bool { return l.count() > 200 })
		l.end(t)
	})
}

// TestInstanceDies: a GET whose connection ends before an answer is sent once
// more, a POST never.
func TestInstanceDies(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		var seen atomic.Int64
		dies := backend(t, func(w http.ResponseWriter, _ *http.Request) {
			seen.Add(1)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		})
		p := start(t, proxy.Limits{})
		mustRoute(t, p, routing(1, 1, dies, backend(t, says("alive"))))
		failed := int64(0)
		for range 50 {
			a, err := do(c, request(t, http.MethodPost, p.url, nil))
			if err != nil {
				t.Fatal(err)
			}
			if a.status == http.StatusBadGateway {
				failed++
			}
		}
		if failed != seen.Load() {
			t.Errorf("%d POSTs were answered with 502, the instance saw %d", failed, seen.Load())
		}
		for range 50 {
			if a := get(t, c, p.url); a.body != "alive" {
				t.Fatalf("%+v", a)
			}
		}
	})
}

// TestFirstByte: an instance that does not answer; streams may take their time.
func TestFirstByte(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		app := backend(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		p := start(t, proxy.Limits{FirstByte: 20 * time.Millisecond})
		mustRoute(t, p, routing(1, 1, app))
		if a := get(t, c, p.url); a.status != http.StatusGatewayTimeout {
			t.Errorf("%+v", a)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		req := request(t, http.MethodGet, p.url, nil, withHeader("Accept", "text/event-stream")).WithContext(ctx)
		if a, err := do(c, req); err == nil {
			t.Errorf("a stream was ended: %+v", a)
		}
	})
}

// TestHold: requests that come when no instance is ready wait for one.
func TestHold(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		p := start(t, proxy.Limits{Hold: time.Minute, HoldMost: 3})
		mustRoute(t, p, routing(1, 1))
		answers := make(chan answer, 5)
		for i := range 5 {
			req := request(t, http.MethodPost, p.url, strings.NewReader("x"))
			go func() {
				a, err := do(c, req)
				if err != nil {
					t.Errorf("%d: %v", i, err)
				}
				answers <- a
			}()
		}
		for range 2 { // more than HoldMost do not wait
			if a := <-answers; a.status != http.StatusServiceUnavailable {
				t.Errorf("%+v, want 503", a)
			}
		}
		mustRoute(t, p, routing(2, 1)) // still nobody
		mustRoute(t, p, routing(3, 1, backend(t, says("r1"))))
		for range 3 {
			if a := <-answers; a.body != "r1" {
				t.Errorf("%+v, want r1", a)
			}
		}
	})
}

// TestHeldClientLeaves: its place is free for another.
func TestHeldClientLeaves(t *testing.T) {
	t.Parallel()
	p := start(t, proxy.Limits{Hold: time.Minute, HoldMost: 1})
	mustRoute(t, p, routing(1, 1))
	first := dialRaw(t, p.url)
	first.raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c := client(t)
	probe := func() int { // 503 at once: the place is taken
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		a, err := do(c, request(t, http.MethodGet, p.url, nil).WithContext(ctx))
		if err != nil {
			return 0
		}
		return a.status
	}
	eventually(t, "the place is taken", func() bool { return probe() == http.StatusServiceUnavailable })
	_ = first.conn.Close()
	eventually(t, "the place is free", func() bool { return probe() == 0 })
}
