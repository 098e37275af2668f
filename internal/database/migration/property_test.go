package migration_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/database/dbtest"
	"github.com/noon-deploy/noon/internal/database/migration"
)

// generated is a history of migrations and what it leaves: every row of t has
// been counted up by each data section once.
func generated(r *rand.Rand, kind string) (files []string, columns []string, counted int) {
	files = append(files, "1_t.sql", "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL);\nINSERT INTO t WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 300) SELECT i * 3, 0 FROM c;\n")
	columns = []string{"id", "n"}
	for number := 2; number < 5+r.IntN(3); number++ {
		var text strings.Builder
		name := fmt.Sprintf("c%d", number)
		fmt.Fprintf(&text, "-- noon: expand\nALTER TABLE t ADD COLUMN %s INTEGER;\n", name)
		if r.IntN(2) == 0 {
			fmt.Fprintf(&text, "CREATE TABLE x%d (i INTEGER);\n", number)
		}
		if kind == "postgres" && r.IntN(2) == 0 {
			fmt.Fprintf(&text, "-- noon: expand\n-- noon: no-transaction\nCREATE INDEX CONCURRENTLY i%d ON t (%s);\n", number, name)
		}
		switch r.IntN(3) {
		case 0:
			fmt.Fprintf(&text, "-- noon: data over t.id in %d\nUPDATE t SET n = n + 1, %s = n WHERE id BETWEEN :low AND :high;\n", 1+r.IntN(100), name)
			counted++
		case 1:
			fmt.Fprintf(&text, "-- noon: data\nUPDATE t SET n = n + 1;\nUPDATE t SET %s = n;\n", name)
			counted++
		}
		if r.IntN(2) == 0 {
			fmt.Fprintf(&text, "-- noon: contract\nALTER TABLE t DROP COLUMN %s;\n", name)
		} else {
			columns = append(columns, name)
		}
		files = append(files, fmt.Sprintf("%d_m.sql", number), text.String())
	}
	return files, columns, counted
}

// Migrations that were generated, with a server that is killed at random
// moments: in the end everything was done once.
func TestServerKilledAtAnyTime(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"postgres", "mysql"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, err := startServer(t.Context(), kind)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { closing(t, s) })
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 0))
			for range 2 {
				w := newWorldOn(t, kind, s)
				files, columns, counted := generated(r, kind)
				w.reachThroughDeaths(t, s, r, w.set(t, files...))
				got := w.ask(t, "SELECT min(n), max(n), count(*) FROM t")
				if want := fmt.Sprintf("%d %d 300", counted, counted); got != want {
					t.Errorf("seed %d: counters are %s, want %s; the migrations are %q", seed, got, want, files)
				}
				w.ask(t, "SELECT "+strings.Join(columns, ", ")+" FROM t WHERE id = 0")
			}
		})
	}
}

// reachThroughDeaths calls Reach until it works, and kills the server now and
// then.
func (w world) reachThroughDeaths(t *testing.T, s *dbtest.Server, r *rand.Rand, set migration.Set) {
	t.Helper()
	kills := 2
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		moment := time.Duration(r.IntN(300)) * time.Millisecond
		ended := make(chan error, 1)
		go func() { ended <- w.tryReach(ctx, set) }()
		var err error
		select {
		case err = <-ended:
		case <-after(ctx, moment, kills > 0):
			kills--
			s.Kill()
			err = <-ended
			if e := s.Start(t.Context()); e != nil {
				t.Fatal(e)
			}
		}
		cancel()
		if err == nil {
			return
		}
		if kills == 0 && t.Context().Err() == nil {
			t.Logf("goes on after: %v", err)
			kills = -1
		} else if kills < 0 {
			t.Fatalf("the server lives, but: %v", err)
		}
	}
}

// after fires after a while, never if it is not wanted.
func after(ctx context.Context, d time.Duration, wanted bool) <-chan struct{} {
	if !wanted {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	context.AfterFunc(ctx, cancel)
	return ctx.Done()
}

func (w world) tryReach(ctx context.Context, set migration.Set) error {
	db, err := migration.Open(ctx, w.address, migration.Options{Patience: 30 * time.Second})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // its connections may be gone
	return db.Reach(ctx, set, migration.Contracted, nil)
}
