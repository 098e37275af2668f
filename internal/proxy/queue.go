package proxy

import (
	"context"
	"sync"
	"time"
)

// queue lets requests wait in the order they came.
type queue struct {
	mu      sync.Mutex
	first   *waiter
	last    *waiter
	waiting int
}

type waiter struct {
	next, prev *waiter
	turn       chan struct{} // closed when it is this one's turn
	called     bool
}

// await returns nil when the request was called. An error says that there was
// no room for it, that its time was over, or that ctx has ended.
func (q *queue) await(ctx context.Context, w *waiter, limit time.Duration) error {
	if w == nil {
		return errNoRoom
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var err error
	select {
	case <-w.turn:
		return nil
	case <-timer.C:
		err = errWaited
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if q.leave(w) {
		return nil // called at the last moment
	}
	return err
}

func (q *queue) enter(most int) *waiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting >= most {
		return nil
	}
	w := &waiter{turn: make(chan struct{}), prev: q.last}
	if q.last != nil {
		q.last.next = w
	} else {
		q.first = w
	}
	q.last = w
	q.waiting++
	return w
}

// leave takes a waiter out and reports whether it was called before.
func (q *queue) leave(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.called {
		return true
	}
	q.removeLocked(w)
	return false
}

func (q *queue) removeLocked(w *waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		q.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		q.last = w.prev
	}
	q.waiting--
}

// call lets the first go on and reports whether there was one.
func (q *queue) call() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.first
	if w == nil {
		return false
	}
	q.removeLocked(w)
	w.called = true
	close(w.turn)
	return true
}

// open lets everybody go on, in order.
func (q *queue) open() {
	for q.call() {
	}
}
