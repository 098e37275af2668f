package proxy

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"maps"
	"slices"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/cert"
	"github.com/noon-deploy/noon/internal/proxy/meter"
	"github.com/noon-deploy/noon/internal/proxy/rules"
)

// siteView is one site in a snapshot.
type siteView struct {
	key      string
	state    *siteState // what all snapshots share
	broken   int        // 1: the configuration could not be read
	hosts    []string   // normal
	prefixes []string   // normal; of any revision
	special  []string   // those of them that not all revisions have
	shares   []share    // sorted by revision: a growing share keeps the users it has
	salt     string
	previews []preview
	segments rules.Segments
	sent     map[noon.Revision]*revisionView // that segments lead to
	rules    rules.Traffic
	ruled    int // 1: some requests are not for an instance
	hold     *noon.Hold
	closed   *noon.Closed
	traffic  noon.Traffic
	tls      *noon.TLS
	hsts     []byte // the field for answers over TLS; empty: none
}

// share is what part of the users goes to a revision.
type share struct {
	points int
	view   *revisionView
}

// revisionView is what one revision answers.
type revisionView struct {
	revision noon.Revision
	paths    prefixes[*route]
}

// route is a path prefix of a revision.
type route struct {
	prefix  string // normal
	strip   bool
	service string
	pool    []*endpoint
	h2c     bool // its instances speak HTTP/2 alone
	series  *meter.Series
}

type preview struct {
	sum  [sha256.Size]byte // of the token, so that comparing tells nothing of it
	view *revisionView
}

// newView makes the view of a site; nil if it takes no part.
func (p *Proxy) newView(state *siteState) *siteView {
	r := state.routing
	switch {
	case state.problem != "":
		return &siteView{key: r.Site.Key(), state: state, broken: 1}
	case state.removed:
		return nil
	}
	v := &siteView{key: r.Site.Key(), state: state, hosts: normalHosts(r.Domains), hold: r.Hold, closed: r.Closed, traffic: r.Traffic, tls: r.TLS}
	for _, path := range r.Paths {
		if prefix := normalPrefix(path.Prefix); !slices.Contains(v.prefixes, prefix) {
			v.prefixes = append(v.prefixes, prefix)
			if path.Revision != nil {
				v.special = append(v.special, prefix)
			}
		}
	}
	revisions := map[noon.Revision]*revisionView{}
	of := func(revision noon.Revision) *revisionView {
		if revisions[revision] == nil {
			revisions[revision] = p.newRevisionView(r, state, revision)
		}
		return revisions[revision]
	}
	for _, s := range r.Shares {
		v.shares = append(v.shares, share{s.Points, of(s.Revision)})
	}
	slices.SortFunc(v.shares, func(a, b share) int { return compareRevisions(a.view.revision, b.view.revision) })
	if n := len(v.shares); n > 0 {
		v.salt = v.key + "/" + v.shares[n-1].view.revision.String() + "/"
	}
	for _, preview := range r.Previews {
		v.previews = append(v.previews, newPreview(preview.Token, of(preview.Revision)))
	}
	for _, s := range r.Segments {
		of(s.Revision)
	}
	v.sent = revisions
	v.compile(r)
	return v
}

// compile takes over what is said of the treatment of requests. It was
// validated; what an older file says and this version does not understand is
// told and left out.
func (v *siteView) compile(r noon.Routing) {
	var errs [2]error
	v.segments, errs[0] = rules.CompileSegments(r.Segments)
	v.rules, errs[1] = rules.Compile(r.Traffic)
	v.state.trouble = errors.Join(errs[:]...)
	if r.TLS != nil {
		if value := cert.HSTSValue(*r.TLS); value != "" {
			v.hsts = []byte("Strict-Transport-Security: " + value + "\r\n")
		}
		if r.TLS.Redirect || r.TLS.Canonical != "" || r.TLS.ClientCA != "" {
			v.ruled = 1
		}
	}
	if slices.ContainsFunc(r.Endpoints, func(e noon.Endpoint) bool { return e.Protocol == noon.H2C }) {
		v.ruled = 1
	}
	if len(r.Traffic.Redirects) > 0 || r.Traffic.Limits.Body > 0 || r.Traffic.Limits.Total > 0 || len(r.Traffic.Replay.Paths) > 0 || r.Traffic.Replay.Keyed {
		v.ruled = 1
	}
}

func newPreview(token string, view *revisionView) preview {
	return preview{sha256.Sum256([]byte(token)), view}
}

func (p *Proxy) newRevisionView(r noon.Routing, state *siteState, revision noon.Revision) *revisionView {
	v := &revisionView{revision: revision}
	pools := map[string][]*endpoint{}
	for _, e := range r.Endpoints {
		if e.Revision == revision {
			pools[e.Service] = append(pools[e.Service], state.endpoints[e.ID])
		}
	}
	for _, path := range r.Paths {
		if path.Revision != nil && *path.Revision != revision {
			continue
		}
		prefix := normalPrefix(path.Prefix)
		pool := pools[path.Service]
		v.paths.add(prefix, &route{
			h2c:    len(pool) > 0 && pool[0].Protocol == noon.H2C,
			prefix: prefix, strip: path.Strip, service: path.Service, pool: pool,
			series: p.meter.Series(meter.Key{Site: r.Site, Service: path.Service, Route: path.Prefix, Revision: revision}),
		})
	}
	return v
}

func compareRevisions(a, b noon.Revision) int {
	return cmp.Or(cmp.Compare(a.Release, b.Release), cmp.Compare(a.Config, b.Config))
}

// publish makes a snapshot of all sites the current one, before anybody is
// served: the certificates of all are told at once.
func (p *Proxy) publish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	snap := newSnapshot()
	var secure *siteView
	for _, state := range p.sites {
		p.meetLocked(state)
		if state.view = p.newView(state); speaksTLS(state.view) {
			secure = state.view
		}
		snap.add(state.view)
	}
	p.snap.Store(snap)
	p.tellCertsLocked(nil, secure)
}

// meetLocked makes the endpoints of a site that are not known yet.
func (p *Proxy) meetLocked(state *siteState) {
	for _, e := range state.routing.Endpoints {
		if known := state.endpoints[e.ID]; known != nil {
			known.revive()
			continue
		}
		made := p.newEndpoint(state.routing.Site, e)
		state.endpoints[e.ID], p.endpoints[e.ID] = made, made
	}
	p.checkups.checkLocked(state)
}

// publishLocked makes a snapshot with the present routing of a site the
// current one. When it returns no request can be claimed from the one before.
func (p *Proxy) publishLocked(state *siteState) {
	p.meetLocked(state)
	view := p.newView(state)
	before := p.snap.Swap(p.snap.Load().with(state.view, view))
	earlier := state.view
	state.view = view
	p.tellCertsLocked(earlier, view)
	close(before.replaced)
	if view == nil || view.hold == nil {
		state.parked.open()
	}
	p.forgetLocked(state)
}

// forgetLocked drops endpoints of a site that are neither routed nor at work.
func (p *Proxy) forgetLocked(state *siteState) {
	routed := map[string]bool{}
	for _, e := range state.routing.Endpoints {
		routed[e.ID] = true
	}
	for id, e := range maps.All(state.endpoints) {
		if !routed[id] && e.work.n.Load() == 0 {
			e.retire()
			delete(state.endpoints, id)
			delete(p.endpoints, id)
		}
	}
}
