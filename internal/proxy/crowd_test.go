package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// TestQueue: requests go on in the order they came, no more wait than may, and
// whoever gives up leaves the others in their order.
func TestQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var q proxy.Queue
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		cancels := map[int]context.CancelFunc{}
		for i := range 10 {
			ctx, cancel := context.WithCancel(t.Context())
			cancels[i] = cancel
			limit := time.Hour
			if i == 4 {
				limit = time.Second
			}
			wg.Go(func() {
				err := q.Wait(ctx, 10, limit)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					order = append(order, i)
				case i == 4 && !errors.Is(err, proxy.ErrWaited), i == 0 && !errors.Is(err, context.Canceled):
					t.Errorf("%d: %v", i, err)
				case i != 4 && i != 0:
					t.Errorf("%d: %v", i, err)
				}
			})
			synctest.Wait()
		}
		if err := q.Wait(t.Context(), 10, time.Hour); !errors.Is(err, proxy.ErrNoRoom) {
			t.Errorf("an eleventh: %v", err)
		}
		cancels[0]()
		<-time.After(2 * time.Second) // of the bubble's clock
		synctest.Wait()
		if n := q.Length(); n != 8 {
			t.Errorf("%d wait, want 8", n)
		}
		for range 3 {
			if !q.Call() {
				t.Error("nobody was called")
			}
			synctest.Wait()
		}
		mu.Lock()
		if want := []int{1, 2, 3}; !slices.Equal(order, want) {
			t.Errorf("called: %v, want %v", order, want)
		}
		mu.Unlock()
		q.Open()
		wg.Wait()
		if q.Call() || q.Length() != 0 || len(order) != 8 {
			t.Errorf("%d wait, %v have gone on", q.Length(), order)
		}
		for _, cancel := range cancels {
			cancel()
		}
	})
}

// TestBudget: second tries are what was earned, and never more.
func TestBudget(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var b proxy.Budget
		left := 10_000 // percent of a try: a hundred without any request
		for range rapid.IntRange(1, 2000).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				b.Age()
				left -= (left - 10_000) / 10
			case 1, 2, 3, 4, 5:
				percent := rapid.IntRange(0, 100).Draw(t, "percent")
				if b.Earn(percent); percent == 0 {
					percent = 20
				}
				left += percent
			default:
				if got, want := b.Spend(), left >= 100; got != want {
					t.Fatalf("spend: %v with %d left", got, left)
				} else if got {
					left -= 100
				}
			}
		}
		for range 100 {
			b.Age()
		}
		many := 0
		for b.Spend() {
			many++
		}
		if many < 99 || many > 100 {
			t.Fatalf("%d tries are left long after, want a hundred", many)
		}
	})
}

// gate is an instance that answers when it is told to, and notes the order in
// which requests come.
type gate struct {
	mu   sync.Mutex
	came []string
	open chan struct{}
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.came = append(g.came, r.URL.Path)
	g.mu.Unlock()
	if g.open != nil {
		<-g.open
	}
	_, _ = fmt.Fprint(w, r.URL.Path)
}

func (g *gate) seen() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.came)
}

// held is how many requests of the site wait.
func held(t *testing.T, p *running) int {
	t.Helper()
	list, err := p.Show(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list[0].Held
}

// ask sends a request on a connection of its own.
func ask(t *testing.T, p *running, path string) *rawConn {
	t.Helper()
	c := dialRaw(t, p.url)
	c.raw("POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
	return c
}

// TestParked: requests of a site that holds them wait in order, as many as may,
// and are answered without an error when it ends.
func TestParked(t *testing.T) {
	t.Parallel()
	g := &gate{}
	p := start(t, proxy.Limits{})
	r := routing(1, 1, backend(t, g.ServeHTTP))
	r.Hold = &noon.Hold{Limit: time.Minute, Most: 8}
	mustRoute(t, p, r)
	var waiting []*rawConn
	for i := range 8 {
		waiting = append(waiting, ask(t, p, fmt.Sprint("/", i)))
		eventually(t, "it waits", func() bool { return held(t, p) == i+1 })
	}
	a := ask(t, p, "/surplus").send("")
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("a ninth: %+v", a)
	}
	_ = waiting[3].conn.Close()
	eventually(t, "one has left", func() bool { return held(t, p) == 7 })
	if came := g.seen(); len(came) != 0 {
		t.Errorf("%v came through", came)
	}
	// A change of another site, or of this one that keeps the hold, lets nobody go.
	r.Sequence, r.Fence.Generation = 2, 2
	mustRoute(t, p, r)
	other := routing(1, 1)
	other.Site, other.Domains = noon.Site{App: "blog", Environment: "production"}, []string{"blog.example.com"}
	mustRoute(t, p, other)
	r.Sequence, r.Fence.Generation, r.Hold = 3, 3, nil
	mustRoute(t, p, r)
	for i, c := range waiting {
		if i == 3 {
			continue
		}
		if a := c.send(""); a.body != fmt.Sprint("/", i) {
			t.Errorf("%d: %+v", i, a)
		}
	}
	if came := g.seen(); slices.Contains(came, "/3") || len(came) != 7 {
		t.Errorf("%v came", came)
	}
}

// TestParkedForSoLong: each waits no longer than the limit; the hold ends by
// itself at its time, and then nobody is refused.
func TestParkedForSoLong(t *testing.T) {
	t.Parallel()
	p := start(t, proxy.Limits{})
	r := routing(1, 1, backend(t, says("ok")))
	r.Hold = &noon.Hold{Limit: 30 * time.Millisecond}
	mustRoute(t, p, r)
	c := client(t)
	if a := get(t, c, p.url); a.status != http.StatusServiceUnavailable {
		t.Errorf("%+v", a)
	}
	r.Sequence, r.Fence.Generation = 2, 2
	until := time.Now().Add(300 * time.Millisecond)
	r.Hold = &noon.Hold{Limit: time.Minute, Until: until}
	mustRoute(t, p, r)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			a, err := do(c, request(t, http.MethodPost, p.url, strings.NewReader("x")))
			if err != nil || a.body != "ok" {
				t.Errorf("%+v %v", a, err)
			}
			if time.Now().Before(until.Add(-time.Millisecond)) {
				t.Error("it was answered while the hold was on")
			}
		})
	}
	wg.Wait()
}

// TestPreviewIsNotHeld: who looks at a release by its token is not held.
func TestPreviewIsNotHeld(t *testing.T) {
	t.Parallel()
	p := start(t, proxy.Limits{})
	r := routing(1, 1, backend(t, says("r1")))
	r.Hold = &noon.Hold{Limit: time.Minute}
	r.Previews = []noon.Preview{{Token: "secret", Revision: rev(1)}}
	mustRoute(t, p, r)
	if a := get(t, client(t), p.url, withHeader("Noon-Preview", "secret")); a.body != "r1" {
		t.Errorf("%+v", a)
	}
}

// TestInFlight: no more than so many requests are with the instances at a
// time; others wait in order for so long, and no more than so many wait.
func TestInFlight(t *testing.T) {
	t.Parallel()
	g := &gate{open: make(chan struct{})}
	p := start(t, proxy.Limits{})
	r := routing(1, 1, backend(t, g.ServeHTTP))
	r.Traffic.Limits = noon.TrafficLimits{InFlight: 2, Queue: 3, QueueTime: time.Minute}
	mustRoute(t, p, r)
	var sent []*rawConn
	for i := range 2 {
		sent = append(sent, ask(t, p, fmt.Sprint("/", i)))
		eventually(t, "it is there", func() bool { return len(g.seen()) == i+1 })
	}
	for i := 2; i < 5; i++ {
		sent = append(sent, ask(t, p, fmt.Sprint("/", i)))
		eventually(t, "it waits", func() bool { return crowded(t, p) == i-1 })
	}
	if a := ask(t, p, "/surplus").send(""); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("a sixth: %+v", a)
	}
	_ = sent[3].conn.Close() // who leaves gives its place in the queue up
	eventually(t, "it has left", func() bool { return crowded(t, p) == 2 })
	for _, want := range []string{"/2", "/4"} {
		g.open <- struct{}{}
		eventually(t, want+" is there", func() bool { return slices.Contains(g.seen(), want) })
	}
	if came := g.seen(); !slices.Equal(came, []string{"/0", "/1", "/2", "/4"}) {
		t.Errorf("they came as %v", came)
	}
	close(g.open)
	for _, i := range []int{0, 1, 2, 4} {
		if a := sent[i].send(""); a.body != fmt.Sprint("/", i) {
			t.Errorf("%d: %+v", i, a)
		}
	}
	for range 10 { // every place was given back
		if a := get(t, client(t), p.url+"/later"); a.status != http.StatusOK {
			t.Errorf("%+v", a)
		}
	}
	// For so long.
	r.Sequence, r.Fence.Generation = 2, 2
	g2 := &gate{open: make(chan struct{})}
	r.Traffic.Limits = noon.TrafficLimits{InFlight: 1, QueueTime: 20 * time.Millisecond}
	r.Endpoints = endpoints(1, backend(t, g2.ServeHTTP))
	mustRoute(t, p, r)
	busy := ask(t, p, "/busy")
	eventually(t, "it is there", func() bool { return len(g2.seen()) == 1 })
	if a := get(t, client(t), p.url); a.status != http.StatusServiceUnavailable {
		t.Errorf("it has waited for long enough: %+v", a)
	}
	close(g2.open)
	if a := busy.send(""); a.status != http.StatusOK {
		t.Errorf("%+v", a)
	}
}

// crowded is how many wait for a place, as the proxy's counts have it.
func crowded(t *testing.T, p *running) int {
	t.Helper()
	return p.proxy.Crowded(shop)
}

// TestPerAddress: one address may not have more than so many requests in
// flight; others are served, and streams do not count.
func TestPerAddress(t *testing.T) {
	t.Parallel()
	g := &gate{open: make(chan struct{})}
	p := startListening(t, shortDir(t), proxy.Limits{}, "proxy:127.0.0.1:0")
	r := routing(1, 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/events" {
			stalls(w, r)
		}
		g.ServeHTTP(w, r)
	}))
	r.Traffic.Limits.PerAddress = 2
	mustRoute(t, p, r)
	from := func(ip, path string) *rawConn {
		c := dialRaw(t, p.url)
		c.raw("PROXY TCP4 " + ip + " 10.0.0.1 4096 80\r\nGET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
		return c
	}
	for range 3 {
		c := from("192.0.2.7", "/events")
		if line, err := c.r.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
			t.Fatalf("%q %v", line, err)
		}
	}
	first, second := from("192.0.2.7", "/1"), from("192.0.2.7", "/2")
	eventually(t, "both are there", func() bool { return len(g.seen()) == 2 })
	if a := from("192.0.2.7", "/3").send(""); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("a third: %+v", a)
	}
	other := from("192.0.2.8", "/other")
	eventually(t, "another's is there", func() bool { return len(g.seen()) == 3 })
	_ = first.conn.Close() // its place is free as soon as it is known
	close(g.open)
	for _, c := range []*rawConn{second, other} {
		if a := c.send(""); a.status != http.StatusOK {
			t.Errorf("%+v", a)
		}
	}
	if a := from("192.0.2.7", "/4").send(""); a.status != http.StatusOK {
		t.Errorf("after the others: %+v", a)
	}
}
