package proxy

import (
	"errors"
	"net"
	"sync"
	"time"
)

// users is everybody's connections. They are never shut down as net/http would
// do it: that loses requests (golang/go#75591).
type users struct {
	open   gauge      // connections that have not ended or switched protocols
	broken chan error // first listener that failed by itself

	mu        sync.Mutex
	listeners []net.Listener
	closing   bool
	loops     sync.WaitGroup // that accept
	conns     sync.WaitGroup // connections and tunnels
}

// serve accepts connections until closeListeners.
func (p *Proxy) serve(l net.Listener) {
	u := &p.users
	u.mu.Lock()
	u.listeners = append(u.listeners, l)
	u.mu.Unlock()
	u.loops.Go(func() {
		err := p.accept(l)
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
func (p *Proxy) accept(l net.Listener) error {
	const shortest = 5 * time.Millisecond
	pause := shortest
	for {
		conn, err := l.Accept()
		if err == nil {
			pause = shortest
			p.users.open.add(1)
			p.users.conns.Add(1)
			go p.serveConn(conn)
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

func (p *Proxy) serveConn(conn net.Conn) {
	c := &userConn{proxy: p}
	c.init(conn, conn, &p.slabs)
	p.sweeper.add(c)
	c.serve()
}

// closeListeners returns when every connection that was accepted is served.
func (u *users) closeListeners() {
	u.mu.Lock()
	u.closing = true
	listeners := u.listeners
	u.listeners = nil
	u.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close() // what could be lost is with the successor's copy
	}
	u.loops.Wait()
}

// closeUsers ends every connection that is left.
func (p *Proxy) closeUsers() {
	p.users.closeListeners()
	p.sweeper.closeAll()
	p.users.conns.Wait()
}
