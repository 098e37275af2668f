package proxy

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/noon-deploy/noon"
)

// Why a request is not sent on, and is answered with 503 or 429.
var (
	errNoEndpoint = errors.New("no instance is ready")
	errNoRoom     = errors.New("too many requests wait already")
	errWaited     = errors.New("it has waited for long enough")
	errGreedy     = errors.New("too many requests of this address are on their way")
)

// What noon.Hold is if it says nothing.
const (
	usualHold     = 30 * time.Second
	usualHoldMost = 10_000
)

// wait does what stands between a request and its claim. It returns nil when
// it is worth trying again. limit is set by the first wait for an endpoint;
// refused says that there are endpoints that could not be reached.
func (p *Proxy) wait(ctx context.Context, x *exchange, t target, snap *snapshot, v verdict, limit *time.Time, refused bool) error {
	switch v {
	case parked:
		return p.park(ctx, t.site, snap)
	case crowded:
		return x.admit(ctx, t.site)
	case noEndpoint, maybeBroken:
		if limit.IsZero() {
			*limit = time.Now().Add(p.limits.Hold)
		}
		return p.await(ctx, t.site, snap, *limit, refused)
	default:
		return &refusal{verdict: v, site: t.site}
	}
}

// park waits for the end of a hold.
func (p *Proxy) park(ctx context.Context, site *siteView, snap *snapshot) error {
	most, limit := site.hold.Most, site.hold.Limit
	if most == 0 {
		most = usualHoldMost
	}
	if limit == 0 {
		limit = usualHold
	}
	q := &site.state.parked
	w := q.enter(most)
	if w != nil && p.snap.Load() != snap {
		q.leave(w) // the end of the hold may have been before it entered
		return nil
	}
	site.state.held.Add(1)
	defer site.state.held.Add(-1)
	left := limit
	if until := site.hold.Until; !until.IsZero() {
		left = min(limit, time.Until(until))
	}
	err := q.await(ctx, w, left)
	if errors.Is(err, errWaited) && left < limit {
		return nil // it has ended by itself; if not by all clocks, it is waited for once more
	}
	return err
}

// admit counts the request among those of its site, or waits until it may be.
func (x *exchange) admit(ctx context.Context, site *siteView) error {
	c := &site.state.crowd
	if most := site.traffic.Limits.PerAddress; most > 0 && x.query.asked != nil {
		if !c.enterAddress(x.query.asked.Address(), most) {
			return errGreedy
		}
		x.from = x.query.asked.Address()
		x.crowd = c
	}
	if site.traffic.Limits.InFlight > 0 {
		if err := c.enter(ctx, site.traffic.Limits); err != nil {
			return err
		}
		x.crowd, x.counted = c, true
	}
	x.query.admitted = true
	return nil
}

// part undoes admit.
func (x *exchange) part() {
	c := x.crowd
	if c == nil {
		return
	}
	x.crowd = nil
	if x.from.IsValid() {
		c.leaveAddress(x.from)
	}
	if x.counted {
		c.leave()
	}
	x.from, x.counted = netip.Addr{}, false
}

// await waits until another snapshot is current, but not longer than limit. If
// there are endpoints that only could not be reached it also returns after a
// moment, to try them again. Not more than HoldMost requests of a site wait.
func (p *Proxy) await(ctx context.Context, site *siteView, snap *snapshot, limit time.Time, refused bool) error {
	held := &p.heldUnknown
	if site != nil {
		held = &site.state.held
	}
	if !enterBounded(held, int64(p.limits.HoldMost)) {
		return errNoEndpoint
	}
	defer held.Add(-1)
	left := time.Until(limit)
	if left <= 0 {
		return errNoEndpoint
	}
	if refused {
		left = min(left, dialAgain)
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-snap.replaced:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		if refused && time.Now().Before(limit) {
			return nil
		}
		return errNoEndpoint
	}
}

func enterBounded(n *atomic.Int64, most int64) bool {
	if n.Add(1) <= most {
		return true
	}
	n.Add(-1)
	return false
}

// replays reports whether a site lets a request with this method be sent twice.
func replays(r noon.Replay, path string, keyed bool) bool {
	if keyed && r.Keyed {
		return true
	}
	for _, prefix := range r.Paths {
		if under(path, normalPrefix(prefix)) {
			return true
		}
	}
	return false
}
