package host_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/host"
	"github.com/noon-deploy/noon/internal/host/runnertest"
)

func TestDeployAndReplace(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.apply(desired(1, revision(1, 2, noon.PointsWhole, web("serve"))))
	o := m.await("r1 routed", func(o noon.Observed) bool {
		return ready(1, 2)(o) && o.Routed == noon.Fence{Epoch: 1, Generation: 1} && o.Shares["r1.c1"] == noon.PointsWhole
	})
	for _, i := range o.Instances {
		body, err := get(t, "http://"+i.Address+"/")
		if err != nil || !strings.HasPrefix(body, i.ID+" ") {
			t.Errorf("instance %s answers %q, %v", i.ID, body, err)
		}
	}
	m.apply(desired(2, revision(1, 2, noon.PointsWhole, web("serve")), revision(2, 2, 0, web("serve"))))
	m.await("r2 staged", ready(2, 2))
	m.apply(desired(3, revision(1, 2, 0, web("serve")), revision(2, 2, noon.PointsWhole, web("serve"))))
	m.await("r2 switched", func(o noon.Observed) bool { return o.Routed.Generation == 3 && o.Shares["r2.c1"] == noon.PointsWhole })
	m.router.mu.Lock()
	m.router.draining = func(id string) {
		if i := slices.IndexFunc(m.running(), func(s host.Status) bool { return s.ID == id && s.Stopping }); i >= 0 {
			t.Errorf("%s was asked to stop before it was drained", id)
		}
	}
	m.router.mu.Unlock()
	m.apply(desired(4, revision(2, 2, noon.PointsWhole, web("serve"))))
	m.await("r1 gone", gone(1))
	if n := len(m.router.drained); n != 2 {
		t.Errorf("%d endpoints were drained, want 2", n)
	}
	eventually(t, "the release is removed", func() bool {
		_, err := os.Stat(filepath.Join(m.dir, "releases", strings.TrimPrefix(digest(1), "sha256:")))
		return os.IsNotExist(err)
	}, func() string { return "" })
}

// running lists what the runner has, read from disk.
func (m *machine) running() []host.Status {
	m.t.Helper()
	list, err := m.runner.List(m.t.Context())
	if err != nil {
		m.t.Error(err)
	}
	return list
}

// Users stay where they are until the next revision can serve them, even if
// the one they are at is not desired any more.
func TestUsersStayUntilTheNextIsReady(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.apply(desired(1, revision(1, 1, noon.PointsWhole, web("serve"))))
	m.await("r1 serves", func(o noon.Observed) bool { return o.Shares["r1.c1"] == noon.PointsWhole })
	never := web("serve", "503")
	m.apply(desired(2, revision(2, 1, noon.PointsWhole, never)))
	o := m.await("r2 says why it is not ready", func(o noon.Observed) bool {
		return slices.ContainsFunc(o.Instances, func(i noon.Instance) bool { return strings.Contains(i.Probe, "503 Service Unavailable") })
	})
	if o.Shares["r1.c1"] != noon.PointsWhole || o.Routed.Generation != 1 || !ready(1, 1)(o) || o.Accepted.Generation != 2 {
		t.Errorf("observed %s", describe(o))
	}
	m.apply(desired(3, revision(1, 1, noon.PointsWhole, web("serve"))))
	m.await("back at r1", func(o noon.Observed) bool { return o.Routed.Generation == 3 && gone(2)(o) && ready(1, 1)(o) })
	for _, n := range m.router.all() {
		if len(n.Shares) > 0 && !slices.ContainsFunc(n.Endpoints, func(e noon.Endpoint) bool { return e.Revision == n.Shares[0].Revision }) {
			t.Errorf("routing %d has a share without an endpoint: %+v", n.Sequence, n)
		}
	}
}

func TestScale(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for generation, count := range []int{1, 3, 1, 2, 0} {
		share := noon.PointsWhole
		if count == 0 {
			share = 0
		}
		m.apply(desired(int64(generation+1), revision(1, count, share, web("serve"))))
		m.await(fmt.Sprintf("%d instances", count), func(o noon.Observed) bool {
			return ready(1, count)(o) && len(o.Instances) == count && o.Routed.Generation == int64(generation+1)
		})
		eventually(t, "they are routed", func() bool { return len(m.router.now(shop).Endpoints) == count }, func() string { return fmt.Sprint(m.router.now(shop)) })
	}
}

func TestCrashLoop(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.apply(desired(1, revision(1, 1, noon.PointsWhole, web("say", "no database", "3"))))
	o := m.await("crash loop", func(o noon.Observed) bool {
		return slices.ContainsFunc(o.Instances, func(i noon.Instance) bool {
			return i.CrashLoop && i.Phase == noon.Waiting && i.Exit != nil && i.Exit.Code == 3 && i.Incarnation >= 3 && slices.Equal(i.LastLines, []string{"no database"})
		})
	})
	if len(o.Shares) != 0 {
		t.Errorf("shares are %v", o.Shares)
	}
}

func TestOneThatCrashesIsReplaced(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.apply(desired(1, revision(1, 2, noon.PointsWhole, web("serve"))))
	o := m.await("r1 serves", func(o noon.Observed) bool { return ready(1, 2)(o) && o.Routed.Generation == 1 })
	victim := o.Instances[0]
	if err := syscall.Kill(victim.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	o = m.await("it is replaced", func(o noon.Observed) bool {
		return ready(1, 2)(o) && slices.ContainsFunc(o.Instances, func(i noon.Instance) bool { return i.Index == victim.Index && i.Incarnation == 2 })
	})
	if !slices.ContainsFunc(o.Instances, func(i noon.Instance) bool {
		return i.ID == victim.ID && i.Phase == noon.Exited && i.Exit.Signal == "SIGKILL"
	}) {
		t.Errorf("its exit is not told: %s", describe(o))
	}
	eventually(t, "it left the routing", func() bool {
		return !slices.ContainsFunc(m.router.now(shop).Endpoints, func(e noon.Endpoint) bool { return e.ID == victim.ID }) && len(m.router.now(shop).Endpoints) == 2
	}, func() string { return fmt.Sprint(m.router.now(shop)) })
	if slices.Contains(m.router.drained, victim.ID) {
		t.Error("somebody drained a process that is not there")
	}
}

func TestProblemsAreTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*noon.DesiredRevision)
		says   string
	}{
		"release missing": {func(r *noon.DesiredRevision) { r.Digest = digest(99) }, "not in the store"},
		"binary missing":  {func(r *noon.DesiredRevision) { r.Instances[0].Service.Command = []string{"./missing"} }, "missing"},
		"not executable":  {func(r *noon.DesiredRevision) { r.Instances[0].Service.Command = []string{"./digest"} }, "permission denied"},
		"no such user":    {func(r *noon.DesiredRevision) { r.Instances[0].Service.User = "noon-has-no-such-user" }, "user"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.store.missing[digest(99)] = true
			r := revision(1, 1, noon.PointsWhole, web("serve"))
			c.change(&r)
			m.apply(desired(1, r))
			o := m.await("the problem is told", func(o noon.Observed) bool { return o.Problem != nil })
			if !strings.Contains(o.Problem.Error(), c.says) || o.Problem.Hint == "" {
				t.Errorf("problem is %v, hint %q", o.Problem, o.Problem.Hint)
			}
			m.apply(desired(2, revision(2, 1, noon.PointsWhole, web("serve"))))
			m.await("another one has none", func(o noon.Observed) bool { return o.Problem == nil && ready(2, 1)(o) })
		})
	}
}

func TestNeverReady(t *testing.T) {
	t.Parallel()
	taken := newMachine(t)
	taken.apply(desired(1, revision(1, 1, noon.PointsWhole, web("serve"))))
	address := taken.await("a port is taken", ready(1, 1)).Instances[0].Address
	for name, c := range map[string]struct {
		service noon.Service
		says    string
	}{
		"redirects":     {web("redirect"), `302 Found to "/elsewhere"; redirects are not followed`},
		"hangs":         {web("hang"), "no answer within"},
		"answers 500":   {web("serve", "500"), "500 Internal Server Error"},
		"is not there":  {web("wait"), "connection refused"},
		"port is taken": {web("squat", address), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			c.service.Ready.Timeout = 3 * time.Second
			m.apply(desired(1, revision(1, 1, noon.PointsWhole, c.service)))
			o := m.await("it is told", func(o noon.Observed) bool {
				return slices.ContainsFunc(o.Instances, func(i noon.Instance) bool {
					if c.says == "" {
						return slices.ContainsFunc(i.LastLines, func(l string) bool { return strings.Contains(l, "address already in use") })
					}
					return strings.Contains(i.Probe, c.says) && i.Phase != noon.Ready || i.Exit != nil && strings.Contains(i.Exit.Reason, c.says)
				})
			})
			if o.Shares["r1.c1"] != 0 {
				t.Errorf("it has a share: %v", o.Shares)
			}
		})
	}
}

func TestOtherProbes(t *testing.T) {
	t.Parallel()
	tcp, command, none := web("serve"), web("serve"), web("wait")
	tcp.Ready = noon.Probe{TCP: true, Interval: 10 * time.Millisecond}
	command.Name, command.Paths = "command", nil
	command.Ready = noon.Probe{Command: []string{"sh", "-c", `test -f ready && test "$PORT" -gt 0 && test "$GREETING" = "hello from 1"`}, Interval: 10 * time.Millisecond, Timeout: 10 * time.Second}
	none.Name, none.Paths, none.Ready = "none", nil, noon.Probe{Interval: 50 * time.Millisecond}
	m := newMachine(t)
	m.apply(desired(1, revision(1, 1, noon.PointsWhole, tcp, command, none)))
	m.await("two of three are ready", func(o noon.Observed) bool {
		return ready(1, 2)(o) && slices.ContainsFunc(o.Instances, func(i noon.Instance) bool { return strings.Contains(i.Probe, "exit status 1") })
	})
	if err := os.WriteFile(filepath.Join(m.dir, "releases", strings.TrimPrefix(digest(1), "sha256:"), "ready"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m.await("all are ready", ready(1, 3))
}

func TestRouterIsAway(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.apply(desired(1, revision(1, 1, noon.PointsWhole, web("serve"))))
	m.await("r1 serves", func(o noon.Observed) bool { return ready(1, 1)(o) && o.Routed.Generation == 1 })
	m.router.broken(errors.New("nobody listens"))
	m.apply(desired(2, revision(2, 1, noon.PointsWhole, web("serve"))))
	o := m.await("r2 is ready", func(o noon.Observed) bool { return ready(2, 1)(o) && o.Problem != nil })
	if !ready(1, 1)(o) || o.Routed.Generation != 1 {
		t.Errorf("without a router nothing may be stopped: %s", describe(o))
	}
	m.router.broken(nil)
	m.await("r2 serves", func(o noon.Observed) bool { return o.Routed.Generation == 2 && gone(1)(o) && o.Problem == nil })
	m.router.forget()
	eventually(t, "the router has it again", func() bool { return len(m.router.now(shop).Endpoints) == 1 }, func() string { return "" })
	if n := m.router.now(shop); n.Fence.Generation != 2 || n.Shares[0].Revision != rev(2) {
		t.Errorf("it has %+v", n)
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	d := desired(1, revision(1, 2, noon.PointsWhole, web("serve")))
	m.apply(d)
	before := m.await("r1 serves", func(o noon.Observed) bool { return ready(1, 2)(o) && o.Routed.Generation == 1 })
	sequence := m.router.now(shop).Sequence
	for range 2 {
		m.end()
		m.start()
		m.apply(d)
		o := m.await("it goes on", func(o noon.Observed) bool { return ready(1, 2)(o) && o.Routed.Generation == 1 })
		for i := range o.Instances {
			if o.Instances[i].ID != before.Instances[i].ID || o.Instances[i].PID != before.Instances[i].PID {
				t.Errorf("instance %d is another one: %s", i, describe(o))
			}
		}
		n := m.router.now(shop)
		if n.Sequence <= sequence || len(n.Endpoints) != 2 {
			t.Errorf("routing is %+v, sequence was %d", n, sequence)
		}
		sequence = n.Sequence
	}
}

func TestFences(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx := t.Context()
	r := revision(1, 1, 0, web("wait"))
	r.Instances[0].Service.Paths = nil
	at := func(epoch, generation int64, revisions ...noon.DesiredRevision) noon.Desired {
		d := desired(generation, revisions...)
		d.Fence.Epoch = epoch
		return d
	}
	m.apply(at(2, 5, r))
	m.apply(at(2, 5, r))
	more := r
	more.Preview = "token"
	runnertest.Kind(t, m.host.Apply(ctx, at(2, 5, more)), noon.Conflict)
	runnertest.Kind(t, m.host.Apply(ctx, at(2, 4, r)), noon.Stale)
	runnertest.Kind(t, m.host.Apply(ctx, at(1, 9, r)), noon.Stale)
	for what, change := range map[string]func(*noon.DesiredRevision){
		"digest":         func(r *noon.DesiredRevision) { r.Digest = digest(7) },
		"environment":    func(r *noon.DesiredRevision) { r.Env = map[string]string{"GREETING": "secret"} },
		"service web":    func(r *noon.DesiredRevision) { r.Instances[0].Service.Command = []string{"other"} },
		"share":          func(r *noon.DesiredRevision) { r.Share = 7 },
		"negative":       func(r *noon.DesiredRevision) { r.Share = -1 },
		"is no digest":   func(r *noon.DesiredRevision) { r.Digest = "sha256:../../etc" },
		"not inside":     func(r *noon.DesiredRevision) { r.Instances[0].Service.Dir = "../.." },
		"has no command": func(r *noon.DesiredRevision) { r.Instances[0].Service.Command = nil },
	} {
		changed := r
		changed.Instances = slices.Clone(r.Instances)
		change(&changed)
		err := m.host.Apply(ctx, at(2, 6, changed))
		if err == nil || !strings.Contains(err.Error(), what) || noon.HintOf(err) == "" || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error is %v", what, err)
		}
	}
	if o := m.observe(); o.Accepted != (noon.Fence{Epoch: 2, Generation: 5}) {
		t.Errorf("accepted is %s", o.Accepted)
	}
}

func TestTwoHostsOneDirectory(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	_, err := openHost(m.dir, m.router, m.store, nil, quiet())
	runnertest.Kind(t, err, noon.Conflict)
}

// A file that is damaged hurts its own site only, and stops nothing.
func TestDamagedSite(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.apply(desired(1, revision(1, 1, noon.PointsWhole, web("serve"))))
	before := m.await("r1 serves", ready(1, 1))
	other := desired(1, revision(1, 1, noon.PointsWhole, web("serve")))
	other.Site.App = "blog"
	m.end()
	if err := os.WriteFile(filepath.Join(m.dir, "desired", shop.Key()+".json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.start()
	m.apply(other)
	eventually(t, "the other site runs", func() bool {
		o, err := m.host.Observe(t.Context(), other.Site)
		return err == nil && ready(1, 1)(o)
	}, func() string { return "" })
	o := m.observe()
	if o.Problem == nil || len(o.Instances) != 1 || o.Instances[0].PID != before.Instances[0].PID {
		t.Errorf("observed %s", describe(o))
	}
	m.apply(desired(2, revision(1, 1, noon.PointsWhole, web("serve"))))
	o = m.await("it is mended", func(o noon.Observed) bool { return o.Routed.Generation == 2 })
	if o.Instances[0].PID != before.Instances[0].PID {
		t.Errorf("it was started again: %s", describe(o))
	}
}

func TestEnvironmentOfInstances(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	s := web("env")
	s.Env = map[string]string{"LOG_LEVEL": "info"}
	m.apply(desired(1, revision(1, 1, noon.PointsWhole, s)))
	var names []string
	eventually(t, "it has written its environment", func() bool {
		names = nil
		err := m.host.Logs(t.Context(), shop, host.Filter{Lines: -1, Instance: "shop@production_r1.c1_web_0_1"}, false, func(l host.LogLine) error {
			name, _, _ := strings.Cut(l.Text, "=")
			names = append(names, name)
			return nil
		})
		return err == nil && len(names) > 0
	}, func() string { return "" })
	want := []string{"GREETING", "HOST", "LOG_LEVEL", "NOON_HOST", "NOON_INSTANCE", "PORT"}
	for _, own := range []string{"PATH", "HOME", "TZ", "LANG"} {
		if _, ok := os.LookupEnv(own); ok {
			want = append(want, own)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

// TestAlteredReleaseIsNotStarted: files that were changed after they had been
// unpacked are put aside, and what is started is what was released.
func TestAlteredReleaseIsNotStarted(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	first := revision(1, 1, noon.PointsWhole, web("serve"))
	m.apply(desired(1, first))
	m.await("r1 is up", ready(1, 1))
	dirs, err := filepath.Glob(filepath.Join(m.dir, "releases", "*"))
	if err != nil || len(dirs) != 1 {
		t.Fatalf("unpacked: %v, %v", dirs, err)
	}
	file := filepath.Join(dirs[0], "digest")
	if err := errors.Join(os.Chmod(file, 0o600), os.WriteFile(file, []byte("altered"), 0o600)); err != nil {
		t.Fatal(err)
	}
	again := revision(1, 1, 0, web("serve"))
	again.Revision.Config++
	again.Env = map[string]string{"NEW": "yes"}
	m.apply(desired(2, first, again))
	m.await("the new configuration is up", func(o noon.Observed) bool {
		return slices.ContainsFunc(o.Instances, func(i noon.Instance) bool { return i.Revision == again.Revision && i.Phase == noon.Ready })
	})
	if data, err := os.ReadFile(file); err != nil || string(data) != first.Digest {
		t.Errorf("the release holds %q, %v", data, err)
	}
	if aside, err := filepath.Glob(filepath.Join(m.dir, "releases", "altered-*")); err != nil || len(aside) != 1 {
		t.Errorf("put aside: %v, %v", aside, err)
	}
}
