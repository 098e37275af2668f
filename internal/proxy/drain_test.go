package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// TestDrainWaits: it returns when the last request has ended, refuses an
// endpoint that is routed, and takes an unknown one for idle.
func TestDrainWaits(t *testing.T) {
	t.Parallel()
	const n = 5
	gate, arrived := make(chan struct{}), make(chan struct{}, n)
	app := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-gate
		_, _ = fmt.Fprint(w, "r1")
	})
	p := start(t, proxy.Limits{})
	mustRoute(t, p, routing(1, 1, app))
	id := "r1_" + app
	c := client(t)
	results := make(chan error, n)
	for range n {
		req := request(t, http.MethodPost, p.url+"/", nil)
		go func() { results <- wantOK(do(c, req)) }()
	}
	for range n {
		<-arrived
	}
	if requests, _ := work(t, p, id); requests != n {
		t.Errorf("%d requests in flight, want %d", requests, n)
	}
	wantKind(t, p.Drain(t.Context(), shop, []string{id}, time.Minute), noon.Conflict)
	mustRoute(t, p, routing(2, 2))
	if err := p.Drain(t.Context(), shop, []string{"unknown"}, time.Minute); err != nil {
		t.Error(err)
	}
	// Giving up the call ends nothing.
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error, 1)
	go func() { gaveUp <- p.Drain(ctx, shop, []string{id}, time.Minute) }()
	cancel()
	if err := <-gaveUp; err == nil {
		t.Error("a drain that was given up must not succeed")
	}
	drained := make(chan error, 1)
	go func() { drained <- p.Drain(context.WithoutCancel(t.Context()), shop, []string{id}, time.Minute) }()
	if requests, _ := work(t, p, id); requests != n { // no call blocks another
		t.Errorf("%d requests in flight, want %d", requests, n)
	}
	close(gate)
	if err := <-drained; err != nil {
		t.Error(err)
	}
	for range n {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	st, err := p.Status(t.Context(), shop)
	if err != nil || len(st.Endpoints) != 0 {
		t.Errorf("%+v %v", st, err)
	}
}

// TestDrainLimit: at the limit a WebSocket gets a close frame 1001, an event
// stream ends like a finished answer, and a request that waits gets a 503.
func TestDrainLimit(t *testing.T) {
	t.Parallel()
	stream := streamingApp()
	arrived := make(chan struct{}, 1)
	app := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			arrived <- struct{}{}
			<-r.Context().Done()
			return
		}
		stream(w, r)
	})
	p := start(t, proxy.Limits{})
	mustRoute(t, p, routing(1, 1, app))
	chat, events := openChat(t, p), openEvents(t, p)
	chat.say("hello")
	nextEvent(t, events)
	c := client(t)
	slow := make(chan answer, 1)
	go func() {
		a, err := do(c, request(t, http.MethodGet, p.url+"/slow", nil))
		if err != nil {
			t.Errorf("slow: %v", err)
		}
		slow <- a
	}()
	<-arrived
	closed := make(chan error, 1)
	go func() {
		_, _, err := chat.c.Read(context.WithoutCancel(t.Context()))
		closed <- err
	}()
	ended := make(chan error, 1)
	go func() {
		for events.Scan() { // until it ends
		}
		ended <- events.Err()
	}()
	mustRoute(t, p, routing(2, 2, backend(t, says("r2"))))
	if err := p.Drain(t.Context(), shop, []string{"r1_" + app}, 10*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if err := <-closed; websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("websocket: %v, want 1001", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("events: %v, want a proper end", err)
	}
	if a := <-slow; a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("slow: %+v", a)
	}
	// A later routing may bring the endpoint back.
	mustRoute(t, p, routing(3, 1, app))
	if a := get(t, c, p.url+"/"); a.body != "r1" {
		t.Errorf("revived: %+v", a)
	}
}

// TestDrainLimitMidFrame: the close frame comes after the frame that is half
// sent, never inside it.
func TestDrainLimitMidFrame(t *testing.T) {
	t.Parallel()
	proceed := make(chan struct{})
	app := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = fmt.Fprint(buf, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x82\x05he")
		_ = buf.Flush()
		<-proceed
		_, _ = conn.Write([]byte("llo\x82\x03two"))
		_, _ = conn.Read(make([]byte, 1)) // until the proxy ends it
	})
	p := start(t, proxy.Limits{})
	mustRoute(t, p, routing(1, 1, app))
	c := dialRaw(t, p.url)
	c.raw("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = c.r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, 4)
	readFull(t, c, got)
	mustRoute(t, p, routing(2, 2))
	drained := make(chan error, 1)
	go func() { drained <- p.Drain(context.WithoutCancel(t.Context()), shop, []string{"r1_" + app}, 0) }()
	select {
	case err := <-drained:
		t.Fatalf("drain: %v before the connection ended", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(proceed)
	rest := make([]byte, 7)
	readFull(t, c, rest)
	if want := "llo\x88\x02\x03\xe9"; string(rest) != want {
		t.Errorf("then %q, want %q", rest, want)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func readFull(t *testing.T, c *rawConn, buf []byte) {
	t.Helper()
	for n := 0; n < len(buf); {
		m, err := c.r.Read(buf[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
}

// TestDrainRetiresConnections: the instance has no connection of the proxy
// left when the drain returns.
func TestDrainRetiresConnections(t *testing.T) {
	t.Parallel()
	var open atomic.Int64
	s := httptest.NewUnstartedServer(says("r1"))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		case http.StateActive, http.StateIdle:
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	app := s.Listener.Addr().String()
	p := start(t, proxy.Limits{})
	mustRoute(t, p, routing(1, 1, app))
	c := client(t)
	for range 5 {
		get(t, c, p.url)
	}
	if open.Load() == 0 {
		t.Error("no connection was kept")
	}
	mustRoute(t, p, routing(2, 2))
	if err := p.Drain(t.Context(), shop, []string{"r1_" + app}, time.Minute); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the instance sees its connections end", func() bool { return open.Load() == 0 })
}

// TestDrainMissesNothing hammers an endpoint while it is routed and unrouted:
// after a drain has returned the instance is never asked again.
func TestDrainMissesNothing(t *testing.T) {
	t.Parallel()
	var stopped [2]atomic.Bool
	var late atomic.Int64
	var addresses [2]string
	for i := range addresses {
		addresses[i] = backend(t, func(w http.ResponseWriter, _ *http.Request) {
			if stopped[i].Load() {
				late.Add(1)
			}
			_, _ = fmt.Fprint(w, "ok")
			if stopped[i].Load() {
				late.Add(1)
			}
		})
	}
	p := start(t, proxy.Limits{})
	mustRoute(t, p, routing(1, 1, addresses[0]))
	l := newLoad()
	c := client(t)
	l.run(8, func() error { return wantOK(do(c, request(t, http.MethodPost, p.url+"/", nil))) })
	for n := int64(2); n < 60; n++ {
		in, out := (n+1)%2, n%2
		stopped[in].Store(false)
		mustRoute(t, p, routing(n, int(in)+1, addresses[in]))
		if err := p.Drain(t.Context(), shop, []string{fmt.Sprintf("r%d_%s", out+1, addresses[out])}, time.Minute); err != nil {
			t.Fatal(err)
		}
		stopped[out].Store(true)
	}
	l.end(t)
	if late.Load() != 0 {
		t.Errorf("%d requests reached an instance after its drain", late.Load())
	}
}

func TestNoProxy(t *testing.T) {
	t.Parallel()
	c := proxy.NewClient(shortDir(t) + "/nobody.sock")
	_, err := c.Health(t.Context())
	wantKind(t, err, noon.Unavailable)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	_, err = c.Sites(ctx)
	wantKind(t, err, noon.Unavailable)
}
