package postgres_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon/internal/database/dbtest"
)

// watch looks again and again at who waits for whom on a server, and knows how
// long statements of apps have waited behind noon. That a statement is slow,
// because the machine is, is not its matter: it asks the server for locks, and
// where it was itself not let run it counts no more than one glance, so that a
// machine that stands still blocks nobody.
type watch struct {
	*dbtest.Waits
	url string
}

// wait is a session that waits for a lock.
type wait struct {
	pid      int32
	app      string // of noon's own sessions
	blockers []int32
}

func newWatch(ctx context.Context, url string) *watch {
	w := &watch{Waits: dbtest.NewWaits(), url: url}
	w.Watch(ctx, w.look)
	return w
}

// look looks until its connection ends.
func (w *watch) look(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, w.url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing depends on it
	waited := map[int32]time.Duration{}
	tick := time.NewTicker(dbtest.Glance)
	defer tick.Stop()
	for last := time.Now(); ; {
		sessions, err := waits(ctx, conn)
		if err != nil {
			return err
		}
		now := time.Now()
		dbtest.Look(w.Waits, waited, waiting(sessions), min(now.Sub(last), dbtest.Glance))
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

// waiting are the sessions of apps that wait behind noon, and its app.
func waiting(sessions map[int32]wait) map[int32]string {
	list := map[int32]string{}
	for pid, s := range sessions {
		if app := behind(sessions, s, nil); s.app == "" && app != "" {
			list[pid] = app
		}
	}
	return list
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
		w.Glances(t, 5)
		if _, err := conn.Exec(t.Context(), "commit"); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-queue; err != nil {
				t.Error(err)
			}
		}
		w.Close()
		if got := w.Worst("watched", "") > 0; got != (holder == "noon watched") {
			t.Errorf("%s holds a lock:\n%s", holder, w.Report())
		}
	}
}
