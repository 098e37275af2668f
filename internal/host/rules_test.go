package host

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
)

// Whatever is wanted and whoever serves: the shares are whole or none, and no
// revision that can not serve has one while another one that can is wanted or
// has users.
func TestSettleShares(t *testing.T) {
	t.Parallel()
	shares := rapid.Custom(func(rt *rapid.T) []noon.Share {
		var list []noon.Share
		left := noon.PointsWhole
		for n := rapid.IntRange(0, 4).Draw(rt, "n"); n > 0; n-- {
			points := left
			if n > 1 {
				points = rapid.IntRange(1, left-n+1).Draw(rt, "points")
			}
			left -= points
			list = append(list, noon.Share{Revision: noon.Revision{Release: len(list) + 1}, Points: points})
		}
		return list
	})
	rapid.Check(t, func(rt *rapid.T) {
		want, have := shares.Draw(rt, "want"), shares.Draw(rt, "have")
		up := rapid.MapOf(rapid.IntRange(1, 4), rapid.Bool()).Draw(rt, "up")
		serves := func(r noon.Revision) bool { return up[r.Release] }
		got, exact := settleShares(want, have, serves)
		sum, dead, alive := 0, 0, 0
		for _, s := range got {
			if sum += s.Points; serves(s.Revision) {
				alive++
			} else {
				dead++
			}
			if s.Points < 1 {
				rt.Errorf("a share of %d", s.Points)
			}
		}
		if sum != 0 && sum != noon.PointsWhole {
			rt.Errorf("shares %v sum up to %d", got, sum)
		}
		if alive > 0 && dead > 0 {
			rt.Errorf("shares %v go to the dead as well", got)
		}
		if exact && dead > 0 {
			rt.Errorf("shares %v are taken for served", got)
		}
		for _, s := range append(want, have...) {
			if serves(s.Revision) && alive == 0 && len(want) > 0 {
				rt.Errorf("%s could serve, shares are %v", s.Revision, got)
			}
		}
	})
}

func TestHistory(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	h, now := &history{}, start
	var waits []time.Duration
	for range 12 {
		h.exited("x", now, time.Second, true)
		waits = append(waits, h.next.Sub(now))
		now = h.next
	}
	for i, want := range []time.Duration{100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000} {
		if waits[i] != want*time.Millisecond {
			t.Errorf("wait %d is %s, want %s", i, waits[i], want*time.Millisecond)
		}
	}
	if !h.loop {
		t.Error("twelve exits are no loop")
	}
	h.exited("x", now, settledAfter, true)
	if h.loop || h.failures != 1 || h.next.Sub(now) != backoffFirst {
		t.Errorf("after a minute of being up: %+v", h)
	}
	never := &history{}
	for i := range 3 {
		if never.loop {
			t.Errorf("a loop after %d exits", i)
		}
		never.exited("x", start.Add(time.Duration(i)*time.Hour), 2*time.Second, false)
	}
	if !never.loop {
		t.Error("three that never got ready are no loop")
	}
	slow := &history{}
	for i := range 20 {
		slow.exited("x", start.Add(time.Duration(i)*30*time.Second), 30*time.Second, true)
	}
	if slow.loop {
		t.Error("two exits a minute are a loop")
	}
}

func TestPathsOfTwoRevisions(t *testing.T) {
	t.Parallel()
	d := noon.Desired{Revisions: []noon.DesiredRevision{
		{Revision: noon.Revision{Release: 1}, Instances: []noon.DesiredService{
			{Service: noon.Service{Name: "web", Paths: []string{"/", "/img"}}}, {Service: noon.Service{Name: "old", Paths: []string{"/old"}, Strip: []string{"/old"}}},
		}},
		{Revision: noon.Revision{Release: 2}, Instances: []noon.DesiredService{
			{Service: noon.Service{Name: "api", Paths: []string{"/api"}, Strip: []string{"/api"}}}, {Service: noon.Service{Name: "web", Paths: []string{"/", "/img"}, Strip: []string{"/img"}}},
		}},
		{Revision: noon.Revision{Release: 3}}, // unpacked only: it takes no part
	}}
	l := &look{s: &site{desired: &stored{Desired: d}}}
	r1, r2 := &noon.Revision{Release: 1}, &noon.Revision{Release: 2}
	want := []noon.Path{
		{Prefix: "/", Service: "web"},
		{Prefix: "/api", Service: "api", Strip: true, Revision: r2},
		{Prefix: "/img", Service: "web", Revision: r1},
		{Prefix: "/img", Service: "web", Strip: true, Revision: r2},
		{Prefix: "/old", Service: "old", Strip: true, Revision: r1},
	}
	if diff := cmp.Diff(want, l.paths(nil)); diff != "" {
		t.Error(diff)
	}
	// What runs counts as well: users may be held by what is not desired.
	l.s.desired.Desired.Revisions = d.Revisions[1:]
	l.s.instances = map[string]*instance{"x": {labels: labels{Revision: *r1, Service: noon.Service{Name: "old", Paths: []string{"/old"}, Strip: []string{"/old"}}}}}
	got := l.paths([]noon.Share{{Revision: *r1, Points: noon.PointsWhole}})
	if len(got) != 4 || got[3].Prefix != "/old" || *got[3].Revision != *r1 {
		t.Errorf("with users at r1 the paths are %v", got)
	}
	// One revision alone has nothing to be told apart from.
	l.s.instances = nil
	for _, p := range l.paths(nil) {
		if p.Revision != nil {
			t.Errorf("path %s is of %s alone", p.Prefix, p.Revision)
		}
	}
	// A release that takes no requests does not get those of another.
	l.s.desired.Desired.Revisions = append(slices.Clone(d.Revisions[:1]), noon.DesiredRevision{
		Revision: *r2, Instances: []noon.DesiredService{{Service: noon.Service{Name: "worker"}}},
	})
	for _, p := range l.paths(nil) {
		if p.Revision == nil {
			t.Errorf("path %s is of all", p.Prefix)
		}
	}
}
