package mariadb_test

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/database/dbtest"
)

// rowGlances is how many looks at who waits for the lock of a table pass between
// two looks at locks of rows: what the server tells of them is as old as the last
// look, if that was less than 100 ms ago.
const rowGlances = 6

// watch looks again and again at who waits on a server, and knows how long
// statements of apps have waited behind noon. Whoever waits for the lock of a
// table while noon defines something in the same app is behind noon: the server
// does not tell more. That a statement is slow is not its matter, and a look that
// comes twice as late as it should counts nothing: the machine is too busy then
// to say who waits for what.
type watch struct {
	*dbtest.Waits
	url string
}

// visit is a session.
type visit struct {
	app     string // "" of nobody's
	noon    bool
	defines bool // a statement of noon's that defines something is under way
	waits   bool // for the lock of a table
}

func newWatch(ctx context.Context, url string) *watch {
	w := &watch{Waits: dbtest.NewWaits(), url: url}
	w.Watch(ctx, w.look)
	return w
}

// look looks until its connection ends.
func (w *watch) look(ctx context.Context) error {
	db, err := pool(w.url)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // nothing was written
	db.SetMaxOpenConns(1)
	tables, rows := map[int64]time.Duration{}, map[int64]time.Duration{}
	tick := time.NewTicker(dbtest.Glance)
	defer tick.Stop()
	last := time.Now()
	lastRows := last
	for n := 0; ; n++ {
		sessions, err := visits(ctx, db)
		if err != nil {
			return err
		}
		now := time.Now()
		dbtest.Look(w.Waits, tables, behindTables(sessions), fair(now.Sub(last), dbtest.Glance))
		last = now
		if n%rowGlances == 0 {
			behind, err := behindRows(ctx, db, sessions)
			if err != nil {
				return err
			}
			dbtest.Look(w.Waits, rows, behind, fair(now.Sub(lastRows), rowGlances*dbtest.Glance))
			lastRows = now
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// fair is the time between two looks that counts.
func fair(since, usual time.Duration) time.Duration {
	if since > 2*usual {
		return 0
	}
	return min(since, usual)
}

// visits are all sessions.
func visits(ctx context.Context, db *sql.DB) (map[int64]visit, error) {
	rows, err := db.QueryContext(ctx, "SELECT id, user, coalesce(state, ''), coalesce(info, '') FROM information_schema.processlist")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[int64]visit{}
	for rows.Next() {
		var id int64
		var user, state, info string
		if err := rows.Scan(&id, &user, &state, &info); err != nil {
			return nil, err
		}
		verb, _, _ := strings.Cut(info, " ")
		parts := append(strings.SplitN(user, "_", 3), "", "") // s_7_noon, s_7_r1
		v := visit{waits: strings.HasPrefix(state, "Waiting for table metadata lock"), noon: parts[2] == "noon"}
		v.defines = v.noon && slices.Contains([]string{"ALTER", "CREATE", "DROP"}, verb)
		if parts[2] != "" {
			v.app = parts[0] + "_" + parts[1]
		}
		all[id] = v
	}
	return all, rows.Err()
}

// behindTables are sessions that wait for the lock of a table while noon defines
// something in their app.
func behindTables(sessions map[int64]visit) map[int64]string {
	defining := map[string]bool{}
	for _, v := range sessions {
		defining[v.app] = defining[v.app] || v.defines
	}
	list := map[int64]string{}
	for id, v := range sessions {
		if v.waits && !v.noon && defining[v.app] {
			list[id] = v.app
		}
	}
	return list
}

// behindRows are sessions that wait for a row which noon has locked, themselves
// or by way of others.
func behindRows(ctx context.Context, db *sql.DB, sessions map[int64]visit) (map[int64]string, error) {
	rows, err := db.QueryContext(ctx, `SELECT r.trx_mysql_thread_id, b.trx_mysql_thread_id FROM information_schema.innodb_lock_waits w
		JOIN information_schema.innodb_trx r ON r.trx_id = w.requesting_trx_id JOIN information_schema.innodb_trx b ON b.trx_id = w.blocking_trx_id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	blockers := map[int64][]int64{}
	for rows.Next() {
		var waits, blocks int64
		if err := rows.Scan(&waits, &blocks); err != nil {
			return nil, err
		}
		blockers[waits] = append(blockers[waits], blocks)
	}
	list := map[int64]string{}
	for id := range blockers {
		if !sessions[id].noon && reaches(sessions, blockers, id, nil) {
			list[id] = sessions[id].app
		}
	}
	return list, rows.Err()
}

// reaches reports whether a session waits for one of noon's.
func reaches(sessions map[int64]visit, blockers map[int64][]int64, id int64, seen []int64) bool {
	return slices.ContainsFunc(blockers[id], func(b int64) bool {
		return sessions[b].noon || !slices.Contains(seen, b) && reaches(sessions, blockers, b, append(seen, b))
	})
}

// The measure can fail: who waits behind noon for a table or a row is seen, and
// who waits behind somebody else is not counted.
func TestWatchSees(t *testing.T) {
	t.Parallel()
	for what, how := range map[string]struct{ first, blocks, waits string }{
		"table": {"START TRANSACTION; SELECT count(*) FROM things", "ALTER TABLE things ADD COLUMN x INT", "SELECT 1 FROM things"},
		"row":   {"DO 1", "START TRANSACTION; UPDATE things SET n = 2", "UPDATE things SET n = 3"},
	} {
		for _, who := range []string{"noon", "root"} {
			t.Run(what+" "+who, func(t *testing.T) {
				t.Parallel()
				s := newShop(t, "CREATE TABLE things (id INT PRIMARY KEY, n INT); INSERT INTO things VALUES (1, 1)")
				w := s.watch // two would each keep the other from seeing rows
				holder := map[string]string{"noon": s.noon(), "root": s.root()}[who]
				s.blocks(t, w, how.first, how.blocks, how.waits, holder)
				if got := w.Worst(s.app, "") > 0; got != (who == "noon") {
					t.Errorf("%s holds a lock, and a statement waited %s behind noon", who, w.Worst(s.app, ""))
				}
			})
		}
	}
}

// blocks has an app's statement wait behind another one.
func (s *shop) blocks(t *testing.T, w *watch, first, blocks, waits, holder string) {
	t.Helper()
	var all sync.WaitGroup
	var conns []*sql.Conn
	for i, text := range []string{first, blocks, waits} {
		db, err := pool([]string{s.root(), holder, s.old()}[i])
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }() // what it has begun is taken back
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		conns = append(conns, conn)
		began := make(chan struct{})
		all.Go(func() {
			close(began)
			if _, err := conn.ExecContext(context.WithoutCancel(t.Context()), text); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		})
		<-began
		w.Glances(t, rowGlances) // it has done it, or waits
	}
	w.Glances(t, rowGlances+2)
	for _, conn := range conns[:2] {
		all.Go(func() {
			if _, err := conn.ExecContext(context.WithoutCancel(t.Context()), "ROLLBACK"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
