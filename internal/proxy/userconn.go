package proxy

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// expired is the value of userConn.due when its time was over.
const expired = -1

// userConn is the connection of a user that speaks HTTP/1.1, or a stream of
// HTTP/2, which is one that carries a single request.
type userConn struct {
	wire
	proxy  *Proxy
	secure bool
	name   string       // that was asked for at the TLS handshake
	peer   *net.TCPAddr // who the other side speaks for; nil: for itself
	from   []byte       // the lines that tell an instance who sent a request
	hashed uint64       // hash of the address; 0: not known yet

	prev, next *userConn    // under sweeper.mu
	due        atomic.Int64 // when the present wait is over, by the sweeper's clock; 0: never
	idle       atomic.Int64 // since when it carries nothing, by the same clock; 0: it does
	lookAt     atomic.Int64 // when to see whether the user has left; 0: never

	mu   sync.Mutex // the sweeper and a drain come from other goroutines
	turn *turn      // nil between requests
}

// RemoteAddr is who the connection is from.
func (c *userConn) RemoteAddr() net.Addr {
	if c.peer != nil {
		return c.peer
	}
	return c.Conn.RemoteAddr()
}

// within limits what the connection waits for from now on; 0 is no limit.
func (c *userConn) within(d time.Duration) {
	due := int64(0)
	if d > 0 {
		due = c.proxy.sweeper.clock() + (d + sweepEvery).Milliseconds()
	}
	c.wait(due)
}

// until limits it to a time since the start of the sweeper's clock. Unlike with
// within it is not over too soon where the sweeper is late.
func (c *userConn) until(end time.Duration) { c.wait(max(end.Milliseconds(), 0) + 1) }

func (c *userConn) wait(due int64) {
	if c.due.Swap(due) == expired {
		// The wait before ended by itself at the moment its time was over, or
		// there is another one.
		c.mu.Lock()
		_ = c.SetDeadline(time.Time{}) // closed: the next use tells
		if t := c.turn; t != nil {
			t.resume()
		}
		c.mu.Unlock()
	}
}

// expire ends the wait that is over at due, unless it has just ended by itself.
func (c *userConn) expire(due int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.due.CompareAndSwap(due, expired) {
		return
	}
	_ = c.SetDeadline(time.Unix(1, 0)) // closed: it waits for nothing
	if c.turn != nil {
		c.turn.interrupt()
	}
}

// look sees whether the user has left while an answer is being waited for.
func (c *userConn) look() {
	if !c.left() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.turn; t != nil && !t.abandoned {
		t.abandoned = true
		t.interrupt()
	}
}

// serve answers the requests of the connection, one after the other.
func (c *userConn) serve() {
	how := over
	defer func() {
		if how == over {
			c.end()
		}
		if how != passed {
			c.proxy.users.open.add(-1)
		}
	}()
	for {
		c.within(c.proxy.limits.Idle)
		c.idle.Store(c.proxy.sweeper.clock() + 1)
		s, n, err := c.await()
		c.idle.Store(0)
		if err != nil {
			return
		}
		t := c.proxy.turns.get(c, s, n)
		how = t.run()
		for how == kept && t.next() {
			how = t.run()
		}
		c.proxy.turns.put(t)
		if how != kept {
			return
		}
		how = over
	}
}

// end gives the connection back.
func (c *userConn) end() {
	c.proxy.sweeper.remove(c)
	_ = c.Close() // what was to be said is said
	c.proxy.users.gone()
}

// turns lends what a request needs while it is on its way.
type turns struct{ pool sync.Pool }

func (p *turns) get(c *userConn, s *slab, n int) *turn {
	t, ok := p.pool.Get().(*turn)
	if !ok {
		t = &turn{out: make([]byte, 0, outSize)}
		t.ender = t
	}
	t.conn, t.proxy, t.in, t.have = c, c.proxy, s, n
	return t
}

func (p *turns) put(t *turn) {
	t.conn.slabs.put(t.in)
	t.reset()
	t.conn, t.in, t.have = nil, nil, 0
	if cap(t.out) <= 4*outSize {
		p.pool.Put(t)
	}
}
