package cli_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/cli"
)

var update = flag.Bool("update", false, "write what is generated anew")

// noonTime is when the tests take place.
var noonTime = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

// leaks runs the tests and then looks for goroutines that are left.
type leaks struct{ *testing.M }

func (l leaks) Run() int {
	code := l.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestMain(m *testing.M) {
	testscript.Main(leaks{m}, map[string]func(){"noon": func() { os.Exit(noonMain()) }})
}

// noonMain is cmd/noon with a clock that stands still and without parts.
func noonMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := cli.OS("v1.2.3")
	p.Now = func() time.Time { return noonTime }
	p.UID = 1000
	return cli.Run(ctx, p, cli.Parts{})
}

// TestScripts runs the scripts of testdata. Each has a controller of its own
// that gives fixed answers; a script that needs none to be there unsets
// NOON_SOCKET.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			socket := shortDir(t) + "/api.sock"
			control := answering(t)
			stop := listen(t, socket, control)
			env.Defer(stop)
			env.Vars = append(env.Vars,
				"NOON_SOCKET="+socket, "TERM=xterm", "GORACE=atexit_sleep_ms=0", "USER=ada", "GIT_CONFIG_NOSYSTEM=1",
				"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com",
				"GIT_AUTHOR_DATE=2026-11-20T11:00:00Z", "GIT_COMMITTER_DATE=2026-11-20T11:00:00Z",
			)
			return os.MkdirAll(filepath.Join(env.WorkDir, "home"), 0o755)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits runs a command and compares its exit code: exits 2 noon check.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE command [args...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if err != nil {
		code = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if code != args[0] {
		ts.Fatalf("%s exits with %s (%v), want %s", strings.Join(args[1:], " "), code, err, args[0])
	}
}

// shortDir is a directory whose path is short enough for sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "noon") //nolint:usetesting // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// listen serves the API on a socket.
func listen(t *testing.T, socket string, c api.Controller) (stop func()) {
	t.Helper()
	handler, err := api.NewHandler(c)
	if err != nil {
		t.Fatal(err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends with ErrServerClosed
	}()
	return func() {
		_ = server.Close()
		<-done
	}
}

// result is what a run of noon inside this process has left.
type result struct {
	code           int
	stdout, stderr string
}

// start prepares a run of noon inside this process.
func process(socket string, args ...string) (cli.Process, func(int) result) {
	var stdout, stderr bytes.Buffer
	env := map[string]string{"NOON_SOCKET": socket, "USER": "ada", "HOME": "/users/ada"}
	p := cli.Process{
		Args: args, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
		Getenv: func(name string) string { return env[name] }, Dir: os.TempDir(), UID: 1000,
		Now: func() time.Time { return noonTime }, Version: "v1.2.3",
	}
	return p, func(code int) result { return result{code, stdout.String(), stderr.String()} }
}

func run(ctx context.Context, socket string, args ...string) result {
	p, end := process(socket, args...)
	return end(cli.Run(ctx, p, cli.Parts{}))
}

func TestReference(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "docs", "reference", "cli.md")
	got := cli.Reference()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/reference/cli.md is not what the commands are (run go generate ./internal/cli):\n%s", diff)
	}
}

// Every command says in the reference what it prints with --json.
func TestReferenceNamesEveryAnswer(t *testing.T) {
	t.Parallel()
	for section := range strings.SplitSeq(cli.Reference(), "\n## noon ") {
		name, _, _ := strings.Cut(section, "\n")
		first, _, _ := strings.Cut(name, " ")
		silent := first == "serve" || first == "completion" || name == "env" || name == "migration" || name == "proxy" || strings.HasPrefix(name, "#")
		if !silent && !strings.Contains(section, "With `--json`") {
			t.Errorf("noon %s does not say what it prints with --json", name)
		}
	}
}
