package demo

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/noon-deploy/noon"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// a server that is killed is started again; one that ends by itself is not.
func TestServer(t *testing.T) {
	t.Parallel()
	s := &server{binary: "/bin/sleep", args: []string{"1000"}, env: os.Environ(), log: filepath.Join(t.TempDir(), "log")}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for range 3 {
		err := await(t.Context(), "the server to run", time.Minute, func(context.Context) (bool, error) {
			pid, err := s.kill()
			fresh := err == nil && !seen[pid] // else it is being started
			seen[pid] = true
			return fresh, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if s.gone() || s.problem() != nil {
		t.Error("gave up", s.problem())
	}
	s.mayEnd()
	err := await(t.Context(), "the server to end", time.Minute, func(context.Context) (bool, error) {
		_, _ = s.kill() // it may run once more
		return s.gone(), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestServerThatDoesNotStay(t *testing.T) {
	t.Parallel()
	s := &server{binary: "/bin/sh", args: []string{"-c", "echo the port is taken >&2; exit 3"}, env: os.Environ(), log: filepath.Join(t.TempDir(), "log")}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	if err := s.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.problem(); err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "the port is taken") {
		t.Error(err)
	}
	if _, err := s.kill(); err == nil {
		t.Error("it was killed once more")
	}
	missing := &server{binary: filepath.Join(t.TempDir(), "none"), log: filepath.Join(t.TempDir(), "log")}
	if err := missing.start(); err == nil || !missing.gone() {
		t.Error(err, missing.gone())
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := &command{binary: "/bin/sh", dir: dir, env: os.Environ(), log: filepath.Join(dir, "log")}
	e, err := c.run(t.Context(), "in", "-c", `read x; echo "$x out"; echo err >&2; exit 4`)
	if err != nil || e.code != 4 || string(e.stdout) != "in out\n" || e.stderr != "err\n" || e.finished.Before(e.started) {
		t.Errorf("%+v %v", e, err)
	}
	log, err := os.ReadFile(c.log)
	if err != nil || !strings.Contains(string(log), "exit code 4") || !strings.Contains(string(log), "in out") {
		t.Errorf("%s %v", log, err)
	}
	e.stderr = `warning: something
{"error":{"kind":"conflict","op":"deploy","cause":"r1 is live already","hint":"Nothing."},"exit":4}`
	if err := e.failure(); noon.KindOf(err) != noon.Conflict || noon.HintOf(err) != "Nothing." {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.run(ctx, "", "-c", "sleep 1000"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	c.binary = filepath.Join(dir, "none")
	if _, err := c.run(t.Context(), ""); err == nil {
		t.Error("a binary that is not there was run")
	}
}

func TestAwait(t *testing.T) {
	t.Parallel()
	away := &noon.Error{Kind: noon.Unavailable, Err: errors.New("nobody is there")}
	looks := 0
	err := await(t.Context(), "it", time.Minute, func(context.Context) (bool, error) {
		looks++
		if looks < 3 {
			return false, away
		}
		return true, nil
	})
	if err != nil || looks != 3 {
		t.Error(err, looks)
	}
	wrong := errors.New("wrong")
	if err := await(t.Context(), "it", time.Minute, func(context.Context) (bool, error) { return false, wrong }); !errors.Is(err, wrong) {
		t.Error(err)
	}
	err = await(t.Context(), "it", time.Nanosecond, func(context.Context) (bool, error) { return false, away })
	if err == nil || !strings.Contains(err.Error(), "wait for it: not within 1ns") || !strings.Contains(err.Error(), "nobody is there") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := await(ctx, "it", time.Minute, func(context.Context) (bool, error) { return false, nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	p, err := newPlace()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.socket("proxy")); n > 90 {
		t.Errorf("the path of a socket has %d bytes", n)
	}
	env, err := p.environ(t.Context(), append(os.Environ(), "NOON_SOCKET=/elsewhere", "GIT_DIR=/elsewhere", "NOON_FAULT=x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range env {
		if strings.Contains(v, "elsewhere") || strings.HasPrefix(v, "NOON_FAULT") {
			t.Error(v)
		}
	}
	if !slices.Contains(env, "NOON_DATA="+p.data()) || !slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "GOCACHE=/") }) {
		t.Errorf("%q", env)
	}
	// Releases are unpacked read-only.
	deep := p.file("data/host/releases/one")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(deep, "file"), nil, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(deep, 0o500); err != nil {
		t.Fatal(err)
	}
	if err := p.remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(p.dir); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestProcessesOf finds what is left by argument, environment and directory,
// and what has ended not.
func TestProcessesOf(t *testing.T) {
	t.Parallel()
	if needed() != nil {
		t.Skip("there is no /proc to look at, and the demo says so")
	}
	dir := t.TempDir()
	var want []int
	for _, set := range []func(*exec.Cmd){
		func(c *exec.Cmd) { c.Args = append(c.Args, "1000"); c.Env = []string{"X=" + dir + "/run"} },
		func(c *exec.Cmd) { c.Args = append(c.Args, "1000"); c.Dir = dir },
	} {
		cmd := exec.CommandContext(t.Context(), "/bin/sleep")
		set(cmd)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()         //nolint:errcheck // it is killed
		defer cmd.Process.Kill() //nolint:errcheck // one is killed already
		want = append(want, cmd.Process.Pid)
	}
	find := func() []int {
		var pids []int
		for _, p := range processesOf(dir) {
			pids = append(pids, p.pid)
		}
		slices.Sort(pids)
		return pids
	}
	slices.Sort(want)
	err := await(t.Context(), "both to be found", time.Minute, func(context.Context) (bool, error) { return slices.Equal(find(), want), nil })
	if err != nil {
		t.Fatalf("%v: found %v, want %v", err, find(), want)
	}
	if err := syscall.Kill(want[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err = await(t.Context(), "the zombie not to be found", time.Minute, func(context.Context) (bool, error) { return slices.Equal(find(), want[1:]), nil })
	if err != nil {
		t.Fatal(err)
	}
}

func TestRateFor(t *testing.T) {
	t.Parallel()
	took := func(ms ...int) []time.Duration {
		var list []time.Duration
		for _, n := range ms {
			list = append(list, time.Duration(n)*time.Millisecond)
		}
		return list
	}
	for _, c := range []struct {
		took       []time.Duration
		processors int
		want       float64
	}{
		{took(4, 4, 4, 4), 2, 10},
		{took(4, 4, 4, 4), 1, 5},
		{took(1, 1, 4, 4), 2, 10}, // as slow as it often is
		{took(0, 0, 0, 0), 2, fastest},
		{took(900, 900, 900, 900), 2, slowest},
	} {
		if got := rateFor(c.took, c.processors); got < c.want*0.99 || got > c.want*1.01 {
			t.Errorf("%v on %d: %v, want %v", c.took, c.processors, got, c.want)
		}
	}
}

func TestMoment(t *testing.T) {
	t.Parallel()
	d := noon.Deployment{Plan: noon.Plan{States: []noon.State{{Kind: noon.Settled}, {Kind: noon.Staged}}}}
	m := &moment{noon.Intent, "enter", noon.Staged}
	at := noon.Event{Kind: noon.Intent, Subject: "enter", State: 1}
	if !m.is(d, at) {
		t.Error("not seen")
	}
	for _, e := range []noon.Event{
		{Kind: noon.Done, Subject: "enter", State: 1},
		{Kind: noon.Intent, Subject: "migrate db", State: 1},
		{Kind: noon.Intent, Subject: "enter", State: 0},
		{Kind: noon.Intent, Subject: "enter", State: 2},
	} {
		if m.is(d, e) || (*moment)(nil).is(d, at) {
			t.Errorf("%+v is not the moment", e)
		}
	}
}
