package postgres_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/dbtest"
	"github.com/noon-deploy/noon/internal/database/postgres"
)

// replicated is a shop on a server of its own that a standby follows.
func replicated(t *testing.T) (*shop, *dbtest.Server) {
	t.Helper()
	primary := dbtest.ForTest(t, dbtest.Postgres)
	standby, err := dbtest.Standby(t.Context(), primary, "wal_receiver_status_interval=1s")
	if errors.Is(err, os.ErrNotExist) && os.Getenv(dbtest.VersionEnv) != "" {
		t.Skip("this build of the server comes without pg_basebackup")
	}
	if err != nil {
		t.Fatal(err)
	}
	closing(t, standby)
	w := newWatch(t.Context(), primary.PostgresURL("postgres"))
	t.Cleanup(w.Close)
	return newShopOn(t, primary, w, small), standby
}

func closing(t *testing.T, s *dbtest.Server) {
	t.Helper()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// caughtUp waits until the standby has all that the primary has.
func (s *shop) caughtUp(t *testing.T, standby *dbtest.Server) {
	t.Helper()
	at := ask(t, s.root, "select pg_current_wal_lsn()")
	for until := time.Now().Add(time.Minute); ask(t, standby.PostgresURL("postgres"), "select pg_last_wal_replay_lsn() >= '"+at+"'") != "t"; {
		if time.Now().After(until) {
			t.Fatal("the standby does not catch up")
		}
		<-time.After(20 * time.Millisecond)
	}
}

// A backfill waits while a replica is too far behind, and goes on when it has
// caught up.
func TestBackfillWaitsForStandby(t *testing.T) {
	t.Parallel()
	s, standby := replicated(t)
	s.run(t, s.url, "create function slowly(age text) returns int volatile language sql as 'select age::int from pg_sleep(0.02)'")
	const slow = "operations:\n  - alter_column: {table: users, column: age, type: integer, up: slowly(age), down: age::text}"
	blind := func(f change.Finding) bool { return strings.Contains(f.Hint, "GRANT pg_monitor TO") }
	if p := s.plan(t, slow); !slices.ContainsFunc(p.Findings, blind) {
		t.Errorf("nobody is told that the lag can not be seen: %v", p.Findings)
	}
	s.run(t, s.root, "grant pg_monitor to "+s.owner+"_noon")
	p := s.plan(t, slow)
	if slices.ContainsFunc(p.Findings, blind) {
		t.Errorf("the lag can be seen: %v", p.Findings)
	}
	two := s.release(t, "r2", 1)
	s.caughtUp(t, standby)
	tell := standby.PostgresURL("postgres")
	ask(t, tell, "select pg_wal_replay_pause()")
	var once sync.Once
	var paused string
	var before, after int64
	e := s.open(t, postgres.Config{MaxLag: time.Second, Batch: 10})
	err := e.Reach(t.Context(), postgres.Order{Plan: &p, Phase: postgres.Expanded}, func(p postgres.Progress) {
		switch {
		case p.Paused == "":
			after = max(after, p.Filled)
		case paused == "":
			paused, before = p.Paused, p.Filled
		default: // it was told twice, and has waited in between
			once.Do(func() { ask(t, tell, "select pg_wal_replay_resume()") })
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(paused, "a replica is ") || before == 0 || before >= 450 || after != 450 {
		t.Errorf("paused because %q, with %d rows filled of %d", paused, before, after)
	}
	s.caughtUp(t, standby)
	onStandby := strings.Replace(two, port(s.server), port(standby), 1)
	if got := ask(t, onStandby, "select count(*), sum(age) from users"); got != "450|20025" {
		t.Errorf("the new release reads %s on the standby", got)
	}
}

// A replica is no place to change anything: each call says so, and nothing is
// begun on it.
func TestStandbyRefused(t *testing.T) {
	t.Parallel()
	s, standby := replicated(t)
	s.caughtUp(t, standby)
	p := s.firstPlan(t, smallChange)
	s.noon = strings.Replace(s.noon, port(s.server), port(standby), 1)
	e := s.open(t, postgres.Config{})
	refused := func(what string, err error) {
		t.Helper()
		if noon.KindOf(err) != noon.Invalid || !strings.Contains(err.Error(), "read replica") || !strings.Contains(noon.HintOf(err), "primary") {
			t.Errorf("%s: %v", what, err)
		}
	}
	shared.plan.Lock()
	_, err := e.Plan(t.Context(), read(t, smallChange))
	shared.plan.Unlock()
	refused("a plan", err)
	refused("a deployment's check", e.Writable(t.Context()))
	for _, phase := range []postgres.Phase{postgres.Expanded, postgres.Contracted, postgres.Withdrawn} {
		refused(string(phase), e.Reach(t.Context(), postgres.Order{Plan: &p, Phase: phase}, nil))
	}
	_, err = e.Role(t.Context(), "r1", 0, password)
	refused("a role", err)
	refused("a role that goes", e.DropRole(t.Context(), "r1"))
	if status, err := e.Status(t.Context()); err != nil || len(status.Versions) > 0 {
		t.Errorf("a look at it: %+v %v", status, err)
	}
	if got := ask(t, s.root, "select count(*) from pg_namespace where nspname in ('noon', '"+s.app+"_v1')"); got != "0" {
		t.Errorf("%s schemas were made on the primary", got)
	}
}
