package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

// served is a machine that serves r1 and has the other releases ready.
func served(t *testing.T, recipes ...recipe) (*machine, *load) {
	t.Helper()
	m := newMachine(t)
	up(m, recipes...)
	return m, m.load()
}

// get asks the app as a user does.
func (m *machine) get(path string) string {
	m.t.Helper()
	return m.send(http.MethodGet, path, "")
}

func (m *machine) send(method, path, body string) string {
	m.t.Helper()
	req, err := http.NewRequestWithContext(m.t.Context(), method, "http://"+m.address+path, strings.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		m.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		m.t.Fatalf("%s %s: %s %q %v", method, path, res.Status, data, err)
	}
	return string(data)
}

// begin starts a deployment and does not wait for it.
func (m *machine) begin(args ...string) noon.Deployment {
	m.t.Helper()
	return answer[noon.Deployment](m, append(args, "--yes", "--detach")...)
}

// waitsFor waits until a deployment waits for something.
func (m *machine) waitsFor(id int64, what string) {
	m.t.Helper()
	eventually(m.t, 20*time.Second, fmt.Sprintf("d%d waits for %q", id, what), func() error {
		d, err := m.deployment(id)
		if err == nil && !strings.Contains(d.Waiting, what) {
			err = fmt.Errorf("it is %s and waits for %q, %s", d.Status, d.Waiting, fmt.Sprint(d.Error))
		}
		return err
	})
}

const soon = 30 * time.Second

func TestDeployAndRollBackUnderLoad(t *testing.T) {
	t.Parallel()
	m, users := served(t, recipe{}, recipe{})
	for range 3 {
		users.move(m, "r2", "deploy", "r2", "--yes")
		users.move(m, "r1", "rollback", "--yes")
	}
	users.stop()
}

// pondering is a release whose deployment waits in a hook until the returned
// function is called.
func pondering(m *machine) (r recipe, goOn func()) {
	m.t.Helper()
	file := filepath.Join(m.dir, "go-on")
	goOn = func() {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			m.t.Error(err)
		}
	}
	return recipe{top: "hooks:\n  before-switch: [{name: think, command: ./app task think await " + file + ", timeout: 2m}]"}, goOn
}

// A rollback whose client was cut off and asks again with the same key is one
// rollback: it does not take itself back, and does not go back twice.
func TestRollbackIsAskedForAgain(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	slow, goOn := pondering(m)
	up(m, recipe{}, recipe{}, slow)
	m.must("deploy", "r2", "--yes")
	ask := func(key string) noon.Deployment {
		t.Helper()
		d, err := m.api.Deploy(t.Context(), api.DeployRequest{Site: site, Kind: noon.PlanRollback, Key: key, By: "ada"})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	third := m.begin("deploy", "r3")
	m.waitsFor(third.ID, "think")
	if d := ask("once"); d.ID != third.ID {
		t.Errorf("the rollback is %s, want what is under way to go back", d.Name())
	}
	goOn()
	m.ends(third.ID, noon.Returned)
	if d := ask("once"); d.ID != third.ID {
		t.Errorf("asked for again it is %s, want %s", d.Name(), third.Name())
	}
	if live := m.status().Live; !strings.HasPrefix(live, "r2") {
		t.Errorf("%s is live, want r2", live)
	}
	back := ask("twice")
	if d := ask("twice"); d.ID != back.ID {
		t.Errorf("asked for again it is %s, want %s", d.Name(), back.Name())
	}
	m.ends(back.ID, noon.Succeeded)
	if live := m.status().Live; !strings.HasPrefix(live, "r1") {
		t.Errorf("%s is live, want r1", live)
	}
}

func TestSecondDeploymentWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	slow, goOn := pondering(m)
	up(m, recipe{}, slow, recipe{})
	users := m.load()
	first := m.begin("deploy", "r2")
	second := m.begin("deploy", "r3")
	if d, err := m.deployment(second.ID); err != nil || d.Status != noon.Queued {
		t.Errorf("the second is %s (%v), want it queued", d.Status, err)
	}
	if queued := m.status().Queued; !slices.Equal(queued, []string{second.Name()}) {
		t.Errorf("the status tells of the queue %v", queued)
	}
	goOn()
	a, b := m.ends(first.ID, noon.Succeeded), m.ends(second.ID, noon.Succeeded)
	if b.Started.Before(a.Ended) {
		t.Errorf("the second began at %s, before the first ended at %s", b.Started, a.Ended)
	}
	if b.Plan.From != a.Plan.To {
		t.Errorf("the second went from %s, want %s", b.Plan.From, a.Plan.To)
	}
	users.stop()
}

func TestNewerRequestSupersedes(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	slow, goOn := pondering(m)
	up(m, recipe{}, slow, recipe{}, recipe{})
	users := m.load()
	first := m.begin("deploy", "r2")
	m.waitsFor(first.ID, "think")
	queued := m.begin("deploy", "r3")
	newest := m.begin("deploy", "r4", "--supersede")
	goOn() // what a command has begun is let end
	m.ends(newest.ID, noon.Succeeded)
	if d := m.ends(first.ID, noon.Returned); d.Error == nil || !strings.Contains(d.Error.Error(), "superseded") {
		t.Errorf("the first went back with %v, want it to say that it was superseded", d.Error)
	}
	m.ends(queued.ID, noon.Superseded)
	if live := m.status().Live; !strings.HasPrefix(live, "r4.") {
		t.Errorf("%s is live, want r4", live)
	}
	if n := len(m.effectsOf("think")); n != 1 {
		t.Errorf("the hook of the superseded release has run %d times", n)
	}
	users.stop()
}

func TestAbort(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	slow, goOn := pondering(m)
	up(m, recipe{}, slow)
	users := m.load()
	users.allow("r1")
	d := m.begin("deploy", "r2")
	m.waitsFor(d.ID, "think")
	m.must("abort", "--reason", "second thoughts", "--detach")
	goOn()
	end := m.ends(d.ID, noon.Returned)
	if end.Error == nil || !strings.Contains(end.Error.Error(), "second thoughts") {
		t.Errorf("the reason is %v", end.Error)
	}
	if r := m.cli("abort", "-e", "production"); r.code != 3 || !strings.Contains(r.stderr, "none is under way") {
		t.Errorf("abort of nothing: %s", r)
	}
	users.stop()
}

func TestApproval(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.serve()
	m.configure(site)
	gated := "production: {warm: 0s, approval: true}"
	m.build(recipe{envs: gated})
	m.build(recipe{envs: gated})
	first := m.begin("deploy", "r1")
	m.ends(first.ID, noon.Held)
	m.must("approve", first.Name())
	m.ends(first.ID, noon.Succeeded)
	users := m.load()
	users.allow("r1")
	second := m.begin("deploy", "r2")
	m.ends(second.ID, noon.Held)
	m.killController()
	m.serve()
	m.waitsFor(second.ID, "noon approve "+second.Name())
	users.allow()
	m.must("approve", second.Name(), "--reason", "looks fine")
	if d := m.ends(second.ID, noon.Succeeded); d.Approved != "tester" {
		t.Errorf("approved by %q", d.Approved)
	}
	users.stop()
}

func TestTimeWindow(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.serve()
	m.configure(site)
	m.build(recipe{envs: "production: {warm: 0s, window: {from: \"00:00\", to: \"24:00\"}}"})
	closed := strings.ToLower(time.Now().UTC().Add(72 * time.Hour).Format("Mon"))
	m.build(recipe{envs: "production: {warm: 0s, window: {days: [" + closed + "]}}"})
	m.must("deploy", "r1", "--yes")
	users := m.load()
	users.allow("r1")
	d := m.begin("deploy", "r2")
	held := m.ends(d.ID, noon.Held)
	if !strings.Contains(strings.ToLower(held.Waiting), "opens "+closed) {
		t.Errorf("it waits for %q, want it to say when the window opens", held.Waiting)
	}
	m.must("abort", d.Name())
	m.ends(d.ID, noon.Returned)
	users.stop()
}

func TestPromote(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.serve()
	staging := noon.Site{App: site.App, Environment: "staging"}
	m.configure(site)
	m.configure(staging)
	envs := "staging: {warm: 0s, domains: [staging.test]}\nproduction: {after: staging, warm: 0s}"
	m.build(recipe{envs: envs})
	for _, args := range [][]string{{"deploy", "r1", "-e", "production", "--yes"}, {"promote", "r1", "--to", "production", "--yes"}} {
		if r := m.cli(args...); r.code != 4 || !strings.Contains(r.stderr, "has not passed staging") || !strings.Contains(r.stderr, "hint: Nothing was changed.") {
			t.Errorf("noon %q: %s", args, r)
		}
	}
	m.must("deploy", "r1", "-e", "staging", "--yes")
	m.must("promote", "--from", "staging", "--to", "production", "--yes")
	releases := answer[[]api.ListedRelease](m, "releases")
	if len(releases) != 1 || !slices.Equal(releases[0].Live, []string{"production", "staging"}) && !slices.Equal(releases[0].Live, []string{"staging", "production"}) {
		t.Errorf("releases are %+v, want one that is live in both", releases)
	}
	if got := m.get("/env?name=NOON_ENVIRONMENT"); got != "production" {
		t.Errorf("production answers from %q", got)
	}
}

func TestConfigurationIsPartOfWhatIsLive(t *testing.T) {
	t.Parallel()
	m, users := served(t, recipe{})
	m.must("env", "set", "COLOR=green")
	r := m.cliWith("hunter2", nil, "env", "set", "--secret", "KEY")
	if r.code != 0 {
		t.Fatalf("set a secret: %s", r)
	}
	if got := m.get("/env?name=COLOR"); got != "" {
		t.Errorf("setting a variable has changed what runs: %q", got)
	}
	m.must("deploy", "r1", "--yes")
	first := m.status().Live
	m.must("env", "set", "COLOR=blue")
	m.must("deploy", "r1", "--yes")
	if second := m.status().Live; second == first || m.get("/env?name=COLOR") != "blue" || m.get("/env?name=KEY") != "hunter2" {
		t.Errorf("after %s came %s with COLOR=%q", first, second, m.get("/env?name=COLOR"))
	}
	m.must("rollback", "--yes")
	if back := m.status().Live; back != first || m.get("/env?name=COLOR") != "green" {
		t.Errorf("rolled back to %s with COLOR=%q, want %s and green", back, m.get("/env?name=COLOR"), first)
	}
	for _, args := range [][]string{{"env", "list"}, {"status", "--json"}, {"history", "--json"}, {"history", "d3", "--json"}, {"plan", "r1", "--json"}} {
		if r := m.cli(args...); strings.Contains(r.stdout+r.stderr, "hunter2") {
			t.Errorf("noon %q shows the secret", args)
		}
	}
	users.stop()
}

func TestHooks(t *testing.T) {
	t.Parallel()
	hook := func(then string) recipe {
		return recipe{top: "hooks:\n  before-switch: [{name: look, command: ./app task look " + then + ", timeout: 1s}]\n  on-failure: [{name: mourn, command: ./app task mourn}]"}
	}
	m, users := served(t, recipe{}, hook(""), hook("fail"), hook("hang"))
	m.must("deploy", "r2", "--yes")
	if out := m.must("history", "d2", "--json"); !strings.Contains(out, "look was done for r2") {
		t.Errorf("the journal does not have what the hook said: %s", out)
	}
	users.allow("r2")
	r := m.cli("deploy", "r3", "--yes")
	if r.code != 1 || !strings.Contains(r.stderr, "look does not like r3") || !strings.Contains(r.stderr, "hint:") {
		t.Errorf("a hook that fails: %s", r)
	}
	r = m.cli("deploy", "r4", "--yes")
	if r.code != 1 || !strings.Contains(r.stderr, "timed out after 1s") || !strings.Contains(r.stderr, "hint:") {
		t.Errorf("a hook that hangs: %s", r)
	}
	for name, times := range map[string]int{"look": 3, "mourn": 2} {
		if list := m.effectsOf(name); len(list) != times {
			t.Errorf("%s has run %d times, want %d: %v", name, len(list), times, list)
		}
	}
	users.stop()
}

// A job that is due every two seconds runs once for each time that it is due,
// whoever has the jobs, and though the controller is killed.
func TestJobsRunOnceWhenTheyAreDue(t *testing.T) {
	t.Parallel()
	job := "jobs:\n  tick: {command: ./app task tick, schedule: \"@every 2s\", timeout: 5s}"
	m, users := served(t, recipe{top: job}, recipe{top: job})
	ticks := func(release string, n int) func() error {
		return func() error {
			count := 0
			for _, e := range m.effectsOf("tick") {
				if strings.HasPrefix(e.revision, release+".") {
					count++
				}
			}
			if count < n {
				return fmt.Errorf("%d runs of %s so far: %v", count, release, m.effectsOf("tick"))
			}
			return nil
		}
	}
	eventually(t, soon, "the job runs", ticks("r1", 2))
	m.killController()
	m.serve()
	eventually(t, soon, "the job runs after a crash", ticks("r1", 3))
	m.must("deploy", "r2", "--yes")
	eventually(t, soon, "the job runs in the new release", ticks("r2", 2))
	seen := map[string]bool{}
	for _, e := range m.effectsOf("tick") {
		if seen[e.task] {
			t.Errorf("%s has run twice: %v", e.task, m.effectsOf("tick"))
		}
		seen[e.task] = true
	}
	users.stop()
}

func TestKeepersAndHostKilledAtOnce(t *testing.T) {
	t.Parallel()
	m, users := served(t, recipe{instances: 3}, recipe{instances: 3})
	users.allow("r1")
	before := instancesOf(m.status())
	if len(before) != 3 {
		t.Fatalf("instances are %v", before)
	}
	m.send(http.MethodPost, "/say", "before the crash")
	for _, p := range append(m.parts("keeper"), m.parts("host")...) {
		m.kill(p.pid)
	}
	// What is said while nobody listens is not lost either.
	m.send(http.MethodPost, "/say", "in the dark")
	eventually(t, soon, "the host part and the keepers are back", func() error {
		if n := len(m.parts("keeper")); n != 3 {
			return fmt.Errorf("%d keepers", n)
		}
		_, err := m.health()
		return err
	})
	eventually(t, soon, "the same instances are ready", func() error {
		st, err := m.statusOf(site)
		if after := instancesOf(st); err == nil && !slices.Equal(before, after) {
			err = fmt.Errorf("instances were %v and are %v", before, after)
		}
		return err
	})
	m.send(http.MethodPost, "/say", "after the crash")
	for _, said := range []string{"before the crash", "in the dark", "after the crash"} {
		eventually(t, soon, "the output is there", func() error {
			if out := m.must("logs"); !strings.Contains(out, said) {
				return fmt.Errorf("%q is not in %s", said, out)
			}
			return nil
		})
	}
	users.move(m, "r2", "deploy", "r2", "--yes")
	users.stop()
}

func instancesOf(st api.SiteStatus) []string {
	var list []string
	for _, h := range st.Hosts {
		for _, i := range h.Instances {
			if i.Phase == noon.Ready {
				list = append(list, fmt.Sprintf("%s pid %d at %s", i.ID, i.PID, i.Address))
			}
		}
	}
	return list
}

func TestInstanceThatDiesIsRestartedAndReported(t *testing.T) {
	t.Parallel()
	m, users := served(t, recipe{instances: 2})
	before := instancesOf(m.status())
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+m.address+"/die?words=farewell", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := http.DefaultClient.Do(req); err == nil {
		res.Body.Close() // it is the proxy's word that the instance has died
	}
	var exited noon.Instance
	eventually(t, soon, "the instance is restarted, and how it died is known", func() error {
		st, err := m.statusOf(site)
		if err != nil {
			return err
		}
		if now := instancesOf(st); len(now) != 2 || slices.Equal(now, before) {
			return fmt.Errorf("instances are %v", now)
		}
		for _, h := range st.Hosts {
			for _, i := range h.Instances {
				if i.Exit != nil && i.Exit.Code == 3 {
					exited = i
					return nil
				}
			}
		}
		return fmt.Errorf("nobody has ended with code 3: %+v", st.Hosts)
	})
	if !exited.Exit.Known || !strings.Contains(exited.Exit.Reason, "code 3") || !slices.ContainsFunc(exited.LastLines, func(l string) bool { return strings.Contains(l, "farewell") }) {
		t.Errorf("the instance that died is reported as %+v with %+v", exited, exited.Exit)
	}
	if out := m.must("logs"); !strings.Contains(out, "last words: farewell") {
		t.Errorf("its last words are lost: %s", out)
	}
	if out := m.must("ps"); !strings.Contains(out, "code 3") {
		t.Errorf("noon ps does not tell how it ended: %s", out)
	}
	users.stopAfterDeath()
}
