package soak_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/proxy"
)

// crowd is WebSockets that say nothing and wait.
type crowd struct {
	address string
	book    *book
	moved   sync.WaitGroup
	mu      sync.Mutex
	told    []time.Time // when each was told to leave
}

// open opens n WebSockets, some at a time. Each comes back once it is told to
// leave, and says something.
func (s *crowd) open(t *testing.T, n int) {
	t.Helper()
	var opening sync.WaitGroup
	slots := make(chan struct{}, 32)
	for range n {
		slots <- struct{}{}
		opening.Go(func() {
			defer func() { <-slots }()
			s.openOne()
		})
	}
	opening.Wait()
}

func (s *crowd) openOne() {
	w, release, end, err := openChat(context.Background(), s.address)
	if err != nil {
		s.book.cut("ws", err)
		return
	}
	s.book.opened("ws", release, s.book.acked.Load(), false)
	s.moved.Go(func() {
		defer end()
		_ = w.SetDeadline(time.Now().Add(10 * time.Minute))
		if _, _, err := w.readFrame(); !errors.Is(err, errBye) {
			s.book.cut("ws", err)
			return
		}
		s.mu.Lock()
		s.told = append(s.told, time.Now())
		s.mu.Unlock()
		s.comeBack()
	})
}

func (s *crowd) comeBack() {
	acked := s.book.acked.Load()
	w, release, end, err := openChat(context.Background(), s.address)
	if err != nil {
		s.book.cut("ws", err)
		return
	}
	defer end()
	s.book.opened("ws", release, acked, true)
	err = w.writeFrame(opText, []byte("hello"))
	if err == nil {
		_, _, err = w.readFrame()
	}
	if err != nil {
		s.book.cut("ws", err)
	}
}

// TestGoodbye: many WebSockets at a switch. Each is told to leave, and not all
// at once.
func TestGoodbye(t *testing.T) {
	s := size(t)
	parallel(t, s)
	n := min(s.sockets, (openFiles()-200)/2) // the proxy has two files for each
	// By itself the proxy keeps a third file for each, and lets nobody else in.
	r := newRig(t, proxy.Limits{Connections: n + 200})
	old := r.run(1)
	r.route(r.routing(1, old))
	before := r.baseline()
	load := startLoad(r.config.Listen, r.book, only(kinds(s), func(k kind) bool { return k.quick }), s.rate/2)
	all := &crowd{address: r.config.Listen, book: r.book}
	all.open(t, n)
	open, err := r.leash.one()
	if err != nil {
		t.Fatal(err)
	}
	next := r.routing(2, r.run(2))
	next.Traffic.Limits.Goodbye = s.goodbye
	r.route(next)
	begin := time.Now()
	if err := r.Drain(t.Context(), site(), []string{old.id()}, s.goodbye+20*time.Second); err != nil {
		t.Error(err)
	}
	old.kill()
	all.moved.Wait()
	load.end(t)
	after := r.settle(before)
	span, busiest := all.spread(begin, s.goodbye)
	row{
		fmt.Sprintf("%d WebSockets at a switch", n), r.book, before, after,
		fmt.Sprintf("told to leave over %s ms, at most %d in a tenth of %v; %.1f KiB of the proxy each",
			ms(span), busiest, s.goodbye, float64(open.Resident-before.Resident)/1024/float64(n)),
	}.tell(t)
	wantNone(t, "failed", r.book.failed(every))
	r.book.wantClean(t)
	r.book.wantStreams(t)
	r.wantOnce()
	share := 3 // times what is fair
	if !s.full {
		share = 6
	}
	if len(all.told) != n || busiest > share*n/10 || span < s.goodbye/2 {
		t.Errorf("%d of %d were told to leave, over %v; the busiest tenth of %v had %d", len(all.told), n, span, s.goodbye, busiest)
	}
}

// spread says over what time the users were told to leave, and how many of
// them within one tenth of the whole.
func (s *crowd) spread(begin time.Time, whole time.Duration) (span time.Duration, busiest int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tenths := map[int]int{}
	for _, at := range s.told {
		span = max(span, at.Sub(begin))
		tenths[int(at.Sub(begin)*10/whole)]++
	}
	for _, n := range tenths {
		busiest = max(busiest, n)
	}
	return span, busiest
}

// TestDownloadsOutliveGoodbye: what ends by itself is never told to leave.
func TestDownloadsOutliveGoodbye(t *testing.T) {
	s := size(t)
	parallel(t, s)
	r := newRig(t, proxy.Limits{})
	old := r.run(1)
	r.route(r.routing(1, old))
	before := r.baseline()
	slow := slices.Clip(only(kinds(s), func(k kind) bool { return !k.quick }))
	load := startLoad(r.config.Listen, r.book, slow, min(s.rate/10, 20))
	pause(t.Context(), s.download)
	next := r.routing(2, r.run(2))
	next.Traffic.Limits.Goodbye = time.Millisecond
	r.route(next)
	if err := r.Drain(t.Context(), site(), []string{old.id()}, s.download+20*time.Second); err != nil {
		t.Error(err)
	}
	old.kill()
	load.end(t)
	after := r.settle(before)
	row{"slow requests only at a switch", r.book, before, after, ""}.tell(t)
	wantNone(t, "failed", r.book.failed(every))
	r.book.wantClean(t)
	r.wantOnce()
}
