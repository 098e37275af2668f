package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// patient is an instance that can fall sick.
type patient struct {
	address string
	sick    atomic.Bool
	asked   atomic.Int64
	host    atomic.Value
}

func newPatient(t *testing.T, change ...func(*http.Server)) *patient {
	t.Helper()
	p := &patient{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			_, _ = w.Write([]byte(p.address))
			return
		}
		p.asked.Add(1)
		p.host.Store(r.Host)
		if p.sick.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	for _, f := range change {
		f(s.Config)
	}
	p.address = s.Listener.Addr().String()
	s.Start()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return p
}

func checked(r noon.Routing, c noon.HealthCheck) noon.Routing {
	r.Traffic.Health = &c
	return r
}

// ailment is what the proxy says of an endpoint.
func ailment(t *testing.T, p *running, address string) string {
	t.Helper()
	list, err := p.Show(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list[0].Endpoints {
		if e.Address == address {
			return e.Sick
		}
	}
	t.Fatalf("%s is not shown", address)
	return ""
}

// TestHealth: users are sent elsewhere while an instance does not answer its
// check, and back afterwards; if none does, to any.
func TestHealth(t *testing.T) {
	t.Parallel()
	a, b := newPatient(t), newPatient(t)
	p := start(t, proxy.Limits{})
	r := routing(1, 1, a.address, b.address)
	r.Domains = []string{"*.example.com"}
	mustRoute(t, p, checked(r, noon.HealthCheck{Path: "/healthz", Interval: 10 * time.Millisecond, Timeout: time.Second, Failures: 2}))
	c := client(t)
	users := func() string { return get(t, c, p.url, withHost("shop.example.com")).body }
	eventually(t, "both are asked", func() bool { return a.asked.Load() > 2 && b.asked.Load() > 2 })
	if host, _ := a.host.Load().(string); host != "example.com" {
		t.Errorf("it is asked as %q", host)
	}
	a.sick.Store(true)
	eventually(t, "it is sick", func() bool { return ailment(t, p, a.address) != "" })
	if why := ailment(t, p, a.address); why != "/healthz is answered with 500" {
		t.Errorf("why: %q", why)
	}
	for range 50 {
		if got := users(); got != b.address {
			t.Fatalf("a user was sent to %s", got)
		}
	}
	b.sick.Store(true)
	eventually(t, "both are sick", func() bool { return ailment(t, p, b.address) != "" })
	if got := users(); got == "" {
		t.Error("nobody answers users")
	}
	a.sick.Store(false)
	eventually(t, "it is well", func() bool { return ailment(t, p, a.address) == "" })
	eventually(t, "users are sent to it", func() bool { return users() == a.address })
	// Without a check nobody is sick, and nobody is asked.
	next := routing(2, 1, a.address, b.address)
	mustRoute(t, p, next)
	eventually(t, "nobody is sick", func() bool { return ailment(t, p, b.address) == "" })
	before := b.asked.Load()
	eventually(t, "users are sent to it", func() bool { return users() == b.address })
	if now := b.asked.Load(); now > before+1 {
		t.Errorf("it was asked %d times more", now-before)
	}
}

// TestHealthOfOthers: instances that can not be reached or do not answer in
// time are sick; those that speak HTTP/2 are asked in it.
func TestHealthOfOthers(t *testing.T) {
	t.Parallel()
	h2c := newPatient(t, func(s *http.Server) {
		s.Protocols = &http.Protocols{}
		s.Protocols.SetUnencryptedHTTP2(true)
	})
	hangs := backend(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	gone := refusing(t)
	p := start(t, proxy.Limits{})
	r := routing(1, 1, h2c.address)
	r.Endpoints[0].Protocol = noon.H2C
	r.Paths = append(r.Paths, noon.Path{Prefix: "/api", Service: "api"})
	for _, address := range []string{hangs, gone} {
		e := endpoints(1, address)[0]
		e.Service = "api"
		r.Endpoints = append(r.Endpoints, e)
	}
	mustRoute(t, p, checked(r, noon.HealthCheck{Path: "/healthz", Interval: 10 * time.Millisecond, Timeout: 50 * time.Millisecond}))
	eventually(t, "it hangs", func() bool { return strings.Contains(ailment(t, p, hangs), "deadline") })
	eventually(t, "it is gone", func() bool { return strings.Contains(ailment(t, p, gone), "refused") })
	eventually(t, "it is asked", func() bool { return h2c.asked.Load() > 3 })
	h2c.sick.Store(true)
	eventually(t, "it is sick", func() bool { return ailment(t, p, h2c.address) != "" })
}

// TestWard: what is known of the health of an instance, by the clock.
func TestWard(t *testing.T) {
	t.Parallel()
	now := time.Now()
	later := func(d time.Duration) time.Time { return now.Add(d) }
	w := proxy.NewWard(now)
	if !w.Well(now) || !w.Cold(now) || w.Cold(now.Add(5*time.Second)) {
		t.Error("a new one is well and cold")
	}
	colds := 0
	for range 1000 {
		if w.Cold(now.Add(2500 * time.Millisecond)) {
			colds++
		}
	}
	if colds < 350 || colds > 650 {
		t.Errorf("after half of its start it is passed over %d times of 1000", colds)
	}
	w.Stumble(now, true) // it was reached: the request may have been at fault
	if !w.Well(now) {
		t.Error("one failure of a request that it has received is none of its own")
	}
	at := now
	for i, d := range []time.Duration{1, 2, 4, 8, 16, 32, 32} { // seconds
		w.Stumble(at, true)
		w.Stumble(at.Add(time.Millisecond), false) // of the same moment
		if w.Well(at.Add(d*time.Second-100*time.Millisecond)) || !w.Well(at.Add(d*time.Second+100*time.Millisecond)) {
			t.Errorf("failure %d: not avoided for %d s", i+2, d)
		}
		at = at.Add(d*time.Second + time.Second)
		if !w.Admits(at) || w.Admits(at) || w.Well(at) || !w.Well(at.Add(time.Minute)) {
			t.Errorf("failure %d: one request and no other finds out whether it is well", i+2)
		}
		at = at.Add(time.Second)
	}
	w.Answer()
	if !w.Well(at) || !w.Admits(at) || !w.Admits(at) {
		t.Error("one that has answered is well")
	}
	w = proxy.NewWard(now.Add(-time.Hour))
	w.Stumble(now, false)
	if w.Well(now) || !w.Well(later(1100*time.Millisecond)) || w.Cold(now) {
		t.Error("one that can not be reached is avoided for a second")
	}
	w.Answer()
	if !w.Cold(now) {
		t.Error("one that comes back starts slowly")
	}
	w = proxy.NewWard(now.Add(-time.Hour))
	if w.Heal() || !w.FallSick() || w.FallSick() || w.Well(later(time.Hour)) || w.Ailment() == "" {
		t.Error("it falls sick once, and stays so")
	}
	if !w.Heal() || w.Heal() || !w.Well(later(0)) || !w.Cold(later(0)) || w.Ailment() != "" {
		t.Error("it is healed once, and starts slowly")
	}
}
