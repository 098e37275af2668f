package walk_test

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/world"
)

// migrated makes the app's store one that noon migrates.
func migrated(a *noon.App) {
	a.Stores = []noon.Store{{
		Name: "db", Kind: "postgres", Coexistence: noon.Versioned,
		URL: "DATABASE_URL", Migrations: "migrations",
	}}
}

func (s *sim) serves(releases ...int) {
	s.t.Helper()
	var got []int
	for _, r := range s.store.Served() {
		got = append(got, r.Release)
	}
	if !slices.Equal(got, releases) {
		s.t.Errorf("the store serves %v, want %v", got, releases)
	}
}

// TestDataOfADeployment: a store serves both releases while both may run, and
// one when one is left.
func TestDataOfADeployment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, nil, migrated)
		c := s.start(nil)
		defer c.end()
		s.deploy(c, 1)
		s.serves(1)
		second := s.deploy(c, 2)
		s.serves(1, 2)
		pass(2 * time.Minute) // the warm time
		if d := s.rest(second.ID); d.Status != noon.Succeeded {
			t.Fatalf("after its warm time it is %s: %v", d.Status, d.Error)
		}
		s.serves(2)
		s.settled()
	})
}

// TestDataIsCompletedBeforeTheNext: a store serves two releases at a time, so
// that what is warm is completed when a third comes.
func TestDataIsCompletedBeforeTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, nil, migrated)
		c := s.start(nil)
		defer c.end()
		s.deploy(c, 1)
		second := s.deploy(c, 2)
		if d := s.deploy(c, 3); d.Status != noon.Warm {
			t.Fatalf("it is %s: %v", d.Status, d.Error)
		}
		if d := s.rest(second.ID); d.Status != noon.Succeeded {
			t.Errorf("the one before is %s", d.Status)
		}
		s.serves(2, 3)
		s.settled()
	})
}

// TestDataGoesBack: whether a deployment fails, the store refuses, or a person
// goes back to what is warm, the store ends as the release that is left needs it.
func TestDataGoesBack(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		behavior world.Behavior
		refuses  func(noon.Data) error
		says     string
	}{
		"crash loop": {behavior: world.Behavior{CrashLoop: true}, says: "keeps exiting"},
		"refused": {says: "3 rows have no name", refuses: func(d noon.Data) error {
			if d.Phase != noon.DataBoth {
				return nil
			}
			return &noon.Error{Kind: noon.Invalid, Op: "expand", Subject: "db", Err: errors.New("3 rows have no name"), Hint: "Give them one."}
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSim(t, map[int]world.Behavior{2: tc.behavior}, migrated)
				c := s.start(nil)
				defer c.end()
				s.deploy(c, 1)
				s.store.Refuses = tc.refuses
				d := s.deploy(c, 2)
				if d.Status != noon.Returned || d.Error == nil || !strings.Contains(d.Error.Error(), tc.says) {
					t.Fatalf("it is %s: %v, want one that says %q", d.Status, d.Error, tc.says)
				}
				s.serves(1)
				s.settled()
			})
		})
	}
	t.Run("rollback", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newSim(t, nil, migrated)
			c := s.start(nil)
			defer c.end()
			s.deploy(c, 1)
			s.deploy(c, 2)
			d := s.book.Request(shop, noon.PlanRollback, noon.Revision{Release: 1})
			c.wake()
			s.rest(d.ID)
			s.serves(1, 2) // what was left is warm in its turn
			pass(2 * time.Minute)
			s.rest(d.ID)
			s.serves(1)
			s.settled()
		})
	})
}

// TestContractionWaits: what can not be completed yet is tried until it can,
// and people see why.
func TestContractionWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, nil, migrated)
		var held atomic.Bool
		held.Store(true)
		c := s.start(nil)
		defer c.end()
		s.deploy(c, 1)
		s.store.Refuses = func(d noon.Data) error {
			if d.Phase == noon.DataAlone && held.Load() {
				return errors.New("a session of r1 is still there")
			}
			return nil
		}
		d := s.deploy(c, 2)
		pass(time.Hour)
		if d = s.state(d.ID); d.Status != noon.Warm {
			t.Fatalf("it is %s", d.Status)
		}
		if got := s.waiting(d.ID); !strings.Contains(got, "contract db") || !strings.Contains(got, "a session of r1") {
			t.Errorf("people see that it waits for %q", got)
		}
		held.Store(false)
		pass(time.Minute)
		if d = s.state(d.ID); d.Status != noon.Succeeded {
			t.Fatalf("it is %s", d.Status)
		}
		s.serves(2)
		s.settled()
	})
}

// TestPeopleDecideAboutLoss: what a way back would lose is not lost until a
// person says so, or says to leave the store as it is.
func TestPeopleDecideAboutLoss(t *testing.T) {
	t.Parallel()
	for word, serves := range map[noon.Resolution][]int{noon.TakeAsDone: {1, 2}, noon.RunAgain: {1}} {
		t.Run(string(word), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSim(t, map[int]world.Behavior{2: {CrashLoop: true}}, migrated)
				c := s.start(nil)
				defer c.end()
				s.deploy(c, 1)
				s.store.Loses = true
				d := s.book.Request(shop, noon.PlanDeploy, noon.Revision{Release: 2})
				c.wake()
				pass(time.Hour)
				if d = s.state(d.ID); d.Status != noon.Returning {
					t.Fatalf("nobody has decided, and it is %s", d.Status)
				}
				if got := s.waiting(d.ID); !strings.Contains(got, "2 rows") || !strings.Contains(got, "noon approve d2 --resolve 'contract db=done'") {
					t.Errorf("people see that it waits for %q", got)
				}
				s.serves(1, 2)
				s.book.Ask(d.ID, func(d *noon.Deployment) { d.Resolved = map[string]noon.Resolution{"contract db": word} })
				if d = s.rest(d.ID); d.Status != noon.Returned {
					t.Fatalf("it is %s", d.Status)
				}
				s.serves(serves...)
			})
		})
	}
}

// TestAbortStopsTheData: whoever aborts does not wait for a long backfill.
func TestAbortStopsTheData(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, nil, migrated)
		c := s.start(nil)
		defer c.end()
		s.deploy(c, 1)
		s.store.Takes = 10 * time.Hour
		d := s.book.Request(shop, noon.PlanDeploy, noon.Revision{Release: 2})
		c.wake()
		pass(time.Hour)
		if got := s.waiting(d.ID); got != "expand db: half of it" {
			t.Errorf("people see that it waits for %q", got)
		}
		s.book.Ask(d.ID, func(d *noon.Deployment) { d.WantAbort = "aborted by somebody" })
		pass(time.Minute)
		if d = s.state(d.ID); d.Status != noon.Returned {
			t.Fatalf("it is %s: %v", d.Status, d.Error)
		}
		s.serves(1)
	})
}

// TestDataSurvivesCrashes kills the controller at the n-th fault point, for
// every n, of a deployment that ends well and of one that goes back.
func TestDataSurvivesCrashes(t *testing.T) {
	t.Parallel()
	outcomes := map[string]struct {
		behavior world.Behavior
		want     noon.Status
		serves   []int
	}{
		"new": {world.Behavior{}, noon.Succeeded, []int{2}},
		"old": {world.Behavior{NeverReady: true}, noon.Returned, []int{1}},
	}
	for name, tc := range outcomes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := int64(1); ; n++ {
				var died atomic.Value
				synctest.Test(t, func(t *testing.T) {
					s := newSim(t, map[int]world.Behavior{2: tc.behavior}, migrated)
					c := s.start(nil)
					s.deploy(c, 1)
					c.end()
					d := s.book.Request(shop, noon.PlanDeploy, noon.Revision{Release: 2})
					c = s.start(fault.At(n, func(point string) {
						died.Store(point)
						runtime.Goexit()
					}))
					pass(3 * time.Minute)
					c.end()
					c = s.start(nil)
					defer c.end()
					pass(3 * time.Minute)
					if d = s.state(d.ID); d.Status != tc.want {
						t.Fatalf("killed at point %d (%v): it is %s: %v", n, died.Load(), d.Status, d.Error)
					}
					s.serves(tc.serves...)
					s.settled()
				})
				if died.Load() == nil {
					if n < 20 {
						t.Fatalf("only %d points were passed", n-1)
					}
					return
				}
			}
		})
	}
}

// TestSchemaIsSeen: what a migration of the app has changed is in the journal.
func TestSchemaIsSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, nil)
		c := s.start(nil)
		defer c.end()
		d := s.deploy(c, 1)
		var seen []string
		for _, e := range s.book.Events(d.ID) {
			if e.Kind == noon.Seen && e.Subject == "schema db" {
				seen = append(seen, e.Detail)
			}
		}
		if len(seen) != 1 || !strings.HasPrefix(seen[0], "+ column users.") || strings.Contains(seen[0], "\n") {
			t.Errorf("the journal says %q", seen)
		}
	})
}
