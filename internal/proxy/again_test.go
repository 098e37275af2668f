package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// rawInstance serves raw connections with what it is given, until the test
// ends.
func rawInstance(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

// blackHole takes everything and never answers.
func blackHole(t *testing.T) string {
	t.Helper()
	return rawInstance(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
}

// dying reads a request and resets the connection, after a moment if there is
// one.
func dying(t *testing.T, seen *atomic.Int64) string {
	t.Helper()
	return rawInstance(t, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			seen.Add(1)
			_ = c.(*net.TCPConn).SetLinger(0)
		}
	})
}

// askAll sends n GETs by so many users at a time, and wants all to be answered.
func askAll(t *testing.T, url string, n, users int) {
	t.Helper()
	c := client(t)
	var left atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	for range users {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := wantOK(do(c, request(t, http.MethodGet, url, nil))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// TestOneOfTwoIsDead: whatever is wrong with one of two instances, nobody who
// asks for no change notices.
func TestOneOfTwoIsDead(t *testing.T) {
	t.Parallel()
	var ignored atomic.Int64
	for name, dead := range map[string]func(t *testing.T) string{
		"refuses": refusing, "black hole": blackHole,
		"resets": func(t *testing.T) string { t.Helper(); return dying(t, &ignored) },
		"begins": func(t *testing.T) string {
			t.Helper()
			return rawInstance(t, func(c net.Conn) {
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.WriteString(c, "HTTP/1.1 20")
					_, _ = io.Copy(io.Discard, c)
				}
			})
		},
	} {
		for limit, set := range map[string]func(*noon.Traffic){
			"first byte": func(tr *noon.Traffic) { tr.Limits.FirstByte = 3 * time.Second },
			"total":      func(tr *noon.Traffic) { tr.Limits.Total = 8 * time.Second },
			"silence":    func(tr *noon.Traffic) { tr.Replay.After = 2 * time.Second },
		} {
			if name == "begins" && limit == "silence" {
				continue // it has begun: the limit to the first byte counts
			}
			t.Run(name+", "+limit, func(t *testing.T) {
				t.Parallel()
				p := start(t, proxy.Limits{})
				r := routing(1, 1, dead(t), backend(t, says("alive")))
				set(&r.Traffic)
				mustRoute(t, p, r)
				askAll(t, p.url, 1000, 8)
			})
		}
	}
}

// TestReplayableBodies: what may be sent twice goes to another instance when
// the first does not answer, whether its body is in a buffer or on disk.
func TestReplayableBodies(t *testing.T) {
	t.Parallel()
	p := start(t, proxy.Limits{})
	r := routing(1, 1, blackHole(t), backend(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n)
	}))
	r.Traffic.Limits.FirstByte = 2 * time.Second
	r.Traffic.Replay = noon.Replay{Keyed: true, Spool: 1 << 20}
	mustRoute(t, p, r)
	c := client(t)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			size := []int{10, 100_000, 600_000}[i%3]
			a, err := do(c, request(t, http.MethodPost, p.url, strings.NewReader(strings.Repeat("x", size)), withHeader("Idempotency-Key", fmt.Sprint(i))))
			if err != nil || a.body != fmt.Sprint(size) {
				t.Errorf("%d bytes: %+v %v", size, a, err)
			}
		})
	}
	wg.Wait()
}

// TestBlackHoleIsLeftOut: one that has not answered again and again gets one
// request at a time to show that it does.
func TestBlackHoleIsLeftOut(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	hole := rawInstance(t, func(c net.Conn) {
		for in := bufio.NewReader(c); ; {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			reached.Add(1)
		}
	})
	p := start(t, proxy.Limits{FirstByte: 2 * time.Second})
	mustRoute(t, p, routing(1, 1, hole, backend(t, says("alive"))))
	eventually(t, "it is avoided", func() bool {
		askAll(t, p.url, 16, 8)
		list, err := p.Show(t.Context())
		return err == nil && (list[0].Endpoints[0].Avoided || list[0].Endpoints[1].Avoided)
	})
	before := reached.Load()
	askAll(t, p.url, 500, 8)
	if n := reached.Load() - before; n > 3 {
		t.Errorf("it was sent %d requests of 500", n)
	}
}

// TestSlowIsNotSilent: an instance that answers others is waited for, and for
// a while one when nobody else is there.
func TestSlowIsNotSilent(t *testing.T) {
	t.Parallel()
	const after = 100 * time.Millisecond
	var slow atomic.Int64
	gate := make(chan struct{})
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			slow.Add(1)
			<-gate
		}
		_, _ = io.WriteString(w, "ok")
	}
	p := start(t, proxy.Limits{})
	r := routing(1, 1, backend(t, handler), backend(t, handler))
	r.Traffic.Replay.After = after
	mustRoute(t, p, r)
	c := client(t)
	for _, others := range []bool{false, true} {
		slow.Store(0)
		answered := make(chan error, 1)
		go func() { answered <- wantOK(do(c, request(t, http.MethodGet, p.url+"/slow", nil))) }()
		eventually(t, "it is there", func() bool { return slow.Load() == 1 })
		for end := time.Now().Add(5 * after); others && time.Now().Before(end); {
			askAll(t, p.url, 40, 20) // many at a time, so that both instances answer some
		}
		if !others {
			<-time.After(2 * after)
		}
		if n := slow.Load(); n != 1 {
			t.Errorf("others %v: it was sent %d times", others, n)
		}
		gate <- struct{}{}
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
}

// TestOneInstanceIsWaitedFor: where there is no other, the limits are whole.
func TestOneInstanceIsWaitedFor(t *testing.T) {
	t.Parallel()
	var seen atomic.Int64
	p := start(t, proxy.Limits{})
	r := routing(1, 1, backend(t, func(_ http.ResponseWriter, r *http.Request) { seen.Add(1); <-r.Context().Done() }))
	r.Traffic.Limits.Total, r.Traffic.Replay.After = time.Second, 20*time.Millisecond
	mustRoute(t, p, r)
	begin := time.Now()
	if a := get(t, client(t), p.url); a.status != http.StatusGatewayTimeout {
		t.Errorf("%+v", a)
	}
	if took := time.Since(begin); took < time.Second || seen.Load() != 1 {
		t.Errorf("sent %d times, given up after %s", seen.Load(), took)
	}
}

// TestThirdTry: a request that two dying instances have received one after the
// other goes to a third one; without one it fails, and no instance has it
// twice.
func TestThirdTry(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3, 4} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			var seen atomic.Int64
			addresses := []string{}
			for range n {
				addresses = append(addresses, dying(t, &seen))
			}
			p := start(t, proxy.Limits{})
			mustRoute(t, p, routing(1, 1, addresses...))
			c := client(t)
			if a := get(t, c, p.url); a.status != http.StatusBadGateway || seen.Load() != int64(min(n, 3)) {
				t.Errorf("%+v, sent %d times", a, seen.Load())
			}
			if n != 2 {
				return
			}
			mustRoute(t, p, routing(2, 1, append(addresses, backend(t, says("alive")))...))
			for range 20 {
				if a := get(t, c, p.url); a.body != "alive" {
					t.Errorf("%+v", a)
				}
			}
		})
	}
}

// TestRetriesAreBounded: when all instances fail, the budget keeps the requests
// from becoming three times as many.
func TestRetriesAreBounded(t *testing.T) {
	t.Parallel()
	var seen atomic.Int64
	p := start(t, proxy.Limits{})
	mustRoute(t, p, routing(1, 1, dying(t, &seen), dying(t, &seen), dying(t, &seen)))
	c := client(t)
	const n = 500
	for range n {
		get(t, c, p.url)
	}
	// A hundred without any request, of which at most ten a second come back.
	if most := int64(n + n/5 + 250); seen.Load() > most || seen.Load() <= n {
		t.Errorf("%d requests became %d, at most %d are allowed", n, seen.Load(), most)
	}
}

// TestQuieter: who has much to answer and does not is not taken for the less
// busy one, but for one that is far busier.
func TestQuieter(t *testing.T) {
	t.Parallel()
	const stream = int64(1) << 32
	for _, row := range []struct {
		load, heard, otherLoad, otherHeard int64
		want                               bool
	}{
		{8, 600, 20, 10, true},
		{7, 600, 20, 10, false},
		{8, 400, 20, 10, false},
		{8, 600, 20, 600, false},
		{8, 600, 33, 10, false},
		{100 * stream, 9000, 120, 10, false},
	} {
		if got := proxy.Quieter(row.load, row.heard, row.otherLoad, row.otherHeard); got != row.want {
			t.Errorf("%+v: %v", row, got)
		}
	}
}
