package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/noon-deploy/noon"
)

// What HealthCheck is if nobody has set it.
const (
	usualHealthInterval = 5 * time.Second
	usualHealthTimeout  = 2 * time.Second
	usualFailures       = 3
)

const (
	healthEvery = 25 * time.Millisecond // how often it is seen what is due
	probesMost  = 32                    // at a time
	answerMost  = 32 << 10              // what is read of an answer, in bytes
)

// health asks the instances of those sites that want it. One goroutine owns
// all of it but wanted.
type health struct {
	mu     sync.Mutex
	wanted map[*siteState]struct{} // sites whose routing has a check

	client  *http.Client // HTTP/1.1
	client2 *http.Client // HTTP/2 without TLS
	checks  map[*endpoint]*check
	answers chan probed
	asking  int
}

// check is what is known of one endpoint.
type check struct {
	what  noon.HealthCheck
	host  string
	due   time.Time
	row   int // failures
	busy  bool
	known bool // in the routing, as last looked
}

// probed is the answer to one question.
type probed struct {
	endpoint *endpoint
	err      error
}

// checkLocked notes whether a site wants its instances to be asked.
func (h *health) checkLocked(state *siteState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if state.routing.Traffic.Health == nil || state.removed {
		delete(h.wanted, state)
		return
	}
	if h.wanted == nil {
		h.wanted = map[*siteState]struct{}{}
	}
	h.wanted[state] = struct{}{}
}

func (h *health) sites() []*siteState {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]*siteState, 0, len(h.wanted))
	for state := range h.wanted {
		list = append(list, state)
	}
	return list
}

// checkHealth asks until ctx ends.
func (p *Proxy) checkHealth(ctx context.Context) {
	h := &p.checkups
	h.client, h.client2 = probing(noon.HTTP1), probing(noon.H2C)
	h.checks, h.answers = map[*endpoint]*check{}, make(chan probed)
	var asking sync.WaitGroup
	defer func() {
		h.client.CloseIdleConnections()
		h.client2.CloseIdleConnections()
	}()
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	var seen *snapshot
	aged := time.Now()
	for {
		select {
		case now := <-tick.C:
			if now.Sub(aged) >= time.Second {
				aged = now
				p.ageBudgets()
			}
			if snap := p.snap.Load(); snap != seen {
				seen = snap
				p.lookForChecks(now)
			}
			h.askDue(ctx, &asking, now)
			p.weigh(now)
		case a := <-h.answers:
			h.asking--
			p.judge(a)
		case <-ctx.Done():
			asking.Wait()
			return
		}
	}
}

// lookForChecks finds the endpoints that are to be asked now.
func (p *Proxy) lookForChecks(now time.Time) {
	h := &p.checkups
	for _, c := range h.checks {
		c.known = false
	}
	for _, state := range h.sites() {
		p.mu.Lock()
		r, host := state.routing, "localhost"
		endpoints := make([]*endpoint, 0, len(r.Endpoints))
		for _, e := range r.Endpoints {
			if known := state.endpoints[e.ID]; known != nil {
				endpoints = append(endpoints, known)
			}
		}
		p.mu.Unlock()
		if r.Traffic.Health == nil {
			continue
		}
		if len(r.Domains) > 0 {
			host = strings.TrimPrefix(r.Domains[0], "*.")
		}
		for _, e := range endpoints {
			c := h.checks[e]
			if c == nil {
				c = &check{due: now}
				h.checks[e] = c
			}
			c.what, c.host, c.known = withHealthDefaults(*r.Traffic.Health), host, true
		}
	}
	for e, c := range h.checks {
		if !c.known {
			e.heal() // nobody wants to know any more
			delete(h.checks, e)
		}
	}
}

func withHealthDefaults(c noon.HealthCheck) noon.HealthCheck {
	if c.Interval <= 0 {
		c.Interval = usualHealthInterval
	}
	if c.Timeout <= 0 {
		c.Timeout = usualHealthTimeout
	}
	if c.Failures <= 0 {
		c.Failures = usualFailures
	}
	return c
}

// askDue begins what is due, but never more than probesMost at a time.
func (h *health) askDue(ctx context.Context, asking *sync.WaitGroup, now time.Time) {
	for e, c := range h.checks {
		if h.asking >= probesMost {
			return
		}
		if c.busy || now.Before(c.due) {
			continue
		}
		c.busy, c.due = true, now.Add(c.what.Interval)
		h.asking++
		what, host := c.what, c.host
		asking.Go(func() {
			a := probed{e, h.ask(ctx, e, what, host)}
			select {
			case h.answers <- a:
			case <-ctx.Done():
			}
		})
	}
}

// probing makes a client whose every question is a connection of its own: one
// that is kept would tell nothing of whether another can be made.
func probing(protocol noon.Protocol) *http.Client {
	t := newTransport(protocol)
	t.DisableKeepAlives = true
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// ask asks one endpoint and gives what is wrong with it.
func (h *health) ask(ctx context.Context, e *endpoint, what noon.HealthCheck, host string) error {
	ctx, cancel := context.WithTimeout(ctx, what.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.Address+what.Path, http.NoBody)
	if err != nil {
		return err
	}
	r.Host = host
	r.Header.Set("User-Agent", "noon-health")
	client := h.client
	if e.Protocol == noon.H2C {
		client = h.client2
	}
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	_, _ = io.CopyN(io.Discard, res.Body, answerMost) // the status is the answer
	_ = res.Body.Close()
	if res.StatusCode < http.StatusOK || res.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s is answered with %d", what.Path, res.StatusCode)
	}
	return nil
}

// judge takes an answer over.
func (p *Proxy) judge(a probed) {
	c := p.checkups.checks[a.endpoint]
	if c == nil {
		return // nobody wants to know any more
	}
	c.busy = false
	if a.err == nil {
		c.row = 0
		if a.endpoint.heal() {
			p.log.Info("instance answers its health check again", "site", a.endpoint.site.String(), "instance", a.endpoint.ID)
		}
		return
	}
	if c.row++; c.row < c.what.Failures {
		return
	}
	if a.endpoint.fallSick(a.err) {
		p.log.Warn("instance does not answer its health check", "site", a.endpoint.site.String(), "instance", a.endpoint.ID, "failures", c.row, "err", a.err)
	}
}

// fallSick lets other endpoints be preferred; it reports whether they were not
// before.
func (e *endpoint) fallSick(why error) bool {
	text := why.Error()
	return e.sick.Swap(&text) == nil
}

// heal undoes it: the endpoint takes a growing part again, as a new one.
func (e *endpoint) heal() bool {
	if e.sick.Load() == nil || e.sick.Swap(nil) == nil {
		return false
	}
	e.begun.Store(e.clock())
	return true
}

// ailment is why the endpoint is not preferred; "" if it is well.
func (e *endpoint) ailment() string {
	if why := e.sick.Load(); why != nil {
		return *why
	}
	return ""
}
