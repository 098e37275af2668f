package host_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
)

// A hold ends by itself, whoever forgets it; a closed site stays closed over
// restarts until somebody opens it.
func TestHoldAndClose(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	serving := revision(1, 1, noon.PointsWhole, web("serve"))
	m.apply(desired(1, serving))
	m.await("r1 serves", func(o noon.Observed) bool { return o.Routed.Generation == 1 })

	halted := desired(2, serving)
	halted.Hold = &noon.Hold{Limit: time.Minute, Most: 10, Until: time.Now().UTC().Add(300 * time.Millisecond), By: "ana"}
	halted.Closed = &noon.Closed{Text: "back soon", By: "ben"}
	m.apply(halted)
	state := func() string { return fmt.Sprint(m.router.now(shop)) }
	eventually(t, "the router holds", func() bool { return m.router.now(shop).Hold != nil || time.Now().After(halted.Hold.Until) }, state)
	m.await("the hold is over", func(o noon.Observed) bool {
		n := m.router.now(shop)
		return n.Hold == nil && n.Fence.Generation == 2 && o.Halt.Hold == nil && o.Halt.Closed != nil
	})
	held := 0
	for _, n := range m.router.all() {
		if n.Hold != nil {
			if diff := cmp.Diff(halted.Hold, n.Hold); diff != "" {
				t.Error(diff)
			}
			held++
		}
	}
	if held == 0 {
		t.Error("the router was never asked to hold")
	}

	m.end()
	m.router.forget()
	m.start()
	m.await("closed after a restart", func(o noon.Observed) bool {
		n := m.router.now(shop)
		return n.Closed != nil && *n.Closed == *halted.Closed && n.Hold == nil && o.Halt.Closed != nil
	})
	m.apply(desired(3, serving))
	m.await("open", func(o noon.Observed) bool {
		return o.Routed.Generation == 3 && o.Halt == noon.Halt{} && m.router.now(shop).Closed == nil
	})
}

// Where users go who are in a segment is passed on once the revision serves.
func TestTrafficIsPassedOn(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	d := desired(1, revision(1, 1, noon.PointsWhole, web("serve")), revision(2, 1, 0, web("serve", "503")))
	d.Traffic = noon.Traffic{
		Redirects: []noon.Redirect{{From: "/old", To: "/new", Status: 308}}, Pages: map[string]string{"404": "<p>no"},
		Limits: noon.TrafficLimits{InFlight: 3}, Health: &noon.HealthCheck{Path: "/healthz"},
	}
	d.Segments = []noon.Segment{
		{Name: "first", Revision: rev(1), Visitors: []string{"v"}}, {Name: "second", Revision: rev(2), Matches: []noon.Match{{In: "cookie", Name: "beta"}}},
	}
	m.apply(d)
	m.await("r1 serves", func(o noon.Observed) bool { return o.Routed.Generation == 1 })
	n := m.router.now(shop)
	if diff := cmp.Diff(d.Traffic, n.Traffic) + cmp.Diff(d.Segments[:1], n.Segments); diff != "" {
		t.Error(diff)
	}
}

func TestImpossibleHalts(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	endless := desired(1, revision(1, 1, noon.PointsWhole, web("serve")))
	endless.Hold = &noon.Hold{Limit: time.Second, Most: 1}
	elsewhere := desired(1, revision(1, 1, noon.PointsWhole, web("serve")))
	elsewhere.Segments = []noon.Segment{{Name: "beta", Revision: rev(2)}}
	for name, d := range map[string]noon.Desired{"a hold without an end": endless, "a segment of nobody": elsewhere} {
		if err := m.host.Apply(t.Context(), d); noon.KindOf(err) != noon.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
