package proxy

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/netip"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/meter"
)

// What only tests of this package's inner parts need.

// Bucket is the bucket of a visitor.
func Bucket(salt, id string) int { return bucket(salt, id) }

// ByShare is the revision of a bucket.
func ByShare(shares []noon.Share, bucket int) noon.Revision {
	var list []share
	for _, s := range shares {
		list = append(list, share{s.Points, &revisionView{revision: s.Revision}})
	}
	return byShare(list, bucket).revision
}

// ReadRouting reads what the control socket is sent, and checks it.
func ReadRouting(body io.Reader) (noon.Routing, error) {
	r, err := readRouting(body)
	if err == nil {
		err = validate(r)
	}
	return r, err
}

// WriteStored writes the file of a site.
func WriteStored(dir string, r noon.Routing) error {
	s := newStore(dir, nil)
	return s.save([]stored{{Routing: r}})[0]
}

// ReadStored reads the file of a site.
func ReadStored(dir string, site noon.Site) (noon.Routing, error) {
	state := loadSite(newStore(dir, nil).path(site), site)
	if state.problem != "" {
		return noon.Routing{}, errors.New(state.problem)
	}
	return state.routing, nil
}

// ReadCookieLine takes noon's own cookies out of a line.
func ReadCookieLine(line string) (rest, preview, visitor string) {
	var q query
	rest = readCookieLine(line, &q)
	return rest, q.preview, q.id
}

// Frames follows the frames of a WebSocket and says where they end.
func Frames(pieces ...[]byte) (boundaries []bool) {
	var f frames
	for _, p := range pieces {
		f.advance(p)
		boundaries = append(boundaries, f.boundary())
	}
	return boundaries
}

// InternalRoot is the certificate of the own authority.
func (p *Proxy) InternalRoot() ([]byte, error) { return p.certs.InternalRoot(), nil }

// Claims is a proxy without listeners, for claiming only.
type Claims struct {
	p *Proxy
	q query
}

// NewClaims routes r.
func NewClaims(dir string, r noon.Routing) (*Claims, error) {
	c := &Claims{p: &Proxy{
		store: newStore(dir, nil), limits: Limits{}.withDefaults(),
		sites: map[noon.Site]*siteState{}, endpoints: map[string]*endpoint{}, over: make(chan struct{}),
	}}
	c.p.publish()
	c.Publish(r)
	return c, nil
}

// Publish makes r current without a file.
func (c *Claims) Publish(r noon.Routing) { c.p.replace(r.Site, r, false) }

// Claim claims for a request and returns what undoes it.
func (c *Claims) Claim(host, path, id string) (noon.Revision, func()) {
	q := query{host: host, path: path, id: id}
	e, _, _, v := c.p.claim(&q, nil)
	if v != claimed {
		return noon.Revision{}, nil
	}
	return e.Revision, func() { e.work.add(-1) }
}

// ClaimOnce claims and gives back at once; it must not allocate.
func (c *Claims) ClaimOnce(host, path, id string) bool {
	c.q = query{host: host, path: path, id: id}
	e, _, _, v := c.p.claim(&c.q, nil)
	if v != claimed {
		return false
	}
	e.work.add(-1)
	return true
}

// InFlight is the number of claims of a revision.
func (c *Claims) InFlight(r noon.Revision) int64 {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	n := int64(0)
	for _, e := range c.p.endpoints {
		if e.Revision == r {
			n += e.load()
		}
	}
	return n
}

// Meter is where the proxy counts.
func (p *Proxy) Meter() *meter.Registry { return &p.meter }

// ReadIntroduction reads a header of the PROXY protocol.
func ReadIntroduction(r io.Reader) (netip.AddrPort, error) { return readIntroduction(r) }

// Stripped is a path without the first n bytes.
func Stripped(raw string, n int) string { return stripped(raw, n) }

// Queue is what lets requests wait.
type Queue struct{ queue }

// Wait waits for a call.
func (q *Queue) Wait(ctx context.Context, most int, limit time.Duration) error {
	return q.await(ctx, q.enter(most), limit)
}

// Call lets the first go on.
func (q *Queue) Call() bool { return q.call() }

// Open lets everybody go on.
func (q *Queue) Open() { q.open() }

// Length is how many wait.
func (q *Queue) Length() int { return lengthOf(&q.queue) }

// What a request that waits is told.
var (
	ErrNoRoom = errNoRoom
	ErrWaited = errWaited
)

// Budget is what is left for second tries.
type Budget struct{ budget }

// Earn pays in for a request.
func (b *Budget) Earn(percent int) { b.earn(percent) }

// Age is a second that passes.
func (b *Budget) Age() { b.age() }

// Spend pays for a second try.
func (b *Budget) Spend() bool { return b.spend() }

// Ward is an endpoint for what is known of its health.
type Ward struct {
	e     endpoint
	begun time.Time
}

// NewWard makes an endpoint that began at a time.
func NewWard(begun time.Time) *Ward {
	w := &Ward{begun: begun}
	w.e.clock = func() int64 { return w.clock(time.Now()) }
	return w
}

func (w *Ward) clock(at time.Time) int64 { return at.Sub(w.begun).Milliseconds() }

// Stumble, Answer, FallSick and Heal are what happens to it.
func (w *Ward) Stumble(at time.Time, reached bool) { w.e.stumblesAt(w.clock(at), reached) }
func (w *Ward) Answer()                            { w.e.answers() }
func (w *Ward) FallSick() bool                     { return w.e.fallSick(errors.New("it is sick")) }
func (w *Ward) Heal() bool                         { return w.e.heal() }

// Admits asks whether it takes one request more.
func (w *Ward) Admits(at time.Time) bool { return w.e.admits(w.clock(at)) }

// Well, Cold and Ailment are what is known of it at a time.
func (w *Ward) Well(at time.Time) bool { return w.e.well(w.clock(at)) }
func (w *Ward) Cold(at time.Time) bool { return w.e.cold(w.clock(at)) }
func (w *Ward) Ailment() string        { return w.e.ailment() }

// Hosts is a snapshot of sites of which only the host names and paths count.
type Hosts struct {
	snap *snapshot
	of   map[string]*siteView
}

// NewHosts makes one without sites.
func NewHosts() *Hosts { return &Hosts{newSnapshot(), map[string]*siteView{}} }

// With gives one in which a site has other domains and paths; without paths it
// is removed.
func (h *Hosts) With(key string, domains, paths []string) *Hosts {
	next := &Hosts{of: map[string]*siteView{}}
	maps.Copy(next.of, h.of)
	var after *siteView
	if len(paths) > 0 {
		after = &siteView{key: key, hosts: normalHosts(domains)}
		for _, p := range paths {
			after.prefixes = append(after.prefixes, normalPrefix(p))
		}
	}
	next.snap = h.snap.with(h.of[key], after)
	if next.of[key] = after; after == nil {
		delete(next.of, key)
	}
	return next
}

// Find is the site of a request; "" if there is none.
func (h *Hosts) Find(host, path string) string {
	table := h.snap.table(normalHost(host))
	if table == nil {
		return ""
	}
	v, _, ok := table.paths.find(path)
	if !ok {
		return ""
	}
	return v.key
}

// FindPrefix is the longest prefix of whole segments that a path begins with.
func FindPrefix(all []string, path string) (string, bool) {
	var t prefixes[string]
	for _, p := range all {
		t.add(normalPrefix(p), p)
	}
	v, _, ok := t.find(path)
	return v, ok
}

// Crowded is how many requests of a site wait for a place.
func (p *Proxy) Crowded(site noon.Site) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return lengthOf(&p.sites[site].crowd.queue)
}

func lengthOf(q *queue) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}

// Quieter asks whether an instance with so many requests in flight, heard so
// many milliseconds ago, is passed over for another.
func Quieter(load, heardAgo, otherLoad, otherHeardAgo int64) bool {
	const now = 10_000
	var e, other endpoint
	e.clock = func() int64 { return now }
	e.work.n.Store(load)
	e.heard.Store(now - heardAgo)
	other.work.n.Store(otherLoad)
	other.heard.Store(now - otherHeardAgo)
	return e.quieter(&other)
}

// StandsOut tells why an instance with so many answers, bad ones and bad ones
// in a row is left out beside others.
func StandsOut(answers, bad float64, row int, otherAnswers, otherBad float64, rule noon.Outliers) string {
	return standsOut(&tally{answers: answers, bad: bad}, row, &tally{answers: otherAnswers, bad: otherBad}, withOutlierDefaults(rule))
}

// Close gives back what Open has taken.
func (p *Proxy) Close() { p.close() }

// FrameReader is frameReader for tests.
type FrameReader struct{ r frameReader }

// NewFrameReader has read nothing.
func NewFrameReader() *FrameReader { return &FrameReader{} }

// Read takes the next bytes.
func (f *FrameReader) Read(p []byte) { f.r.read(p, nil) }

// Between reports that another frame may be put here.
func (f *FrameReader) Between() bool { return f.r.between() }

// Ask asks the app of a site, as for a certificate on demand.
func (p *Proxy) Ask(ctx context.Context, site noon.Site, target string) (int, error) {
	return asker{p}.Ask(ctx, site, target)
}
