package proxy

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/noon-deploy/noon/internal/sockets"
)

// users is everybody's connections. They are never shut down as net/http would
// do it: that loses requests (golang/go#75591).
type users struct {
	open   gauge      // connections that have not ended or switched protocols
	broken chan error // first listener that failed by itself

	mu        sync.Mutex
	listeners []net.Listener
	closing   bool
	ended     bool                  // whatever has not come to HTTP is closed
	early     map[net.Conn]struct{} // connections that have not come to HTTP
	loops     sync.WaitGroup        // that accept
	conns     sync.WaitGroup        // connections and tunnels
	seats     seats
}

// serve accepts connections until closeListeners.
func (p *Proxy) serve(l namedListener) {
	u := &p.users
	u.mu.Lock()
	u.listeners = append(u.listeners, l)
	u.mu.Unlock()
	serve := func(conn net.Conn) { p.serveOn(conn, conn, false) }
	kind := sockets.KindOf(l.name)
	if kind.TLS {
		serve = p.handshake
	}
	if kind.Proxied {
		next := serve
		serve = func(conn net.Conn) { p.introduced(conn, next) }
	}
	if kind.TLS || kind.Proxied {
		next := serve
		serve = func(conn net.Conn) { u.begin(conn); next(conn) }
	}
	u.loops.Go(func() {
		err := p.accept(l, serve)
		u.mu.Lock()
		defer u.mu.Unlock()
		if !u.closing {
			select {
			case u.broken <- err:
			default:
			}
		}
	})
}

// accept serves the connections of a listener until it is closed.
func (p *Proxy) accept(l net.Listener, serve func(net.Conn)) error {
	const shortest = 5 * time.Millisecond
	pause := shortest
	for {
		conn, err := l.Accept()
		if err == nil {
			pause = shortest
			p.users.open.add(1)
			p.users.conns.Add(1)
			if !p.users.seats.take() {
				p.makeRoom()
			}
			go serve(conn)
			continue
		}
		var temporary interface{ Temporary() bool }
		if !errors.As(err, &temporary) || !temporary.Temporary() {
			return err
		}
		// Out of descriptors, mostly: they come back when others leave.
		p.log.Warn("accept", "err", err)
		time.Sleep(pause)
		pause = min(2*pause, time.Second)
	}
}

// serveOn serves HTTP/1.1 on a connection; below is the socket that carries it.
func (p *Proxy) serveOn(conn, below net.Conn, secure bool) {
	c := &userConn{proxy: p, secure: secure}
	told, ok := conn.(*introducedConn)
	if secure || ok {
		p.users.begun(below)
	}
	if ok {
		c.peer = told.peer
		conn, below = told.TCPConn, told.TCPConn
	}
	c.name = serverName(conn)
	c.init(conn, below, &p.slabs)
	p.sweeper.add(c)
	c.serve()
}

// serverName is the one asked for at the handshake of a connection, if it had
// one. It is a function of its own because of what it needs of the stack, which
// connections keep.
//
//go:noinline
func serverName(conn net.Conn) string {
	if s, ok := conn.(*tls.Conn); ok {
		return s.ConnectionState().ServerName
	}
	return ""
}

// closeListeners returns when every connection that was accepted is served.
func (u *users) closeListeners() {
	u.mu.Lock()
	if !u.closing {
		close(u.seats.done) // what was accepted is served
	}
	u.closing = true
	listeners := u.listeners
	u.listeners = nil
	u.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close() // what could be lost is with the successor's copy
	}
	u.loops.Wait()
}

// begin notes a connection that has to get to HTTP first.
func (u *users) begin(conn net.Conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		_ = conn.Close() // whoever begins it finds out
		return
	}
	if u.early == nil {
		u.early = map[net.Conn]struct{}{}
	}
	u.early[conn] = struct{}{}
}

// begun undoes begin.
func (u *users) begun(conn net.Conn) {
	if told, ok := conn.(*introducedConn); ok {
		conn = told.TCPConn
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.early, conn)
}

// endEarly ends the connections that do not get to HTTP any more.
func (u *users) endEarly() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ended = true
	for conn := range u.early {
		_ = conn.Close() // nothing was said on it
	}
}

// turnAway ends a connection that has not got to HTTP.
func (p *Proxy) turnAway(conn net.Conn) {
	p.users.begun(conn)
	_ = conn.Close() // nothing was said
	p.users.open.add(-1)
	p.users.gone()
}

// gone notes the end of a connection, whatever became of it.
func (u *users) gone() {
	u.seats.leave()
	u.conns.Done()
}

// closeUsers ends every connection that is left.
func (p *Proxy) closeUsers() {
	p.users.closeListeners()
	p.users.endEarly()
	p.sweeper.closeAll()
	close(p.web.done)
	_ = p.web.server.Close() // what is left is cut
	p.users.conns.Wait()
	p.web.telling.Wait()
}
