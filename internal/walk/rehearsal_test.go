package walk_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/walk"
)

// TestRehearsalIsWaitedFor: a store that asks for a rehearsal is not changed
// until there is a good one, or a person lets the deployment pass.
func TestRehearsalIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, person := range map[string]bool{"a good one comes": false, "a person": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSim(t, nil, migrated, func(a *noon.App) { a.Stores[0].Rehearsal.Required = true })
				s.book.Brings = map[string][]noon.Brought{"db": {{Name: "0001_names"}}}
				var good atomic.Bool
				c := s.startWalker(walk.Walker{Rehearsed: func(_ context.Context, _ noon.Site, r noon.Revision, store string) (bool, error) {
					return good.Load() && r.Release == 2 && store == "db", nil
				}})
				defer c.end()
				s.deploy(c, 1) // there is nobody whom it could hurt
				second := s.book.Request(shop, noon.PlanDeploy, noon.Revision{Release: 2})
				c.wake()
				pass(time.Hour)
				d, _ := s.book.Deployment(t.Context(), second.ID)
				if d.Status != noon.Held || d.Plan.States[d.At].Kind == noon.Expanded || !strings.Contains(s.waiting(second.ID), "noon rehearse r2") {
					t.Fatalf("without a rehearsal it is %s in %s, waits for %q", d.Status, d.Plan.Label(d.At), s.waiting(second.ID))
				}
				s.serves(1)
				want := "it worked on a copy"
				if person {
					s.book.Ask(second.ID, func(d *noon.Deployment) { d.Approved = "ana" })
					want = "passed without one by ana"
				} else {
					good.Store(true)
				}
				if d := s.rest(second.ID); d.Status != noon.Warm {
					t.Fatalf("it is %s: %v", d.Status, d.Error)
				}
				s.serves(1, 2)
				if !slices.ContainsFunc(s.book.Events(second.ID), func(e noon.Event) bool { return e.Detail == want }) {
					t.Errorf("the journal does not say that it %s", want)
				}
			})
		})
	}
}
