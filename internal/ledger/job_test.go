package ledger_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/ledger"
)

func TestOneOfManyClaimsARun(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	// Two ledgers: claims of two processes meet in the file, not in a mutex.
	ledgers := []*ledger.Ledger{open(t, path), open(t, path)}
	for round := range 10 {
		due := noon2026().AddDate(0, 0, round)
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				ok, err := ledgers[i%2].ClaimRun(t.Context(), production(), "nightly", due)
				if err != nil {
					t.Error(err)
				}
				if ok {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d won the run of day %d", won.Load(), round)
		}
	}
}

func TestRuns(t *testing.T) {
	t.Parallel()
	l := fresh(t, fixedClock())
	ctx := t.Context()
	if _, ok, err := l.LastRun(ctx, production(), "nightly"); ok || err != nil {
		t.Fatalf("a job that never ran has a run (%v)", err)
	}
	day := func(n int) time.Time { return noon2026().AddDate(0, 0, n) }
	for _, n := range []int{2, 1} {
		if !must(l.ClaimRun(ctx, production(), "nightly", day(n).In(time.FixedZone("elsewhere", 3600))))(t) {
			t.Fatal("nobody else has claimed it")
		}
		if must(l.ClaimRun(ctx, production(), "nightly", day(n)))(t) {
			t.Fatal("the same instant in another zone was claimed again")
		}
	}
	for _, other := range []struct {
		site noon.Site
		job  string
	}{{staging(), "nightly"}, {production(), "hourly"}} {
		if !must(l.ClaimRun(ctx, other.site, other.job, day(3)))(t) {
			t.Errorf("%v was taken for another job", other)
		}
	}
	noErr(t, l.FinishRun(ctx, production(), "nightly", day(1), "exit status 0"))
	noErr(t, l.FinishRun(ctx, production(), "nightly", day(1), "told again"))
	want := ledger.Run{Job: "nightly", Due: day(2), Claimed: noon2026()}
	if last, ok, err := l.LastRun(ctx, production(), "nightly"); !ok || err != nil || last != want {
		t.Errorf("last run is %+v (%v), want %+v", last, err, want)
	}
	hourly := ledger.Run{Job: "hourly", Due: day(3), Claimed: noon2026()}
	if runs := must(l.OpenRuns(ctx, production()))(t); !cmp.Equal(runs, []ledger.Run{want, hourly}) {
		t.Errorf("open runs are %+v", runs)
	}
	noErr(t, l.FinishRun(ctx, production(), "nightly", day(2), "killed \xff"))
	want.Finished, want.Outcome = noon2026(), "killed \uFFFD"
	if last, _, _ := l.LastRun(ctx, production(), "nightly"); last != want {
		t.Errorf("last run is %+v, want %+v", last, want)
	}
	wantKind(t, l.FinishRun(ctx, production(), "nightly", day(9), ""), noon.NotFound)
	_, err := l.ClaimRun(ctx, production(), "../x", day(1))
	wantKind(t, err, noon.Invalid)
}

func TestLeaseOfNobody(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	if lease := must(l.Lease(t.Context(), production()))(t); lease != (ledger.Lease{}) {
		t.Errorf("lease is %+v", lease)
	}
	_, err := l.NextGeneration(t.Context(), production(), 0)
	wantKind(t, err, noon.Stale)
	_, err = l.Acquire(t.Context(), noon.Site{App: "Shop", Environment: "production"}, "me")
	wantKind(t, err, noon.Invalid)
	_, err = l.Create(t.Context(), walking(noon.Site{App: "shop"}))
	wantKind(t, err, noon.Invalid)
}
