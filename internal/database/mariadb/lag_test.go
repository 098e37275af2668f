package mariadb_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/database/dbtest"
	"github.com/noon-deploy/noon/internal/database/mariadb"
)

// pair is a server and a replica of it.
func pair(t *testing.T) (primary, replica *dbtest.Server) {
	t.Helper()
	primary = dbtest.ForTest(t, dbtest.MariaDB, "log-bin=binary", "server-id=1", "binlog-format=ROW", "log-bin-trust-function-creators=1")
	replica = dbtest.ForTest(t, dbtest.MariaDB, "server-id=2", "report-host=127.0.0.1")
	s := &shop{server: replica}
	s.run(t, replica.MariaDBURL("mysql"), fmt.Sprintf(
		"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%d, MASTER_USER='root', MASTER_PASSWORD='%s', MASTER_USE_GTID=slave_pos; START SLAVE", primary.Port(), dbtest.Password))
	return primary, replica
}

// until waits until a query gives a value.
func until(t *testing.T, address, query, want string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; <-time.After(20 * time.Millisecond) {
		got := ask(t, address, query)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s\ngives %s\nwant  %s", query, got, want)
		}
	}
}

// A backfill pauses while a replica is further behind than it may be, goes on
// when it has caught up, and the replica has the same rows then.
func TestPausesForReplicas(t *testing.T) {
	t.Parallel()
	primary, replica := pair(t)
	w := newWatch(t.Context(), primary.MariaDBURL("mysql"))
	t.Cleanup(w.Close)
	s := newShopOn(t, primary, w, crowded)
	s.run(t, primary.MariaDBURL("mysql"), "GRANT REPLICATION MASTER ADMIN ON *.* TO "+s.app+"_noon")
	follower := strings.Replace(s.root(), fmt.Sprint(":", primary.Port(), "/"), fmt.Sprint(":", replica.Port(), "/"), 1)
	until(t, primary.MariaDBURL("mysql"), "SELECT count(*) FROM information_schema.processlist WHERE command = 'Binlog Dump'", "1")
	until(t, replica.MariaDBURL("mysql"), "SELECT count(*) FROM mysql.user WHERE user = '"+s.app+"_noon' AND EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = '"+s.app+"' AND table_name = 'users')", "1")
	until(t, follower, "SELECT count(*) FROM users", "452")
	p := s.plan(t, renewal)
	e := s.open(t, mariadb.Config{Batch: 10, Workers: 2, MaxLag: time.Nanosecond})
	paused, ended := make(chan string, 1), make(chan error, 1)
	stopped := false
	go func() {
		ended <- e.Reach(context.WithoutCancel(t.Context()), mariadb.Order{Plan: &p, Phase: mariadb.Expanded}, func(p mariadb.Progress) {
			if p.Stage == "fill users" && !stopped {
				stopped = true
				s.run(t, follower, "STOP SLAVE SQL_THREAD")
			}
			if p.Paused != "" {
				select {
				case paused <- p.Paused:
				default:
				}
			}
		})
	}()
	select {
	case why := <-paused:
		if !strings.Contains(why, fmt.Sprintf("replica 127.0.0.1:%d is ", replica.Port())) {
			t.Errorf("it pauses: %s", why)
		}
	case err := <-ended:
		t.Fatalf("it does not pause: %v", err)
	}
	const left = "SELECT count(*) FROM users WHERE noon_pending >= 1 << 62"
	<-paused // the other worker's batch has ended
	<-paused
	before := ask(t, s.root(), left)
	for range 3 { // looks of the engine
		<-paused
	}
	if after := ask(t, s.root(), left); after != before || after == "0" {
		t.Errorf("%s rows were left, and %s are", before, after)
	}
	s.run(t, follower, "START SLAVE SQL_THREAD")
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	const all = "SELECT id, mail, age, first, last, age_v1, name, noon_pending FROM users ORDER BY id"
	says(t, s.root(), left, "0")
	until(t, follower, all, ask(t, s.root(), all))
}
