package proxy

import (
	"cmp"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// seats bounds the connections of users. When all are taken, those that have
// carried nothing for longest are closed; when there are none of these,
// nobody is let in until somebody leaves: who comes waits in the kernel.
type seats struct {
	most  int64
	taken atomic.Int64
	freed chan struct{} // holds one word at most: somebody has left
	done  chan struct{} // closed when nobody is let in any more
	told  atomic.Int64  // when it was last said that all are taken, by the sweeper's clock
}

const (
	// restless is how long a connection carries nothing before it may be closed
	// for the sake of another.
	restless = 100 * time.Millisecond
	// clearing is the part of the seats that is cleared at a time, so that not
	// all have to be looked at for each that comes.
	clearing = 100
	// seatEvery is how often it is seen whether a connection has become idle.
	seatEvery = sweepEvery
)

// usualConnections is how many connections of users there is room for: each
// may need one to an instance, and one for what is on its way.
func usualConnections() int {
	const own, each, fewest, greatest = 100, 3, 16, 1 << 20
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return greatest // the kernel tells when it is enough
	}
	n := min(uint64(limit.Cur), math.MaxInt32) //nolint:unconvert // it is signed on some systems
	return min(max((int(n)-own)/each, fewest), greatest)
}

func (s *seats) open(most int) {
	s.most = int64(most)
	s.freed, s.done = make(chan struct{}, 1), make(chan struct{})
}

// take takes a seat and reports whether one was free. It is taken in any case:
// the connection is there.
func (s *seats) take() bool { return s.taken.Add(1) <= s.most }

func (s *seats) leave() {
	if s.taken.Add(-1) >= s.most-1 {
		select {
		case s.freed <- struct{}{}:
		default:
		}
	}
}

func (s *seats) full() bool { return s.taken.Load() > s.most }

// makeRoom returns when not more connections are open than there may be, or
// when it does not matter any more.
func (p *Proxy) makeRoom() {
	s := &p.users.seats
	var again *time.Ticker
	for s.full() {
		p.sweeper.dismiss(int(max(1, s.most/clearing)))
		if again == nil {
			p.tellFull()
			again = time.NewTicker(seatEvery)
			defer again.Stop()
		}
		select {
		case <-s.freed:
		case <-again.C:
		case <-s.done:
			return
		}
	}
}

// tellFull says that all seats are taken, now and then.
func (p *Proxy) tellFull() {
	s, now := &p.users.seats, p.sweeper.clock()+1
	if told := s.told.Load(); (told == 0 || now-told > time.Minute.Milliseconds()) && s.told.CompareAndSwap(told, now) {
		p.log.Warn("too many connections, new ones wait", "most", s.most)
	}
}

// dismiss ends up to n connections that carry nothing, those first that have
// done so for longest.
func (s *sweeper) dismiss(n int) {
	type idle struct {
		conn       *userConn
		since, due int64
	}
	var list []idle
	now := s.clock()
	s.mu.Lock()
	for c := s.first; c != nil; c = c.next {
		if since := c.idle.Load(); since > 0 && now-since >= restless.Milliseconds() {
			list = append(list, idle{c, since, c.due.Load()})
		}
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b idle) int { return cmp.Compare(a.since, b.since) })
	for _, i := range list[:min(n, len(list))] {
		if i.conn.idle.Load() == i.since && !i.conn.stirs() {
			i.conn.expire(i.due)
		}
	}
}
