package meter

import (
	"runtime"
	"sync"
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

// cell is one place to count at. Its counters are written by one processor at
// a time where there are several cells.
type cell struct {
	classes [classCount]atomic.Uint64
	sum     atomic.Uint64 // ns
	in, out atomic.Uint64 // bytes
	buckets [Buckets]atomic.Uint64
	// Two cache lines, as processors fetch them in pairs; and the whole a multiple.
	_ [128 + (-8*(classCount+3+Buckets))&63]byte
}

// hot is how many requests of one class make a series worth a cell for every
// processor.
const hot = 1 << 14

// Series counts what one release answered for one route of one service of a
// site. All methods are safe for concurrent use and allocate nothing but once,
// for the first session and when the series turns out to be busy. The zero
// value works.
type Series struct {
	key     Key
	stripes *stripes // nil: one cell is enough
	wide    atomic.Pointer[[]cell]
	sketch  atomic.Pointer[sketch]
	_       [64]byte // the above is read by all and hardly written

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
		c = s.stripes.pick(*wide)
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
	if s.stripes == nil || !s.stripes.take() {
		return
	}
	cells := make([]cell, len(s.stripes.tokens))
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
	if k := s.sketch.Load(); k != nil {
		n.Sessions = &Sessions{}
		k.registers(n.Sessions)
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

// stripes deals out cells so that every processor has its own, as good as
// always. Go does not tell which processor a goroutine runs on, but a
// sync.Pool keeps what is put back for the processor that did: so does a token,
// and its number is that of the cell.
type stripes struct {
	pool   sync.Pool
	tokens []token
	next   atomic.Uint32
	left   atomic.Int64 // series that may still have more than one cell
}

type token struct{ index int }

// wideMost bounds the memory of series with many cells: about 2 KiB a cell.
const wideMost = 256

func newStripes() *stripes {
	n := runtime.GOMAXPROCS(0)
	if n == 1 {
		return nil
	}
	t := &stripes{tokens: make([]token, n)}
	for i := range t.tokens {
		t.tokens[i].index = i
	}
	t.left.Store(wideMost)
	t.pool.New = func() any { return &t.tokens[int(t.next.Add(1))%n] }
	return t
}

func (t *stripes) take() bool { return t.left.Add(-1) >= 0 }

func (t *stripes) pick(cells []cell) *cell {
	mine, ok := t.pool.Get().(*token)
	if !ok {
		return &cells[0]
	}
	i := mine.index
	t.pool.Put(mine)
	return &cells[i]
}
