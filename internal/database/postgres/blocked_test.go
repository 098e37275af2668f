package postgres_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	maxBlocked = 500 * time.Millisecond // of a statement, behind noon, at the default budget
	glance     = 20 * time.Millisecond  // between two looks at the server
)

// watch looks again and again at who waits for whom on a server, and knows how
// long statements of apps have waited behind noon. That a statement is slow,
// because the machine is, is not its matter: it asks the server for locks, and
// where it was itself not let run it counts no more than one glance, so that a
// machine that stands still blocks nobody.
type watch struct {
	url    string
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	phase map[string]string                   // what an app's engine is about
	worst map[string]map[string]time.Duration // by app and phase
	looks int
}

// wait is a session that waits for a lock.
type wait struct {
	pid      int32
	app      string // of noon's own sessions
	blockers []int32
}

func newWatch(ctx context.Context, url string) *watch {
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{url: url, cancel: cancel, done: make(chan struct{}), phase: map[string]string{}, worst: map[string]map[string]time.Duration{}}
	go func() {
		defer close(w.done)
		for ctx.Err() == nil {
			if err := w.look(ctx); err != nil && ctx.Err() == nil { // tests kill servers
				<-time.After(glance)
			}
		}
	}()
	return w
}

func (w *watch) close() { w.cancel(); <-w.done }

// look looks until its connection ends.
func (w *watch) look(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, w.url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing depends on it
	waited := map[int32]time.Duration{}
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for last := time.Now(); ; {
		sessions, err := waits(ctx, conn)
		if err != nil {
			return err
		}
		now := time.Now()
		w.count(sessions, waited, min(now.Sub(last), glance))
		last = now
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// waits are the sessions that wait, and all of noon's.
func waits(ctx context.Context, conn *pgx.Conn) (map[int32]wait, error) {
	rows, err := conn.Query(ctx, `select pid, case when application_name like 'noon %' then substr(application_name, 6) else '' end,
case when wait_event_type = 'Lock' then pg_blocking_pids(pid) else '{}' end
from pg_stat_activity where wait_event_type = 'Lock' or application_name like 'noon %'`)
	if err != nil {
		return nil, err
	}
	sessions := map[int32]wait{}
	var s wait
	_, err = pgx.ForEachRow(rows, []any{&s.pid, &s.app, &s.blockers}, func() error {
		s.blockers = slices.Clone(s.blockers)
		sessions[s.pid] = s
		return nil
	})
	return sessions, err
}

// count adds the time since the last look to who waits behind noon now.
func (w *watch) count(sessions map[int32]wait, waited map[int32]time.Duration, since time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	maps.DeleteFunc(waited, func(pid int32, _ time.Duration) bool { return len(sessions[pid].blockers) == 0 })
	for pid, s := range sessions {
		app := behind(sessions, s, nil)
		if s.app != "" || app == "" {
			delete(waited, pid)
			continue
		}
		waited[pid] += since
		if w.worst[app] == nil {
			w.worst[app] = map[string]time.Duration{}
		}
		w.worst[app][w.phase[app]] = max(w.worst[app][w.phase[app]], waited[pid])
	}
}

// behind is the app whose engine a session waits for, itself or by way of
// others; "" if there is none.
func behind(sessions map[int32]wait, s wait, seen []int32) string {
	for _, pid := range s.blockers {
		if sessions[pid].app != "" {
			return sessions[pid].app
		}
		if !slices.Contains(seen, pid) {
			if app := behind(sessions, sessions[pid], append(seen, pid)); app != "" {
				return app
			}
		}
	}
	return ""
}

// during says what an app's engine is about from now on, until the function it
// returns is called.
func (w *watch) during(app, phase string) func() {
	set := func(phase string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.phase[app] = phase
	}
	set(phase)
	return func() { set("between") }
}

// check fails a test in which a statement waited too long behind noon.
func (w *watch) check(tb testing.TB, app string) {
	tb.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for phase, took := range w.worst[app] {
		if took > maxBlocked {
			tb.Errorf("a statement waited %s behind noon's locks in phase %q, at most %s are allowed", took, phase, maxBlocked)
		}
	}
}

// report tells the worst of all apps, by phase.
func (w *watch) report() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	worst := map[string]time.Duration{}
	for _, phases := range w.worst {
		for phase, took := range phases {
			worst[phase] = max(worst[phase], took)
		}
	}
	lines := []string{fmt.Sprintf("waits behind noon's locks, the longest of each phase, in %d looks:", w.looks)}
	for _, phase := range slices.Sorted(maps.Keys(worst)) {
		lines = append(lines, fmt.Sprintf("  %-10s %s", cmp.Or(phase, "other"), worst[phase].Round(time.Millisecond)))
	}
	return strings.Join(lines, "\n")
}

// The measure can fail: a session with noon's name that holds a lock is seen,
// and one of somebody else's is not counted.
func TestWatchSees(t *testing.T) {
	t.Parallel()
	s := newShop(t, "create table things (id int primary key); insert into things values (1)")
	for _, holder := range []string{"noon watched", "psql"} {
		w := newWatch(t.Context(), shared.server.PostgresURL("postgres"))
		conn := s.connect(t, s.url+"&application_name="+strings.ReplaceAll(holder, " ", "%20"))
		if _, err := conn.Exec(t.Context(), "begin; lock table things"); err != nil {
			t.Fatal(err)
		}
		queue := make(chan error, 2)
		for _, sql := range []string{"begin; lock table things; select pg_sleep(0.1); commit", "select count(*) from things"} {
			other := s.connect(t, s.url)
			go func() { _, err := other.Exec(context.WithoutCancel(t.Context()), sql); queue <- err }()
			s.until(t, "select count(*) >= 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")
		}
		s.until(t, "select count(*) = 2 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")
		w.glances(t, 5)
		if _, err := conn.Exec(t.Context(), "commit"); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-queue; err != nil {
				t.Error(err)
			}
		}
		w.close()
		if got := w.worst["watched"][""] > 0; got != (holder == "noon watched") {
			t.Errorf("%s holds a lock: %v", holder, w.worst)
		}
	}
}

// glances waits until the watch has looked so many more times.
func (w *watch) glances(t *testing.T, n int) {
	t.Helper()
	looks := func() int { w.mu.Lock(); defer w.mu.Unlock(); return w.looks }
	for end, deadline := looks()+n, time.Now().Add(30*time.Second); looks() < end; <-time.After(glance) {
		if time.Now().After(deadline) {
			t.Fatal("the watch does not look")
		}
	}
}

// told prints the report where NOON_BLOCKED asks for it.
func (w *watch) told() {
	if os.Getenv("NOON_BLOCKED") != "" {
		fmt.Fprintln(os.Stderr, w.report())
	}
}
