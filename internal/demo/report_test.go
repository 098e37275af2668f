package demo_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/demo"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// fine is the report of a demo that has lost nothing.
func fine() *demo.Report {
	return &demo.Report{
		Requests: 12345, OrdersAcknowledged: 602, OrdersStored: 602, Deploys: 5, Rollbacks: 2, Crashes: 1, Upgrades: 1,
		RollbackMS: demo.Spread{P50: 212, Max: 390}, DeployOverheadMS: 310, DeployOverheadMax: 402,
		States:  []demo.StateTime{{Name: "S0 settled", MS: 12}, {Name: "S1 prepared", MS: 210}, {Name: "S4 staged", MS: 430}, {Name: "S6 switched", MS: 1320}},
		Seconds: 40, Rate: 20, Journeys: 811, Uploads: 97, StreamsOpened: 61, StreamsMoved: 3,
		LatencyMS: demo.Latency{P50: 3.14, P99: 25, Max: 206}, PerRelease: map[string]int64{"r1": 4000, "r2": 8345},
		Steps: []demo.Step{
			{AtMS: 1000, MS: 2500, What: "deploy r2", Kind: demo.StepDeploy, Release: "r2", Outcome: "warm", Expected: true},
			{AtMS: 6000, MS: 400, What: "rollback to r1", Kind: demo.StepRollback, Release: "r1", Outcome: "warm", LastAnswerMS: 212, Expected: true},
			{AtMS: 8000, MS: 2500, What: "deploy r2, controller killed", Kind: demo.StepDeploy, Release: "r2", Outcome: "warm", Disturbed: "kill -9", Expected: true},
			{AtMS: 14000, MS: 10200, What: "try r3", Kind: demo.StepDeploy, Release: "r3", Outcome: "returned", Expected: true},
			{AtMS: 26000, MS: 900, What: "upgrade noon", Kind: demo.StepUpgrade, Outcome: "done", Expected: true},
			{AtMS: 33000, MS: 300, What: "rollback to r1", Kind: demo.StepRollback, Release: "r1", Outcome: "warm", LastAnswerMS: 390, Expected: true},
		},
		Live: []demo.Live{{AtMS: 0, Release: "r1"}, {AtMS: 2400, Release: "r2"}, {AtMS: 6200, Release: "r1"}, {AtMS: 9900, Release: "r2"}, {AtMS: 33200, Release: "r1"}},
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	golden(t, "fine.txt", fine().Text(demo.Paint{}))
	bad := fine()
	bad.Failed, bad.WrongRelease, bad.StreamsCut, bad.UploadsLost = 2, 1, 1, 3
	bad.OrdersStored, bad.OrdersDuplicated = 601, 1
	bad.Unexpected = []string{"deploy r2: d2 ended as returned instead of live: make ready r2: not ready within 10s"}
	bad.Failures = []string{"12:00:01.000 GET /: answered 502 instead of 200"}
	golden(t, "bad.txt", bad.Text(demo.Paint{}))
	shout := func(mark string) func(string) string { return func(s string) string { return mark + s + mark } }
	golden(t, "painted.txt", bad.Text(demo.Paint{Good: shout("+"), Bad: shout("!"), Dim: shout("~")}))
	golden(t, "nothing.txt", new(demo.Report).Text(demo.Paint{}))
}

// TestNamesOfFields: programs read them.
func TestNamesOfFields(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := fine().Write(&out, true, demo.Paint{}); err != nil {
		t.Fatal(err)
	}
	if strings.Count(out.String(), "\n") != 1 {
		t.Errorf("not one line: %q", out.String())
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"requests", "failed", "wrong_release", "orders_acknowledged", "orders_stored", "orders_duplicated", "streams_cut",
		"uploads_lost", "deploys", "rollbacks", "crashes", "deploy_overhead_ms",
	} {
		if _, ok := got[name].(float64); !ok {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	if diff := cmp.Diff(map[string]any{"p50": 212.0, "max": 390.0}, got["rollback_ms"]); diff != "" {
		t.Error(diff)
	}
	first := got["states"].([]any)[0]
	if diff := cmp.Diff(map[string]any{"name": "S0 settled", "ms": 12.0}, first); diff != "" {
		t.Error(diff)
	}
}

// TestEveryLossCounts changes one number at a time.
func TestEveryLossCounts(t *testing.T) {
	t.Parallel()
	if err := fine().Err(); err != nil || !fine().OK() {
		t.Fatal(err)
	}
	for name, lose := range map[string]func(*demo.Report){
		"failed":            func(r *demo.Report) { r.Failed++ },
		"wrong release":     func(r *demo.Report) { r.WrongRelease++ },
		"order not stored":  func(r *demo.Report) { r.OrdersStored-- },
		"order duplicated":  func(r *demo.Report) { r.OrdersDuplicated++ },
		"order resent":      func(r *demo.Report) { r.OrdersResent++ },
		"order unhandled":   func(r *demo.Report) { r.OrdersUnhandled++ },
		"order twice":       func(r *demo.Report) { r.OrdersTwice++ },
		"stream cut":        func(r *demo.Report) { r.StreamsCut++ },
		"picture lost":      func(r *demo.Report) { r.UploadsLost++ },
		"not as scripted":   func(r *demo.Report) { r.Unexpected = append(r.Unexpected, "r3 went live") },
		"nobody came":       func(r *demo.Report) { r.Requests = 0 },
		"nobody has bought": func(r *demo.Report) { r.OrdersAcknowledged, r.OrdersStored = 0, 0 },
	} {
		r := fine()
		lose(r)
		if noon.KindOf(r.Err()) != noon.Failure || r.OK() || len(r.Losses()) != 1 {
			t.Errorf("%s: %v", name, r.Err())
		}
		if strings.Contains(r.Text(demo.Paint{}), "Nothing was lost") {
			t.Errorf("%s: the report says that nothing was lost", name)
		}
	}
	if !slices.Contains((&demo.Report{Requests: 1, OrdersAcknowledged: 1}).Losses(), "1 orders lost") {
		t.Error("a lost order is not told")
	}
}
