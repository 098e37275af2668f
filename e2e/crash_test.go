package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

// Kills of the crash test. What CI runs is the default; NOON_E2E_KILLS or
// -kills asks for more or fewer, -short for a few.
const (
	killsInCI    = 520
	killsInShort = 50
)

var (
	killsFlag = flag.Int("kills", 0, "how often the crash test kills a part of noon (default NOON_E2E_KILLS, else 520, 50 with -short)")
	seedFlag  = flag.Uint64("seed", 0, "seed of the crash test (default: another one each time)")
)

func kills(tb testing.TB) int {
	tb.Helper()
	if *killsFlag > 0 {
		return *killsFlag
	}
	if text := os.Getenv("NOON_E2E_KILLS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			tb.Fatalf("NOON_E2E_KILLS=%q: want a number", text)
		}
		return n
	}
	if testing.Short() {
		return killsInShort
	}
	return killsInCI
}

// patience is how long a part may die at the same point before it is mended.
const patience = 1500 * time.Millisecond

// recovery is how long a deployment may take to end after the last restart.
const recovery = 10 * time.Second

// crasher deploys, kills, restarts as an init system would, and looks.
type crasher struct {
	*machine
	users   *load
	rng     *rand.Rand
	picks   int
	keepers bool // keepers and the app's own processes die too

	mu      sync.Mutex
	armed   string         // VARIABLE=POINT of parts that are started
	killed  map[string]int // part → times
	last    time.Time      // of the last kill or restart
	deploys int
	took    time.Duration // from the last kill to the end of a deployment
	longest time.Duration
}

// crashApp has something of everything: services with and without users, a
// migration, hooks at every moment, none of which may be run twice.
func crashApp(mode, hook string) recipe {
	limit := "20s" // kills take of it
	if mode == "unready" {
		limit = "900ms"
	}
	return recipe{mode: mode, instances: 2, ready: "{http: /healthz, interval: 20ms, timeout: " + limit + "}", services: "worker: {command: ./app worker}", top: `
stores:
  db: {kind: files, coexistence: shared, migrate: {command: ./app task migrate, idempotent: false}, compatible: true}
hooks:
  before-deploy: [{name: announce, command: ./app task announce}]
  before-switch: [{name: warm-up, command: ./app task warm-up` + hook + `}]
  after-switch: [{name: purge, command: ./app task purge}]
  after-deploy: [{name: tell, command: ./app task tell}]
  before-rollback: [{name: back, command: ./app task back}]
  after-rollback: [{name: was-back, command: ./app task was-back}]
  on-failure: [{name: mourn, command: ./app task mourn}]
smoke:
  - {name: home, get: /, expect: {status: 200, body: [hello]}}
`}
}

func newCrasher(t *testing.T, keepers bool) *crasher {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("repeat with -seed=%d", seed)
	c := &crasher{
		machine: newMachine(t), rng: rand.New(rand.NewPCG(seed, 0)), keepers: keepers, armed: "NOON_FAULT=",
		killed: map[string]int{},
	}
	c.binary = plainBinary // five hundred kills in five minutes, and an end within ten seconds
	up(c.machine, crashApp("ok", ""), crashApp("ok", ""), crashApp("unready", ""), crashApp("broken", ""), crashApp("ok", " fail"))
	c.users = c.load()
	return c
}

// TestCrash kills every part but the proxy (whose crash is another matter: it
// holds the connections) at every one of its points.
func TestCrash(t *testing.T) {
	total := kills(t)
	for _, kind := range []struct {
		name  string
		share int // of the kills, in percent
		run   func(*testing.T, int)
	}{
		{"controller", 46, crashController},
		{"host", 28, crashHost},
		{"keepers", 27, crashKeepers},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			kind.run(t, (total*kind.share+99)/100)
		})
	}
}

// points gives the i-th point at which a part dies: every one that has a name
// first, then the k-th that it passes, for every k up to spread.
func points(names []string, spread, i int) string {
	const stride = 7 // has no factor in common with any spread: every k has its turn
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("*:%d", 1+i*stride%spread)
}

// crashController has the controller die wherever it is.
func crashController(t *testing.T, total int) {
	t.Helper()
	c := newCrasher(t, false)
	names := []string{
		"ledger.record.before", "ledger.record.commit", "ledger.record.after", "line.start.before", "line.start.after",
		"ledger.create.before", "ledger.create.commit", "ledger.create.after", "ledger.start.before", "ledger.start.commit", "ledger.start.after",
		"walk.record.before", "walk.record.after", "walk.apply.before", "walk.apply.after", "walk.task.before", "walk.task.after",
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	c.killController()
	c.restart()
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			select {
			case <-c.running().done:
			case <-ctx.Done():
				return
			}
			if err := c.running().err; !killedHere(err) {
				c.t.Errorf("the controller ended by itself: %v\n%s", err, tailOf(c.logFile()))
				return
			}
			c.died("controller")
			point := points(names, 73, i)
			if left := c.left(total, names); len(left) > 0 {
				point = left[i%len(left)]
			}
			c.arm("NOON_FAULT", point)
			c.restart()
		}
	})
	c.kill(c.running().cmd.Process.Pid) // from here on it dies by itself
	for more := moreDeploys; c.goOn(total, names, &more); {
		c.deploy()
	}
	c.finish(names)
}

// crashHost has the host part die at its k-th point, again and again, and the
// controller wherever it is.
func crashHost(t *testing.T, total int) {
	t.Helper()
	c := newCrasher(t, false)
	names := []string{
		"host.desired.before", "host.desired.stored", "host.route.before", "host.route.after", "host.start.before", "host.start.after",
		"host.task.before", "host.task.started", "host.task.recorded", "host.stop.before", "host.stop.after", "host.ready.before", "process.ordered",
	}
	for i, more := 0, moreDeploys; c.goOn(total, names, &more); i++ {
		point := points(names, 61, i)
		if left := c.left(total, names); len(left) > 0 {
			point = left[i%len(left)]
		}
		c.arm("NOON_FAULT_HOST", point)
		c.replace()
		c.deploy()
	}
	c.finish(names)
}

// crashKeepers has keepers, and what becomes the app's processes, die at each
// of their points. They are killed again and again until they are disarmed.
func crashKeepers(t *testing.T, total int) {
	t.Helper()
	c := newCrasher(t, true)
	names := []string{
		"keeper.locked", "keeper.started", "keeper.exit.before", "keeper.exit.after", "keeper.stop.before",
		"exec.claim.before", "exec.claim.after", "exec.before",
	}
	for i, more := 0, moreDeploys; c.goOn(total, names, &more); i++ {
		c.arm("NOON_FAULT_KEEPER", names[i%len(names)])
		c.replace()
		c.deploy()
	}
	c.finish(names)
}

func (c *crasher) running() *controller {
	c.machine.mu.Lock()
	defer c.machine.mu.Unlock()
	return c.controller
}

// restart starts a controller with what is armed.
func (c *crasher) restart() {
	c.mu.Lock()
	armed := c.armed
	c.mu.Unlock()
	c.start(armed)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = time.Now()
}

// arm sets the point at which a part dies that is started from now on.
func (c *crasher) arm(variable, point string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = variable + "=" + point
}

func (c *crasher) arms() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.armed
}

// persistent reports whether a part dies at the same point again after it was
// restarted.
func (c *crasher) persistent() bool {
	armed := c.arms()
	return strings.HasPrefix(armed, "NOON_FAULT_HOST=") || strings.HasPrefix(armed, "NOON_FAULT_KEEPER=")
}

func (c *crasher) died(part string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killed[part]++
	c.last = time.Now()
}

// replace kills the controller and the host part and starts them with what is
// armed.
func (c *crasher) replace() {
	c.t.Helper()
	c.killController()
	c.died("controller")
	for _, p := range c.parts("host") {
		c.kill(p.pid)
		c.died("host")
	}
	c.restart()
}

// kills counts those that were seen, and those at points.
func (c *crasher) kills() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, times := range c.killed {
		n += times
	}
	for point, times := range c.faults() {
		if strings.HasPrefix(point, "host.") || strings.HasPrefix(point, "process.") || strings.HasPrefix(point, "keeper.") || strings.HasPrefix(point, "exec.") {
			n += times
		}
	}
	return n
}

// faults counts deaths by point.
func (c *crasher) faults() map[string]int {
	data, err := os.ReadFile(c.faultLog())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		c.t.Error(err)
	}
	counts := map[string]int{}
	for line := range strings.Lines(string(data)) {
		counts[strings.TrimSpace(line)]++
	}
	return counts
}

// deploy asks for the next deployment and sees it through.
func (c *crasher) deploy() {
	c.t.Helper()
	began := time.Now()
	req := c.next()
	d := c.request(req)
	armed := c.arms()
	end := c.await(d.ID, time.Now().Add(patience), began)
	c.deploys++
	c.t.Logf("%s %s %s: %s after %s, %s after the last kill (%s)", d.Name(), req.Kind, req.Release, end.Status,
		time.Since(began).Round(time.Millisecond), c.took.Round(time.Millisecond), armed)
	if c.t.Failed() {
		return
	}
	if c.took > recovery/2 {
		for _, e := range end.Events {
			c.t.Logf("  %s %s %s %s", e.At.Format("05.000"), e.Kind, e.Subject, e.Detail)
		}
	}
	c.check(req, end)
	c.users.good()
}

// next is what is deployed: most often one of the good releases, sometimes one
// that has to come back, sometimes a rollback.
func (c *crasher) next() api.DeployRequest {
	c.picks++
	req := api.DeployRequest{Site: site, Kind: noon.PlanDeploy, Key: fmt.Sprintf("%s-%d", c.mark, c.picks), By: "the crash test"}
	switch {
	case c.picks%5 == 4:
		req.Release = []string{"r3", "r4", "r5"}[c.picks/5%3]
	case c.picks%7 == 6:
		req.Kind = noon.PlanRollback
	default:
		req.Release = "r1"
		if live, _, _ := strings.Cut(c.live(), "."); live == "r1" {
			req.Release = "r2"
		}
	}
	return req
}

// live is the revision that has users.
func (c *crasher) live() string {
	c.t.Helper()
	var live string
	eventually(c.t, recovery, "the controller tells what is live", func() error {
		st, err := c.statusOf(site)
		live = st.Live
		return err
	})
	return live
}

// request asks until there is an answer. The key keeps it one request.
func (c *crasher) request(req api.DeployRequest) noon.Deployment {
	c.t.Helper()
	var d noon.Deployment
	eventually(c.t, 2*recovery, "the controller takes a request", func() error {
		ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
		defer cancel()
		var err error
		d, err = c.api.Deploy(ctx, req)
		if k := noon.KindOf(err); err != nil && (k == noon.Invalid || k == noon.NotFound || k == noon.Conflict) {
			c.t.Fatalf("%s %s: %v", req.Kind, req.Release, err)
		}
		return err
	})
	return d
}

// await sees a deployment to its end. Parts that die again and again at the
// same point are disarmed after a while, as somebody would who mends them.
func (c *crasher) await(id int64, disarm, began time.Time) api.DeploymentView {
	c.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		d, err := c.deployment(id)
		if err == nil && d.Status.Ended() && d.Status != noon.Warm {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.took = min(time.Since(c.last), time.Since(began))
			c.longest = max(c.longest, c.took)
			return d
		}
		if err == nil && d.Status == noon.Paused {
			c.resolve(d)
		}
		c.mu.Lock()
		last := c.last
		c.mu.Unlock()
		if time.Since(last) > recovery && time.Since(began) > recovery {
			c.t.Fatalf("d%d has not ended %s after the last restart: it is %s, waits for %q, %v", id, time.Since(last), d.Status, d.Waiting, err)
		}
		if c.persistent() && time.Now().After(disarm) {
			c.arm("NOON_FAULT", "")
			c.replace()
		}
		select {
		case <-tick.C:
		case <-c.t.Context().Done():
			c.t.Fatal("the test has ended")
		}
	}
}

// resolve does what a person does who is asked about a command whose outcome
// is not known: look whether it has had its effect.
func (c *crasher) resolve(d api.DeploymentView) {
	c.t.Helper()
	if !c.keepers {
		c.t.Fatalf("d%d is paused although no keeper was killed: %s", d.ID, d.Waiting)
	}
	_, rest, found := strings.Cut(d.Waiting, "--resolve ")
	task, _, _ := strings.Cut(rest, "=")
	if !found {
		return // it has not yet said what it waits for
	}
	word := noon.RunAgain
	if slices.ContainsFunc(c.effectsOf(""), func(e effect) bool { return e.task == task }) {
		word = noon.TakeAsDone
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
	defer cancel()
	_, _ = c.api.Approve(ctx, d.ID, api.Decision{By: "a person", Resolve: map[string]noon.Resolution{task: word}}) // it is asked again
}

// check wants a deployment to have ended exactly old or exactly new, and
// nothing besides to be there.
func (c *crasher) check(req api.DeployRequest, d api.DeploymentView) {
	c.t.Helper()
	good := req.Kind == noon.PlanRollback || req.Release == "r1" || req.Release == "r2"
	want := d.Plan.To
	switch {
	case d.Status == noon.Returned && (!good || c.keepers):
		want = d.Plan.From
	case d.Status == noon.Succeeded && good:
	default:
		c.t.Errorf("%s of %s ended as %s: %v", d.Name(), req.Release, d.Status, d.Error)
	}
	if err := wait(c.t.Context(), recovery, func() error { return c.exactly(want) }); err != nil {
		c.t.Errorf("%s ended as %s, but after %s: %v", d.Name(), d.Status, recovery, err)
	}
	c.once(d)
}

// finish lets everything come to rest, looks once more and sums up.
func (c *crasher) finish(want []string) {
	c.t.Helper()
	c.users.stop()
	covered := c.faults()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t.Logf("killed %v; %d points covered: %v", c.killed, len(covered), covered)
	c.t.Logf("%d deployments, %d requests, %d failed, longest recovery %s", c.deploys, c.users.requests, c.users.failed, c.longest.Round(time.Millisecond))
	if kills(c.t) < killsInCI {
		return // too few for every point
	}
	for _, point := range want {
		if covered[point] == 0 {
			c.t.Errorf("nobody died at %s", point)
		}
	}
}

// killedHere reports whether a process was ended by SIGKILL.
func killedHere(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
