package meter_test

import (
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/noon-deploy/noon/internal/proxy/meter"
)

// Whatever durations there were, each quantile is within a tenth of the exact
// one.
func TestQuantilesAreWithinATenth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := &meter.Series{}
		// Exponents are drawn, so that every size of duration comes up as often.
		exps := rapid.SliceOfN(rapid.Float64Range(math.Log(50e3), math.Log(600e9)), 1, 300).Draw(t, "log ns")
		all := make([]time.Duration, len(exps))
		for i, x := range exps {
			all[i] = time.Duration(math.Exp(x))
			s.Done(200, all[i], 0, 0)
		}
		slices.Sort(all)
		n := s.Snapshot()
		for _, q := range []float64{0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1} {
			exact := all[max(int(math.Ceil(q*float64(len(all))))-1, 0)]
			got := n.Quantile(q)
			if off := math.Abs(float64(got-exact)) / float64(exact); off > 0.1 {
				t.Fatalf("quantile %v of %d: %v, exact %v: %.1f %% off", q, len(all), got, exact, off*100)
			}
		}
	})
}

func TestDurationsOutsideTheRangeAreCounted(t *testing.T) {
	t.Parallel()
	s := &meter.Series{}
	for _, d := range []time.Duration{math.MinInt64, -1, 0, 1, time.Microsecond, time.Hour, math.MaxInt64} {
		s.Done(200, d, 0, 0)
	}
	n := s.Snapshot()
	if n.Requests() != 7 || n.Quantile(0) <= 0 || n.Quantile(1) < 10*time.Minute {
		t.Errorf("%d requests, quantiles %v to %v", n.Requests(), n.Quantile(0), n.Quantile(1))
	}
	if empty := new(meter.Series).Snapshot(); empty.Quantile(0.5) != 0 || empty.Distinct() != 0 {
		t.Errorf("a series without requests tells %v and %d sessions", empty.Quantile(0.5), empty.Distinct())
	}
}

func TestStatusClassesBytesAndFailures(t *testing.T) {
	t.Parallel()
	s := &meter.Series{}
	for _, status := range []int{101, 200, 204, 302, 404, 499, 500, 503, 599, 0, -1, 600, 99, math.MinInt, math.MaxInt} {
		s.Done(status, time.Millisecond, 10, 100)
	}
	s.Done(200, time.Millisecond, -5, -5) // what is not known is not taken off
	s.Failed(meter.Dial)
	s.Failed(meter.Dial)
	s.Failed(meter.ClientGone)
	s.Failed(meter.Failure(200)) // one of a newer noon
	n := s.Snapshot()
	if want := [6]uint64{6, 1, 3, 1, 2, 3}; n.Classes != want {
		t.Errorf("classes are %v, want %v", n.Classes, want)
	}
	if n.Requests() != 16 || n.In != 150 || n.Out != 1500 || n.Took != 16*time.Millisecond {
		t.Errorf("%d requests, %d in, %d out, took %v", n.Requests(), n.In, n.Out, n.Took)
	}
	if n.Failures[meter.Dial] != 2 || n.Failures[meter.Internal] != 1 || n.Failed() != 3 {
		t.Errorf("failures are %v, %d of the site's", n.Failures, n.Failed())
	}
}

// The estimate must hold at every size, the small ones and those around the
// bend of simple estimators (2.5 times the registers) included.
func TestSessionsAreWithinFivePercent(t *testing.T) {
	t.Parallel()
	for _, salt := range []uint64{0, 1 << 63} {
		s := &meter.Series{}
		next := uint64(0)
		for _, want := range []uint64{1, 2, 10, 100, 1000, 3000, 10_000, 12_000, 20_000, 200_000} {
			for ; next < want; next++ {
				s.Session(next ^ salt) // not even a hash: the sketch mixes for itself
				s.Session(next/2 ^ salt)
			}
			n := s.Snapshot()
			if off := math.Abs(float64(n.Distinct())-float64(want)) / float64(want); off > 0.05 {
				t.Errorf("salt %x: %d sessions estimated as %d, %.1f %% off", salt, want, n.Distinct(), off*100)
			}
		}
	}
}

func TestAnySessionsAreWithinFivePercent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		hashes := rapid.SliceOfNDistinct(rapid.Uint64(), 0, 400, rapid.ID[uint64]).Draw(t, "hashes")
		s := &meter.Series{}
		for _, h := range hashes {
			s.Session(h)
			s.Session(h)
		}
		n := s.Snapshot()
		// Few sessions collide in registers by chance: one or two are no share.
		if off := math.Abs(float64(n.Distinct()) - float64(len(hashes))); off > 0.05*float64(len(hashes))+2 {
			t.Fatalf("%d sessions estimated as %d", len(hashes), n.Distinct())
		}
	})
}

// Nothing is lost when many count at once, and while a busy series is given
// more cells.
func TestNothingIsLostInParallel(t *testing.T) {
	t.Parallel()
	for _, cells := range []int{0, 1, 3, 64} {
		r := &meter.Registry{Cells: cells}
		const each, workers = 20_000, 4
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				s := r.Series(meter.Key{Service: "web"})
				for i := range each {
					s.Done(200, time.Duration(i)*time.Microsecond, 1, 2)
					s.Session(uint64(i))
				}
			})
		}
		wg.Wait()
		n := r.Series(meter.Key{Service: "web"}).Snapshot()
		latency := uint64(0)
		for _, c := range n.Latency {
			latency += c
		}
		if n.Requests() != each*workers || latency != each*workers || n.In != each*workers || n.Out != 2*each*workers {
			t.Errorf("%d cells: %d requests, %d latencies, %d in, %d out of %d", cells, n.Requests(), latency, n.In, n.Out, each*workers)
		}
		if n.Took != workers*each*(each-1)/2*time.Microsecond {
			t.Errorf("%d cells: took %v", cells, n.Took)
		}
		if d := n.Distinct(); d < each*95/100 || d > each*105/100 {
			t.Errorf("%d cells: %d sessions of %d", cells, d, each)
		}
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	s := (&meter.Registry{Cells: 8}).Series(meter.Key{})
	s.Session(1)
	for range 1 << 15 {
		s.Done(200, time.Millisecond, 1, 1) // so that it has its cells
	}
	if n := testing.AllocsPerRun(1000, func() {
		s.Done(200, 3*time.Millisecond, 10, 20)
		s.Session(42)
		s.Failed(meter.Dial)
	}); n != 0 {
		t.Errorf("counting a request allocates %v times", n)
	}
}

func TestSinceAndAdd(t *testing.T) {
	t.Parallel()
	s, other := &meter.Series{}, &meter.Series{}
	for i := range 100 {
		s.Done(200, 10*time.Millisecond, 1, 10)
		s.Session(uint64(i))
		other.Session(uint64(i + 50))
	}
	before := s.Snapshot()
	for range 50 {
		s.Done(503, time.Second, 2, 20)
	}
	s.Failed(meter.Overload)
	now := s.Snapshot()
	d := now.Since(&before)
	if d.Requests() != 50 || d.Classes[5] != 50 || d.In != 100 || d.Out != 1000 || d.Took != 50*time.Second || d.Failed() != 1 {
		t.Errorf("since: %+v", d.Classes)
	}
	if p := d.Quantile(0.5); p < 900*time.Millisecond || p > 1100*time.Millisecond {
		t.Errorf("the median of the later ones is %v", p)
	}
	fresh := &meter.Series{}
	fresh.Done(200, time.Second, 1, 1)
	anew := fresh.Snapshot()
	if back := anew.Since(&before); back.Requests() != 1 || back.In != 1 {
		t.Errorf("a series that began anew tells %d", back.Requests())
	}
	total := d
	theirs := other.Snapshot()
	total.Add(&before)
	total.Add(&theirs)
	if total.Requests() != 150 {
		t.Errorf("together %d requests", total.Requests())
	}
	if n := total.Distinct(); n < 145 || n > 155 {
		t.Errorf("two series that saw 100 sessions each, 150 together, tell %d", n)
	}
	if n := before.Distinct(); n < 98 || n > 102 {
		t.Errorf("adding changed what was added: %d sessions", n)
	}
}
