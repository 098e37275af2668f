package proxy

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/noon-deploy/noon"
)

// snapshot is everything a request needs to find its endpoint. It is never
// changed once it is published.
type snapshot struct {
	hosts    map[string]*hostTable // by normal host name; "*.x" for wildcards, "" for any
	broken   bool                  // the configuration of some site could not be read
	replaced chan struct{}         // closed once another snapshot is current
}

// hostTable is what one host name leads to: the paths of one or more sites.
type hostTable struct {
	routes []pathRoute // longest prefix first
	sites  []*siteView
}

type pathRoute struct {
	prefix  string // without trailing slash; "" is "/"
	service string
	site    *siteView
}

// siteView is one site in a snapshot.
type siteView struct {
	key      string
	held     *atomic.Int64 // requests that wait for an endpoint; shared by all snapshots
	shares   []noon.Share  // sorted by revision: a growing share keeps the users it has
	salt     string
	previews []preview
	pools    map[poolKey][]*endpoint
}

type poolKey struct {
	revision noon.Revision
	service  string
}

type preview struct {
	sum      [sha256.Size]byte // of the token, so that comparing tells nothing of it
	revision noon.Revision
}

// newSnapshot builds a snapshot from the state of all sites. endpoints holds
// an endpoint for every ID that is routed.
func newSnapshot(sites map[noon.Site]*siteState, endpoints map[string]*endpoint) *snapshot {
	s := &snapshot{hosts: map[string]*hostTable{}, replaced: make(chan struct{})}
	for _, state := range sites {
		switch {
		case state.problem != "":
			s.broken = true
		case !state.removed:
			s.add(newSiteView(state, endpoints), state.routing)
		}
	}
	for _, table := range s.hosts {
		slices.SortFunc(table.routes, func(a, b pathRoute) int {
			return cmp.Or(cmp.Compare(len(b.prefix), len(a.prefix)), cmp.Compare(a.prefix, b.prefix))
		})
	}
	return s
}

func (s *snapshot) add(view *siteView, r noon.Routing) {
	for _, host := range normalHosts(r.Domains) {
		table := s.hosts[host]
		if table == nil {
			table = &hostTable{}
			s.hosts[host] = table
		}
		table.sites = append(table.sites, view)
		for _, p := range r.Paths {
			table.routes = append(table.routes, pathRoute{prefix: normalPrefix(p.Prefix), service: p.Service, site: view})
		}
	}
}

func newSiteView(state *siteState, endpoints map[string]*endpoint) *siteView {
	r := state.routing
	view := &siteView{
		key:    r.Site.Key(),
		held:   &state.held,
		shares: slices.SortedFunc(slices.Values(r.Shares), func(a, b noon.Share) int { return compareRevisions(a.Revision, b.Revision) }),
		pools:  map[poolKey][]*endpoint{},
	}
	if n := len(view.shares); n > 0 {
		view.salt = view.key + "/" + view.shares[n-1].Revision.String() + "/"
	}
	for _, p := range r.Previews {
		view.previews = append(view.previews, preview{sum: sha256.Sum256([]byte(p.Token)), revision: p.Revision})
	}
	for _, e := range r.Endpoints {
		key := poolKey{e.Revision, e.Service}
		view.pools[key] = append(view.pools[key], endpoints[e.ID])
	}
	return view
}

func compareRevisions(a, b noon.Revision) int {
	return cmp.Or(cmp.Compare(a.Release, b.Release), cmp.Compare(a.Config, b.Config))
}

// table finds what a host name leads to: itself, then the longest wildcard
// that covers it, then the sites without domains.
func (s *snapshot) table(host string) *hostTable {
	if t := s.hosts[host]; t != nil && host != "" {
		return t
	}
	for rest := host; rest != ""; {
		_, after, found := strings.Cut(rest, ".")
		if !found {
			break
		}
		// rest[len(rest)-len(after)-1:] is ".after"; the key is "*.after".
		if t := s.wildcard(after); t != nil {
			return t
		}
		rest = after
	}
	return s.hosts[""]
}

func (s *snapshot) wildcard(name string) *hostTable {
	var buf [260]byte
	key := append(append(buf[:0], "*."...), name...)
	return s.hosts[string(key)] // the compiler makes no string for a look-up
}

// route finds the site and service of a path.
func (t *hostTable) route(path string) (pathRoute, bool) {
	for _, r := range t.routes {
		if rest, ok := strings.CutPrefix(path, r.prefix); ok && (r.prefix == "" || rest == "" || rest[0] == '/') {
			return r, true
		}
	}
	return pathRoute{}, false
}

// normalHosts gives the keys of a site in snapshot.hosts.
func normalHosts(domains []string) []string {
	if len(domains) == 0 {
		return []string{""}
	}
	hosts := make([]string, len(domains))
	for i, d := range domains {
		hosts[i] = normalHost(d)
	}
	return hosts
}

// normalHost strips port and final dot and lowers the case.
func normalHost(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") && (host[0] == '[' || strings.IndexByte(host, ':') == i) {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func normalPrefix(prefix string) string { return strings.TrimRight(prefix, "/") }
