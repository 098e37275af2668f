package soak_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/proxy"
)

// blow is a moment at which something was killed: what was on its way then may
// be lost.
type blow struct{ from, to time.Time }

// hits counts how often something was killed while a request was on its way.
func hits(blows []blow, a answered) int {
	n := 0
	for _, b := range blows {
		if !a.sent.After(b.to) && !a.end.Before(b.from) {
			n++
		}
	}
	return n
}

func hit(blows []blow, a answered) bool { return hits(blows, a) > 0 }

// flying is hit for those whose connection was to what was killed.
func flying(blows []blow, a answered) bool {
	if !a.opened.IsZero() {
		a.sent = a.opened
	}
	return hit(blows, a)
}

// mostHits is how many instances may die one after the other under a request
// that may be sent again.
const mostHits = 2

// notice is how long it takes until the death of an instance is known.
const notice = 100 * time.Millisecond

// TestInstanceCrashes: of two instances one dies again and again; the other
// has to do. Only what must not be sent twice and was sent may fail, and an
// answer that had begun can only end.
func TestInstanceCrashes(t *testing.T) {
	s := size(t)
	parallel(t, s)
	r := newRig(t, proxy.Limits{})
	pair := [2]*running{r.run(1), r.run(1)}
	r.route(r.routing(1, pair[0], pair[1]))
	before := r.baseline()
	load := startLoad(r.config.Listen, r.book, kinds(s), s.rate)
	pause(t.Context(), s.pause)
	var blows []blow
	for n := range s.events {
		from := time.Now()
		pair[n%2].kill()
		blows = append(blows, blow{from, time.Now()})
		pause(t.Context(), notice)
		r.route(r.routing(1, pair[1-n%2]))
		pair[n%2] = r.run(1)
		r.route(r.routing(1, pair[0], pair[1]))
		pause(t.Context(), s.pause)
	}
	load.end(t)
	after := r.settle(before)
	idem := map[string]bool{}
	for _, k := range kinds(s) {
		idem[k.name] = k.idem
	}
	begun := r.book.failed(func(f failure) bool { return hit(blows, f.answered) && f.release != 0 })
	sent := r.book.failed(func(f failure) bool { return hit(blows, f.answered) && f.release == 0 && !idem[f.kind] })
	again := r.book.failed(func(f failure) bool {
		return hits(blows, f.answered) > mostHits && f.release == 0 && idem[f.kind]
	})
	row{
		fmt.Sprintf("%d crashes of instances", s.events), r.book, before, after,
		fmt.Sprintf("allowed: %d were sent and must not be sent twice, %d answers had begun; %d were sent three times, and all three instances died", len(sent), len(begun), len(again)),
	}.tell(t)
	wantNone(t, "failed that must not", r.book.failed(func(f failure) bool {
		return !hit(blows, f.answered) || f.release == 0 && idem[f.kind] && hits(blows, f.answered) <= mostHits
	}))
	r.book.wantClean(t)
	r.wantOnce()
}

// TestProxyKilled: the proxy's process is killed, and started again by the one
// that holds its sockets. Only what was on its way may fail, and nobody is
// refused.
func TestProxyKilled(t *testing.T) {
	s := size(t)
	parallel(t, s)
	r := newRig(t, proxy.Limits{})
	r.route(r.routing(1, r.run(1), r.run(1)))
	before := r.baseline()
	load, held := startLoad(r.config.Listen, r.book, kinds(s), s.rate), startHolders(r.config.Listen, r.book, s.streams)
	pause(t.Context(), s.pause)
	var blows []blow
	var gap time.Duration
	for range s.kills {
		h, err := r.Health(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		from := time.Now()
		if err := syscall.Kill(h.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is gone", patience, func() error {
			if syscall.Kill(h.PID, 0) == nil {
				return fmt.Errorf("process %d is there", h.PID)
			}
			return nil
		})
		blows = append(blows, blow{from, time.Now()})
		r.awaitProxy(h.PID)
		gap = max(gap, time.Since(from))
		pause(t.Context(), s.pause)
	}
	load.end(t)
	held.end(t)
	after := r.settle(before)
	lost := r.book.failed(func(f failure) bool { return flying(blows, f.answered) })
	row{
		fmt.Sprintf("%d kill -9 of the proxy", s.kills), r.book, before, after,
		fmt.Sprintf("allowed: %d were on their way; longest until it served again %s ms", len(lost), ms(gap)),
	}.tell(t)
	wantNone(t, "failed that were not on their way", r.book.failed(func(f failure) bool {
		return !flying(blows, f.answered) || as(errRefused)(f)
	}))
	r.book.wantClean(t)
	r.wantOnce()
}

// TestDeadInstance: one of two instances is of no use, and nobody has told the
// proxy. Requests that may be sent again do not notice.
func TestDeadInstance(t *testing.T) {
	s := size(t)
	parallel(t, s)
	for _, c := range []struct {
		name  string
		must  bool // no request may fail
		start func(*testing.T) string
	}{
		{"refuses", true, freeAddress},
		{"accepts and never answers", true, blackHole},
		{"accepts and closes", true, slammer},
		{"answers 500", false, grumbler},
	} {
		t.Run(c.name, func(t *testing.T) {
			parallel(t, s)
			r := newRig(t, proxy.Limits{FirstByte: 2 * time.Second})
			dead := &running{release: 1, address: c.start(t)}
			r.route(r.routing(1, r.run(1), dead))
			before := r.baseline()
			load := startLoad(r.config.Listen, r.book, only(kinds(s), func(k kind) bool { return k.idem && k.quick }), s.rate)
			pause(t.Context(), time.Duration(float64(s.idem)/s.rate*float64(time.Second)))
			load.end(t)
			after := r.settle(before)
			row{"one of two instances " + c.name, r.book, before, after, "idempotent requests only"}.tell(t)
			if c.must {
				wantNone(t, "failed", r.book.failed(every))
			}
			r.book.wantClean(t)
		})
	}
}

// blackHole takes connections and says nothing.
func blackHole(t *testing.T) string {
	t.Helper()
	return accepting(t, func(ctx context.Context, _ net.Conn) { <-ctx.Done() })
}

// slammer closes every connection at once.
func slammer(t *testing.T) string {
	t.Helper()
	return accepting(t, func(_ context.Context, c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) })
}

func grumbler(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// accepting serves raw connections until the test ends.
func accepting(t *testing.T, serve func(context.Context, net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		acceptAll(ctx, l, serve)
	}()
	t.Cleanup(func() {
		stop()
		l.Close()
		<-done
	})
	return l.Addr().String()
}
