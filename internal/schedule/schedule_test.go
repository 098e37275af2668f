package schedule_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/schedule"
)

var (
	site = noon.Site{App: "shop", Environment: "production"}
	r1   = noon.Revision{Release: 1}
	r2   = noon.Revision{Release: 2}
)

// machine is a host and a ledger in one: it remembers every start.
type machine struct {
	mu       sync.Mutex
	claimed  map[schedule.Run]bool
	finished map[schedule.Run]string
	started  map[string]noon.Revision
	ends     map[string]time.Time
	takes    time.Duration
	refuse   bool // starts fail: the controller dies between claim and start
}

func newMachine(takes time.Duration) *machine {
	return &machine{
		claimed: map[schedule.Run]bool{}, finished: map[schedule.Run]string{},
		started: map[string]noon.Revision{}, ends: map[string]time.Time{}, takes: takes,
	}
}

func (m *machine) Claim(_ context.Context, _ noon.Site, run schedule.Run) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.claimed[run] {
		return false, nil
	}
	m.claimed[run] = true
	return true, nil
}

func (m *machine) Finish(_ context.Context, _ noon.Site, run schedule.Run, outcome string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.finished[run] = outcome
	return nil
}

func (m *machine) Last(_ context.Context, _ noon.Site, job string) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var last time.Time
	for run := range m.claimed {
		if run.Job == job && run.Due.After(last) {
			last = run.Due
		}
	}
	return last, nil
}

func (m *machine) Open(context.Context, noon.Site) ([]schedule.Run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var open []schedule.Run
	for run := range m.claimed {
		if m.finished[run] == "" {
			open = append(open, run)
		}
	}
	return open, nil
}

func (m *machine) Start(_ context.Context, _ noon.Site, r noon.Revision, id string, _ noon.Job) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse {
		return errors.New("the host is away")
	}
	if _, ok := m.started[id]; !ok {
		m.started[id], m.ends[id] = r, time.Now().Add(m.takes)
	}
	return nil
}

func (m *machine) Status(_ context.Context, id string) (noon.TaskStatus, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ends, ok := m.ends[id]
	switch {
	case !ok:
		return noon.TaskStatus{}, &noon.Error{Kind: noon.NotFound, Err: errors.New("never started")}
	case time.Now().Before(ends):
		return noon.TaskStatus{ID: id, Running: true}, nil
	}
	return noon.TaskStatus{ID: id, Exit: &noon.Exit{Known: true, Reason: "exited with code 0"}}, nil
}

// run lets a scheduler work for a time.
func (m *machine) run(t *testing.T, d time.Duration, what func() schedule.Site) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	s := &schedule.Scheduler{
		Sites: func(context.Context) ([]schedule.Site, error) { return []schedule.Site{what()}, nil },
		Book:  m, Starter: m, Log: slog.New(slog.DiscardHandler),
	}
	s.Run(ctx)
}

func every10s() noon.Job { return noon.Job{Name: "tick", Schedule: "@every 10s", Zone: "UTC"} }

func TestEveryRunOnceAcrossHandoverAndRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(time.Second)
		begin := time.Now()
		who := func(r noon.Revision) func() schedule.Site {
			return func() schedule.Site {
				return schedule.Site{Site: site, Revision: r, Jobs: []noon.Job{every10s()}, Since: begin}
			}
		}
		m.run(t, time.Minute, who(r1))
		m.run(t, time.Minute, who(r2)) // another controller, another release
		if n := len(m.started); n < 11 || n > 12 {
			t.Errorf("%d runs in two minutes, every 10 seconds", n)
		}
		old := 0
		for _, r := range m.started {
			if r == r1 {
				old++
			}
		}
		if old < 5 || old > 6 {
			t.Errorf("%d runs by the release before the handover", old)
		}
	})
}

func TestSuspendedRunsAreMadeUpFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(0)
		begin := time.Now()
		m.run(t, time.Minute, func() schedule.Site { return schedule.Site{Site: site, Since: begin} })
		if len(m.started) != 0 {
			t.Fatalf("%d runs while jobs were suspended", len(m.started))
		}
		m.run(t, time.Second, func() schedule.Site {
			return schedule.Site{Site: site, Revision: r1, Jobs: []noon.Job{every10s()}, Since: begin}
		})
		if len(m.started) != 1 {
			t.Errorf("%d runs made up for, want the last one only", len(m.started))
		}
	})
}

func TestClaimedButNotStarted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(0)
		begin := time.Now()
		what := func() schedule.Site {
			return schedule.Site{Site: site, Revision: r1, Jobs: []noon.Job{every10s()}, Since: begin}
		}
		m.refuse = true
		m.run(t, 11*time.Second, what)
		if len(m.claimed) != 1 || len(m.started) != 0 {
			t.Fatalf("claimed %d, started %d", len(m.claimed), len(m.started))
		}
		m.refuse = false
		m.run(t, time.Second, what)
		if len(m.started) != 1 || len(m.finished) != 1 {
			t.Errorf("after the host is back: started %d, finished %d, want one each", len(m.started), len(m.finished))
		}
	})
}

func TestDue(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		v, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	nightly := noon.Job{Name: "nightly", Schedule: "0 3 * * *", Zone: "Europe/Berlin"}
	cases := map[string]struct{ last, now, want string }{
		"not yet":            {"2026-11-22T02:00:00Z", "2026-11-22T03:00:00Z", ""},
		"now, in its zone":   {"2026-11-22T01:00:00Z", "2026-11-22T02:00:00Z", "2026-11-22T02:00:00Z"},
		"only the last":      {"2026-11-01T02:00:00Z", "2026-11-22T12:00:00Z", "2026-11-22T02:00:00Z"},
		"clock was set back": {"2026-11-22T02:00:00Z", "2026-11-01T12:00:00Z", ""},
	}
	for name, tc := range cases {
		got, err := schedule.Due(nightly, at(tc.last), at(tc.now))
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		if !got.IsZero() {
			text = got.UTC().Format(time.RFC3339)
		}
		if text != tc.want {
			t.Errorf("%s: due %q, want %q", name, text, tc.want)
		}
	}
	if _, err := schedule.Due(noon.Job{Schedule: "nonsense"}, time.Time{}, time.Now()); err == nil {
		t.Error("a schedule that is none is due")
	}
}

// TestDueLiesBetween: what is due is after the last run and not in the future.
func TestDueLiesBetween(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		job := noon.Job{
			Name: "j", Zone: rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/New_York"}).Draw(t, "zone"),
			Schedule: rapid.SampledFrom([]string{"* * * * *", "*/7 * * * *", "30 2 * * *", "0 0 1 * *", "@every 10s", "@hourly"}).Draw(t, "schedule"),
		}
		last := time.Unix(rapid.Int64Range(1_700_000_000, 1_900_000_000).Draw(t, "last"), 0)
		now := last.Add(time.Duration(rapid.Int64Range(-100_000, 1_000_000).Draw(t, "after")) * time.Second)
		due, err := schedule.Due(job, last, now)
		if err != nil {
			t.Fatal(err)
		}
		if !due.IsZero() && (!due.After(last) || due.After(now)) {
			t.Fatalf("due %s is not between %s and %s", due, last, now)
		}
	})
}

func FuzzDue(f *testing.F) {
	f.Add("0 3 * * *", "UTC")
	f.Add("@every 10s", "Europe/Berlin")
	f.Add("@every -1s", "")
	f.Fuzz(func(t *testing.T, text, zone string) {
		now := time.Unix(1_800_000_000, 0)
		due, err := schedule.Due(noon.Job{Schedule: text, Zone: zone}, now.Add(-time.Hour), now)
		if err == nil && due.After(now) {
			t.Errorf("%q is due at %s, later than now", text, due)
		}
	})
}
