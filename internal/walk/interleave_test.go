package walk_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/walk"
	"github.com/noon-deploy/noon/internal/world"
)

// schedules is how many seeded interleavings TestInterleavings walks.
const schedules = 1000

// TestInterleavings has two people deploy at the same time, one of them a slow
// release, while deployments are aborted or superseded and controllers are
// killed or overtaken by others, in an order that a seed decides. Whatever
// happens, the last release that was asked for and not taken back serves
// users, and nothing else is left.
func TestInterleavings(t *testing.T) {
	t.Parallel()
	for seed := range uint64(schedules) {
		synctest.Test(t, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			newSchedule(t, seed).run()
		})
		if t.Failed() {
			return
		}
	}
}

// schedule is one interleaving.
type schedule struct {
	*sim
	rng         *rand.Rand
	controllers []*controller
	next        int // release that is asked for next
}

func newSchedule(t *testing.T, seed uint64) *schedule {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a seed is wanted
	behaviors := map[int]world.Behavior{}
	for n := 1; n <= 9; n++ {
		behaviors[n] = world.Behavior{
			ReadyAfter: time.Duration(rng.IntN(8000)) * time.Millisecond,
			DrainTakes: time.Duration(rng.IntN(3000)) * time.Millisecond,
			TaskTakes:  time.Duration(rng.IntN(1000)) * time.Millisecond,
		}
	}
	behaviors[2+rng.IntN(3)] = world.Behavior{ReadyAfter: 18 * time.Second, TaskTakes: 10 * time.Second} // the slow one
	var change []func(*noon.App)
	if rng.IntN(2) == 0 {
		change = append(change, migrated)
	}
	return &schedule{sim: newSim(t, behaviors, change...), rng: rng, next: 1}
}

func (s *schedule) run() {
	s.begin(nil)
	s.ask(false)
	for range 3 + s.rng.IntN(6) {
		pass(time.Duration(s.rng.IntN(12_000)) * time.Millisecond)
		s.act()
	}
	s.begin(nil) // somebody sound is there in the end
	for _, d := range s.book.All() {
		s.rest(d.ID)
	}
	for _, c := range s.controllers {
		c.end()
	}
	s.judge()
}

// act does one thing of those that happen on a bad day.
func (s *schedule) act() {
	switch s.rng.IntN(6) {
	case 0, 1:
		s.ask(s.rng.IntN(2) == 0)
	case 2:
		s.abort()
	case 3: // killed, and started again
		s.controllers[len(s.controllers)-1].end()
		s.begin(s.death())
	case 4: // overtaken: the one before does not know yet
		s.begin(s.death())
	case 5: // the host part restarts
		s.host.SetDown(true)
		pass(time.Duration(s.rng.IntN(2000)) * time.Millisecond)
		s.host.SetDown(false)
	}
}

// death lets a controller die at one of its next fault points.
func (s *schedule) death() *fault.Points {
	return fault.At(1+int64(s.rng.IntN(40)), func(string) { runtime.Goexit() })
}

func (s *schedule) begin(faults *fault.Points) {
	s.controllers = append(s.controllers, s.start(faults))
	synctest.Wait() // it has taken the site
}

// ask requests the next release, in place of everything under way if it shall.
func (s *schedule) ask(supersede bool) {
	if s.next > 9 {
		return
	}
	d := s.book.Request(shop, noon.PlanDeploy, noon.Revision{Release: s.next})
	s.next++
	for _, old := range s.book.All() {
		if supersede && old.ID < d.ID && !old.Status.Ended() {
			s.book.Ask(old.ID, func(o *noon.Deployment) { o.WantAbort = walk.SupersededBy(d) })
		}
	}
	for _, c := range s.controllers {
		c.wake()
	}
}

func (s *schedule) abort() {
	all := s.book.All()
	d := all[s.rng.IntN(len(all))]
	if !d.Status.Ended() {
		s.book.Ask(d.ID, func(d *noon.Deployment) { d.WantAbort = "aborted" })
	}
}

func (s *schedule) judge() {
	s.t.Helper()
	s.settled()
	var want int
	var story string
	for _, d := range s.book.All() {
		story += fmt.Sprintf("\n  %s to r%d: %s, wanted to abort: %q, error: %v", d.Name(), d.Plan.To.Release, d.Status, d.WantAbort, d.Error)
		switch {
		case d.Status.Good():
			want = d.Plan.To.Release
		case d.WantAbort == "":
			s.t.Errorf("d%d was not taken back and is %s: %v", d.ID, d.Status, d.Error)
		}
	}
	live := s.book.Current(shop).Live().Release
	if live != want {
		s.t.Errorf("r%d is live, r%d was the last that was asked for and not taken back:%s", live, want, story)
	}
	for _, r := range s.host.Desired().Revisions {
		if r.Share != 0 && r.Revision.Release != want {
			s.t.Errorf("the host sends users to r%d:%s", r.Revision.Release, story)
		}
	}
}
