package soak_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/proxy"
)

// TestNoInstanceForAMoment: requests wait while there is no instance, and all
// are answered once there is one again.
func TestNoInstanceForAMoment(t *testing.T) {
	s := size(t)
	r := newRig(t, proxy.Limits{Hold: s.hold + 10*time.Second, HoldMost: 2 * int(s.rate*s.hold.Seconds())})
	i := r.run(1)
	r.route(r.routing(1, i))
	before := r.baseline()
	load := startLoad(r.config.Listen, r.book, only(kinds(s), func(k kind) bool { return k.quick }), s.rate)
	pause(t.Context(), s.pause)
	held := time.Now()
	r.route(r.routing(1))
	pause(t.Context(), s.hold)
	r.route(r.routing(1, i))
	took := time.Since(held)
	pause(t.Context(), s.pause)
	load.end(t)
	after := r.settle(before)
	worst := r.book.quantile(1)
	row{
		fmt.Sprintf("no instance for %s ms", ms(took)), r.book, before, after,
		fmt.Sprintf("longest wait beyond that %s ms", ms(worst-took)),
	}.print(t)
	wantNone(t, "failed", r.book.failed(every))
	r.book.wantClean(t)
	r.wantOnce()
	if s.full && worst > took+time.Second {
		t.Errorf("a request took %v, %v after the wait", worst, worst-took)
	}
	if worst < took/2 {
		t.Errorf("nobody has waited: the longest took %v", worst)
	}
}
