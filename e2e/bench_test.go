package e2e

import (
	"slices"
	"testing"
	"time"
)

// bound is what the project promises for both benchmarks. They print; nothing
// fails because a machine is slow.
const bound = time.Second

// report prints what was measured beside the bound.
func report(b *testing.B, what string, took []time.Duration) {
	b.Helper()
	if len(took) == 0 {
		b.Fatal("nothing was measured")
	}
	slices.Sort(took)
	median, most := took[len(took)/2], took[len(took)-1]
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(median), "median-ms")
	b.ReportMetric(ms(most), "max-ms")
	b.Logf("%s: median %s, max %s of %d (bound: %s)", what, median.Round(time.Millisecond), most.Round(time.Millisecond), len(took), bound)
}

// BenchmarkRollback is the time from the command to the last answer of the
// release that is left, which is under load.
func BenchmarkRollback(b *testing.B) {
	m := newMachine(b)
	warm := recipe{envs: "production: {warm: 10m}", instances: 2}
	up(m, warm, warm)
	users := m.load()
	var took []time.Duration
	for b.Loop() {
		b.StopTimer()
		m.must("deploy", "r2", "--yes", "-q")
		eventually(b, soon, "users are answered by r2", func() error { return users.answeredBy("r2", time.Now().Add(-50*time.Millisecond)) })
		b.StartTimer()
		began := time.Now()
		m.must("rollback", "--yes", "-q")
		b.StopTimer()
		eventually(b, soon, "users are answered by r1", func() error { return users.answeredBy("r1", began) })
		took = append(took, max(0, users.lastOf("r2").Sub(began)))
		b.StartTimer()
	}
	users.stop()
	report(b, "rollback to a warm release", took)
}

// BenchmarkDeploy is the time of a whole deployment of an app that is ready a
// few milliseconds after its start: all but that, and up to 80 ms that requests
// under way take, is noon's own.
func BenchmarkDeploy(b *testing.B) {
	m := newMachine(b)
	up(m, recipe{instances: 2}, recipe{instances: 2})
	users := m.load()
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		m.must("deploy", []string{"r2", "r1"}[i%2], "--yes", "-q")
		took = append(took, time.Since(began))
	}
	users.stop()
	report(b, "deployment of an app that starts at once", took)
}
