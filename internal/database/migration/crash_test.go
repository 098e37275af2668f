package migration_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
	"github.com/noon-deploy/noon/internal/fault"
)

// write puts files into a directory.
func write(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// command is a process of noon that works on the world.
func (w world) command(ctx context.Context, t *testing.T, dir, phase string, env ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), childAddress+"="+w.address, childDir+"="+dir, childPhase+"="+phase, "GORACE=atexit_sleep_ms=0")
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// dies runs a process until it is killed at a point, or ends well.
func (w world) dies(t *testing.T, dir, phase, spec string) (killed bool) {
	t.Helper()
	out, err := w.command(t.Context(), t, dir, phase, fault.Env+"="+spec).CombinedOutput()
	if err == nil {
		return false
	}
	if exited, ok := errors.AsType[*exec.ExitError](err); !ok || !strings.Contains(exited.Error(), "killed") {
		t.Fatalf("%s of %s ended with %v: %s", phase, w.kind, err, out)
	}
	return true
}

// journey has every kind of section of a server.
func journey(kind string) []string {
	files := shop()
	extra := map[string]string{
		"postgres": "-- noon: expand\n-- noon: no-transaction\nCREATE INDEX CONCURRENTLY by_n ON orders (n);\nUPDATE orders SET n = n + 10;\nDROP INDEX CONCURRENTLY by_n;\nCREATE UNIQUE INDEX CONCURRENTLY by_id_n ON orders (id, n);\n-- noon: down\nDROP INDEX by_id_n;\nUPDATE orders SET n = n - 10;\n",
		"mysql":    "ALTER TABLE orders ADD COLUMN extra INTEGER NOT NULL DEFAULT 5;\nUPDATE orders SET n = n + 10;\nCREATE INDEX by_n ON orders (n);\nALTER TABLE orders RENAME COLUMN extra TO more;\n-- noon: down\nALTER TABLE orders DROP INDEX by_n;\nALTER TABLE orders DROP COLUMN more;\nUPDATE orders SET n = n - 10;\n",
		"sqlite":   "-- noon: expand\n-- noon: no-transaction\nPRAGMA cache_size = 100;\nUPDATE orders SET n = n + 10;\nCREATE INDEX by_n ON orders (n);\nVACUUM;\n-- noon: down\nDROP INDEX by_n;\nUPDATE orders SET n = n - 10;\n",
	}
	return append(files, "0003_extra.sql", extra[kind])
}

// points are the names of the points at which noon can die. Every server has
// some of them.
func points() []string {
	return []string{
		"section.before", "statement.before", "statement.after", "section.commit", "section.after", "statement.commit",
		"journal.commit", "journal.after", "batch.before", "batch.commit", "batch.after",
	}
}

// A process that is killed at a point of each name, and then one that is not:
// what is there is what would be there without a death, every row changed once.
func TestKilledAtEveryName(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w world) {
		t := w.t
		dir := write(t, journey(w.kind)...)
		deaths := 0
		for i, name := range points() {
			if w.dies(t, dir, "contracted", fmt.Sprintf("migration.%s:%d", name, 1+i%2)) {
				deaths++
			}
		}
		w.dies(t, dir, "contracted", "")
		w.wantForward(t)
		for _, name := range points() {
			if w.dies(t, dir, "to 0", "migration."+name) {
				deaths++
			}
		}
		w.dies(t, dir, "to 0", "")
		w.wantNothing(t, w.journey())
		if deaths < 8 {
			t.Errorf("only %d processes were killed", deaths)
		}
	})
}

// dead is what a simulated death throws.
type dead struct{}

// A noon whose connections are cut at a point, on which it does nothing any
// more, and then one that lives: at every n-th point from one that changes.
func TestDeathAtAnyPoint(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			stride := int64(9)
			if kind == "sqlite" {
				stride = 3
			}
			first := 1 + rand.Int64N(stride)
			t.Logf("first death at point %d", first)
			deaths := 0
			for count := first; newWorld(t, kind).diesAndLives(t, count); count += stride {
				deaths++
			}
			if deaths < 3 {
				t.Errorf("noon died %d times, there are more points than that", deaths)
			}
		})
	}
}

// diesAndLives goes forward and back with a death each; died is false if there
// was none.
func (w world) diesAndLives(t *testing.T, count int64) (died bool) {
	t.Helper()
	defer w.close(t)
	set := w.journey()
	forth := w.mortal(t, count, func(db *migration.Database) error { return db.Reach(t.Context(), set, migration.Contracted, nil) })
	db := w.open(t, migration.Options{Patience: time.Minute})
	reach(t, db, set, migration.Contracted)
	w.wantForward(t)
	back := w.mortal(t, count, func(db *migration.Database) error {
		return db.Rollback(t.Context(), set, 0, migration.Allow{}, nil)
	})
	if err := db.Rollback(t.Context(), set, 0, migration.Allow{}, nil); err != nil {
		t.Fatalf("after death %d: %v (%s)", count, err, noon.HintOf(err))
	}
	w.wantNothing(t, set)
	return forth || back
}

func (w world) journey() migration.Set { return w.set(w.t, journey(w.kind)...) }

// mortal does something that dies at a point.
func (w world) mortal(t *testing.T, count int64, do func(*migration.Database) error) (died bool) {
	t.Helper()
	line := newRelay(t, w)
	faults := fault.At(count, func(string) {
		line.cut()
		panic(dead{})
	})
	db, err := migration.Open(t.Context(), line.address, migration.Options{Faults: faults, Who: "mortal", Pause: -1, Patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		line.cut()
		_ = db.Close() // its connections are cut
		if thrown := recover(); thrown != nil {
			if _, died = thrown.(dead); !died {
				panic(thrown)
			}
		}
	}()
	if err := do(db); err != nil {
		t.Fatalf("%v (%s)", err, noon.HintOf(err))
	}
	return false
}

func (w world) wantForward(t *testing.T) {
	t.Helper()
	if got := w.ask(t, "SELECT id, title, n FROM orders ORDER BY id"); got != "1 a 11; 2 b 11; 3 c 11" {
		t.Fatalf("after going forward: %s", got)
	}
}

func (w world) wantNothing(t *testing.T, set migration.Set) {
	t.Helper()
	if got, err := w.tryAsk(t.Context(), "SELECT * FROM orders"); err == nil {
		t.Fatalf("after going back the table is there: %s", got)
	}
	if got := standing(t, w.open(t, migration.Options{}), set); got != "1 pending expand; 2 pending expand; 3 pending expand" {
		t.Fatalf("after going back: %s", got)
	}
}

// Batches die at any moment, and every row is changed exactly once.
func TestBatchesKilledAtAnyTime(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w world) {
		t := w.t
		const rows = 4_000
		w.exec(t, "CREATE TABLE counters (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)")
		w.exec(t, "INSERT INTO counters WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 1000) SELECT i * 7, 0 FROM c")
		for i := 1; i < rows/1000; i++ {
			w.exec(t, fmt.Sprintf("INSERT INTO counters SELECT id + %d, 0 FROM counters WHERE id <= 7000", i*7000))
		}
		dir := write(t, "0001_count.sql", "-- noon: data over counters.id in 100\nUPDATE counters SET n = n + 1 WHERE id BETWEEN :low AND :high;\n")
		kills := 0
		for try := 0; ; try++ {
			ctx, cancel := context.WithCancel(t.Context())
			cmd := w.command(ctx, t, dir, "migrated", childBatch+"=5")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			go w.killAfter(ctx, cancel, "SELECT count(*) FROM counters WHERE n > 0", try*1000)
			err := cmd.Wait()
			cancel()
			if err == nil {
				break
			}
			kills++
		}
		if got := w.ask(t, "SELECT min(n), max(n), count(*) FROM counters"); got != fmt.Sprintf("1 1 %d", rows) {
			t.Errorf("after %d kills: %s", kills, got)
		}
		if kills == 0 {
			t.Error("no process was killed")
		}
	})
}

// killAfter cancels, which kills, as soon as a count has passed a limit.
func (w world) killAfter(ctx context.Context, cancel func(), query string, limit int) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		got, err := w.tryAsk(ctx, query)
		if n := 0; err == nil {
			if _, err := fmt.Sscan(got, &n); err == nil && n > limit {
				cancel()
				return
			}
		}
	}
}
