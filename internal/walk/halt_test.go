package walk_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/world"
)

// people ask for a site to be halted.
type people struct {
	mu   sync.Mutex
	halt noon.Halt
}

func (p *people) ask(h noon.Halt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.halt = h
}

func (p *people) read(context.Context, noon.Site) (noon.Halt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.halt, nil
}

// What people ask for reaches the host whatever goes on: at rest, while a walk
// waits, and with every later state.
func TestHaltReachesHosts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, map[int]world.Behavior{2: {ReadyAfter: 10 * time.Second}})
		var p people
		c := s.startWith(nil, p.read)
		defer c.end()
		s.deploy(c, 1)
		told := func(what string, within time.Duration, want noon.Halt) {
			t.Helper()
			for range within / (10 * time.Millisecond) {
				d := s.host.Desired()
				if (noon.Halt{Hold: d.Hold, Closed: d.Closed}).At(time.Now()).Equal(want) {
					return
				}
				pass(10 * time.Millisecond)
			}
			t.Fatalf("%s: the host has %+v", what, s.host.Desired())
		}
		closed := noon.Halt{Closed: &noon.Closed{Text: "soon", By: "ana"}}
		p.ask(closed)
		c.wake()
		told("at rest", time.Second, closed)

		d := s.book.Request(shop, noon.PlanDeploy, noon.Revision{Release: 2})
		c.wake()
		for s.book.All()[1].Status != noon.Walking || len(s.host.Desired().Revisions) < 2 {
			pass(10 * time.Millisecond)
		}
		held := noon.Halt{Hold: &noon.Hold{Limit: time.Second, Most: 5, Until: time.Now().UTC().Add(3 * time.Second)}, Closed: closed.Closed}
		p.ask(held)
		told("in the middle of a walk", time.Second, held)
		p.ask(noon.Halt{Hold: held.Hold})
		told("open in the middle of a walk", time.Second, noon.Halt{Hold: held.Hold})
		pass(3 * time.Second)
		if got := s.rest(d.ID); got.Status != noon.Warm {
			t.Fatalf("the deployment is %s: %v", got.Status, got.Error)
		}
		if d := s.host.Desired(); d.Hold != nil || d.Closed != nil {
			t.Errorf("a state that was entered after the hold says %+v", d)
		}
		p.ask(closed)
		c.wake()
		told("while it is warm", time.Second, closed)
		c.end()
		next := s.startWith(nil, p.read)
		defer next.end()
		s.deploy(next, 3)
		told("after a restart and a deployment", time.Second, closed)
		s.settled()
		s.once()
	})
}
