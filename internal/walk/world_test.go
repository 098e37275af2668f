package walk_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/walk"
	"github.com/noon-deploy/noon/internal/world"
)

var shop = noon.Site{App: "shop", Environment: "production"}

// shopApp is an app with everything a plan can hold.
func shopApp(change ...func(*noon.App)) noon.App {
	app := noon.App{
		Name: "shop", Keep: 3, Bake: 5 * time.Second,
		Services: []noon.Service{
			{Name: "web", Command: []string{"./web"}, Instances: 2, Paths: []string{"/"}, Drain: 10 * time.Second, Ready: noon.Probe{HTTP: "/healthz", Timeout: 20 * time.Second}},
			{Name: "worker", Command: []string{"./worker"}, Instances: 1, Ready: noon.Probe{Timeout: 20 * time.Second}},
		},
		Stores: []noon.Store{{
			Name: "db", Kind: "sqlite", Coexistence: noon.Shared, Compatible: true,
			Migrate: &noon.Command{Command: []string{"./migrate"}, Timeout: time.Minute},
		}},
		Hooks: []noon.Hook{
			{Moment: noon.BeforeDeploy, Name: "announce", Command: noon.Command{Command: []string{"./announce"}, Timeout: time.Minute}},
			{Moment: noon.AfterSwitch, Name: "purge", Command: noon.Command{Command: []string{"./purge"}, Timeout: time.Minute}},
			{Moment: noon.OnFailure, Name: "page", Command: noon.Command{Command: []string{"./page"}, Timeout: time.Minute}},
		},
		Smoke:        []noon.Smoke{{Name: "home", Method: "GET", Path: "/", Timeout: time.Second, Expect: noon.Expect{Status: 200}}},
		Environments: []noon.Environment{{Name: "production", Hosts: []string{noon.LocalHost}, Warm: time.Minute}},
	}
	for _, c := range change {
		c(&app)
	}
	return app
}

// pass lets time pass. It is the fake time of testing/synctest: nothing waits.
func pass(d time.Duration) { <-time.After(d) }

// sim is a world with controllers that come and go.
type sim struct {
	t     *testing.T
	book  *world.Book
	host  *world.Host
	store *world.Store // of apps that noon migrates
	smoke func(noon.Smoke) error
	wg    sync.WaitGroup

	mu    sync.Mutex
	waits map[int64]string
}

// schema has a column more for each migration that was started.
func (s *sim) schema() noon.Schema {
	schema := noon.Schema{"table users": ""}
	for _, id := range s.host.Tasks() {
		if strings.Contains(id, "migrate") {
			schema["column users."+id] = "text"
		}
	}
	return schema
}

// waiting is what people see that a deployment waits for.
func (s *sim) waiting(id int64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waits[id]
}

func newSim(t *testing.T, behaviors map[int]world.Behavior, change ...func(*noon.App)) *sim {
	t.Helper()
	apps := map[int]noon.App{}
	for n := 1; n <= 9; n++ {
		apps[n] = shopApp(change...)
	}
	s := &sim{t: t, book: world.NewBook(apps), host: world.NewHost(noon.LocalHost, behaviors), store: &world.Store{Takes: time.Second}, waits: map[int64]string{}}
	if apps[1].Stores[0].Migrations != "" {
		s.host.Store = s.store
	}
	s.host.MustServe = func() bool {
		return slices.ContainsFunc(s.book.All(), func(d noon.Deployment) bool { return d.Status.Good() })
	}
	return s
}

// controller is one line on the simulated machine.
type controller struct {
	line *walk.Line
	stop context.CancelFunc
	done chan struct{}
}

// start begins a controller, which dies at the given points.
func (s *sim) start(faults *fault.Points) *controller { return s.startWith(faults, nil) }

func (s *sim) startWith(faults *fault.Points, halt func(context.Context, noon.Site) (noon.Halt, error)) *controller {
	return s.startWalker(walk.Walker{Faults: faults, Halt: halt})
}

// startWalker begins a controller with what is given; the rest is the world's.
func (s *sim) startWalker(w walk.Walker) *controller {
	ctx, stop := context.WithCancel(s.t.Context())
	c := &controller{stop: stop, done: make(chan struct{})}
	c.line = &walk.Line{
		Walker: &walk.Walker{
			Journal: s.book, Catalog: s.book, Log: slog.New(slog.DiscardHandler), Faults: w.Faults, Halt: w.Halt, Rehearsed: w.Rehearsed,
			Host: func(string) (walk.Host, error) { return s.host, nil },
			Schema: func(context.Context, noon.Site, noon.Revision, string) (noon.Schema, error) {
				return s.schema(), nil
			},
			Waiting: func(id int64, what string) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.waits[id] = what
			},
			Smoke: func(_ context.Context, _ noon.Site, preview string, check noon.Smoke) error {
				if !strings.HasPrefix(preview, "preview-") {
					return errors.New("no preview token")
				}
				if s.smoke != nil {
					return s.smoke(check)
				}
				return nil
			},
			JobsBusy: func(context.Context, noon.Site) (int, error) { return 0, nil },
			Data: func(ctx context.Context, task noon.DataTask, progress func(string)) error {
				return s.store.Reach(ctx, s.host, task, progress)
			},
		},
		Desk: s.book, Site: shop, Holder: "test", Wake: make(chan struct{}, 1),
	}
	s.wg.Go(func() {
		defer close(c.done)
		_ = c.line.Run(ctx) // a line that lost its site says so; what matters is what the world became
	})
	return c
}

func (c *controller) wake() {
	select {
	case c.line.Wake <- struct{}{}:
	default:
	}
}

func (c *controller) end() {
	c.stop()
	<-c.done
}

// deploy asks for a release and waits until it has come to rest.
func (s *sim) deploy(c *controller, release int) noon.Deployment {
	s.t.Helper()
	d := s.book.Request(shop, noon.PlanDeploy, noon.Revision{Release: release})
	c.wake()
	return s.rest(d.ID)
}

// rest waits until a deployment is warm or has ended.
func (s *sim) rest(id int64) noon.Deployment {
	s.t.Helper()
	for range 100_000 {
		d, err := s.book.Deployment(s.t.Context(), id)
		if err != nil {
			s.t.Fatal(err)
		}
		if d.Status.Ended() {
			return d
		}
		pass(250 * time.Millisecond)
	}
	s.t.Fatalf("d%d does not come to rest", id)
	return noon.Deployment{}
}

// settled fails unless the host holds exactly what the newest deployment says.
func (s *sim) settled() {
	s.t.Helper()
	for _, problem := range append(s.host.Broken(), s.store.Broken()...) {
		s.t.Error(problem)
	}
	want := s.book.Current(shop)
	got := s.host.Desired()
	if len(got.Revisions) != len(want.Presences) {
		s.t.Fatalf("host holds %d revisions, the ledger says %d", len(got.Revisions), len(want.Presences))
	}
	for i, p := range want.Presences {
		if got.Revisions[i].Revision != p.Revision || got.Revisions[i].Share != p.Share {
			s.t.Errorf("host has %s with %d, the ledger says %s with %d", got.Revisions[i].Revision, got.Revisions[i].Share, p.Revision, p.Share)
		}
	}
}

// once fails if any task was started under two attempts.
func (s *sim) once() {
	s.t.Helper()
	for _, id := range s.host.Tasks() {
		if !strings.HasSuffix(id, "_1") {
			s.t.Errorf("%s: a task ran more than once", id)
		}
	}
}

func TestDeploy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, nil)
		c := s.start(nil)
		defer c.end()
		if d := s.deploy(c, 1); d.Status != noon.Succeeded {
			t.Fatalf("first deployment is %s: %v", d.Status, d.Error)
		}
		d := s.deploy(c, 2)
		if d.Status != noon.Warm || d.Plan.From.Release != 1 {
			t.Fatalf("second deployment is %s from %s: %v", d.Status, d.Plan.From, d.Error)
		}
		s.settled()
		pass(2 * time.Minute) // the warm time passes
		if d = s.rest(d.ID); d.Status != noon.Succeeded {
			t.Fatalf("after its warm time it is %s", d.Status)
		}
		s.settled()
		s.once()
		if got := len(s.host.Tasks()); got != 6 {
			t.Errorf("%d tasks ran, want announce, migrate and purge of two deployments", got)
		}
	})
}

func TestRollbackIsWarm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, map[int]world.Behavior{1: {ReadyAfter: 10 * time.Second}})
		c := s.start(nil)
		defer c.end()
		s.deploy(c, 1)
		s.deploy(c, 2)
		begun := time.Now()
		d := s.book.Request(shop, noon.PlanRollback, noon.Revision{Release: 1})
		c.wake()
		for s.book.Current(shop).Live().Release != 1 || len(s.book.Events(d.ID)) < 4 {
			pass(10 * time.Millisecond)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("users were back on the warm release after %s", took)
		}
		if d = s.rest(d.ID); d.Status != noon.Warm {
			t.Fatalf("rollback is %s: %v", d.Status, d.Error)
		}
		if live := s.book.Current(shop).Live(); live.Release != 1 {
			t.Errorf("%s is live", live)
		}
		s.settled()
	})
}

func TestGoesBack(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		behavior world.Behavior
		smoke    error
		says     string
	}{
		"never ready":    {behavior: world.Behavior{NeverReady: true}, says: "not ready within 20s"},
		"crash loop":     {behavior: world.Behavior{CrashLoop: true}, says: "keeps exiting"},
		"altered files":  {behavior: world.Behavior{Broken: true}, says: "altered"},
		"failing task":   {behavior: world.Behavior{TaskFails: true}, says: "exit status 1"},
		"smoke check":    {smoke: errors.New("status 500 instead of 200"), says: "500 instead of 200"},
		"slow and wrong": {behavior: world.Behavior{ReadyAfter: time.Hour}, says: "not ready"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSim(t, map[int]world.Behavior{2: tc.behavior})
				c := s.start(nil)
				defer c.end()
				s.deploy(c, 1)
				s.smoke = func(noon.Smoke) error { return tc.smoke }
				d := s.deploy(c, 2)
				if d.Status != noon.Returned || d.Error == nil || !strings.Contains(d.Error.Error(), tc.says) {
					t.Fatalf("it is %s: %v, want one that says %q", d.Status, d.Error, tc.says)
				}
				if d.Error.Hint == "" {
					t.Error("the error has no hint")
				}
				if live := s.book.Current(shop).Live(); live.Release != 1 {
					t.Errorf("%s is live", live)
				}
				s.settled()
				if !slices.ContainsFunc(s.host.Tasks(), func(id string) bool { return strings.Contains(id, "on-failure") }) {
					t.Error("the on-failure hook has not run")
				}
			})
		})
	}
}

func TestApprovalAndAbort(t *testing.T) {
	t.Parallel()
	approval := func(a *noon.App) { a.Environments[0].Approval = true }
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, nil, approval)
		c := s.start(nil)
		defer c.end()
		first := s.book.Request(shop, noon.PlanDeploy, noon.Revision{Release: 1})
		c.wake()
		pass(time.Hour) // nobody approves
		if d, _ := s.book.Deployment(t.Context(), first.ID); d.Status != noon.Held || d.Plan.States[d.At].Kind != noon.Staged {
			t.Fatalf("without approval it is %s in %s", d.Status, d.Plan.Label(d.At))
		}
		s.book.Ask(first.ID, func(d *noon.Deployment) { d.Approved = "somebody" })
		if d := s.rest(first.ID); d.Status != noon.Succeeded {
			t.Fatalf("approved, it is %s: %v", d.Status, d.Error)
		}
		second := s.book.Request(shop, noon.PlanDeploy, noon.Revision{Release: 2})
		c.wake()
		pass(time.Minute)
		s.book.Ask(second.ID, func(d *noon.Deployment) { d.WantAbort = "aborted by somebody" })
		if d := s.rest(second.ID); d.Status != noon.Returned || !strings.Contains(d.Error.Error(), "aborted by somebody") {
			t.Fatalf("aborted, it is %s: %v", d.Status, d.Error)
		}
		s.settled()
	})
}

func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	lost := map[int]world.Behavior{1: {TaskLost: true}}
	for name, word := range map[string]noon.Resolution{"done": noon.TakeAsDone, "retry": noon.RunAgain} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSim(t, lost)
				c := s.start(nil)
				defer c.end()
				d := s.book.Request(shop, noon.PlanDeploy, noon.Revision{Release: 1})
				c.wake()
				pass(time.Hour) // nobody looks
				if d, _ = s.book.Deployment(t.Context(), d.ID); d.Status != noon.Paused {
					t.Fatalf("with an unknown outcome it is %s", d.Status)
				}
				tasks := s.host.Tasks()
				s.book.Ask(d.ID, func(d *noon.Deployment) { d.Resolved = map[string]noon.Resolution{tasks[0]: word} })
				if d = s.rest(d.ID); d.Status != noon.Succeeded {
					t.Fatalf("resolved, it is %s: %v", d.Status, d.Error)
				}
				again := slices.ContainsFunc(s.host.Tasks(), func(id string) bool { return strings.HasSuffix(id, "_2") })
				if again != (word == noon.RunAgain) {
					t.Errorf("resolved as %s, run again: %v", word, again)
				}
			})
		})
	}
	t.Run("idempotent", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newSim(t, lost, func(a *noon.App) { a.Hooks[0].Idempotent = true })
			c := s.start(nil)
			defer c.end()
			if d := s.deploy(c, 1); d.Status != noon.Succeeded {
				t.Fatalf("it is %s: %v", d.Status, d.Error)
			}
		})
	})
}

// TestCrashAtEveryPoint kills the controller at the n-th fault point, for
// every n, and lets another one go on: the deployment must end exactly as
// without a crash, and no task may run twice.
func TestCrashAtEveryPoint(t *testing.T) {
	t.Parallel()
	outcomes := map[string]struct {
		behavior world.Behavior
		want     noon.Status
		live     int
	}{
		"new": {world.Behavior{ReadyAfter: time.Second, TaskTakes: time.Second}, noon.Warm, 2},
		"old": {world.Behavior{NeverReady: true}, noon.Returned, 1},
	}
	for name, tc := range outcomes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := int64(1); ; n++ {
				var died atomic.Value
				synctest.Test(t, func(t *testing.T) {
					s := newSim(t, map[int]world.Behavior{2: tc.behavior})
					c := s.start(nil)
					s.deploy(c, 1)
					c.end()
					d := s.book.Request(shop, noon.PlanDeploy, noon.Revision{Release: 2})
					c = s.start(fault.At(n, func(point string) {
						died.Store(point)
						runtime.Goexit()
					}))
					for died.Load() == nil && !s.state(d.ID).Status.Ended() {
						pass(time.Second)
					}
					c.end()
					c = s.start(nil)
					defer c.end()
					if d = s.rest(d.ID); d.Status != tc.want {
						t.Fatalf("killed at point %d (%s): it is %s: %v", n, died.Load(), d.Status, d.Error)
					}
					if live := s.book.Current(shop).Live(); live.Release != tc.live {
						t.Fatalf("killed at point %d (%s): %s is live", n, died.Load(), live)
					}
					s.settled()
					s.once()
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

func (s *sim) state(id int64) noon.Deployment {
	d, err := s.book.Deployment(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// TestWarmTimeOutlivesAFailedDeployment: what is warm stays so while a newer
// deployment is tried and goes back, and gives way when its time has passed.
func TestWarmTimeOutlivesAFailedDeployment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, map[int]world.Behavior{3: {CrashLoop: true}})
		c := s.start(nil)
		defer c.end()
		s.deploy(c, 1)
		second := s.deploy(c, 2)
		if d := s.deploy(c, 3); d.Status != noon.Returned {
			t.Fatalf("it is %s: %v", d.Status, d.Error)
		}
		if up, _ := s.book.Current(shop).Presence(noon.Revision{Release: 1}); !up.Up() {
			t.Error("r1 is not warm any more")
		}
		s.settled()
		pass(2 * time.Minute) // the warm time passes
		if d := s.state(second.ID); d.Status != noon.Succeeded {
			t.Errorf("after its warm time d2 is %s", d.Status)
		}
		if _, there := s.book.Current(shop).Presence(noon.Revision{Release: 1}); there {
			t.Error("r1 is still there")
		}
		s.settled()
	})
}
