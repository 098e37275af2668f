package ledger_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/ledger"
)

func TestBackupIsEqual(t *testing.T) {
	t.Parallel()
	path := filled(t)
	l := open(t, path)
	to := filepath.Join(t.TempDir(), "backup.db")
	noErr(t, l.Backup(t.Context(), to))
	if got, want := dump(t, to), dump(t, path); got != want {
		t.Errorf("the backup differs:\n%s", got)
	}
	b := open(t, to)
	if c := must(b.LatestConfig(t.Context(), production()))(t); c.Values["S"].Text != "12" {
		t.Errorf("the secret in the backup is %+v", c.Values["S"].Text)
	}
	create(t, b, walking(production())) // it is a ledger like any other
	if d := must(l.Deployments(t.Context(), ledger.Query{}))(t); len(d) != 2 {
		t.Errorf("a write to the backup reached the ledger: %d", len(d))
	}
}

func TestBackupOverwritesNothing(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	l := open(t, path)
	for _, to := range []string{path, filepath.Join(filepath.Dir(path), "notes.txt")} {
		if to != path {
			noErr(t, os.WriteFile(to, []byte("notes"), 0o600))
		}
		before := must(os.ReadFile(to))(t)
		wantHint(t, l.Backup(t.Context(), to), noon.Conflict, "another name")
		if after := must(os.ReadFile(to))(t); string(after) != string(before) {
			t.Errorf("%s was changed", filepath.Base(to))
		}
	}
	wantKind(t, l.Backup(t.Context(), filepath.Join(t.TempDir(), "missing", "b.db")), noon.Invalid)
}

func TestBackupThatIsInterruptedLeavesNothing(t *testing.T) {
	t.Parallel()
	l := open(t, filled(t))
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := l.Backup(ctx, filepath.Join(dir, "b.db"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if left := must(os.ReadDir(dir))(t); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	// A crash leaves a part, which is in nobody's way.
	noErr(t, os.WriteFile(filepath.Join(dir, ".b.db.part"), []byte("half"), 0o600))
	noErr(t, l.Backup(t.Context(), filepath.Join(dir, "b.db")))
	if left := must(os.ReadDir(dir))(t); len(left) != 1 {
		t.Errorf("left over: %v", left)
	}
}

// TestBackupWhileWriting takes backups under load: each is a state that was.
func TestBackupWhileWriting(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	ctx := t.Context()
	d := create(t, l, walking(production()))
	epoch := acquire(t, l, production())
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			d.At++
			if err := l.Record(ctx, d, epoch, noon.Event{State: d.At}, noon.Event{State: d.At}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	dir := t.TempDir()
	for _, name := range []string{"1", "2", "3"} {
		<-l.Changed() // the writer is at it
		noErr(t, l.Backup(ctx, filepath.Join(dir, name)))
		b := open(t, filepath.Join(dir, name))
		got := must(b.Deployment(ctx, 1))(t)
		if events := must(b.Events(ctx, 1, 0))(t); len(events) != 2*(got.At-walking(production()).At) {
			t.Errorf("the deployment is at %d with %d events", got.At, len(events))
		}
	}
	close(stop)
	wg.Wait()
}
