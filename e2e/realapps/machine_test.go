package realapps

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

// machine is one noon, with the repository of one app.
type machine struct {
	t    *testing.T
	dir  string
	repo string
	api  *api.Client
	url  string // where users go
	site noon.Site

	users []string // more of the environment that users' programs get
}

// newMachine copies the example into a repository and brings noon up. Files of
// the example are written over what was copied.
func newMachine(t *testing.T, example, app string) *machine {
	t.Helper()
	dir, err := os.MkdirTemp("", "realapps-") //nolint:usetesting // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, dir: dir, repo: filepath.Join(dir, "repo"), site: noon.Site{App: app, Environment: "production"}}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "tmp"), 0o700), os.CopyFS(m.repo, os.DirFS("../../examples/realapps/"+example))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"build", "migrate"} { // CopyFS keeps modes but for the umask
		if err := os.Chmod(filepath.Join(m.repo, name), 0o755); err != nil && !errors.Is(err, fs.ErrNotExist) { //nolint:gosec // scripts
			t.Fatal(err)
		}
	}
	m.git("init", "-q")
	m.serve()
	return m
}

func (m *machine) serve() {
	m.t.Helper()
	data := filepath.Join(m.dir, "data")
	cmd := exec.Command(noonBinary, "serve", "--data", data, "--listen", "127.0.0.1:0")
	log, err := os.Create(filepath.Join(m.dir, "noon.log"))
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr, cmd.Env, cmd.Dir = log, log, m.environ(), m.dir
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // that it has ended too early, eventually tells
		close(ended)
	}()
	m.api = api.NewClient(filepath.Join(data, "run", "api.sock"))
	m.t.Cleanup(func() { m.clear(cmd, ended) })
	eventually(m.t, time.Minute, "noon serve comes up", func() error {
		h, err := m.api.Health(m.t.Context())
		switch {
		case err != nil:
			return err
		case len(h.Addresses) == 0 || h.Identities["host"] == 0 || h.Identities["proxy"] == 0:
			return errors.New("not every part answers")
		}
		m.url = "http://" + h.Addresses[0]
		return nil
	})
}

// clear takes everything down, and away unless the test has failed.
func (m *machine) clear(cmd *exec.Cmd, ended <-chan struct{}) {
	if r := m.try(context.WithoutCancel(m.t.Context()), "", "down", "--yes"); r.code != 0 {
		// The host part first removes its releases. With a node_modules in each, on a busy machine,
		// that takes longer than noon down waits for it, and then nobody ends the proxy.
		if m.t.Logf("noon down: %s", r.output); !strings.Contains(r.output, "does not end") {
			m.t.Fail()
			_ = cmd.Process.Kill() // it may have ended by itself
		}
		m.killLeft()
	}
	<-ended
	m.api.Close()
	if m.t.Failed() {
		m.t.Logf("the machine's directory is kept: %s", m.dir)
		return
	}
	_ = filepath.WalkDir(m.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o700) //nolint:gosec // what is unpacked is read-only, and about to be removed
		}
		return nil
	})
	if err := os.RemoveAll(m.dir); err != nil {
		m.t.Errorf("remove the machine: %v", err)
	}
}

// killLeft ends what noon has left of itself.
func (m *machine) killLeft() {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, line := range lines {
		args, err := os.ReadFile(line)
		if err != nil || !bytes.HasPrefix(args, []byte(noonBinary+"\x00")) || !bytes.Contains(args, []byte(m.dir+"/")) {
			continue // another's, or gone
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(line))); err == nil {
			m.t.Logf("ended: %d %s", pid, bytes.ReplaceAll(args, []byte{0}, []byte{' '}))
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// environ is what noon gets, and builds through it: caches and the network of
// whoever runs the tests, a home of their own.
func (m *machine) environ() []string {
	env := []string{
		"HOME=" + m.dir, "TMPDIR=" + filepath.Join(m.dir, "tmp"), "XDG_CACHE_HOME=" + cacheDir, "npm_config_cache=" + filepath.Join(cacheDir, "realapps", "npm"),
		"NOON_DATA=" + filepath.Join(m.dir, "data"), "NOON_USER=tester", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=T", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_NAME=T", "GIT_COMMITTER_EMAIL=t@example.com",
	}
	for _, name := range []string{"PATH", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "npm_config_registry", "SSL_CERT_FILE"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return append(env, goCaches...)
}

type result struct {
	code   int
	output string
}

// try runs noon in the app's repository.
func (m *machine) try(ctx context.Context, stdin string, args ...string) result {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, noonBinary, args...)
	cmd.Env, cmd.Dir, cmd.Stdin = m.environ(), m.repo, strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		m.t.Fatalf("noon %q: %v", args, err)
	}
	return result{cmd.ProcessState.ExitCode(), string(out)}
}

// must runs noon and wants it to succeed.
func (m *machine) must(args ...string) {
	m.t.Helper()
	r := m.try(m.t.Context(), "", args...)
	if r.code != 0 {
		m.t.Fatalf("noon %q: exit code %d: %s", args, r.code, r.output)
	}
}

// set gives the site values; those of secrets come over stdin.
func (m *machine) set(variables, secrets map[string]string) {
	m.t.Helper()
	for name, value := range variables {
		m.must("env", "set", name+"="+value)
	}
	for name, value := range secrets {
		if r := m.try(m.t.Context(), value, "env", "set", "--secret", name); r.code != 0 {
			m.t.Fatalf("set %s: %s", name, r.output)
		}
	}
}

// release commits files and builds a release of the commit.
func (m *machine) release(title string, files map[string]string) {
	m.t.Helper()
	began := time.Now()
	for name, text := range files {
		path := filepath.Join(m.repo, name)
		err := os.WriteFile(path, []byte(text), 0o600)
		if text == "" {
			err = os.RemoveAll(path)
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
	m.git("add", "-A")
	m.git("commit", "-q", "--allow-empty", "-m", title)
	m.must("build", "-q")
	m.t.Logf("%s: built in %s", title, time.Since(began).Round(100*time.Millisecond))
}

func (m *machine) git(args ...string) {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), "git", args...)
	cmd.Dir, cmd.Env = m.repo, m.environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("git %q: %v: %s", args, err, out)
	}
}

// walk runs a command that moves users, and tells how long it took.
func (m *machine) walk(live string, args ...string) {
	m.t.Helper()
	began := time.Now()
	m.must(append(args, "--yes")...)
	m.t.Logf("noon %s: %s", strings.Join(args, " "), time.Since(began).Round(10*time.Millisecond))
	m.live(live)
}

// live wants one release to have the users.
func (m *machine) live(release string) {
	m.t.Helper()
	list, err := m.api.Status(m.t.Context(), m.site.App)
	if err != nil || len(list) != 1 {
		m.t.Fatalf("status of %s: %v, %v", m.site, list, err)
	}
	if live, _, _ := strings.Cut(list[0].Live, "."); live != release {
		m.t.Fatalf("%s is live, want %s: %v", list[0].Live, release, list[0].Problem)
	}
}

// ask sends JSON as a user does, and reads the answer's.
func (m *machine) ask(method, path, token string, body, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(m.t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, m.url+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= http.StatusMultipleChoices {
		err = errors.New(res.Status + ": " + string(answer))
	}
	if err == nil && into != nil {
		err = json.Unmarshal(answer, into)
	}
	return err
}
