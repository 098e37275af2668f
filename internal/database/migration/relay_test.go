package migration_test

import (
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// relay is a line to a server that can be cut.
type relay struct {
	address string // of the database, by the line
	server  string
	mu      sync.Mutex
	closed  bool
	open    []net.Conn
	done    sync.WaitGroup
	listen  net.Listener
}

// newRelay is a line to the server of a world; SQLite has none to cut.
func newRelay(t *testing.T, w world) *relay {
	t.Helper()
	if w.kind == "sqlite" {
		return &relay{address: w.address}
	}
	u, err := url.Parse(w.address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{server: u.Host, listen: l, address: strings.Replace(w.address, u.Host, l.Addr().String(), 1)}
	r.done.Go(r.accept)
	t.Cleanup(r.cut)
	return r
}

func (r *relay) accept() {
	for {
		c, err := r.listen.Accept()
		if err != nil {
			return
		}
		s, err := new(net.Dialer).Dial("tcp", r.server)
		if err != nil {
			c.Close()
			continue
		}
		r.mu.Lock()
		r.open = append(r.open, c, s)
		closed := r.closed
		r.mu.Unlock()
		if closed {
			c.Close()
			s.Close()
		}
		for _, pair := range [][2]net.Conn{{c, s}, {s, c}} {
			r.done.Go(func() {
				_, _ = io.Copy(pair[0], pair[1]) // it ends when either side does
				pair[0].Close()
				pair[1].Close()
			})
		}
	}
}

// cut ends all connections at once.
func (r *relay) cut() {
	if r.listen == nil {
		return
	}
	r.mu.Lock()
	r.closed = true
	r.listen.Close()
	for _, c := range r.open {
		c.Close()
	}
	r.mu.Unlock()
	r.done.Wait()
}
