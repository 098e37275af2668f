package soak_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// kind is a sort of request.
type kind struct {
	name  string
	part  float64 // of all requests, in percent
	quick bool    // takes no time by itself
	post  bool    // must not be carried out twice
	idem  bool    // may be sent again by the proxy
	make  func(id uint64) question
}

// shot is one request of the plan.
type shot struct {
	kind     kind
	question question
	planned  time.Time
}

// kinds is the mix of a shop on a busy day.
func kinds(s scale) []kind {
	get := func(id uint64, n int, more string) question {
		return question{method: "GET", target: fmt.Sprintf("/get?id=%d&n=%d%s", id, n, more), id: id, want: int64(n), wantID: id}
	}
	post := func(id uint64, n int) question {
		return question{method: "POST", target: fmt.Sprintf("/post?id=%d&n=%d", id, n), id: id, body: n, want: 100, wantID: ^id}
	}
	download := func(id uint64, more string) question {
		const n = 200_000
		return question{
			method: "GET", target: fmt.Sprintf("/download?id=%d&n=%d&ms=%d%s", id, n, s.download.Milliseconds(), more),
			id: id, want: n, wantID: id, slow: s.download,
		}
	}
	with := func(q question, set func(*question)) question { set(&q); return q }
	slow := fmt.Sprintf("&ms=%d", s.slow.Milliseconds())
	return []kind{
		{"GET kept", 30, true, false, true, func(id uint64) question { return get(id, 200, "") }},
		{"GET fresh", 13, true, false, true, func(id uint64) question {
			return with(get(id, 200, ""), func(q *question) { q.fresh = true })
		}},
		{"GET 64 KiB", 4, true, false, true, func(id uint64) question { return get(id, 64<<10, "") }},
		{"GET pipelined", 2, true, false, true, func(id uint64) question {
			return with(get(id, 300, ""), func(q *question) { q.times = 3 })
		}},
		{"HEAD", 2, true, false, true, func(id uint64) question {
			return with(get(id, 500, ""), func(q *question) { q.method = "HEAD" })
		}},
		{"POST kept", 24, true, true, false, func(id uint64) question { return post(id, 300) }},
		{"POST fresh", 10, true, true, false, func(id uint64) question {
			return with(post(id, 16<<10), func(q *question) { q.fresh = true })
		}},
		{"POST empty", 2, true, true, false, func(id uint64) question { return post(id, 0) }},
		{"GET slow", 2, false, false, true, func(id uint64) question { return get(id, 200, slow) }},
		{"POST slow", 1, false, true, false, func(id uint64) question {
			return with(post(id, 300), func(q *question) { q.target += slow })
		}},
		{"upload", 3, true, true, false, func(id uint64) question { return post(id, 256<<10) }},
		{"upload chunked", 2, true, true, false, func(id uint64) question {
			return with(post(id, 40<<10), func(q *question) { q.framed = byChunks })
		}},
		{"upload slow", 1, false, true, false, func(id uint64) question {
			return with(post(id, 120<<10), func(q *question) { q.slow = s.upload })
		}},
		{"upload slow chunked", 1, false, true, false, func(id uint64) question {
			return with(post(id, 50_000), func(q *question) { q.slow, q.framed = s.upload, byChunks })
		}},
		{"upload expected", 2, true, true, false, func(id uint64) question {
			return with(post(id, 30<<10), func(q *question) { q.framed = byExpect })
		}},
		{"h2 GET", 6, true, false, true, func(id uint64) question {
			return with(get(id, 2000, ""), func(q *question) { q.h2 = true })
		}},
		{"h2 POST", 4, true, true, false, func(id uint64) question {
			return with(post(id, 20_000), func(q *question) { q.h2 = true })
		}},
		{"h2 slow", 1, false, false, true, func(id uint64) question {
			return with(get(id, 200, slow), func(q *question) { q.h2 = true })
		}},
		{"h2 download", 0.2, false, false, true, func(id uint64) question {
			return with(download(id, ""), func(q *question) { q.h2 = true })
		}},
		{"download", 0.5, false, false, true, func(id uint64) question { return download(id, "") }},
		{"download chunked", 0.5, false, false, true, func(id uint64) question { return download(id, "&chunked=1") }},
	}
}

// only leaves some kinds.
func only(all []kind, keep func(kind) bool) []kind {
	var kept []kind
	for _, k := range all {
		if keep(k) {
			kept = append(kept, k)
		}
	}
	return kept
}

// load is users that come at fixed times.
type load struct {
	book  *book
	wires *wires
	h2    *h2wires
	kinds []kind
	rate  float64
	stop  context.CancelFunc
	done  sync.WaitGroup
	slots chan struct{}
}

// maxUsers are there at one time; more of them do not fit and fail.
const maxUsers = 6000

var errCrowded = errors.New("too many users wait already")

// startLoad lets users come until end.
func startLoad(address string, b *book, list []kind, rate float64) *load {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{book: b, wires: &wires{address: address}, h2: newH2(address), kinds: list, rate: rate, stop: stop, slots: make(chan struct{}, maxUsers)}
	l.done.Go(func() { l.arrive(ctx) })
	return l
}

func (l *load) arrive(ctx context.Context) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same mix in every run
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		planned := start.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
		timer.Reset(time.Until(planned)) // at once if it is late: an open loop does not slow down
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		k := pick(l.kinds, random.Float64())
		l.fire(context.WithoutCancel(ctx), shot{k, k.make(random.Uint64()), planned})
	}
}

func pick(list []kind, at float64) kind {
	sum := 0.0
	for _, k := range list {
		sum += k.part
	}
	for _, k := range list {
		if at -= k.part / sum; at < 0 {
			return k
		}
	}
	return list[0]
}

// fire sends a request in a goroutine of its own. It is carried to its end
// whatever else ends.
func (l *load) fire(ctx context.Context, s shot) {
	acked := l.book.acked.Load()
	select {
	case l.slots <- struct{}{}:
	default:
		l.book.add(s, answered{sent: s.planned, end: time.Now(), err: errCrowded}, acked)
		return
	}
	l.done.Go(func() {
		defer func() { <-l.slots }()
		acked := l.book.acked.Load()
		if s.question.h2 {
			l.book.add(s, l.h2.ask(ctx, s.question), acked)
			return
		}
		l.book.add(s, l.wires.ask(ctx, s.question), acked)
	})
}

// end lets nobody come any more and waits for those who are there.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop()
	l.done.Wait()
	l.wires.close()
	l.h2.close()
}
