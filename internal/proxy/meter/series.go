package meter

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/noon-deploy/noon"
)

// Key says what a series counts. The zero key is for requests that belong to
// no site.
type Key struct {
	Site     noon.Site
	Service  string
	Route    string // the path prefix from the configuration, never a path that was asked for
	Revision noon.Revision
}

// classCount is the number of status classes: 1xx … 5xx, and 0 for no status.
const classCount = 6

// cell is one place to count at.
type cell struct {
	classes [classCount]atomic.Uint64
	sum     atomic.Uint64 // ns
	in, out atomic.Uint64 // bytes
	buckets [Buckets]atomic.Uint64
	// Two cache lines, as processors fetch them in pairs; and the whole a multiple.
	_ [128 + (-8*(classCount+3+Buckets))&63]byte
}

// hot is how many requests of one class make a series worth several cells.
const hot = 1 << 14

// Series counts what one release answered for one route of one service of a
// site. All methods are safe for concurrent use and allocate nothing but once,
// for the first session and when the series turns out to be busy. The zero
// value works.
type Series struct {
	key    Key
	spread *spread // nil: one cell is enough
	wide   atomic.Pointer[[]cell]
	sketch atomic.Pointer[sketch]
	_      [64]byte // the above is read by all and hardly written

	failures [failureCount]atomic.Uint64
	_        [64]byte
	base     cell
}

// Key says what is counted.
func (s *Series) Key() Key { return s.key }

// Done counts an answered request: its status, how long it took from the first
// byte of the request to the last of the answer, and the bytes of both.
func (s *Series) Done(status int, took time.Duration, in, out int64) {
	c := &s.base
	if wide := s.wide.Load(); wide != nil {
		c = pick(*wide, took)
	}
	class := uint(status) / 100
	if class >= classCount {
		class = 0
	}
	n := c.classes[class].Add(1)
	c.buckets[bucketOf(took)].Add(1)
	c.sum.Add(uint64(max(took, 0)))
	if in > 0 {
		c.in.Add(uint64(in))
	}
	if out > 0 {
		c.out.Add(uint64(out))
	}
	if n == hot && c == &s.base {
		s.widen()
	}
}

func (s *Series) widen() {
	if s.spread == nil || s.spread.left.Add(-1) < 0 {
		return
	}
	cells := make([]cell, s.spread.cells)
	s.wide.CompareAndSwap(nil, &cells)
}

// Session counts a session in. The hash is of whatever tells sessions apart;
// that itself is not kept.
func (s *Series) Session(hash uint64) {
	k := s.sketch.Load()
	if k == nil {
		k = s.firstSession()
	}
	k.add(hash)
}

func (s *Series) firstSession() *sketch {
	s.sketch.CompareAndSwap(nil, &sketch{})
	return s.sketch.Load()
}

// Failed counts a failure. The request is counted by Done besides, if it got
// an answer.
func (s *Series) Failed(kind Failure) {
	s.failures[min(kind, Internal)].Add(1)
}

// Snapshot gives the counts up to now.
func (s *Series) Snapshot() Snapshot {
	n := s.counts()
	if k := s.sketch.Load(); k != nil {
		n.Sessions = &Sessions{}
		k.registers(n.Sessions)
	}
	return n
}

// counts is a snapshot without the sessions, which are most of its size.
func (s *Series) counts() Snapshot {
	n := Snapshot{Key: s.key}
	s.base.addTo(&n)
	if wide := s.wide.Load(); wide != nil {
		for i := range *wide {
			(*wide)[i].addTo(&n)
		}
	}
	for i := range s.failures {
		n.Failures[i] = s.failures[i].Load()
	}
	return n
}

// total is a number that changes with every request.
func (s *Series) total() uint64 {
	var n Snapshot
	s.base.addClasses(&n)
	if wide := s.wide.Load(); wide != nil {
		for i := range *wide {
			(*wide)[i].addClasses(&n)
		}
	}
	total := n.Requests()
	for i := range s.failures {
		total += s.failures[i].Load()
	}
	return total
}

func (c *cell) addClasses(n *Snapshot) {
	for i := range c.classes {
		n.Classes[i] += c.classes[i].Load()
	}
}

func (c *cell) addTo(n *Snapshot) {
	c.addClasses(n)
	n.Took += time.Duration(c.sum.Load())
	n.In += c.in.Load()
	n.Out += c.out.Load()
	for i := range c.buckets {
		n.Latency[i] += c.buckets[i].Load()
	}
}

// spread is how busy series are counted on machines with many processors: at
// several cells, so that these do not wait for one another.
type spread struct {
	cells int          // a power of two
	left  atomic.Int64 // series that may still get them
}

const (
	wideMost  = 256 // series with several cells, which bounds their memory
	cellsMost = 64
	// fewest is how many processors make several cells worth it: two that take
	// turns at one cell cost no more than two cells.
	fewest = 4
)

func newSpread(cells int) *spread {
	if cells <= 0 {
		cells = runtime.GOMAXPROCS(0)
		if cells < fewest {
			cells = 1
		}
	}
	if cells == 1 {
		return nil
	}
	s := &spread{cells: min(1<<bits.Len(uint(cells-1)), cellsMost)}
	s.left.Store(wideMost)
	return s
}

// pick takes any cell. The nanoseconds of a latency are as good as dice, and
// are at hand.
func pick(cells []cell, took time.Duration) *cell {
	return &cells[uint64(took)*0x9e3779b97f4a7c15>>32&uint64(len(cells)-1)]
}
