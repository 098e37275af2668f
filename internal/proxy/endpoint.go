package proxy

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noon-deploy/noon"
)

// releaseHeader tells users which release has answered.
const releaseHeader = "Noon-Release"

// streamUnit is what one stream adds to endpoint.work: requests are counted in
// the low half, streams in the high half, so that one that turns from a request
// into a stream is never missed between the two.
const streamUnit = int64(1) << 32

// avoidFor is how long an endpoint that could not be reached is only chosen
// when there is no other.
const avoidFor = time.Second

// endpoint is one incarnation of an instance. It outlives snapshots: as long
// as it is routed or has work there is exactly one endpoint of an ID.
type endpoint struct {
	noon.Endpoint
	site   noon.Site
	work   gauge
	served atomic.Int64
	failed atomic.Int64
	avoid  atomic.Int64            // until when others are preferred, by clock
	sick   atomic.Pointer[string]  // why it does not answer its health check; nil: it does
	out    atomic.Pointer[leftOut] // it answers worse than others; nil: it takes its part
	bad    atomic.Int64            // answers 5xx
	badRow atomic.Int32            // and in a row
	tally  tally
	row    atomic.Int32 // bad moments since it last answered
	trial  atomic.Int64 // until when one request finds out whether it is well again, by clock
	heard  atomic.Int64 // when it last began an answer, by clock
	begun  atomic.Int64 // since when it takes its part, by clock
	clock  func() int64 // the sweeper's, in milliseconds, which nobody sets

	mark []byte // the field that tells users the release
	pool *pool  // connections to it

	mu    sync.Mutex
	first *exchange // those in flight, so that a drain can end them at its limit
	cut   bool      // a drain has reached its limit: end whatever still comes
}

func (p *Proxy) newEndpoint(site noon.Site, e noon.Endpoint) *endpoint {
	made := &endpoint{
		Endpoint: e,
		site:     site,
		clock:    p.sweeper.clock,
		mark:     []byte(releaseHeader + ": " + noon.ReleaseName(e.Revision.Release) + "\r\n"),
		pool:     newPool(e, p.sweeper.clock, &p.slabs),
	}
	made.begun.Store(made.clock())
	return made
}

// slowStart is how long an instance takes a growing part of the requests after
// it is new or has come back: caches are cold, connections not made.
const slowStart = 5 * time.Second

// answers notes that the instance has answered.
func (e *endpoint) answers() {
	e.served.Add(1)
	now := e.clock()
	if e.heard.Load() != now {
		e.heard.Store(now)
	}
	if e.row.Load() != 0 {
		e.row.Store(0)
		e.avoid.Store(0)
		e.trial.Store(0)
		e.begun.Store(now)
	}
}

// stumbles notes that it has not: it is avoided for a time that doubles.
func (e *endpoint) stumbles(reached bool) { e.stumblesAt(e.clock(), reached) }

// stumblesAt is stumbles at a time. What fails while it is avoided was sent
// before, or for want of another: that is the same bad moment.
func (e *endpoint) stumblesAt(now int64, reached bool) {
	if e.avoid.Load() > now {
		return
	}
	e.trial.Store(0)
	n := e.row.Add(1)
	if reached {
		n-- // the first may have been the request's own fault
	}
	if n > 0 {
		e.avoid.Store(now + (avoidFor << min(n-1, 5)).Milliseconds())
	}
}

// well reports whether requests should come, as far as is known.
func (e *endpoint) well(now int64) bool {
	return e.avoid.Load() <= now && e.sick.Load() == nil && e.out.Load() == nil && (e.row.Load() < doubtful || e.trial.Load() <= now)
}

const (
	// doubtful is how many bad moments in a row make an instance one that has
	// to show first that it answers again.
	doubtful = 2
	// trialFor is how long one request has for that until another one tries.
	trialFor = 5 * time.Second
)

// admits reports whether an instance that is well takes a request: of those in
// doubt, one finds out for all.
func (e *endpoint) admits(now int64) bool {
	if e.row.Load() < doubtful {
		return true
	}
	until := e.trial.Load()
	return until <= now && e.trial.CompareAndSwap(until, now+trialFor.Milliseconds())
}

// cold reports, by chance, that another should be taken.
func (e *endpoint) cold(now int64) bool {
	age := now - e.begun.Load()
	return age < slowStart.Milliseconds() && rand.Int64N(slowStart.Milliseconds()) > age //nolint:gosec // a lot is drawn
}

// What makes an instance one that has fallen silent, perhaps: it is not
// preferred for having less to do, up to so many times as much.
const (
	quietMany  = 8 // requests in flight
	quietFor   = 500 * time.Millisecond
	quietTimes = 4
)

// quieter reports that an instance has begun no answer lately although it has
// enough to answer, while the other one has.
func (e *endpoint) quieter(other *endpoint) bool {
	if e.work.n.Load()&(streamUnit-1) < quietMany || other.load() > quietTimes*e.load() {
		return false
	}
	since := e.clock() - quietFor.Milliseconds()
	return e.heard.Load() < since && other.heard.Load() >= since
}

// load is the number of requests and streams in flight.
func (e *endpoint) load() int64 {
	n := e.work.n.Load()
	return n>>32 + n&(streamUnit-1)
}

func (e *endpoint) status(routed bool) noon.EndpointStatus {
	n := e.work.n.Load()
	return noon.EndpointStatus{
		ID: e.ID, Revision: e.Revision, Service: e.Service, Routed: routed,
		Requests: int(n & (streamUnit - 1)), Streams: int(n >> 32),
		Served: e.served.Load(), Failed: e.failed.Load(),
	}
}

// enter registers an exchange that has been counted in.
func (e *endpoint) enter(x *exchange) {
	e.mu.Lock()
	x.prev, x.next, x.since = nil, e.first, e.clock()
	if e.first != nil {
		e.first.prev = x
	}
	e.first = x
	cut := e.cut
	e.mu.Unlock()
	if cut {
		x.ender.stop()
	}
}

// leave undoes enter.
func (e *endpoint) leave(x *exchange) {
	e.mu.Lock()
	if x.prev != nil {
		x.prev.next = x.next
	} else {
		e.first = x.next
	}
	if x.next != nil {
		x.next.prev = x.prev
	}
	x.prev, x.next = nil, nil
	e.mu.Unlock()
}

// endAll ends what is in flight and whatever is still about to be registered.
func (e *endpoint) endAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cut = true
	for x := e.first; x != nil; x = x.next {
		x.ender.stop()
	}
}

// endBefore ends what was in flight at a time already, and what would stay for
// as long as it likes.
func (e *endpoint) endBefore(limit int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for x := e.first; x != nil; x = x.next {
		if x.gentle || x.since < limit {
			x.ender.stop()
		}
	}
}

// revive lets an endpoint that was drained take requests again.
func (e *endpoint) revive() {
	e.mu.Lock()
	e.cut = false
	e.mu.Unlock()
	e.pool.revive()
}

// retire closes the connections to the instance that carry nothing. Those that
// do are closed when they become idle.
func (e *endpoint) retire() { e.pool.retire() }
