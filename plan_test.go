package noon_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
)

func TestLabels(t *testing.T) {
	t.Parallel()
	var got []string
	for _, k := range noon.StateKinds() {
		got = append(got, k.Label())
	}
	want := []string{"S0 settled", "S1 prepared", "S2 quiet", "S3 expanded", "S4 staged", "S5 canary", "S6 switched", "S7 contracted"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("labels (-want +got):\n%s", d)
	}
	if l := noon.StateKind("from a newer noon").Label(); l != "from a newer noon" {
		t.Errorf("label of an unknown kind = %q", l)
	}
}

// Numbers do not depend on which states a plan has.
func TestPlanFindsItsStates(t *testing.T) {
	t.Parallel()
	p := noon.Plan{States: []noon.State{
		{Kind: noon.Settled},
		{Kind: noon.Staged},
		{Kind: noon.Switched, Irreversible: []string{"column price is dropped"}},
		{Kind: noon.Contracted, Irreversible: []string{"r1 is stopped"}},
	}}
	if l := p.Label(1); l != "S4 staged" {
		t.Errorf("label = %q", l)
	}
	for kind, want := range map[noon.StateKind]int{noon.Settled: 0, noon.Staged: 1, noon.Contracted: 3, noon.Quiet: -1} {
		if got := p.Index(kind); got != want {
			t.Errorf("index of %s = %d, want %d", kind, got, want)
		}
	}
	if s, ok := p.PointOfNoReturn(); !ok || s.Kind != noon.Switched {
		t.Errorf("point of no return = %s, %v", s.Kind, ok)
	}
	if s, ok := (noon.Plan{States: p.States[:2]}).PointOfNoReturn(); ok || s.Kind != "" {
		t.Errorf("point of no return of a plan without one = %s, %v", s.Kind, ok)
	}
}

func TestStateLiveAndPresence(t *testing.T) {
	t.Parallel()
	r1, r2, r3 := noon.Revision{Release: 1}, noon.Revision{Release: 2}, noon.Revision{Release: 2, Config: 1}
	s := noon.State{Presences: []noon.Presence{
		{Revision: r1, Share: 9_500, Place: []noon.Placement{{Host: "local", Service: "web", Count: 2}}},
		{Revision: r2, Share: 500},
	}}
	if s.Live() != r1 {
		t.Errorf("live = %s", s.Live())
	}
	if p, ok := s.Presence(r2); !ok || p.Share != 500 || p.Up() {
		t.Errorf("presence of %s = %+v, %v", r2, p, ok)
	}
	if p, ok := s.Presence(r1); !ok || !p.Up() {
		t.Errorf("presence of %s = %+v, %v", r1, p, ok)
	}
	if p, ok := s.Presence(r3); ok {
		t.Errorf("another configuration is another revision: %+v", p)
	}
	if live := (noon.State{Presences: []noon.Presence{{Revision: r1}}}).Live(); !live.IsZero() {
		t.Errorf("live without shares = %s", live)
	}
}

// The live revision has the largest share, whatever the order.
func TestLiveHasTheLargestShare(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		shares := rapid.SliceOfN(rapid.IntRange(0, noon.PointsWhole), 0, 4).Draw(t, "shares")
		var s noon.State
		most := 0
		for i, share := range shares {
			s.Presences = append(s.Presences, noon.Presence{Revision: noon.Revision{Release: i + 1}, Share: share})
			most = max(most, share)
		}
		p, ok := s.Presence(s.Live())
		if ok != (most > 0) || p.Share != most {
			t.Fatalf("shares %v, live %s", shares, s.Live())
		}
	})
}

func TestFactSlug(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"migrate db":                "migrate-db",
		"hook before-deploy/notify": "hook-before-deploy-notify",
		"hook after-switch/Grüße ✓": "hook-after-switch--r--e--",
		"../../etc/passwd":          "------etc-passwd",
		"":                          "",
	} {
		if got := (noon.Fact{Name: name}).Slug(); got != want {
			t.Errorf("slug of %q = %q, want %q", name, got, want)
		}
	}
}

func TestNeedAndCheckNames(t *testing.T) {
	t.Parallel()
	for want, n := range map[string]noon.Need{
		"approval":   {Gate: &noon.Gate{Kind: noon.GateApproval}},
		"migrate db": {Fact: &noon.Fact{Name: "migrate db"}},
		"smoke home": {Check: &noon.Check{Kind: noon.CheckSmoke, Smoke: &noon.Smoke{Name: "home"}}},
		"ready":      {Check: &noon.Check{Kind: noon.CheckReady}},
		"nothing":    {},
	} {
		if n.Name() != want {
			t.Errorf("name = %q, want %q", n.Name(), want)
		}
	}
}
