package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Times of a shutdown. http.Server.Shutdown alone drops requests: those in the
// queue of the closed listener, and those read at the moment of the shutdown.
const (
	lingerQueue = 50 * time.Millisecond  // no new connection for so long: the queue is empty
	lingerMost  = 2 * time.Second        // then the listener is closed, whatever comes
	idleWindow  = 300 * time.Millisecond // kept connections may still send one request for so long
	drainMost   = 8 * time.Second        // requests in flight are waited for so long
)

// Serve answers requests that come to the listener until ctx ends. Then it
// tells streams goodbye, answers what has come already and what comes in on
// kept connections, and returns when all of it is finished.
func (s *Server) Serve(ctx context.Context, listener *net.TCPListener) error {
	conns := &connections{states: map[net.Conn]http.ConnState{}}
	queue := &queue{TCPListener: listener}
	server := &http.Server{
		Handler:           s.Handler(),
		ConnState:         conns.track,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	ticking, stopTicking := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	background.Go(func() { s.ticker.run(ticking) })
	defer background.Wait()
	defer stopTicking()

	served := make(chan error, 1)
	background.Go(func() { served <- server.Serve(queue) })
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("serve: %w", err), server.Close())
	case <-ctx.Done():
	}

	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainMost)
	defer cancel()
	s.draining.Store(true)
	close(s.leaving)
	queue.drain()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		s.log.WarnContext(ctx, "accepting ended before the queue was empty", "err", err)
	}
	conns.wait(deadline)
	err := server.Shutdown(deadline)
	if err != nil {
		err = errors.Join(fmt.Errorf("shut down: requests were still running: %w", err), server.Close())
	}
	s.streams.Wait()
	return err
}

// queue is a listener that is closed only when nobody waits in it.
type queue struct {
	*net.TCPListener
	end atomic.Pointer[time.Time] // set while draining
}

// drain makes Accept hand out what is queued, then end.
func (q *queue) drain() {
	end := time.Now().Add(lingerMost)
	q.end.Store(&end)
	_ = q.SetDeadline(time.Now().Add(lingerQueue)) // wakes a waiting Accept; it fails only on a closed listener
}

// Accept waits for the next connection.
func (q *queue) Accept() (net.Conn, error) {
	for {
		end := q.end.Load()
		if end != nil {
			if time.Now().After(*end) {
				return nil, net.ErrClosed
			}
			if err := q.SetDeadline(time.Now().Add(lingerQueue)); err != nil {
				return nil, err
			}
		}
		conn, err := q.TCPListener.Accept()
		var timeout net.Error
		if err != nil && errors.As(err, &timeout) && timeout.Timeout() {
			if end == nil {
				continue // the deadline of a drain that began while Accept waited: look again
			}
			return nil, net.ErrClosed
		}
		return conn, err
	}
}

// connections knows which connections are open and which have a request.
type connections struct {
	mu     sync.Mutex
	states map[net.Conn]http.ConnState
	busy   time.Time // when a request was last seen
}

func (c *connections) track(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(c.states, conn)
	default:
		c.states[conn] = state
	}
	c.busy = time.Now()
}

// quiet reports whether nothing is open, or nothing has happened on what is
// open for the idle window.
func (c *connections) quiet() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, state := range c.states {
		if state == http.StateActive {
			return false
		}
	}
	return len(c.states) == 0 || time.Since(c.busy) >= idleWindow
}

// wait returns when the connections are quiet or ctx has ended.
func (c *connections) wait(ctx context.Context) {
	c.mu.Lock()
	c.busy = time.Now()
	c.mu.Unlock()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !c.quiet() {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}
