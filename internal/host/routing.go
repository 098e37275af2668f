package host

import (
	"context"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/noon-deploy/noon"
)

// routing is what the host knows of its site in the router.
type routing struct {
	known    bool          // Status was had since this process began
	acked    *noon.Routing // in force, nil: must be sent again
	shares   []noon.Share  // in force
	routed   noon.Fence    // newest desired whose own shares are in force
	halt     noon.Halt     // that was in force when the router last acknowledged anything
	sequence int64         // highest used by anybody
	busy     bool          // somebody talks to the router
}

// routes reports whether requests may still be sent to the instance.
func (r *routing) routes(i *instance) bool {
	if !i.Service.Routed() || !i.ready {
		return false // it never was
	}
	if r.acked == nil {
		return true // nobody knows
	}
	return slices.ContainsFunc(r.acked.Endpoints, func(e noon.Endpoint) bool { return e.ID == i.id })
}

// How long the router may take.
const (
	routeLimit  = 10 * time.Second
	statusLimit = 3 * time.Second
)

// route sees that the router has what it should.
func (l *look) route(shares []noon.Share, exact bool) {
	r := &l.s.router
	if r.busy || !l.ripe("route") {
		return
	}
	if !r.known {
		r.busy = true
		l.do = append(l.do, l.s.learn)
		return
	}
	want := l.routing(shares)
	if r.acked != nil && sameRouting(want, *r.acked) {
		if exact {
			r.routed = want.Fence
		}
		return
	}
	r.busy = true
	r.sequence++
	want.Sequence = r.sequence
	l.do = append(l.do, func(ctx context.Context) { l.s.send(ctx, want, exact) })
}

func sameRouting(a, b noon.Routing) bool {
	a.Sequence, b.Sequence = 0, 0
	return sameJSON(a, b)
}

// routing is everything the router needs, from what is desired and what is up.
func (l *look) routing(shares []noon.Share) noon.Routing {
	d := l.s.desired.Desired
	r := noon.Routing{
		Site: d.Site, Fence: d.Fence, Domains: d.Domains, TLS: d.TLS, Shares: shares, Paths: l.paths(shares), Traffic: d.Traffic, Closed: d.Closed,
	}
	for _, rev := range d.Revisions {
		if rev.Preview != "" {
			r.Previews = append(r.Previews, noon.Preview{Token: rev.Preview, Revision: rev.Revision})
		}
	}
	for _, i := range l.s.sorted() {
		if i.Service.Routed() && i.up() && !i.draining && !i.leaving {
			r.Endpoints = append(r.Endpoints, noon.Endpoint{
				ID: i.id, Revision: i.Revision, Service: i.Service.Name, Drain: i.Service.Drain,
				Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(i.status.Port)),
			})
		}
	}
	for _, segment := range d.Segments {
		if l.serves(segment.Revision) { // until it does, its users are where all are
			r.Segments = append(r.Segments, segment)
		}
	}
	if h := d.Hold; h != nil && !h.Over(l.now) {
		r.Hold = h
		l.at(h.Until) // then the router is told that it is over
	}
	return r
}

// learn asks the router what it has, so that the host goes on from there.
func (s *site) learn(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, statusLimit)
	defer stop()
	status, err := s.host.cfg.Router.Status(ctx, s.name)
	if err != nil && noon.KindOf(err) != noon.NotFound {
		s.unreached(ctx, err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.router
	r.busy, r.known, r.shares = false, true, status.Shares
	r.sequence = max(r.sequence, status.Sequence)
	s.worked("route")
	s.poke()
}

// send makes a routing be in force.
func (s *site) send(ctx context.Context, want noon.Routing, exact bool) {
	ctx, stop := context.WithTimeout(ctx, routeLimit)
	defer stop()
	s.host.cfg.Faults.Point("host.route.before")
	err := s.host.cfg.Router.Route(ctx, want)
	s.host.cfg.Faults.Point("host.route.after")
	if err != nil {
		s.unreached(ctx, err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.router
	r.busy, r.acked, r.shares = false, &want, want.Shares
	r.halt = noon.Halt{Hold: want.Hold, Closed: want.Closed}
	if exact {
		r.routed = want.Fence
	}
	s.worked("route")
	s.poke()
}

// unreached notes that the router did not do it. What it has is not known then.
func (s *site) unreached(ctx context.Context, err error) {
	s.mu.Lock()
	s.router.busy, s.router.known, s.router.acked = false, false, nil
	if s.clearing() { // everything is to end, with a router or without
		s.router.known, s.router.shares = true, nil
		s.router.acked = &noon.Routing{Site: s.name}
	}
	s.mu.Unlock()
	if ctx.Err() == nil || context.Cause(ctx) == context.DeadlineExceeded { //nolint:errorlint // the cause itself
		s.failed("route", err, 2*time.Second)
	}
}

// routerEvery is how often the host looks whether the router still has what
// it was sent.
const routerEvery = time.Second

// watchRouter sends everything again to a router that has lost it.
func (s *site) watchRouter(ctx context.Context) {
	tick := time.NewTicker(routerEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		idle := s.router.acked != nil && !s.router.busy
		s.mu.Unlock()
		if !idle {
			continue
		}
		asked, stop := context.WithTimeout(ctx, statusLimit)
		status, err := s.host.cfg.Router.Status(asked, s.name)
		stop()
		if err == nil || noon.KindOf(err) == noon.NotFound {
			s.compare(status)
		}
	}
}

// compare finds out that the router has something else than it was sent.
func (s *site) compare(status noon.RoutingStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.router
	if r.busy || r.acked == nil || r.acked.Compare(status.Fence, status.Sequence) == 0 {
		return
	}
	r.acked, r.sequence = nil, max(r.sequence, status.Sequence)
	s.poke()
}
