package proxy

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/noon-deploy/noon/internal/proxy/rules"
)

// query is what of a request decides where it goes.
type query struct {
	host    string // normal
	path    string
	preview string // token, "" for users
	id      string // of the visitor, for shares; "" until one is needed
	issued  bool   // id was made here and goes back as a cookie

	admitted bool          // it was counted among the requests of its site
	site     *siteView     // that it belongs to, as last resolved
	asked    rules.Request // for what segments look at; nil: nothing is known
}

// verdict is what became of an attempt to claim an endpoint.
type verdict int

const (
	claimed     verdict = iota
	noEndpoint          // the revision has none that could be tried now
	unknownHost         // no site answers for the host
	unknownPath         // no service of the site answers for the path
	unknownView         // the preview token is not known
	nothingLive         // the site has no release that serves users
	maybeBroken         // no site answers for the host, but one could not be read
	closedSite          // a person has closed the site
	parked              // the site holds new requests
	crowded             // the request has to be admitted
)

// target is where a request belongs.
type target struct {
	site   *siteView
	view   *revisionView
	route  *route
	shared bool // several revisions have a share
}

// claim finds an endpoint for q that is not in tried and counts the request
// in. The count is taken before the snapshot is seen to be still current:
// after a swap nothing new is counted in from the snapshot before, and whoever
// waits for an endpoint to become idle sees everything that was.
func (p *Proxy) claim(q *query, tried []*endpoint) (*endpoint, target, *snapshot, verdict) {
	for {
		snap := p.snap.Load()
		t, v := snap.resolve(q)
		if v != claimed {
			return nil, t, snap, v
		}
		e := choose(t.route.pool, tried)
		if e == nil {
			return nil, t, snap, noEndpoint
		}
		e.work.add(1)
		if p.snap.Load() == snap {
			return e, t, snap, claimed
		}
		e.work.add(-1)
	}
}

// resolve finds the endpoints that may answer q. Of the sites of its host name
// that one answers which has the longest prefix in the revision that serves q:
// what another revision will have is nobody's yet.
func (s *snapshot) resolve(q *query) (t target, v verdict) {
	table := s.table(q.host)
	if table == nil {
		if s.broken > 0 {
			return t, maybeBroken
		}
		return t, unknownHost
	}
	v = unknownPath
	for site, n, ok := table.paths.find(q.path); ok; site, n, ok = table.paths.shorter(q.path, n) {
		found := target{site: site}
		q.site = site
		v = site.serve(table, q, n, &found)
		if v != unknownPath {
			return found, v
		}
		if t.site == nil {
			t.site = site // whose page is shown
		}
	}
	q.site = t.site
	return t, v
}

// serve finds who of the site's revisions answers q at its prefix of n bytes.
func (v *siteView) serve(table *hostTable, q *query, n int, t *target) verdict {
	view, open, known := v.revision(table, q, &t.shared)
	if view == nil {
		if known != unknownView && !v.everybodys(q.path[:n]) {
			return unknownPath
		}
		return known
	}
	route, ok := view.paths.at(q.path, n)
	if !ok {
		return unknownPath
	}
	if !open {
		if known = v.halted(q); known != claimed {
			return known
		}
	}
	t.view, t.route = view, route
	return claimed
}

// revision picks the revision for q: by preview, or else by segment or share;
// open says that it is open to q whatever keeps users from the site. If there
// is none the verdict tells why.
func (v *siteView) revision(table *hostTable, q *query, shared *bool) (view *revisionView, open bool, why verdict) {
	if q.preview != "" {
		site, view := table.preview(q.preview)
		if site == nil {
			return nil, false, unknownView
		}
		if site == v {
			return view, true, claimed
		}
		// The token is that of another site under the same host name.
	}
	if len(v.shares) == 0 {
		if v.closed != nil {
			return nil, false, closedSite
		}
		return nil, false, nothingLive
	}
	if !v.segments.Empty() && q.asked != nil {
		if revision, _, ok := v.segments.Of(q.asked); ok {
			return v.sent[revision], false, claimed
		}
	}
	if len(v.shares) == 1 {
		return v.shares[0].view, false, claimed
	}
	*shared = true
	if q.id == "" {
		q.id, q.issued = newVisitor(), true
	}
	return byShare(v.shares, bucket(v.salt, q.id)), false, claimed
}

// halted tells what keeps a user from the site just now; claimed: nothing.
func (v *siteView) halted(q *query) verdict {
	switch {
	case v.closed != nil:
		return closedSite
	case v.hold != nil && !v.hold.Over(time.Now()):
		return parked
	case !q.admitted && (v.traffic.Limits.InFlight > 0 || v.traffic.Limits.PerAddress > 0):
		return crowded
	}
	return claimed
}

// everybodys reports whether a prefix is of all revisions.
func (v *siteView) everybodys(prefix string) bool { return !slices.Contains(v.special, prefix) }

// choose takes the less busy of two at random, among those that could be
// reached lately if there are any.
func choose(pool, tried []*endpoint) *endpoint {
	switch len(pool) {
	case 0:
		return nil
	case 1:
		if slices.Contains(tried, pool[0]) {
			return nil
		}
		return pool[0]
	}
	i := rand.IntN(len(pool))
	j := rand.IntN(len(pool) - 1)
	if j >= i {
		j++
	}
	a, b := pool[i], pool[j]
	now := a.clock()
	if b.load() < a.load() {
		a, b = b, a
	}
	if a.quieter(b) || a.cold(now) && !b.cold(now) {
		a, b = b, a
	}
	for _, e := range [2]*endpoint{a, b} {
		if e.well(now) && !slices.Contains(tried, e) && e.admits(now) {
			return e
		}
	}
	return chooseLeast(pool, tried, now)
}

// chooseLeast looks at all: the reachable come first, then the less busy.
func chooseLeast(pool, tried []*endpoint, now int64) *endpoint {
	var best *endpoint
	bestAvoided := false
	for _, e := range pool {
		if slices.Contains(tried, e) {
			continue
		}
		avoided := !e.well(now)
		if best == nil || bestAvoided && !avoided || bestAvoided == avoided && e.load() < best.load() {
			best, bestAvoided = e, avoided
		}
	}
	return best
}
