package proxy

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/noon-deploy/noon"
)

// show tells what is routed where, work in earlier proxies included.
func (p *Proxy) show(ctx context.Context, own bool) ([]noon.Routed, error) {
	statuses, err := p.statuses(ctx, own)
	if err != nil {
		return nil, err
	}
	list := make([]noon.Routed, 0, len(statuses))
	for _, st := range statuses {
		list = append(list, p.routed(st))
	}
	return list, nil
}

func (p *Proxy) routed(st noon.RoutingStatus) noon.Routed {
	v := noon.Routed{
		Site: st.Site, Fence: st.Fence, Sequence: st.Sequence, Since: p.since(st.Site),
		Domains: []string{}, Paths: []noon.Path{}, Shares: []noon.Share{}, Previews: []noon.Revision{},
		Segments: []noon.RoutedSegment{}, Endpoints: []noon.RoutedEndpoint{}, Problems: []string{},
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if state := p.sites[st.Site]; state != nil {
		r := state.routing
		v.Domains, v.Paths = append(v.Domains, r.Domains...), append(v.Paths, r.Paths...)
		v.Shares = append(v.Shares, r.Shares...)
		for _, preview := range r.Previews {
			v.Previews = append(v.Previews, preview.Revision)
		}
		v.Segments, v.Hold, v.Closed = routedSegments(r.Segments), r.Hold, r.Closed
		v.Held, v.Removed = int(state.held.Load()), state.removed
		if state.trouble != nil {
			v.Problems = append(v.Problems, state.trouble.Error())
		}
		if !state.removed && state.problem == "" {
			v.Problems = append(v.Problems, problems(r)...)
		}
	}
	if st.Problem != "" {
		v.Problems = append(v.Problems, st.Problem)
	}
	now := p.sweeper.clock()
	for _, s := range st.Endpoints {
		e := noon.RoutedEndpoint{EndpointStatus: s}
		if known := p.endpoints[s.ID]; known != nil {
			e.Address, e.Drain, e.Avoided = known.Address, known.Drain, known.avoid.Load() > now
			e.Sick, e.Outlier = known.ailment(), known.outlier()
		}
		v.Endpoints = append(v.Endpoints, e)
	}
	return v
}

func routedSegments(segments []noon.Segment) []noon.RoutedSegment {
	list := make([]noon.RoutedSegment, len(segments))
	for i, s := range segments {
		list[i] = noon.RoutedSegment{Name: s.Name, Revision: s.Revision, Visitors: len(s.Visitors), Addresses: len(s.Addresses), Matches: []string{}}
		for _, m := range s.Matches {
			list[i].Matches = append(list[i].Matches, m.In+" "+m.Name)
		}
	}
	return list
}

// since is when a site's routing was made durable: its file knows, whichever
// process wrote it.
func (p *Proxy) since(site noon.Site) time.Time {
	info, err := os.Stat(p.store.path(site))
	if err != nil {
		return time.Time{} // never saved, or being replaced
	}
	return info.ModTime()
}

// problems finds why requests of a site may not be answered.
func problems(r noon.Routing) []string {
	if len(r.Paths) == 0 {
		return nil // it takes no requests
	}
	if len(r.Shares) == 0 && r.Closed == nil {
		return []string{"no release is live: requests are answered 503"}
	}
	var found []string
	missing := func(revision noon.Revision, what string) {
		var told []string
		for _, path := range r.Paths {
			if path.Revision != nil && *path.Revision != revision {
				continue
			}
			ready := slices.ContainsFunc(r.Endpoints, func(e noon.Endpoint) bool { return e.Revision == revision && e.Service == path.Service })
			if !ready && !slices.Contains(told, path.Service) {
				told = append(told, path.Service)
				found = append(found, fmt.Sprintf("%v has %s and no instance of %s: its requests wait, then are answered 503", revision, what, path.Service))
			}
		}
	}
	for _, s := range r.Segments {
		missing(s.Revision, "segment "+s.Name)
	}
	for _, s := range r.Shares {
		missing(s.Revision, fmt.Sprintf("%v %% of new requests", float64(s.Points)*100/noon.PointsWhole))
	}
	return found
}
