package demo_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/demo"
)

// line is an event so many milliseconds after the request.
type line struct {
	ms      int
	kind    noon.EventKind
	state   int
	subject string
	detail  string
}

func plan() noon.Plan {
	migrate := noon.Fact{Name: "migrate db"}
	announce := noon.Fact{Name: "hook before-deploy announce"}
	check := func(k noon.CheckKind) noon.Need {
		return noon.Need{Check: &noon.Check{Kind: k, For: time.Second}}
	}
	return noon.Plan{States: []noon.State{
		{Kind: noon.Settled},
		{Kind: noon.Prepared, Leave: []noon.Need{{Fact: &announce}}},
		{Kind: noon.Expanded, Enter: []noon.Need{{Fact: &migrate}}},
		{Kind: noon.Staged, Leave: []noon.Need{check(noon.CheckReady), {Check: &noon.Check{Kind: noon.CheckSmoke, Smoke: &noon.Smoke{Name: "home"}}}}},
		{Kind: noon.Switched, Leave: []noon.Need{check(noon.CheckReady), check(noon.CheckDrain), check(noon.CheckBake)}},
		{Kind: noon.Contracted},
	}}
}

func view(end int, lines ...line) api.DeploymentView {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	v := api.DeploymentView{Deployment: noon.Deployment{Plan: plan(), Created: start}}
	if end > 0 {
		v.Ended = at(end)
	}
	for i, l := range lines {
		v.Events = append(v.Events, noon.Event{Seq: int64(i + 1), At: at(l.ms), Kind: l.kind, State: l.state, Subject: l.subject, Detail: l.detail})
	}
	return v
}

// whole is a deployment of 4.1 seconds of which 120 ms are noon's own.
func whole() []line {
	return []line{
		{5, noon.Moved, 0, "status", "walking: started"},
		{10, noon.Intent, 0, "enter", "S0 settled"},
		{15, noon.Done, 0, "enter", "S0 settled"},
		{20, noon.Intent, 1, "enter", "S1 prepared"},
		{30, noon.Done, 1, "enter", "S1 prepared"},
		{35, noon.Intent, 1, "hook before-deploy announce", "id"},
		{235, noon.Done, 1, "hook before-deploy announce", ""}, // 200 of the app
		{240, noon.Intent, 1, "migrate db", "id"},
		{540, noon.Done, 1, "migrate db", ""}, // 300
		{545, noon.Intent, 2, "enter", "S3 expanded"},
		{550, noon.Done, 2, "enter", "S3 expanded"},
		{555, noon.Intent, 3, "enter", "S4 staged"},
		{560, noon.Done, 3, "enter", "S4 staged"},
		{1060, noon.Seen, 3, "check ready", "holds"},      // 500
		{1160, noon.Seen, 3, "check smoke home", "holds"}, // 100
		{1165, noon.Intent, 4, "enter", "S6 switched"},
		{1185, noon.Done, 4, "enter", "S6 switched"},
		{2185, noon.Seen, 4, "check ready", "holds"},                            // 1000
		{3065, noon.Seen, 4, "drain", "3 requests go on at the release before"}, // 880
		{3065, noon.Seen, 4, "check drain", "holds"},
		{4095, noon.Seen, 4, "check bake", "holds"}, // 1000 of 1030
		{4100, noon.Moved, 4, "status", "warm: until later"},
	}
}

func TestOverhead(t *testing.T) {
	t.Parallel()
	held := []line{
		{5, noon.Moved, 0, "status", "walking: started"},
		{10, noon.Moved, 0, "status", "held: approval to enter S6 switched"},
		{9010, noon.Moved, 0, "status", "walking: approval: open"},
		{9020, noon.Moved, 0, "status", "succeeded"},
	}
	crashed := []line{
		{5, noon.Moved, 0, "status", "walking: started"},
		{10, noon.Intent, 1, "migrate db", "id"},
		{110, noon.Intent, 1, "enter", "S1 prepared"}, // the next controller looks again
		{120, noon.Done, 1, "enter", "S1 prepared"},
		{310, noon.Done, 1, "migrate db", ""},
		{320, noon.Moved, 1, "status", "warm"},
	}
	failed := []line{
		{10, noon.Intent, 3, "enter", "S4 staged"},
		{20, noon.Done, 3, "enter", "S4 staged"},
		{1020, noon.Failed, 3, "check ready", "not ready"},
		{1030, noon.Moved, 3, "status", "returning: not ready"},
		{1050, noon.Moved, 0, "status", "returned"},
	}
	later := []line{
		{5, noon.Moved, 0, "status", "walking: started"},
		{50, noon.Moved, 4, "status", "warm"},
		{9000, noon.Intent, 5, "enter", "S7 contracted"},
		{9900, noon.Seen, 5, "check drain", "holds"},
	}
	for _, c := range []struct {
		name string
		view api.DeploymentView
		want time.Duration
	}{
		{"a whole deployment", view(4100, whole()...), 120 * time.Millisecond},
		{"a gate", view(9020, held...), 20 * time.Millisecond},
		{"a crash during a migration", view(320, crashed...), 20 * time.Millisecond},
		{"one that came back", view(1050, failed...), 50 * time.Millisecond},
		{"what happens after the end does not count", view(50, later...), 50 * time.Millisecond},
		{"not ended", view(0, whole()...), 0},
		{"without a journal", view(70), 70 * time.Millisecond},
	} {
		if got := demo.Overhead(c.view); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	want := []demo.StateTime{{"S0 settled", 10}, {"S1 prepared", 525}, {"S3 expanded", 10}, {"S4 staged", 610}, {"S6 switched", 2935}}
	if diff := cmp.Diff(want, demo.States(view(4100, whole()...))); diff != "" {
		t.Error(diff)
	}
	// Back through S1 to S0: both times count.
	returned := view(100, line{10, noon.Intent, 0, "enter", ""}, line{20, noon.Intent, 1, "enter", ""}, line{50, noon.Intent, 3, "enter", ""},
		line{70, noon.Intent, 1, "enter", ""}, line{80, noon.Intent, 0, "enter", ""}, line{200, noon.Intent, 1, "enter", ""})
	want = []demo.StateTime{{"S0 settled", 30}, {"S1 prepared", 40}, {"S4 staged", 20}}
	if diff := cmp.Diff(want, demo.States(returned)); diff != "" {
		t.Error(diff)
	}
	if got := demo.States(view(0)); got == nil || len(got) != 0 {
		t.Errorf("%v", got)
	}
}
