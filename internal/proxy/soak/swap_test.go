package soak_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// TestSnapshotsSwapped: a hundred snapshots a second under load. It is most
// telling with -race, which the proxy's process is then built with too.
func TestSnapshotsSwapped(t *testing.T) {
	s := size(t)
	parallel(t, s)
	r := newRig(t, proxy.Limits{})
	pair := [2]*running{r.run(1), r.run(1)}
	r.route(r.routing(1, pair[0], pair[1]))
	before := r.baseline()
	load, held := startLoad(r.config.Listen, r.book, kinds(s), s.rate), startHolders(r.config.Listen, r.book, s.streams)
	span := 4 * time.Second
	if s.full {
		span = time.Minute
	}
	swaps := 0
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); time.Since(start) < span; swaps++ {
		<-tick.C
		next := r.routing(1, pair[swaps%2]) // one instance after the other, then both
		if swaps%3 == 0 {
			next = r.routing(1, pair[0], pair[1])
		}
		next.Domains = []string{"shop", fmt.Sprintf("shop-%d.example.com", swaps%5)}
		next.Previews = []noon.Preview{{Token: fmt.Sprintf("token-%d-with-some-length", swaps%7), Revision: next.Shares[0].Revision}}
		r.route(next)
	}
	load.end(t)
	held.end(t)
	after := r.settle(before)
	row{fmt.Sprintf("%.0f snapshots/s for %v", float64(swaps)/span.Seconds(), span), r.book, before, after, ""}.tell(t)
	wantNone(t, "failed", r.book.failed(every))
	r.book.wantClean(t)
	r.book.wantStreams(t)
	r.wantOnce()
}
