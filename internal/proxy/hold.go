package proxy

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// errNoEndpoint is answered with 503.
var errNoEndpoint = errors.New("no instance is ready")

// hold waits until another snapshot is current, but not longer than limit. If
// there are endpoints that only could not be reached it also returns after a
// moment, to try them again. Not more than HoldMost requests of a site wait.
func (p *Proxy) hold(ctx context.Context, site *siteView, snap *snapshot, limit time.Time, refused bool) error {
	held := &p.heldUnknown
	if site != nil {
		held = site.held
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
