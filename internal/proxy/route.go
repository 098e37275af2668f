package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/noon-deploy/noon"
)

const retryHint = "The proxy has it; send the same again until it is acknowledged."

// route makes r the routing of its site: on disk, in the snapshot, and in
// every proxy that still finishes something.
func (p *Proxy) route(ctx context.Context, r noon.Routing, own bool) error {
	if err := validate(r); err != nil {
		return &noon.Error{Kind: noon.Invalid, Op: "route", Subject: r.Site.String(), Err: err, Hint: "Nothing was changed."}
	}
	successor, err := p.change(&change{stored: stored{Routing: r}, own: own}) //nolint:contextcheck // carried through, whoever waits
	if successor != nil {
		return successor.Route(ctx, r)
	}
	if err != nil || own {
		return err
	}
	return p.tellPredecessors(ctx, "route", func(ctx context.Context, c *Client) error { return c.Route(ctx, r) })
}

// remove forgets a site but for its fence.
func (p *Proxy) remove(ctx context.Context, site noon.Site, fence noon.Fence, own bool) error {
	// Nothing of this generation may bring the site back.
	tomb := stored{Routing: noon.Routing{Site: site, Fence: fence, Sequence: math.MaxInt64}, Removed: true}
	successor, err := p.change(&change{stored: tomb, own: own}) //nolint:contextcheck // the same
	if successor != nil {
		return successor.Remove(ctx, site, fence)
	}
	if err != nil || own {
		return err
	}
	return p.tellPredecessors(ctx, "remove", func(ctx context.Context, c *Client) error { return c.Remove(ctx, site, fence) })
}

// accepts checks the order. same: it is what the site has already.
func (s *siteState) accepts(r noon.Routing) (same bool, err error) {
	if s.problem != "" {
		return false, nil // its fence is lost with its file
	}
	switch c := r.Compare(s.routing.Fence, s.routing.Sequence); {
	case c < 0:
		return false, staleError("route", r.Site, fmt.Errorf("routing %v/%d is older than %v/%d", r.Fence, r.Sequence, s.routing.Fence, s.routing.Sequence))
	case c > 0:
		return false, nil
	}
	if !s.removed && sameRouting(r, s.routing) {
		return true, nil
	}
	return false, &noon.Error{
		Kind: noon.Conflict, Op: "route", Subject: r.Site.String(),
		Err:  fmt.Errorf("routing %v/%d is known with another content", r.Fence, r.Sequence),
		Hint: "A changed routing needs a higher sequence or generation.",
	}
}

func staleError(op string, site noon.Site, err error) error {
	return &noon.Error{Kind: noon.Stale, Op: op, Subject: site.String(), Err: err, Hint: "Another controller or a newer snapshot has taken over; look at the site again."}
}

func sameRouting(a, b noon.Routing) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// checkOthers refuses what only the whole configuration can tell to be wrong,
// with the changes that are made with it.
func (p *Proxy) checkOthers(r noon.Routing, batch []*change) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	if other, what := p.conflictLocked(r); what != "" {
		errs = append(errs, fmt.Errorf("%s is routed to %v", what, other))
	}
	for _, c := range batch {
		if what := overlap(r, c.Routing); what != "" {
			errs = append(errs, fmt.Errorf("%s is routed to %v", what, c.Routing.Site))
		}
		for _, id := range endpointsOf(r, c.Routing) {
			errs = append(errs, fmt.Errorf("endpoint %s is one of %v", id, c.Routing.Site))
		}
	}
	for _, n := range r.Endpoints {
		if e := p.endpoints[n.ID]; e != nil && e.site != r.Site {
			errs = append(errs, fmt.Errorf("endpoint %s is one of %v", n.ID, e.site))
			continue
		}
		if e := p.endpoints[n.ID]; e != nil && (e.Address != n.Address || e.Revision != n.Revision || e.Service != n.Service) {
			errs = append(errs, fmt.Errorf("endpoint %s was %v %s at %s before: an incarnation never changes", n.ID, e.Revision, e.Service, e.Address))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return &noon.Error{Kind: noon.Invalid, Op: "route", Subject: r.Site.String(), Err: errors.Join(errs...), Hint: "Nothing was changed. Two apps on one host need different domains or paths."}
}

// conflictLocked finds another site with the same domain and path.
func (p *Proxy) conflictLocked(r noon.Routing) (noon.Site, string) {
	snap := p.snap.Load()
	for _, host := range normalHosts(r.Domains) {
		table := snap.host(host)
		if table == nil {
			continue
		}
		for _, path := range r.Paths {
			prefix := normalPrefix(path.Prefix)
			if other, ok := table.paths.all[prefix]; ok && other.state.routing.Site != r.Site {
				return other.state.routing.Site, host + prefix + "/"
			}
		}
	}
	return noon.Site{}, ""
}

// replace puts a site's routing into effect.
func (p *Proxy) replace(site noon.Site, r noon.Routing, removed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	state := p.sites[site]
	if state == nil {
		state = newSiteState(r)
		p.sites[site] = state
	}
	state.routing, state.removed, state.problem = r, removed, ""
	p.publishLocked(state)
}
