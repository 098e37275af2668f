package soak_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// failure is a request that was not answered as it should be.
type failure struct {
	kind string
	id   uint64
	answered
}

func (f failure) String() string {
	return fmt.Sprintf("%s %d sent %s, ended %s: %v", f.kind, f.id, f.sent.Format("15:04:05.000"), f.end.Format("15:04:05.000"), f.err)
}

// book is what users saw.
type book struct {
	// Releases: acked is the one that every new request must be answered by, or
	// a later one; begun is the latest that may have been switched to.
	acked, begun atomic.Int64

	mu       sync.Mutex
	requests int
	failures []failure
	wrong    []string        // answered by a release that was not to answer any more, or not yet
	quick    []time.Duration // from the planned time to the end, of requests that take no time
	posts    []uint64        // that were answered
	streams  map[string]*streamCount
}

// streamCount is what became of held connections.
type streamCount struct {
	opened int
	moved  int      // told to leave, and taken up again
	cut    []string // ended without a word
}

func newBook() *book {
	b := &book{streams: map[string]*streamCount{"ws": {}, "sse": {}}}
	b.acked.Store(1)
	b.begun.Store(1)
	return b
}

// add notes the end of a request.
func (b *book) add(s shot, a answered, acked int64) {
	begun := b.begun.Load()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests++
	switch {
	case a.err != nil:
		b.failures = append(b.failures, failure{s.kind.name, s.question.id, a})
	case s.kind.quick:
		b.quick = append(b.quick, a.end.Sub(s.planned))
	}
	if a.err == nil && s.kind.post {
		b.posts = append(b.posts, s.question.id)
	}
	b.checkRelease(s.kind.name, a.release, acked, begun)
}

// checkRelease is called under mu.
func (b *book) checkRelease(what string, release int, acked, begun int64) {
	if r := int64(release); r != 0 && (r < acked || r > begun) {
		b.wrong = append(b.wrong, fmt.Sprintf("%s answered by release %d, allowed are %d to %d", what, r, acked, begun))
	}
}

// opened notes that a stream was opened.
func (b *book) opened(kind string, release int, acked int64, moved bool) {
	begun := b.begun.Load()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.streams[kind].opened++
	if moved {
		b.streams[kind].moved++
	}
	b.checkRelease(kind, release, acked, begun)
}

func (b *book) cut(kind string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.streams[kind].cut = append(b.streams[kind].cut, time.Now().Format("15:04:05.000 ")+err.Error())
}

// failed gives the failures for which is holds.
func (b *book) failed(is func(failure) bool) []failure {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []failure
	for _, f := range b.failures {
		if is(f) {
			found = append(found, f)
		}
	}
	return found
}

func as(target error) func(failure) bool {
	return func(f failure) bool { return errors.Is(f.err, target) }
}

func every(failure) bool { return true }

// quantile of the quick requests.
func (b *book) quantile(q float64) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.quick) == 0 {
		return 0
	}
	slices.Sort(b.quick)
	return b.quick[min(int(q*float64(len(b.quick))), len(b.quick)-1)]
}

// wantNone reports failures, some of them in full.
func wantNone[T any](t *testing.T, what string, list []T) {
	t.Helper()
	if len(list) == 0 {
		return
	}
	var b strings.Builder
	for _, f := range list[:min(len(list), 12)] {
		fmt.Fprintf(&b, "\n  %v", f)
	}
	t.Errorf("%d %s:%s", len(list), what, b.String())
}

// wantClean reports everything that no scenario may show.
func (b *book) wantClean(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	wantNone(t, "answers of a wrong release", b.wrong)
	if b.requests == 0 {
		t.Error("nothing was sent")
	}
}

// wantStreams reports streams that were cut.
func (b *book) wantStreams(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for kind, s := range b.streams {
		wantNone(t, kind+" cut", s.cut)
	}
}
