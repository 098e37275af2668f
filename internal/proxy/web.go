package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Web is what net/http serves: the frames of HTTP/2. It is let believe that all
// of it comes without TLS, which lies below webConn.

// handOff is a listener that is given its connections.
type handOff struct {
	server *http.Server
	conns  chan net.Conn
	done   chan struct{}

	mu      sync.Mutex
	open    map[*webConn]struct{}
	leaving bool // all are told to leave
	telling sync.WaitGroup
}

// Accept implements net.Listener.
func (h *handOff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handOff) Close() error { return nil }

// Addr implements net.Listener.
func (h *handOff) Addr() net.Addr { return &net.TCPAddr{} }

// What users may do on one connection of HTTP/2; the size is the smallest that
// can be allowed (RFC 9113, section 6.5.2).
const (
	mostStreams  = 250
	largestFrame = 16 << 10
)

// newWeb makes the server; its connections are counted as all others.
func (p *Proxy) newWeb() *http.Server {
	s := &http.Server{
		// net/http drops what is on its way to it when the time is over: only those
		// who have not answered when they were told to leave come to that.
		Handler: p, ReadHeaderTimeout: p.limits.Header, IdleTimeout: 2 * p.limits.Idle, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug), Protocols: &http.Protocols{},
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: mostStreams, MaxReadFrameSize: largestFrame},
	}
	s.Protocols.SetUnencryptedHTTP2(true)
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, webConnKey{}, c)
	}
	s.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateClosed || state == http.StateHijacked {
			if w, ok := c.(*webConn); ok {
				p.web.forget(w)
			}
			p.users.open.add(-1)
			p.users.gone()
		}
	}
	return s
}

// handToWeb leaves a connection to net/http.
func (p *Proxy) handToWeb(c *webConn) {
	p.web.note(c)
	select {
	case p.web.conns <- c:
	case <-p.web.done:
		_ = c.Close() // the proxy ends
		p.web.forget(c)
		p.users.open.add(-1)
		p.users.gone()
	}
}

// note remembers a connection that is to be told when to leave.
func (h *handOff) note(c *webConn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open == nil {
		h.open = map[*webConn]struct{}{}
	}
	h.open[c] = struct{}{}
	c.since.Store(c.user.proxy.sweeper.clock())
	c.idle = time.AfterFunc(math.MaxInt64, c.leaveIfIdle)
	c.idle.Reset(c.user.proxy.limits.Idle)
	if h.leaving {
		h.telling.Go(c.leave)
	}
}

func (h *handOff) forget(c *webConn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, c)
	c.idle.Stop()
}

// leave tells all connections to leave, those that are still to come too. It
// does not wait: some may not read.
func (h *handOff) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.leaving {
		return
	}
	h.leaving = true
	for c := range h.open {
		h.telling.Go(c.leave)
	}
}

// toWeb leaves the connection of a turn to net/http, with what was read of it.
func (t *turn) toWeb() outcome {
	c := t.conn
	if _, ok := c.Conn.(*stream); ok {
		return over // not reached: nothing that net/http has read begins like that
	}
	rest := bytes.Clone(t.in.b[:t.have])
	c.within(0)
	c.proxy.sweeper.remove(c)
	var state *tls.ConnectionState
	if s, ok := c.Conn.(*tls.Conn); ok {
		seen := s.ConnectionState()
		state = &seen
	}
	c.proxy.handToWeb(c.proxy.newWebConn(c.Conn, c.RemoteAddr(), rest, state))
	return passed
}

// webConn is a connection that net/http serves. What carries it is hidden: it
// may be TLS, of which a part was read.
type webConn struct {
	net.Conn
	head []byte // was read before
	peer net.Addr
	user userConn // what is the same for all its streams

	active atomic.Int64 // requests
	since  atomic.Int64 // when the last one ended, by the sweeper's clock
	idle   *time.Timer  // tells the user to leave
	farewell
}

// newWebConn wraps a connection of which head was read already; state is that
// of its TLS, if there is any.
func (p *Proxy) newWebConn(c net.Conn, peer net.Addr, head []byte, state *tls.ConnectionState) *webConn {
	w := &webConn{Conn: c, head: head, peer: peer}
	w.in.left = len(preface)
	w.user.init(w, w, &p.slabs)
	w.user.proxy = p
	if w.user.secure = state != nil; w.user.secure {
		w.user.name = state.ServerName
	}
	w.user.forwarded()
	w.user.hash()
	return w
}

// leaveIfIdle tells the user to leave if there was no request for as long as a
// connection may have none, else looks again when that may be so.
func (c *webConn) leaveIfIdle() {
	left := c.user.proxy.limits.Idle
	if c.active.Load() == 0 {
		left -= time.Duration(c.user.proxy.sweeper.clock()-c.since.Load()) * time.Millisecond
	}
	if left <= 0 {
		c.leave()
		return
	}
	c.idle.Reset(left)
}

// webConnKey is where the context of a request has its *webConn.
type webConnKey struct{}

func webConnOf(ctx context.Context) *webConn {
	c, _ := ctx.Value(webConnKey{}).(*webConn)
	return c
}

// RemoteAddr is who the connection is from.
func (c *webConn) RemoteAddr() net.Addr { return c.peer }

// Read implements net.Conn.
func (c *webConn) Read(p []byte) (int, error) {
	var n int
	var err error
	if len(c.head) > 0 {
		n = copy(p, c.head)
		c.head = c.head[n:]
	} else {
		c.head = nil
		n, err = c.Conn.Read(p)
	}
	if c.heard(p[:n]) {
		c.endIfIdle()
	}
	return n, err
}

// Write implements net.Conn.
func (c *webConn) Write(p []byte) (int, error) { return c.write(c.Conn, p) }

// ServeHTTP takes a request of HTTP/2 from a user.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	from := webConnOf(r.Context())
	from.active.Add(1)
	defer from.over()
	if !p.serveStream(w, r, from) { //nolint:contextcheck // a turn looks at the request's by itself
		panic(http.ErrAbortHandler) // the only way to say that there is no more
	}
	if from.told.Load() {
		// The connection ends soon after its last request: nothing may be kept
		// back here until then.
		_ = http.NewResponseController(w).Flush() // a user who left needs nothing
	}
}

// leave tells the user to make another connection for what is next.
func (c *webConn) leave() { c.begin(c.Conn) }

// over notes the end of a request.
func (c *webConn) over() {
	c.since.Store(c.user.proxy.sweeper.clock())
	if c.active.Add(-1) == 0 {
		c.endIfIdle()
	}
}

// endIfIdle ends a connection that was left and carries nothing, a moment
// later: the last frames may be on their way, and users end it by themselves.
func (c *webConn) endIfIdle() {
	if !c.returned.Load() || c.active.Load() > 0 {
		return
	}
	time.AfterFunc(endGrace, func() {
		if c.active.Load() == 0 {
			c.end(c.Conn)
		}
	})
}
