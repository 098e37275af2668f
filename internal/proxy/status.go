package proxy

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/noon-deploy/noon"
)

// statuses tells of all sites, in the order of their keys; own leaves out what
// other proxies still finish.
func (p *Proxy) statuses(ctx context.Context, own bool) ([]noon.RoutingStatus, error) {
	all := p.ownStatuses()
	if own {
		return all, nil
	}
	err := p.eachPredecessor(ctx, func(ctx context.Context, c *Client) ([]noon.RoutingStatus, error) {
		return c.Sites(ctx)
	}, func(theirs []noon.RoutingStatus) {
		all = mergeStatuses(all, theirs)
	})
	return all, err
}

func (p *Proxy) ownStatuses() []noon.RoutingStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]noon.RoutingStatus, 0, len(p.sites))
	for site, state := range p.sites {
		p.forgetLocked(state)
		if !state.removed || len(state.endpoints) > 0 {
			all = append(all, p.statusLocked(site, state))
		}
	}
	slices.SortFunc(all, func(a, b noon.RoutingStatus) int { return cmp.Compare(a.Site.Key(), b.Site.Key()) })
	return all
}

func (p *Proxy) statusLocked(site noon.Site, state *siteState) noon.RoutingStatus {
	r := state.routing
	st := noon.RoutingStatus{Site: site, Fence: r.Fence, Sequence: r.Sequence, Shares: slices.Clone(r.Shares), Problem: state.problem}
	for id, e := range state.endpoints {
		routed := slices.ContainsFunc(r.Endpoints, func(n noon.Endpoint) bool { return n.ID == id })
		st.Endpoints = append(st.Endpoints, e.status(routed))
	}
	sortEndpoints(st.Endpoints)
	return st
}

func sortEndpoints(list []noon.EndpointStatus) {
	slices.SortFunc(list, func(a, b noon.EndpointStatus) int { return cmp.Compare(a.ID, b.ID) })
}

// mergeStatuses adds the work of another proxy to ours. What is routed, and
// since when, only ours can tell.
func mergeStatuses(ours, theirs []noon.RoutingStatus) []noon.RoutingStatus {
	for _, their := range theirs {
		i := slices.IndexFunc(ours, func(s noon.RoutingStatus) bool { return s.Site == their.Site })
		if i < 0 {
			their.Problem = "removed; another proxy still finishes its requests"
			ours, i = append(ours, noon.RoutingStatus{Site: their.Site, Problem: their.Problem}), len(ours)
		}
		for _, e := range their.Endpoints {
			addWork(&ours[i], e)
		}
		sortEndpoints(ours[i].Endpoints)
	}
	return ours
}

func addWork(st *noon.RoutingStatus, e noon.EndpointStatus) {
	for i := range st.Endpoints {
		if st.Endpoints[i].ID == e.ID {
			st.Endpoints[i].Requests += e.Requests
			st.Endpoints[i].Streams += e.Streams
			return
		}
	}
	if e.Requests+e.Streams > 0 {
		e.Routed = false
		st.Endpoints = append(st.Endpoints, e)
	}
}

func (p *Proxy) status(ctx context.Context, site noon.Site, own bool) (noon.RoutingStatus, error) {
	all, err := p.statuses(ctx, own)
	if err != nil {
		return noon.RoutingStatus{}, err
	}
	for _, st := range all {
		if st.Site == site {
			return st, nil
		}
	}
	return noon.RoutingStatus{}, &noon.Error{
		Kind: noon.NotFound, Op: "look at the routing of", Subject: site.String(),
		Err: fmt.Errorf("the proxy does not know this site"), Hint: "Nothing of it was ever routed here.",
	}
}
