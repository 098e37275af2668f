package proxy

import (
	"context"
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noon-deploy/noon"
)

const (
	dialLimit = 2 * time.Second
	// keptIdle is shorter than what servers usually allow (Node: 5 s), so that
	// the server is rarely the one who closes.
	keptIdle   = 4 * time.Second
	keptMost   = 1024
	proveEvery = 250 * time.Millisecond
)

// upConn is a connection to an instance.
type upConn struct {
	wire
	since   int64  // when it became idle, in milliseconds of the sweeper's clock
	written uint64 // bytes, in its whole life
	used    bool   // it has carried an exchange before
}

// write counts what it sends.
func (u *upConn) Write(p []byte) (int, error) {
	n, err := u.wire.Write(p)
	u.written += uint64(n) //nolint:gosec // never negative
	return n, err
}

// pool is the connections to one endpoint that carry nothing.
//
// A server may close an idle connection at the very moment a request is sent
// on it, and whether it was acted upon can then not always be known. So a
// request that must not be sent twice goes on a kept connection only if the
// server has proven to leave connections alone for longer than this one has
// been idle; else it gets one of its own.
type pool struct {
	address string
	http2   *http.Transport // nil: the instance speaks HTTP/1.1
	clock   func() int64
	slabs   *slabs

	mu      sync.Mutex
	idle    []*upConn // the one that became idle last is the last
	retired bool      // the instance is about to be stopped: nothing is kept

	proven atomic.Int64 // milliseconds for which idle connections were left open
	broken atomic.Int64 // the shortest after which one was closed unannounced
}

func newPool(e noon.Endpoint, clock func() int64, s *slabs) *pool {
	p := &pool{address: e.Address, clock: clock, slabs: s}
	if e.Protocol == noon.H2C {
		p.http2 = newTransport(noon.H2C)
	}
	p.broken.Store(math.MaxInt64)
	return p
}

// get gives a connection. once is for a request that must not be sent twice.
// An error means that nobody could be reached, or not until then; zero is no
// such limit.
func (p *pool) get(until time.Time, once bool) (*upConn, error) {
	if p.http2 != nil {
		d, u := newDistant(p.address, until, p.http2), &upConn{}
		u.init(d, d, p.slabs)
		return u, nil
	}
	for {
		u := p.take(once)
		if u == nil {
			return p.dial(until)
		}
		if age := p.clock() - u.since; once || age > time.Second.Milliseconds() {
			if u.stirs() {
				p.closedAfter(age)
				_ = u.Close() // the server has
				continue
			}
		}
		return u, nil
	}
}

func (p *pool) take(once bool) *upConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle) - 1
	if n < 0 || once && !p.trusted(p.clock()-p.idle[n].since) {
		return nil
	}
	u := p.idle[n]
	p.idle[n] = nil
	p.idle = p.idle[:n]
	return u
}

// trusted reports whether the server has left connections open for at least
// twice as long as this one was idle.
func (p *pool) trusted(age int64) bool {
	return 2*(age+sweepEvery.Milliseconds()) <= min(p.proven.Load(), p.broken.Load())
}

func (p *pool) closedAfter(age int64) {
	for {
		before := p.broken.Load()
		if age >= before || p.broken.CompareAndSwap(before, age) {
			return
		}
	}
}

func (p *pool) dial(until time.Time) (*upConn, error) {
	d := net.Dialer{Timeout: dialLimit, Deadline: until, KeepAlive: -1}
	conn, err := d.DialContext(context.Background(), "tcp", p.address)
	if err != nil {
		return nil, &unreachable{err}
	}
	u := &upConn{}
	u.init(conn, conn, p.slabs)
	return u, nil
}

// put keeps a connection whose exchange is over.
func (p *pool) put(u *upConn) {
	u.used, u.since = true, p.clock()
	p.mu.Lock()
	if !p.retired && len(p.idle) < keptMost {
		p.idle = append(p.idle, u)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	_ = u.Close() // it carries nothing
}

// retire closes what is idle, and from now on whatever becomes so.
func (p *pool) retire() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.retired = nil, true
	p.mu.Unlock()
	for _, u := range idle {
		_ = u.Close() // it carries nothing
	}
	if p.http2 != nil {
		p.http2.CloseIdleConnections()
	}
}

// revive lets connections be kept again.
func (p *pool) revive() {
	p.mu.Lock()
	p.retired = false
	p.mu.Unlock()
}

// sweep closes what has been idle for long and learns from what is how long
// the server leaves connections alone.
func (p *pool) sweep(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.idle[:0]
	for _, u := range p.idle {
		age := now - u.since
		switch {
		case u.stirs():
			p.closedAfter(age)
			_ = u.Close() // the server has
		case age > keptIdle.Milliseconds():
			_ = u.Close() // it carries nothing
		default:
			p.proven.Store(max(p.proven.Load(), age))
			kept = append(kept, u)
		}
	}
	clear(p.idle[len(kept):])
	p.idle = kept
}
