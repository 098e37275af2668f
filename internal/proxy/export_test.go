package proxy

import (
	"io"

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

// EncodeStored gives the file of a site.
func EncodeStored(r noon.Routing) ([]byte, error) { return encodeStored(stored{Routing: r}) }

// DecodeStored reads the file of a site.
func DecodeStored(data []byte) (noon.Routing, error) {
	st, err := decodeStored(data)
	return st.Routing, err
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
		store: store{dir: dir}, limits: Limits{}.withDefaults(),
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
