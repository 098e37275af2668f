package proxy

import (
	"context"
	"sync"
	"sync/atomic"
)

// gauge counts what is in flight and lets others wait until nothing is. It
// costs one atomic addition while nobody waits.
type gauge struct {
	n       atomic.Int64
	waiting atomic.Bool
	mu      sync.Mutex
	zero    chan struct{} // closed when n reaches zero
}

func (g *gauge) add(delta int64) {
	if g.n.Add(delta) == 0 && g.waiting.Load() {
		g.wake()
	}
}

func (g *gauge) wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.zero != nil {
		close(g.zero)
		g.zero = nil
	}
	g.waiting.Store(false)
}

// wait returns nil as soon as the count was seen to be zero.
func (g *gauge) wait(ctx context.Context) error {
	for {
		zero := g.subscribe()
		if g.n.Load() == 0 {
			return nil
		}
		select {
		case <-zero:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// subscribe comes before the count is read: whoever reaches zero afterwards
// sees that somebody waits.
func (g *gauge) subscribe() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.zero == nil {
		g.zero = make(chan struct{})
	}
	g.waiting.Store(true)
	return g.zero
}
