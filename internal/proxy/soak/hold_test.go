package soak_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// TestHold: new requests are parked while something is cut over, and all are
// answered afterwards. Without an instance they wait as well.
func TestHold(t *testing.T) {
	s := size(t)
	parallel(t, s)
	for _, c := range []struct {
		name string
		hold func(*noon.Routing)
	}{
		{"hold", func(n *noon.Routing) { n.Hold = &noon.Hold{Limit: s.hold + 20*time.Second, Most: 20_000} }},
		{"no instance", func(n *noon.Routing) { n.Endpoints = []noon.Endpoint{} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			parallel(t, s)
			r := newRig(t, proxy.Limits{Hold: s.hold + 20*time.Second, HoldMost: 20_000})
			i := r.run(1)
			r.route(r.routing(1, i))
			before := r.baseline()
			load := startLoad(r.config.Listen, r.book, only(kinds(s), func(k kind) bool { return k.quick }), s.rate)
			pause(t.Context(), s.pause)
			begin := time.Now()
			held := r.routing(1, i)
			c.hold(&held)
			r.route(held)
			pause(t.Context(), s.hold)
			r.route(r.routing(1, i))
			took := time.Since(begin)
			pause(t.Context(), s.pause)
			load.end(t)
			after := r.settle(before)
			worst := r.book.quantile(1)
			row{
				fmt.Sprintf("%s for %s ms", c.name, ms(took)), r.book, before, after,
				fmt.Sprintf("the longest took %s ms longer than that", ms(worst-took)),
			}.tell(t)
			wantNone(t, "failed", r.book.failed(every))
			r.book.wantClean(t)
			r.wantOnce()
			if s.full && worst > took+time.Second {
				t.Errorf("a request took %v, %v after the wait", worst, worst-took)
			}
			if worst < took/2 {
				t.Errorf("nobody has waited: the longest took %v", worst)
			}
		})
	}
}
