package proxy

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// How often connections are looked at. Limits of time are kept that exactly:
// a timer for each would cost more than the requests.
const (
	sweepEvery = 50 * time.Millisecond
	lookEvery  = time.Second // for users of long answers that have left
)

// sweeper keeps the limits of time of all connections.
type sweeper struct {
	start time.Time
	now   atomic.Int64 // milliseconds since start, as of the last sweep

	mu    sync.Mutex
	first *userConn
	count int
}

// clock is the time of the last sweep, in milliseconds.
func (s *sweeper) clock() int64 { return s.now.Load() }

func (s *sweeper) add(c *userConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.prev, c.next = nil, s.first
	if s.first != nil {
		s.first.prev = c
	}
	s.first = c
	s.count++
}

func (s *sweeper) remove(c *userConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		s.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
	s.count--
}

// closeAll ends every connection.
func (s *sweeper) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := s.first; c != nil; c = c.next {
		_ = c.Close() // whoever serves it finds out
	}
}

// run sweeps until ctx ends. pools gives the connections to instances.
func (s *sweeper) run(ctx context.Context, pools func() []*pool) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	swept := int64(0)
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := time.Since(s.start).Milliseconds()
		s.now.Store(now)
		for _, c := range s.expire(now) {
			c.look()
		}
		if now-swept >= proveEvery.Milliseconds() {
			swept = now
			for _, p := range pools() {
				p.sweep(now)
			}
		}
	}
}

// expire ends the waits whose time is over and gives the connections that are
// to be looked at.
func (s *sweeper) expire(now int64) []*userConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	var look []*userConn
	for c := s.first; c != nil; c = c.next {
		if due := c.due.Load(); due > 0 && due < now {
			c.expire(due)
		}
		if at := c.lookAt.Load(); at > 0 && at < now {
			c.lookAt.Store(now + lookEvery.Milliseconds())
			look = append(look, c)
		}
	}
	return look
}
