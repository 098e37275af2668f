package proxy

import (
	"fmt"
	"slices"
	"sync"

	"github.com/noon-deploy/noon"
)

// changing collects the changes of sites that wait for the one that is being
// made durable: they are made durable together, for the disk takes as long for
// many as for one.
type changing struct {
	mu   sync.Mutex
	next []*change
}

// change is what is to become of one site.
type change struct {
	stored
	own bool // the successor has saved it

	// under Proxy.changes
	over      bool
	successor *Client // who it is for; nil: it was made, or is not possible
	err       error
}

// change makes a change together with all that wait. If a successor has taken
// over meanwhile the change is for it, unless it comes from there.
func (p *Proxy) change(c *change) (*Client, error) {
	p.changing.mu.Lock()
	p.changing.next = append(p.changing.next, c)
	p.changing.mu.Unlock()
	p.changes.Lock()
	defer p.changes.Unlock()
	for !c.over { // else somebody has made it who came first
		p.makeChanges()
	}
	return c.successor, c.err
}

// makeChanges makes those changes that wait. Of two of one site the second is
// left: it is checked against the first. It is called under changes.
func (p *Proxy) makeChanges() {
	p.changing.mu.Lock()
	waiting := p.changing.next
	p.changing.next = nil
	p.changing.mu.Unlock()
	var batch, later []*change
	for _, c := range waiting {
		same := func(b *change) bool { return b.Routing.Site == c.Routing.Site }
		switch {
		case slices.ContainsFunc(batch, same) || slices.ContainsFunc(later, same):
			later = append(later, c)
		case p.handed && !c.own:
			c.over, c.successor = true, NewClient(p.cfg.Control)
		default:
			done, err := p.checkChange(c, batch)
			if done || err != nil {
				c.over, c.err = true, err
				continue
			}
			batch = append(batch, c)
		}
	}
	p.saveChanges(batch)
	for _, c := range batch {
		if c.over = true; c.err == nil {
			p.replace(c.Routing.Site, c.Routing, c.Removed)
			p.cfg.Faults.Point("proxy route applied")
		}
	}
	p.changing.mu.Lock()
	p.changing.next = append(later, p.changing.next...)
	p.changing.mu.Unlock()
}

// saveChanges makes changes durable, all but those whose file is the
// successor's to write.
func (p *Proxy) saveChanges(batch []*change) {
	var files []stored
	var of []*change
	for _, c := range batch {
		if !c.own {
			files, of = append(files, c.stored), append(of, c)
		}
	}
	for i, err := range p.store.save(files) {
		of[i].err = err
	}
}

// checkChange checks a change against the site as it is, and against the
// changes it is made with. done: there is nothing to do.
func (p *Proxy) checkChange(c *change, batch []*change) (done bool, err error) {
	p.mu.Lock()
	state := p.sites[c.Routing.Site]
	p.mu.Unlock()
	if c.Removed {
		return state.acceptsRemoval(c.Routing.Site, c.Routing.Fence)
	}
	var before noon.Routing
	if state != nil {
		same, err := state.accepts(c.Routing)
		if same || err != nil {
			return same, err
		}
		before = state.routing
	}
	if err := checkTLS(c.Routing, before, c.own); err != nil {
		return false, err
	}
	return false, p.checkOthers(c.Routing, batch)
}

// acceptsRemoval checks the order. done: it is removed, or was never there.
func (s *siteState) acceptsRemoval(site noon.Site, fence noon.Fence) (done bool, err error) {
	if s == nil || s.removed && s.routing.Fence == fence {
		return true, nil
	}
	if s.problem == "" && fence.Compare(s.routing.Fence) < 0 {
		return false, staleError("remove", site, fmt.Errorf("fence %v is older than %v", fence, s.routing.Fence))
	}
	return false, nil
}

// overlap finds what two routings both have: a host name with a path.
func overlap(a, b noon.Routing) string {
	hosts := normalHosts(b.Domains)
	for _, host := range normalHosts(a.Domains) {
		if !slices.Contains(hosts, host) {
			continue
		}
		for _, path := range a.Paths {
			prefix := normalPrefix(path.Prefix)
			if slices.ContainsFunc(b.Paths, func(other noon.Path) bool { return normalPrefix(other.Prefix) == prefix }) {
				return host + prefix + "/"
			}
		}
	}
	return ""
}

// endpointsOf are the ids of endpoints that two routings both have.
func endpointsOf(a, b noon.Routing) []string {
	var both []string
	for _, e := range a.Endpoints {
		if slices.ContainsFunc(b.Endpoints, func(other noon.Endpoint) bool { return other.ID == e.ID }) {
			both = append(both, e.ID)
		}
	}
	return both
}
