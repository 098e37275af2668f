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
	successor, err := p.change(own, func() error { return p.apply(r, own) }) //nolint:contextcheck // carried through, whoever waits
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
	successor, err := p.change(own, func() error { return p.applyRemove(site, fence, own) }) //nolint:contextcheck // the same
	if successor != nil {
		return successor.Remove(ctx, site, fence)
	}
	if err != nil || own {
		return err
	}
	return p.tellPredecessors(ctx, "remove", func(ctx context.Context, c *Client) error { return c.Remove(ctx, site, fence) })
}

// change runs do while nothing else changes the configuration. If a successor
// has taken over meanwhile the change is for it, unless it comes from there.
func (p *Proxy) change(own bool, do func() error) (*Client, error) {
	p.changes.Lock()
	defer p.changes.Unlock()
	if p.handed && !own {
		return NewClient(p.cfg.Control), nil
	}
	return nil, do()
}

// apply is called under changes.
func (p *Proxy) apply(r noon.Routing, own bool) error {
	p.mu.Lock()
	state := p.sites[r.Site]
	p.mu.Unlock()
	var before noon.Routing
	if state != nil {
		same, err := state.accepts(r)
		if same || err != nil {
			return err
		}
		before = state.routing
	}
	if err := checkTLS(r, before, own); err != nil {
		return err
	}
	if err := p.checkOthers(r); err != nil {
		return err
	}
	if !own { // the file is the successor's to write
		if err := p.store.save(stored{Routing: r}); err != nil {
			return err
		}
	}
	p.replace(r.Site, r, false)
	p.cfg.Faults.Point("proxy route applied")
	return nil
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

// checkOthers refuses what only the whole configuration can tell to be wrong.
func (p *Proxy) checkOthers(r noon.Routing) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	if other, what := p.conflictLocked(r); what != "" {
		errs = append(errs, fmt.Errorf("%s is routed to %v", what, other))
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

// applyRemove is called under changes.
func (p *Proxy) applyRemove(site noon.Site, fence noon.Fence, own bool) error {
	p.mu.Lock()
	state := p.sites[site]
	p.mu.Unlock()
	if state == nil || state.removed && state.routing.Fence == fence {
		return nil
	}
	if state.problem == "" && fence.Compare(state.routing.Fence) < 0 {
		return staleError("remove", site, fmt.Errorf("fence %v is older than %v", fence, state.routing.Fence))
	}
	// Nothing of this generation may bring the site back.
	tomb := noon.Routing{Site: site, Fence: fence, Sequence: math.MaxInt64}
	if !own {
		if err := p.store.save(stored{Routing: tomb, Removed: true}); err != nil {
			return err
		}
	}
	p.replace(site, tomb, true)
	return nil
}
