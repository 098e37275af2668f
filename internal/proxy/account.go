package proxy

import (
	"errors"
	"hash/maphash"
	"net"
	"net/netip"
	"time"

	"github.com/noon-deploy/noon/internal/proxy/h1"
	"github.com/noon-deploy/noon/internal/proxy/meter"
)

// account is what is to be told of a request. It allocates nothing.
type account struct {
	begin   time.Time
	first   time.Time // the first byte of the answer was sent
	status  int       // 0: no answer was sent
	in, out int64
	retries int
	failed  bool
	why     meter.Failure
}

func (a *account) fail(why meter.Failure) { a.failed, a.why = true, why }

// answered notes that an answer begins.
func (a *account) answered(status int, logged bool) {
	a.status = status
	if logged {
		a.first = time.Now()
	}
}

// failureOf is why no instance has answered.
func failureOf(err error) meter.Failure {
	var lost *unreachable
	var wrong *h1.Error
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		return meter.Unrouted
	case errors.Is(err, errTooLarge):
		return meter.BadRequest
	case errors.As(err, &lost):
		return meter.Dial
	case errors.As(err, &wrong):
		return meter.Malformed
	case errors.Is(err, errNoEndpoint):
		return meter.NoInstance
	case errors.Is(err, errNoRoom), errors.Is(err, errWaited), errors.Is(err, errGreedy):
		return meter.Overload
	case isTimeout(err):
		return meter.Timeout
	default:
		return meter.Cut
	}
}

// settle counts a request that is over, and writes its line of the access log.
func (t *turn) settle() {
	a := &t.account
	took := time.Since(a.begin)
	series := t.proxy.nowhere
	if t.target.route != nil {
		series = t.target.route.series
		series.Session(t.session())
	}
	series.Done(a.status, took, a.in, a.out)
	if a.failed {
		series.Failed(a.why)
	}
	if t.answerer != nil {
		t.proxy.gave(t.target.site.state, t.answerer, t.res.Status)
	}
	if log := t.proxy.cfg.Access; log != nil {
		t.write(log, series, took)
	}
}

// session is a hash of what tells users apart, as far as noon knows.
func (t *turn) session() uint64 {
	seed := t.proxy.seed
	if t.query.id != "" && !t.query.issued {
		return maphash.String(seed, t.query.id)
	}
	return t.conn.hash() ^ maphash.Bytes(seed, t.req.Value(h1.UserAgent))
}

// hash is that of the user's address, worked out once.
func (c *userConn) hash() uint64 {
	if c.hashed == 0 {
		a := c.address().As16()
		c.hashed = maphash.Bytes(c.proxy.seed, a[:]) | 1
	}
	return c.hashed
}

// address is that of the other side of the connection.
func (c *userConn) address() netip.Addr {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

func (t *turn) write(log *meter.Log, series *meter.Series, took time.Duration) {
	a := &t.account
	e := meter.Entry{
		Time: a.begin, Method: t.req.Method, Host: t.req.Host, Path: t.req.Path, Query: t.req.Query, Protocol: "HTTP/1.1",
		Status: a.status, In: a.in, Out: a.out, Took: took, Key: series.Key(), Retries: a.retries, Failed: a.failed, Why: a.why,
		Client: t.Address(), UserAgent: t.req.Value(h1.UserAgent),
	}
	if t.req.Minor == 0 {
		e.Protocol = "HTTP/1.0"
	}
	if _, ok := t.conn.Conn.(*stream); ok {
		e.Protocol = "HTTP/2.0"
	}
	if !a.first.IsZero() {
		e.FirstByte = a.first.Sub(a.begin)
	}
	if t.answerer != nil {
		e.Instance = t.answerer.ID
	}
	e.RequestID, e.TraceID = t.called()
	log.Write(&e)
}
