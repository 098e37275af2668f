package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

// markName is a variable that every process of a machine has in its
// environment: noon's own from the test, those of the app by configuration.
const markName = "E2E_MARK"

// site is where the app of the tests runs, unless a test says otherwise.
var site = noon.Site{App: "app", Environment: "production"}

// machine is one noon with everything that belongs to it, in a directory of
// its own. Several do not disturb each other.
type machine struct {
	t       testing.TB
	dir     string
	data    string
	repo    string
	mark    string
	effects string // file the app's tasks write to
	binary  string
	args    []string
	api     *api.Client
	address string       // where users go
	secure  string       // where they go over TLS, if anywhere
	unmount func() error // of a file system of its own; nil: it has none

	mu         sync.Mutex
	controller *controller
}

// controller is one run of `noon serve`.
type controller struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how, once it has
}

// newMachine makes the directories; serve brings it up.
func newMachine(tb testing.TB) *machine {
	tb.Helper()
	dir, err := os.MkdirTemp("", "e2e-") //nolint:usetesting // the path of a socket has to be short
	if err != nil {
		tb.Fatal(err)
	}
	m := &machine{
		t: tb, binary: noonBinary, dir: dir, data: filepath.Join(dir, "data"), repo: filepath.Join(dir, "repo"),
		mark: filepath.Base(dir), effects: filepath.Join(dir, "effects"),
	}
	m.args = []string{"serve", "--data", m.data, "--listen", "127.0.0.1:0"}
	m.api = api.NewClient(filepath.Join(m.data, "run", "api.sock"))
	tb.Cleanup(m.clear)
	for _, name := range []string{"tmp", "repo"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	return m
}

// clear ends every process of the machine, looks for what they should not
// have said, and removes the directory.
func (m *machine) clear() {
	m.api.Close()
	end := time.Now().Add(20 * time.Second)
	for {
		left := m.processes()
		if len(left) == 0 {
			break
		}
		for _, p := range left {
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
		}
		if time.Now().After(end) {
			m.t.Errorf("these processes can not be ended: %v", left)
			break
		}
	}
	m.mu.Lock()
	c := m.controller
	m.mu.Unlock()
	if c != nil {
		<-c.done
	}
	m.lookForAccidents()
	if m.unmount != nil {
		if err := m.unmount(); err != nil {
			m.t.Errorf("unmount: %v", err)
		}
	}
	if m.t.Failed() {
		m.t.Logf("the machine's directory is kept: %s", m.dir)
		return
	}
	// What is unpacked is read-only.
	_ = filepath.WalkDir(m.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o700) //nolint:gosec // it is about to be removed
		}
		return nil
	})
	if err := os.RemoveAll(m.dir); err != nil {
		m.t.Errorf("remove the machine: %v", err)
	}
}

// lookForAccidents finds races and panics in what the processes said.
func (m *machine) lookForAccidents() {
	logs, _ := filepath.Glob(filepath.Join(m.data, "log", "*"))
	keepers, _ := filepath.Glob(filepath.Join(m.data, "host", "run", "*", "keeper.log"))
	for _, path := range append(append(logs, keepers...), m.logFile()) {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for _, accident := range []string{"DATA RACE", "panic:", "fatal error:"} {
			if i := bytes.Index(data, []byte(accident)); i >= 0 {
				m.t.Errorf("%s: %s", path, data[i:min(len(data), i+4000)])
			}
		}
	}
}

func (m *machine) logFile() string { return filepath.Join(m.dir, "controller.log") }

// environ is what every process gets from the test.
func (m *machine) environ(more ...string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + m.dir, "TMPDIR=" + filepath.Join(m.dir, "tmp"), markName + "=" + m.mark,
		"NOON_DATA=" + m.data, "NOON_USER=tester", "NOON_FAULT_LOG=" + m.faultLog(),
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=T", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_NAME=T", "GIT_COMMITTER_EMAIL=t@example.com",
		"GOMAXPROCS=" + os.Getenv("GOMAXPROCS"),
	}, more...)
}

func (m *machine) faultLog() string { return filepath.Join(m.dir, "faults") }

// start starts a controller and does not wait for it.
func (m *machine) start(env ...string) *controller {
	m.t.Helper()
	log, err := os.OpenFile(m.logFile(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	c := &controller{cmd: exec.Command(m.binary, m.args...), done: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr, c.cmd.Env, c.cmd.Dir = log, log, m.environ(env...), m.dir
	if err := c.cmd.Start(); err != nil {
		m.t.Fatalf("start the controller: %v", err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	m.mu.Lock()
	m.controller = c
	m.mu.Unlock()
	return c
}

// serve starts a controller and waits until every part answers.
func (m *machine) serve() {
	m.t.Helper()
	m.awaitUp(m.start())
}

func (m *machine) awaitUp(c *controller) {
	m.t.Helper()
	eventually(m.t, 30*time.Second, "noon serve comes up", func() error {
		select {
		case <-c.done:
			m.t.Fatalf("noon serve ended: %v\n%s", c.err, tailOf(m.logFile()))
		default:
		}
		h, err := m.health()
		if err != nil {
			return err
		}
		m.address, m.secure = h.Addresses[0], h.Addresses[len(h.Addresses)-1]
		return nil
	})
}

// health answers once every part does.
func (m *machine) health() (api.Health, error) {
	ctx, cancel := context.WithTimeout(m.t.Context(), 5*time.Second)
	defer cancel()
	h, err := m.api.Health(ctx)
	if err != nil {
		return h, err
	}
	for _, part := range []string{"host", "sockets", "proxy"} {
		if h.Identities[part] == 0 {
			return h, fmt.Errorf("the %s part: %s", part, h.Parts[part])
		}
	}
	if len(h.Addresses) == 0 {
		return h, errors.New("the proxy listens nowhere")
	}
	return h, nil
}

func tailOf(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-3000):])
}

// kill ends a process as a power switch would, and waits until it is gone.
func (m *machine) kill(pid int) {
	m.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		m.t.Fatalf("kill %d: %v", pid, err)
	}
	eventually(m.t, 10*time.Second, "a killed process ends", func() error {
		if p, ok := process(pid, m.mark); ok {
			return fmt.Errorf("%v is still there", p)
		}
		return nil
	})
}

// killController kills the controller that runs.
func (m *machine) killController() {
	m.t.Helper()
	m.mu.Lock()
	c := m.controller
	m.mu.Unlock()
	_ = c.cmd.Process.Kill() // it may have ended by itself
	<-c.done
}

// result is what a command line has answered.
type result struct {
	code           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\nstdout: %s\nstderr: %s", r.code, r.stdout, r.stderr)
}

// cli runs noon in the app's repository, without a terminal.
func (m *machine) cli(args ...string) result {
	m.t.Helper()
	return m.cliWith("", nil, args...)
}

// cliWith gives stdin and more of an environment too.
func (m *machine) cliWith(stdin string, env []string, args ...string) result {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, m.binary, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env, cmd.Dir = &stdout, &stderr, m.environ(env...), m.repo
	cmd.Stdin = strings.NewReader(stdin)
	err := cmd.Run()
	r := result{code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok || ctx.Err() != nil {
		m.t.Fatalf("noon %q: %v\n%s", args, err, r)
	}
	return r
}

// must runs noon and wants it to succeed.
func (m *machine) must(args ...string) string {
	m.t.Helper()
	r := m.cli(args...)
	if r.code != 0 {
		m.t.Fatalf("noon %q: %s", args, r)
	}
	return r.stdout
}

// answer runs noon with --json and reads what it says.
func answer[T any](m *machine, args ...string) T {
	m.t.Helper()
	var v T
	out := m.must(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		m.t.Fatalf("noon %q: %v in %s", args, err, out)
	}
	return v
}

// status is what the site is now.
func (m *machine) status() api.SiteStatus {
	m.t.Helper()
	st, err := m.statusOf(site)
	if err != nil {
		m.t.Fatalf("status: %v", err)
	}
	return st
}

func (m *machine) statusOf(s noon.Site) (api.SiteStatus, error) {
	ctx, cancel := context.WithTimeout(m.t.Context(), 5*time.Second)
	defer cancel()
	list, err := m.api.Status(ctx, s.App)
	if err != nil {
		return api.SiteStatus{}, err
	}
	for _, st := range list {
		if st.Site == s {
			return st, nil
		}
	}
	return api.SiteStatus{}, fmt.Errorf("%s is not known", s)
}

// deployment reads one deployment.
func (m *machine) deployment(id int64) (api.DeploymentView, error) {
	ctx, cancel := context.WithTimeout(m.t.Context(), 5*time.Second)
	defer cancel()
	return m.api.Deployment(ctx, id)
}

// ends waits until a deployment has come to one of the statuses.
func (m *machine) ends(id int64, in ...noon.Status) api.DeploymentView {
	m.t.Helper()
	var d api.DeploymentView
	eventually(m.t, soon, fmt.Sprintf("d%d is %v", id, in), func() error {
		var err error
		if d, err = m.deployment(id); err != nil {
			return err
		}
		if slices.Contains(in, d.Status) {
			return nil
		}
		return fmt.Errorf("it is %s, waits for %q, error %s", d.Status, d.Waiting, fmt.Sprint(d.Error))
	})
	return d
}
