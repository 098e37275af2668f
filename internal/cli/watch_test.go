package cli_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/cli"
)

// walking is a controller with one deployment under way, told of by watch.
func walking(t *testing.T, watch func(ctx context.Context, n int32, see func(api.DeploymentView) error) error) api.Controller {
	t.Helper()
	c := answering(t)
	under := noon.Deployment{ID: 7, Site: site("staging"), Plan: plan(t, "staging", 1, 2), Status: noon.Walking, Created: ago(time.Minute), Started: ago(time.Minute)}
	c.Deploy = func(context.Context, api.DeployRequest) (noon.Deployment, error) { return under, nil }
	var calls atomic.Int32
	c.Watch = func(ctx context.Context, _ int64, see func(api.DeploymentView) error) error {
		return watch(ctx, calls.Add(1), see)
	}
	return c
}

// at is what is told of the deployment in one of its states.
func at(t *testing.T, kind noon.StateKind, status noon.Status) api.DeploymentView {
	t.Helper()
	v := api.DeploymentView{Deployment: noon.Deployment{
		ID: 7, Site: site("staging"), Plan: plan(t, "staging", 1, 2), Status: status, Created: ago(time.Minute), Started: ago(time.Minute),
	}}
	v.At = v.Plan.Index(kind)
	for i := range v.At + 1 {
		v.Events = append(v.Events, noon.Event{Seq: int64(i + 1), At: ago(time.Minute).Add(time.Duration(i) * time.Second), Kind: noon.Intent, State: i, Subject: "enter", Detail: v.Plan.Label(i)})
	}
	if status.Ended() {
		v.Ended = ago(50 * time.Second)
	}
	return v
}

func TestWatchGoesOnWhenTheControllerComesBack(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]error{"ended": nil, "unavailable": &noon.Error{Kind: noon.Unavailable, Op: "restart", Err: errors.New("one moment")}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket := shortDir(t) + "/api.sock"
			stop := listen(t, socket, walking(t, func(_ context.Context, n int32, see func(api.DeploymentView) error) error {
				switch n {
				case 1:
					return errors.Join(see(at(t, noon.Prepared, noon.Walking)), broken)
				case 2, 3:
					return broken
				case 4:
					return errors.Join(see(at(t, noon.Staged, noon.Walking)), broken)
				}
				return see(at(t, noon.Switched, noon.Warm))
			}))
			defer stop()
			r := run(t.Context(), socket, "deploy", "r2", "--app=shop", "-e=staging", "--yes")
			if r.code != 0 || r.stderr != "" {
				t.Fatalf("exit code %d, stderr %q", r.code, r.stderr)
			}
			_, told, _ := strings.Cut(r.stdout, "d7  deploy shop/staging  r1.c1 → r2.c1\n")
			want := "   +0.0s  S0 settled\n   +1.0s  S1 prepared\n   +2.0s  S4 staged\n   +3.0s  S6 switched\nd7 succeeded"
			if !strings.HasPrefix(told, want) {
				t.Errorf("told\n%s\nwant\n%s", told, want)
			}
		})
	}
}

func TestWatchFails(t *testing.T) {
	t.Parallel()
	socket := shortDir(t) + "/api.sock"
	defer listen(t, socket, walking(t, func(context.Context, int32, func(api.DeploymentView) error) error {
		return &noon.Error{Kind: noon.Stale, Op: "watch", Subject: "d7", Err: errors.New("another controller has taken over")}
	}))()
	r := run(t.Context(), socket, "deploy", "r2", "--app=shop", "-e=staging", "--yes")
	if r.code != 4 || !strings.Contains(r.stderr, "another controller has taken over") {
		t.Errorf("exit code %d, stderr %q", r.code, r.stderr)
	}
}

func TestInterruptLeavesTheDeploymentGoingOn(t *testing.T) {
	t.Parallel()
	socket := shortDir(t) + "/api.sock"
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	defer listen(t, socket, walking(t, func(watching context.Context, _ int32, see func(api.DeploymentView) error) error {
		if err := see(at(t, noon.Staged, noon.Walking)); err != nil {
			return err
		}
		interrupt()
		<-watching.Done()
		return context.Cause(watching)
	}))()
	r := run(ctx, socket, "deploy", "r2", "--app=shop", "-e=staging", "--yes")
	if r.code != 130 {
		t.Errorf("exit code %d, want 130", r.code)
	}
	for _, part := range []string{"interrupted; the deployment goes on", "`noon abort d7` takes it back"} {
		if !strings.Contains(r.stderr, part) {
			t.Errorf("stderr %q lacks %q", r.stderr, part)
		}
	}
}

func TestDeployIsAskedForOnce(t *testing.T) {
	t.Parallel()
	socket := shortDir(t) + "/api.sock"
	c := walking(t, func(_ context.Context, _ int32, see func(api.DeploymentView) error) error {
		return see(at(t, noon.Switched, noon.Warm))
	})
	keys := make(chan string, 2)
	deploy := c.Deploy
	c.Deploy = func(ctx context.Context, req api.DeployRequest) (noon.Deployment, error) {
		keys <- req.Key
		if len(keys) == 1 {
			return noon.Deployment{}, &noon.Error{Kind: noon.Unavailable, Op: "deploy", Err: errors.New("restarting")}
		}
		return deploy(ctx, req)
	}
	defer listen(t, socket, c)()
	if r := run(t.Context(), socket, "deploy", "r2", "--app=shop", "-e=staging", "--yes"); r.code != 0 {
		t.Fatalf("exit code %d, stderr %q", r.code, r.stderr)
	}
	if first, second := <-keys, <-keys; first == "" || first != second {
		t.Errorf("asked with keys %q and %q", first, second)
	}
}

func TestLogsAreFollowedThroughARestart(t *testing.T) {
	t.Parallel()
	socket := shortDir(t) + "/api.sock"
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var calls atomic.Int32
	c := answering(t)
	c.Logs = func(ctx context.Context, _ api.LogQuery, see func(api.LogLine) error) error {
		n := calls.Add(1)
		for i := range 2 * n {
			line := api.LogLine{At: noonTime.Add(time.Duration(i) * time.Second), Source: "web.0", Revision: "r1.c1", Text: string('a' + i)}
			if err := see(line); err != nil {
				return err
			}
		}
		if n == 2 {
			<-ctx.Done()
		}
		return nil
	}
	defer listen(t, socket, c)()
	p, end := process(socket, "logs", "-f", "--app=shop", "-e=staging")
	p.Stdout = trigger{p.Stdout, "| d\n", interrupt}
	r := end(cli.Run(ctx, p, cli.Parts{}))
	if r.code != 130 || r.stderr != "" {
		t.Errorf("exit code %d, stderr %q", r.code, r.stderr)
	}
	var seen strings.Builder
	for line := range strings.Lines(r.stdout) {
		seen.WriteByte(line[len(line)-2])
	}
	if seen.String() != "abcd" {
		t.Errorf("shown are %q, want every line once", seen.String())
	}
}

// trigger acts when something is written.
type trigger struct {
	io.Writer
	on  string
	act func()
}

func (w trigger) Write(data []byte) (int, error) {
	if strings.HasSuffix(string(data), w.on) {
		w.act()
	}
	return w.Writer.Write(data)
}

// parts are handed what the flags and the environment say.
func TestServeOptions(t *testing.T) {
	t.Parallel()
	serve := func(env map[string]string, uid int, args ...string) (cli.ServeOptions, result) {
		var got cli.ServeOptions
		p, end := process("", append([]string{"serve"}, args...)...)
		p.Getenv, p.UID, p.Dir = func(name string) string { return env[name] }, uid, "/here"
		code := cli.Run(t.Context(), p, cli.Parts{Serve: func(_ context.Context, o cli.ServeOptions) error {
			got = o
			return nil
		}})
		return got, end(code)
	}
	for _, c := range []struct {
		name, data, run string
		env             map[string]string
		uid             int
		args            []string
	}{
		{name: "root", data: "/var/lib/noon", run: "/var/lib/noon/run"},
		{name: "home", uid: 7, env: map[string]string{"HOME": "/users/ada"}, data: "/users/ada/.local/share/noon", run: "/users/ada/.local/share/noon/run"},
		{name: "xdg", uid: 7, env: map[string]string{"XDG_DATA_HOME": "/d"}, data: "/d/noon", run: "/d/noon/run"},
		{name: "environment", env: map[string]string{"NOON_DATA": "/d", "NOON_RUN": "/r"}, data: "/d", run: "/r"},
		{name: "flags", env: map[string]string{"NOON_DATA": "/d", "NOON_RUN": "/r"}, args: []string{"--data=data", "--run=run"}, data: "/here/data", run: "/here/run"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o, r := serve(c.env, c.uid, c.args...)
			if r.code != 0 || o.Data != c.data || o.Run != c.run || o.Log == nil || o.Version != "v1.2.3" {
				t.Errorf("exit code %d %s, options %+v", r.code, r.stderr, o)
			}
		})
	}
	if o, _ := serve(nil, 0, "--listen=:80", "--listen=:443"); strings.Join(o.Listen, " ") != ":80 :443" {
		t.Errorf("listens on %v", o.Listen)
	}
	for _, wrong := range []string{
		"--listen=here", "--listen=:http", "--listen=:70000", "--log-level=loud", "--log-format=xml",
		"--run=/" + strings.Repeat("long", 25), "extra",
	} {
		if o, r := serve(nil, 0, wrong); r.code != 2 || o.Data != "" || !strings.Contains(r.stderr, "\n  hint: ") {
			t.Errorf("%v: exit code %d, %q", wrong, r.code, r.stderr)
		}
	}
}

func TestParts(t *testing.T) {
	t.Parallel()
	parts := cli.Parts{
		Keeper: func(_ context.Context, args []string) int { return 40 + len(args) },
		Exec:   func(args []string) int { return 50 + len(args) },
		Host:   func(context.Context, cli.ServeOptions) error { return errors.New("host broke") },
		Proxy:  func(ctx context.Context, _ cli.ServeOptions) error { <-ctx.Done(); return nil },
		Doctor: func(context.Context, cli.ServeOptions) []api.Finding {
			return []api.Finding{{Subject: "git", OK: true}}
		},
		Demo: func(_ context.Context, o cli.DemoOptions) error {
			_, err := io.WriteString(o.Stdout, "report\n")
			if o.Seconds != 7 || !o.JSON {
				err = errors.New("options are lost")
			}
			return err
		},
	}
	ended, end := context.WithCancel(t.Context())
	end()
	socket := shortDir(t) + "/api.sock"
	defer listen(t, socket, answering(t))()
	for _, c := range []struct {
		ctx  context.Context //nolint:containedctx // one row of a table
		args []string
		want result
	}{
		{t.Context(), []string{"keeper", "--json", "x"}, result{code: 42}},
		{t.Context(), []string{"exec-instance", "x"}, result{code: 51}},
		{t.Context(), []string{"host"}, result{code: 7, stderr: "noon: host broke\n"}},
		{ended, []string{"proxy", "--data", "/nowhere"}, result{}},
		{t.Context(), []string{"doctor"}, result{stdout: "✓ ledger\n"}},
		{t.Context(), []string{"demo", "--seconds=7", "--json"}, result{stdout: "report\n"}},
	} {
		p, end := process(socket, c.args...)
		if got := end(cli.Run(c.ctx, p, parts)); got != c.want {
			t.Errorf("noon %v: got %+v, want %+v", c.args, got, c.want)
		}
	}
	p, endDoctor := process(socket+".none", "doctor", "--json")
	if r := endDoctor(cli.Run(t.Context(), p, parts)); r.code != 1 || !strings.Contains(r.stdout, `{"subject":"controller","ok":false,`) {
		t.Errorf("doctor without a controller: %+v", r)
	}
}

// What can not be written is an error, not silence.
func TestClosedOutput(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"version"}, {"version", "--json"}} {
		p, end := process("", args...)
		r, w := io.Pipe()
		_ = r.Close()
		p.Stdout = w
		if got := end(cli.Run(t.Context(), p, cli.Parts{})); got.code == 0 || !strings.Contains(got.stderr, "closed pipe") {
			t.Errorf("%v: %+v", args, got)
		}
	}
}
