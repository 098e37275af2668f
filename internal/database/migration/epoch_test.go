package migration_test

import (
	"sync"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
)

// A controller that is older than one that has migrated changes nothing. Others
// and people, who have no epoch, are no matter of it.
func TestStaleController(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w world) {
		t := w.t
		set := w.set(t, journey(w.kind)...)
		by := func(controller string, epoch int64) *migration.Database {
			return w.open(t, migration.Options{Controller: controller, Epoch: epoch})
		}
		reach(t, by("shop", 4), set, migration.Expanded)
		reach(t, by("shop", 5), set, migration.Expanded)
		table := map[string]string{"postgres": "noon.migration", "mysql": "noon_migration", "sqlite": "noon_migration"}[w.kind]
		before := w.ask(t, "SELECT count(*) FROM "+table)
		stale := by("shop", 4)
		wantError(t, stale.Reach(t.Context(), set, migration.Contracted, nil), noon.Stale, "knows a controller of epoch 5, this one has 4", "let it do this")
		wantError(t, stale.Rollback(t.Context(), set, 0, migration.Allow{}, nil), noon.Stale, "epoch 5", "let it do this")
		if after := w.ask(t, "SELECT count(*) FROM "+table); after != before {
			t.Errorf("%s sections are recorded, %s were", after, before)
		}
		reach(t, by("desk", 1), set, migration.Migrated)
		reach(t, by("", 0), set, migration.Migrated)
		reach(t, by("shop", 5), set, migration.Contracted)
	})
}

// A controller that was halted while it migrated neither keeps the next one
// waiting nor goes on when it wakes.
func TestHaltedController(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"postgres", "mysql"} { // the lock of SQLite is the process's
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, kind)
			set := w.set(t, journey(kind)...)
			halted, wake := make(chan struct{}), make(chan struct{})
			var once sync.Once
			var all sync.WaitGroup
			older := w.open(t, migration.Options{Controller: "shop", Epoch: 4})
			all.Go(func() {
				err := older.Reach(t.Context(), set, migration.Contracted, func(p migration.Progress) {
					if p.Kind == migration.Data {
						once.Do(func() { close(halted); <-wake })
					}
				})
				if err == nil {
					t.Error("the halted controller went on")
				}
			})
			<-halted
			reach(t, w.open(t, migration.Options{Controller: "shop", Epoch: 5}), set, migration.Contracted)
			close(wake)
			all.Wait()
			w.wantForward(t)
			wantError(t, older.Reach(t.Context(), set, migration.Contracted, nil), noon.Stale, "epoch 5", "let it do this")
		})
	}
}
