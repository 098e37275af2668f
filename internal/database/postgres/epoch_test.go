package postgres_test

import (
	"sync"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/postgres"
)

// A controller that is older than one that the database has seen changes
// nothing, and one that was halted while it held the lock neither keeps the next
// one waiting nor goes on when it wakes.
func TestEpochs(t *testing.T) {
	t.Parallel()
	s := newShop(t, small)
	p := s.firstPlan(t, ageOnly)
	halted, wake := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var all sync.WaitGroup
	older := s.open(t, postgres.Config{Epoch: 4, Batch: 50})
	all.Go(func() {
		err := older.Reach(t.Context(), postgres.Order{Plan: &p, Phase: postgres.Expanded}, func(p postgres.Progress) {
			if p.Filled > 0 { // in the backfill, on its workers' connections too
				once.Do(func() { close(halted); <-wake })
			}
		})
		if err == nil {
			t.Error("the halted controller went on")
		}
	})
	<-halted
	newer := s.open(t, postgres.Config{Epoch: 5, Wait: true})
	if err := newer.Reach(t.Context(), postgres.Order{Plan: &p, Phase: postgres.Expanded}, nil); err != nil {
		t.Errorf("the newer controller: %v", err)
	}
	close(wake)
	all.Wait()
	if _, err := older.Role(t.Context(), "r2", 1, password); noon.KindOf(err) != noon.Stale {
		t.Errorf("a role by the older controller: %v", err)
	}
	if err := older.DropRole(t.Context(), "r2"); noon.KindOf(err) != noon.Stale {
		t.Errorf("a role dropped by the older controller: %v", err)
	}
	if err := older.Reach(t.Context(), postgres.Order{Version: 1, Phase: postgres.Withdrawn}, nil); noon.KindOf(err) != noon.Stale {
		t.Errorf("a withdrawal by the older controller: %v", err)
	}
	if _, err := older.Status(t.Context()); err != nil {
		t.Errorf("the older controller may look: %v", err)
	}
	two, err := newer.Role(t.Context(), "r2", 1, password)
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(t, s.as(two), "select count(*), sum(age) from users"); got != "450|20025" {
		t.Errorf("the new release sees %s", got)
	}
}
