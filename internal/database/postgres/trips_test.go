package postgres_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/noon-deploy/noon/internal/database/postgres"
)

// relay passes connections on to a server, and counts what is sent between a
// lock for which everybody waits and the end of its transaction: each answer is
// waited for while the lock is held.
type relay struct {
	net.Listener
	to  string
	all sync.WaitGroup

	mu    sync.Mutex
	trips []int // of each transaction
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l, to: to}
	r.all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			r.all.Go(func() { r.pass(client) })
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		r.all.Wait()
	})
	return r
}

func (r *relay) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			if _, failed := client.Write(buffer[:n]); err != nil || failed != nil {
				return
			}
		}
	})
	buffer := make([]byte, 64<<10)
	for held := -1; ; {
		n, err := client.Read(buffer)
		sent := buffer[:n]
		switch {
		case held < 0 && bytes.Contains(sent, []byte("in ACCESS EXCLUSIVE mode")):
			held = 1
		case held > 0 && bytes.Contains(sent, []byte("commit")):
			r.mu.Lock()
			r.trips = append(r.trips, held+1)
			r.mu.Unlock()
			held = -1
		case held > 0:
			held++
		}
		if _, failed := server.Write(sent); err != nil || failed != nil {
			break
		}
	}
	server.Close()
	back.Wait()
}

// A lock for which everybody waits is held for few round trips, however many
// statements a stage has: each costs the way to the server, and a turn on a busy
// machine.
func TestFewRoundTripsUnderLocks(t *testing.T) {
	t.Parallel()
	s := newShop(t, small)
	p := s.firstPlan(t, smallChange)
	address := fmt.Sprintf("127.0.0.1:%d", s.server.Port())
	r := newRelay(t, address)
	s.engine = s.open(t, postgres.Config{URL: strings.Replace(s.noon, address, r.Addr().String(), 1)})
	s.release(t, "r2", 1)
	s.reach(t, p, postgres.Expanded)
	s.reach(t, p, postgres.Contracted)
	r.mu.Lock()
	defer r.mu.Unlock()
	t.Logf("round trips of the transactions that hold strong locks: %v", r.trips)
	if len(r.trips) < 4 {
		t.Errorf("only %d transactions were seen", len(r.trips))
	}
	for _, n := range r.trips {
		if n > 12 {
			t.Errorf("a strong lock is held for %d round trips", n)
		}
	}
}

// Statements that are sent together may end with comments.
func TestCommentsAmongStatements(t *testing.T) {
	t.Parallel()
	s := newShop(t, small)
	p := s.plan(t, `operations:
- sql: {up: "create table one (id int) -- the first", down: "drop table one -- the first"}
- sql: {up: "create table two (id int) -- the second", down: "drop table two -- the second"}
- add_column: {table: users, column: {name: remark, type: text, nullable: true}}`)
	for range 2 {
		s.reach(t, p, postgres.Expanded)
		if got := ask(t, s.url, "select count(*) from pg_class where relname in ('one', 'two')"); got != "2" {
			t.Errorf("%s tables", got)
		}
		s.reach(t, p, postgres.Withdrawn)
	}
}
