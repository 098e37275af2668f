package proxy

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/noon-deploy/noon"
)

// What TrafficLimits are if nobody has set them.
const (
	usualQueue     = 100
	usualQueueTime = 5 * time.Second
)

// crowd is the requests of a site that is limited to so many at a time.
type crowd struct {
	mu    sync.Mutex
	n     int
	from  map[netip.Addr]int // requests by address, if these are limited
	queue queue
}

// enterAddress counts a request of an address in, unless there are too many.
func (c *crowd) enterAddress(a netip.Addr, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.from[a] >= most {
		return false
	}
	if c.from == nil {
		c.from = map[netip.Addr]int{}
	}
	c.from[a]++
	return true
}

func (c *crowd) leaveAddress(a netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.from[a]--; c.from[a] <= 0 {
		delete(c.from, a)
	}
}

// enter counts a request in, or waits until it may be.
func (c *crowd) enter(ctx context.Context, l noon.TrafficLimits) error {
	most, limit := l.Queue, l.QueueTime
	if most == 0 {
		most = usualQueue
	}
	if limit == 0 {
		limit = usualQueueTime
	}
	c.mu.Lock()
	if c.n < l.InFlight {
		c.n++
		c.mu.Unlock()
		return nil
	}
	w := c.queue.enter(most)
	c.mu.Unlock()
	return c.queue.await(ctx, w, limit) // whoever leaves hands its place on
}

// leave hands the place to the one who has waited longest.
func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.queue.call() {
		c.n--
	}
}
