package runnertest

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/host"
)

func exitCode(b *Bench) {
	t := b.t
	b.Order("p", nil, "say", "hello", "3")
	s := b.Ended("p")
	if s.Exit.Code != 3 || !s.Exit.Known || s.Exit.Reason != "exited with code 3" || s.Exit.At.IsZero() {
		t.Errorf("exit is %+v", s.Exit)
	}
	if s.Labels["for"] != "p" || s.PID == 0 || s.Started.Before(s.Ordered) || s.Stopping || s.Problem != nil {
		t.Errorf("status is %+v", s)
	}
	if diff := cmp.Diff([]string{"hello"}, b.Lines("p")); diff != "" {
		t.Error(diff)
	}
}

func bySignal(b *Bench) {
	t := b.t
	b.Order("p", nil, "deaf")
	b.Says("p", "deaf")
	if err := syscall.Kill(b.Running("p").PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s := b.Ended("p")
	if s.Exit.Code != -1 || s.Exit.Signal != "SIGKILL" || !s.Exit.Known || s.Exit.Reason != "killed by SIGKILL" {
		t.Errorf("exit is %+v", s.Exit)
	}
}

func startedOnce(b *Bench) {
	t := b.t
	trace := filepath.Join(b.Root, "trace")
	b.Order("p", nil, "once", trace)
	b.Order("p", nil, "once", trace)
	b.Says("p", "once")
	b.Order("p", nil, "once", trace)
	b.stopAndEnd("p")
	b.Order("p", nil, "once", trace)
	data, err := os.ReadFile(trace)
	if err != nil || strings.Count(string(data), "\n") != 1 {
		t.Errorf("started: %q, %v", data, err)
	}
}

func (b *Bench) stopAndEnd(id string) host.Status {
	b.t.Helper()
	if err := b.Stop(b.t.Context(), id, noon.Stop{Signal: "TERM", Grace: 5 * time.Second}); err != nil {
		b.t.Fatal(err)
	}
	return b.Ended(id)
}

func environment(b *Bench) {
	t := b.t
	b.Order("p", func(s *host.Spec) { s.Port = true; s.Env = map[string]string{"A": "1", "B": "two words\nand a line"} }, "env")
	s := b.Ended("p")
	want := []string{"A=1", "B=two words", "and a line", "HOST=127.0.0.1", "PORT=" + strconv.Itoa(s.Port)}
	if diff := cmp.Diff(want, b.Lines("p")); diff != "" {
		t.Error(diff)
	}
}

func stops(b *Bench) {
	t := b.t
	b.Order("p", nil, "wait")
	b.Running("p")
	b.Order("q", nil, "print", "1")
	b.Says("q", "printed")
	s := b.stopAndEnd("q")
	if s.Exit.Code != 0 || !s.Stopping || s.Exit.Reason != "stopped: exited with code 0" {
		t.Errorf("exit is %+v", s.Exit)
	}
	if lines := b.Lines("q"); lines[len(lines)-1] != "asked to stop" {
		t.Errorf("output is %q", lines)
	}
	if s := b.Status("p"); s.Step != host.Running {
		t.Errorf("the other one is %s", s.Step)
	}
}

func stopsDeaf(b *Bench) {
	t := b.t
	b.Order("p", nil, "deaf")
	b.Says("p", "deaf")
	if err := b.Stop(t.Context(), "p", noon.Stop{Signal: "TERM", Grace: 50 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	s := b.Ended("p")
	if s.Exit.Signal != "SIGKILL" || !strings.Contains(s.Exit.Reason, "did not end within 50ms") {
		t.Errorf("exit is %+v", s.Exit)
	}
}

func stopsBeforeStart(b *Bench) {
	t := b.t
	b.End()
	trace := filepath.Join(b.Root, "trace")
	b.Order("p", nil, "once", trace)
	if err := b.Stop(t.Context(), "p", noon.Stop{Signal: "TERM"}); err != nil {
		t.Fatal(err)
	}
	b.Begin()
	s := b.Ended("p")
	if !s.Exit.Known || s.PID != 0 {
		t.Errorf("status is %+v, exit %+v", s, s.Exit)
	}
	if _, err := os.Stat(trace); err == nil {
		t.Error("it was started")
	}
}

func timesOut(b *Bench) {
	t := b.t
	b.Order("p", func(s *host.Spec) { s.Timeout = 100 * time.Millisecond }, "wait")
	b.Order("q", func(s *host.Spec) { s.Timeout, s.Stop.Grace = 2*time.Second, 50*time.Millisecond }, "deaf")
	if s := b.Ended("p"); !strings.HasPrefix(s.Exit.Reason, "timed out after 100ms") || s.Stopping {
		t.Errorf("exit is %+v", s.Exit)
	}
	if s := b.Ended("q"); s.Exit.Signal != "SIGKILL" || !strings.HasPrefix(s.Exit.Reason, "timed out after 2s") {
		t.Errorf("exit is %+v", s.Exit)
	}
}

// familyEnds: what a process has started ends with it, in a session of its own
// or not.
func familyEnds(b *Bench) {
	t := b.t
	b.Order("p", nil, "family")
	var children []int
	Eventually(t, "two children", func() bool {
		children = nil
		for _, line := range b.Lines("p") {
			if pid, ok := strings.CutPrefix(line, "child "); ok {
				n, err := strconv.Atoi(pid)
				if err != nil {
					t.Fatal(err)
				}
				children = append(children, n)
			}
		}
		return len(children) == 2
	}, func() string { return strings.Join(b.Lines("p"), "\n") })
	b.stopAndEnd("p")
	for _, pid := range children {
		Eventually(t, "child is gone", func() bool { return !Alive(pid) }, func() string { return strconv.Itoa(pid) })
	}
}

// Alive reports whether a process is there and no zombie.
func Alive(pid int) bool {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(data), ") ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

func port(b *Bench) {
	t := b.t
	b.Order("p", func(s *host.Spec) { s.Port = true }, "serve")
	s := b.Await("p", "p has a port", func(s host.Status) bool { return s.Port != 0 && s.Step == host.Running })
	url := "http://127.0.0.1:" + strconv.Itoa(s.Port) + "/"
	Eventually(t, "p answers", func() bool { return answers(t, url) }, func() string { return strings.Join(b.Lines("p"), "\n") })
	b.stopAndEnd("p")

	b.Order("q", func(s *host.Spec) { s.Port = true }, "wait")
	s = b.Await("q", "q has a port", func(s host.Status) bool { return s.Port != 0 && s.Step == host.Running })
	if free(t, s.Port) {
		t.Error("the port is free although it is reserved")
	}
	b.stopAndEnd("q")
	if free(t, s.Port) {
		t.Error("the port is free although the process was not released")
	}
	if err := b.Release(t.Context(), "q"); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "the port is free", func() bool { return free(t, s.Port) }, func() string { return "" })
}

func answers(t *testing.T, url string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// free reports whether a stranger, who does not set SO_REUSEADDR, gets a port.
func free(t *testing.T, port int) bool {
	t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		cerr := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 0) })
		if cerr != nil {
			return cerr
		}
		return err
	}}
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func restart(b *Bench) {
	t := b.t
	b.Order("p", nil, "tick", "300")
	before := b.Running("p")
	for range 3 {
		b.End()
		b.Begin()
		if s := b.Running("p"); s.PID != before.PID {
			t.Fatalf("pid is %d, was %d", s.PID, before.PID)
		}
	}
	b.Says("p", "printed")
	s := b.stopAndEnd("p")
	if !s.Exit.OK() {
		t.Errorf("exit is %+v", s.Exit)
	}
	Numbered(t, b.Lines("p"), 300)
}

// Numbered fails unless the lines "line 0" … are all there, once, in order.
func Numbered(t *testing.T, lines []string, n int) {
	t.Helper()
	var got, want []string
	for _, l := range lines {
		if strings.HasPrefix(l, "line ") {
			got = append(got, l)
		}
	}
	for i := range n {
		want = append(want, "line "+strconv.Itoa(i))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func endsWithout(b *Bench) {
	t := b.t
	b.Order("p", nil, "deaf")
	b.Says("p", "deaf")
	pid := b.Running("p").PID
	b.End()
	if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "p is gone", func() bool { return !Alive(pid) }, func() string { return "" })
	b.Begin()
	if s := b.Ended("p"); s.Exit.Signal != "SIGINT" || !s.Exit.Known {
		t.Errorf("exit is %+v", s.Exit)
	}
}

func cannotStart(b *Bench) {
	t := b.t
	plain := filepath.Join(b.Root, "plain")
	broken := filepath.Join(b.Root, "broken")
	garbage := filepath.Join(b.Root, "garbage")
	for file, content := range map[string]string{plain: "#!/bin/sh\n", broken: "#!/does/not/exist\n", garbage: "garbage"} {
		mode := os.FileMode(0o755)
		if file == plain {
			mode = 0o644
		}
		if err := os.WriteFile(file, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	for id, c := range map[string]struct {
		change func(*host.Spec)
		says   string
	}{
		"missing":     {func(s *host.Spec) { s.Command = []string{"./missing"} }, "no such file"},
		"nowhere":     {func(s *host.Spec) { s.Command = []string{"noon-has-no-such-program"} }, "PATH"},
		"plain":       {func(s *host.Spec) { s.Command = []string{"./plain"} }, "not executable"},
		"interpreter": {func(s *host.Spec) { s.Command = []string{"./broken"} }, "interpreter"},
		"garbage":     {func(s *host.Spec) { s.Command = []string{"./garbage"} }, "not a program"},
		"directory":   {func(s *host.Spec) { s.Dir = "missing" }, "inside the release"},
		"user":        {func(s *host.Spec) { s.User = "noon-has-no-such-user" }, "user"},
		"empty":       {func(s *host.Spec) { s.Command = nil }, "command"},
	} {
		b.Order(id, c.change, "wait")
		s := b.Ended(id)
		if s.Problem == nil || s.Problem.Kind != noon.Invalid || !strings.Contains(s.Problem.Error()+s.Problem.Hint, c.says) {
			t.Errorf("%s: problem is %v (%v), want one that says %q", id, s.Problem, noon.HintOf(s.Problem), c.says)
		}
		if s.Exit.OK() || !strings.HasPrefix(s.Exit.Reason, "not started: ") {
			t.Errorf("%s: exit is %+v", id, s.Exit)
		}
		if b.Ran(id) { // a probe that only wants it to run for a while would have held
			t.Errorf("%s was reported to run", id)
		}
	}
}

func outputs(b *Bench) {
	t := b.t
	b.Order("p", nil, "print", "1000")
	b.Says("p", "printed")
	for n, want := range map[int][]string{0: nil, 1: {"printed"}, 2: {"line 999", "printed"}} {
		var got []string
		if err := b.Output(t.Context(), "p", host.From{Lines: n}, false, func(l host.Line) error {
			got = append(got, l.Text)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("the last %d lines are %q", n, got)
		}
	}
	var all []host.Line
	if err := b.Output(t.Context(), "p", host.From{Lines: -1}, false, func(l host.Line) error {
		all = append(all, l)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(all) != 1001 || !slices.IsSortedFunc(all, func(a, b host.Line) int { return a.At.Compare(b.At) }) || all[0].At.IsZero() {
		t.Fatalf("%d lines, the first at %s", len(all), all[0].At)
	}
	var rest []host.Line
	if err := b.Output(t.Context(), "p", host.From{Offset: all[499].Next}, false, func(l host.Line) error {
		rest = append(rest, l)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(all[500:], rest); diff != "" {
		t.Error(diff)
	}
}

func follows(b *Bench) {
	t := b.t
	b.Order("p", nil, "tick", "100")
	var lines []string
	done := make(chan error, 1)
	go func() {
		done <- b.Output(t.Context(), "p", host.From{Lines: -1}, true, func(l host.Line) error {
			lines = append(lines, l.Text)
			return nil
		})
	}()
	b.Says("p", "printed")
	b.stopAndEnd("p")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	Numbered(t, lines, 100)
	if lines[len(lines)-1] != "asked to stop" {
		t.Errorf("the last line is %q", lines[len(lines)-1])
	}
	ctx, stop := context.WithCancel(t.Context())
	b.Order("q", nil, "print", "1")
	b.Says("q", "printed")
	err := b.Output(ctx, "q", host.From{Lines: -1}, true, func(host.Line) error { stop(); return nil })
	if err == nil {
		t.Error("following went on although its context had ended")
	}
}

func remains(b *Bench) {
	t := b.t
	b.Order("p", nil, "wait")
	b.Says("p", "waiting")
	Kind(t, b.Release(t.Context(), "p"), noon.Conflict)
	Kind(t, b.Remove(t.Context(), "p"), noon.Conflict)
	b.stopAndEnd("p")
	Kind(t, b.Remove(t.Context(), "p"), noon.Conflict)
	for range 2 {
		if err := b.Release(t.Context(), "p"); err != nil {
			t.Fatal(err)
		}
	}
	b.Await("p", "p is released", func(s host.Status) bool { return s.Released })
	if diff := cmp.Diff([]string{"waiting", "asked to stop"}, b.Lines("p")); diff != "" {
		t.Error(diff)
	}
	for range 2 {
		if err := b.Remove(t.Context(), "p"); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := b.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("there is %v, %v", list, err)
	}
}

func unknown(b *Bench) {
	t := b.t
	ctx := t.Context()
	none := func(host.Line) error { return nil }
	Kind(t, b.Stop(ctx, "nobody", noon.Stop{}), noon.NotFound)
	Kind(t, b.Release(ctx, "nobody"), noon.NotFound)
	Kind(t, b.Output(ctx, "nobody", host.From{}, true, none), noon.NotFound)
	for _, id := range []string{"", ".", "..", "a/b", strings.Repeat("x", 300)} {
		Kind(t, b.Start(ctx, host.Spec{ID: id, Command: []string{"true"}}), noon.Invalid)
	}
}
