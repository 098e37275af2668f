package meter_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/noon-deploy/noon/internal/proxy/meter"
)

// TestCarried: what a registry has counted is, on its way through JSON into
// another one, what both have counted together.
func TestCarried(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var a, b, both meter.Registry
		for range rapid.IntRange(0, 12).Draw(t, "requests") {
			k := key(rapid.IntRange(1, 3).Draw(t, "release"), rapid.SampledFrom([]string{"/", "/api", meter.Other}).Draw(t, "route"))
			to := []*meter.Registry{&a, &b}[rapid.IntRange(0, 1).Draw(t, "registry")]
			status, took := rapid.IntRange(0, 599).Draw(t, "status"), time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "took"))
			in, session := rapid.Int64Range(0, 1<<40).Draw(t, "in"), rapid.Uint64().Draw(t, "session")
			for _, r := range []*meter.Registry{to, &both} {
				s := r.Series(k)
				s.Done(status, took, in, in/2)
				s.Session(session)
				if status >= 500 {
					s.Failed(meter.Cut)
				}
			}
		}
		data, err := json.Marshal(a.Counted())
		if err != nil {
			t.Fatal(err)
		}
		var carried []meter.Snapshot
		if err := json.Unmarshal(data, &carried); err != nil {
			t.Fatal(err)
		}
		compare := func(got []meter.Snapshot) {
			if len(got)+len(both.Counted()) == 0 {
				return
			}
			if diff := cmp.Diff(both.Counted(), got, cmp.Comparer(func(x, y *meter.Sessions) bool { return *x == *y })); diff != "" {
				t.Fatal(diff)
			}
		}
		compare(meter.Union(b.Counted(), carried))
		b.Absorb(carried)
		compare(b.Counted())
	})
}

// FuzzCarried: whatever comes is refused or can be counted in.
func FuzzCarried(f *testing.F) {
	f.Add([]byte(`[{"site":{"app":"a","environment":"b"},"classes":{"2":5,"-1":1,"99":1},"latency":{"3":5},"sessions":"AAEC","took":-5}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var list []meter.Snapshot
		if json.Unmarshal(data, &list) != nil {
			return
		}
		var r meter.Registry
		r.Absorb(list)
		for _, n := range r.Snapshots() {
			n.Distinct()
			n.Quantile(.99)
		}
	})
}
