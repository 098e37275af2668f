package host_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/host"
	"github.com/noon-deploy/noon/internal/host/runnertest"
)

func newTask(id string, words ...string) noon.Task {
	return noon.Task{
		ID: id, Site: shop, Fence: noon.Fence{Epoch: 3, Generation: 1}, Revision: rev(1), Digest: digest(1),
		Command: words, Env: map[string]string{"GREETING": "hello"}, Timeout: time.Minute,
	}
}

func (m *machine) task(id string) noon.TaskStatus {
	m.t.Helper()
	var s noon.TaskStatus
	eventually(m.t, "task "+id+" ends", func() bool {
		var err error
		if s, err = m.host.TaskStatus(m.t.Context(), id); err != nil {
			m.t.Fatal(err)
		}
		return !s.Running
	}, func() string { return fmt.Sprint(s) })
	return s
}

func TestTask(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx := t.Context()
	task := newTask("d1-migrate", "sh", "-c", `cat digest; echo; echo $GREETING $NOON_INSTANCE $NOON_HOST ${PORT-none} >&2; exit 4`)
	if err := m.host.StartTask(ctx, task); err != nil {
		t.Fatal(err)
	}
	s := m.task(task.ID)
	if s.Exit == nil || s.Exit.Code != 4 || !s.Exit.Known || s.Started.IsZero() {
		t.Errorf("exit is %+v", s.Exit)
	}
	if diff := cmp.Diff([]string{digest(1), "hello d1-migrate local none"}, s.Output); diff != "" {
		t.Error(diff)
	}
	newer := task
	newer.Fence, newer.Env = noon.Fence{Epoch: 4}, map[string]string{"GREETING": "changed"}
	if err := m.host.StartTask(ctx, newer); err != nil {
		t.Errorf("the same task again: %v", err)
	}
	other := task
	other.Command = []string{"true"}
	runnertest.Kind(t, m.host.StartTask(ctx, other), noon.Conflict)
	fresh := newTask("d1-later", "true")
	if err := m.host.StartTask(ctx, func() noon.Task { fresh.Fence.Epoch = 5; return fresh }()); err != nil {
		t.Fatal(err)
	}
	stale := newTask("d1-stale", "true")
	runnertest.Kind(t, m.host.StartTask(ctx, stale), noon.Stale)
	runnertest.Kind(t, m.host.Apply(ctx, desired(9)), noon.Stale)
	_, err := m.host.TaskStatus(ctx, "unknown")
	runnertest.Kind(t, err, noon.NotFound)
	runnertest.Kind(t, m.host.StopTask(ctx, "unknown"), noon.NotFound)
	for _, id := range []string{"", "..", "a/b", ".hidden", strings.Repeat("x", 300)} {
		runnertest.Kind(t, m.host.StartTask(ctx, newTask(id, "true")), noon.Invalid)
	}
}

func TestTaskStopsAndTimesOut(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx := t.Context()
	long, short := newTask("long", "sleep", "1000"), newTask("short", "sleep", "1000")
	short.Timeout = 100 * time.Millisecond
	for _, task := range []noon.Task{long, short} {
		if err := m.host.StartTask(ctx, task); err != nil {
			t.Fatal(err)
		}
	}
	if s := m.task("short"); !strings.HasPrefix(s.Exit.Reason, "timed out after 100ms") {
		t.Errorf("exit is %+v", s.Exit)
	}
	for range 2 {
		if err := m.host.StopTask(ctx, "long"); err != nil {
			t.Fatal(err)
		}
	}
	if s := m.task("long"); !strings.HasPrefix(s.Exit.Reason, "stopped") {
		t.Errorf("exit is %+v", s.Exit)
	}
}

// Every task that ever ran is remembered, whatever was tidied away since.
func TestTasksAreRememberedForEver(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	const n = 24
	for i := range n {
		if err := m.host.StartTask(t.Context(), newTask(fmt.Sprint("t", i), "echo", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		m.task(fmt.Sprint("t", i))
	}
	eventually(t, "old ones are removed", func() bool { return len(m.running()) <= 20 }, func() string { return fmt.Sprint(len(m.running())) })
	m.end()
	m.start()
	for i := range n {
		id := fmt.Sprint("t", i)
		if err := m.host.StartTask(t.Context(), newTask(id, "echo", fmt.Sprint(i))); err != nil {
			t.Error(err)
		}
		if s := m.task(id); !s.Exit.OK() || !slices.Equal(s.Output, []string{fmt.Sprint(i)}) {
			t.Errorf("task %s: %+v, exit %+v", id, s, s.Exit)
		}
		if len(m.running()) > 20 {
			t.Fatal("one was started again")
		}
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	printer := web("tick", "50")
	printer.Paths, printer.Ready = nil, noon.Probe{Interval: time.Millisecond}
	other := printer
	other.Name = "other"
	ctx, stop := context.WithCancel(t.Context())
	var followed []string
	done := make(chan error, 1)
	m.apply(desired(1, revision(1, 1, 0, printer, other)))
	go func() {
		done <- m.host.Logs(ctx, shop, host.Filter{Service: "web", Lines: -1}, true, func(l host.LogLine) error {
			if l.Service != "web" || l.Revision != rev(1) && l.Revision != rev(2) {
				t.Errorf("line %+v", l)
			}
			followed = append(followed, l.Text)
			if l.Revision == rev(2) && l.Text == "printed" {
				stop()
			}
			return nil
		})
	}()
	m.await("both are up", ready(1, 2))
	m.apply(desired(2, revision(1, 1, 0, printer, other), revision(2, 1, 0, printer)))
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := len(slices.DeleteFunc(followed, func(s string) bool { return s == "printed" })); n != 100 {
		t.Errorf("%d lines were followed, want 100", n)
	}
	var last []host.LogLine
	if err := m.host.Logs(t.Context(), shop, host.Filter{Lines: 5, Revision: rev(1)}, false, func(l host.LogLine) error {
		last = append(last, l)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(last) != 5 || !slices.IsSortedFunc(last, func(a, b host.LogLine) int { return a.At.Compare(b.At) }) {
		t.Errorf("the last lines are %+v", last)
	}
}

// A client does over a socket what its host does.
func TestClient(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	short, err := os.MkdirTemp("", "noon") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(short) })
	socket := filepath.Join(short, "s")
	ctx := t.Context()
	c := host.NewClient(socket)
	defer c.Close()
	_, _, err = c.Ping(ctx)
	runnertest.Kind(t, err, noon.Unavailable)
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: host.Handler(m.host), ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(l) }()
	defer func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		<-served
	}()
	if name, _, err := c.Ping(ctx); err != nil || name != noon.LocalHost {
		t.Errorf("ping: %q, %v", name, err)
	}
	d := desired(1, revision(1, 1, noon.PointsWhole, web("serve")))
	if err := c.Apply(ctx, d); err != nil {
		t.Fatal(err)
	}
	d.Fence.Generation = 0
	err = c.Apply(ctx, d)
	runnertest.Kind(t, err, noon.Stale)
	if noon.HintOf(err) == "" || !strings.Contains(err.Error(), "fence 1.0 is older than 1.1") {
		t.Errorf("error is %v", err)
	}
	eventually(t, "r1 is ready", func() bool { o, err := c.Observe(ctx, shop); return err == nil && ready(1, 1)(o) }, func() string { return "" })
	task := newTask("t", "echo", "hello")
	task.Fence.Epoch = 1
	if err := c.StartTask(ctx, task); err != nil {
		t.Fatal(err)
	}
	m.task("t")
	if s, err := c.TaskStatus(ctx, "t"); err != nil || !s.Exit.OK() {
		t.Errorf("task is %+v, %v", s, err)
	}
	if err := c.StopTask(ctx, "t"); err != nil {
		t.Error(err)
	}
	var lines []string
	if err := c.Logs(ctx, shop, host.Filter{Task: "t", Lines: 10}, false, func(l host.LogLine) error { lines = append(lines, l.Text); return nil }); err != nil || !slices.Equal(lines, []string{"hello"}) {
		t.Errorf("logs are %q, %v", lines, err)
	}
	follow, stop := context.WithCancel(ctx)
	if err := c.Logs(follow, shop, host.Filter{Service: "web", Lines: 10}, true, func(host.LogLine) error { stop(); return nil }); err != nil {
		t.Error(err)
	}
	if sites, err := c.Sites(ctx); err != nil || !slices.Equal(sites, []noon.Site{shop}) {
		t.Errorf("sites are %v, %v", sites, err)
	}
	if err := c.Clear(ctx, noon.Site{}); err != nil {
		t.Error(err)
	}
	if o, err := c.Observe(ctx, shop); err != nil || len(o.Instances) != 0 {
		t.Errorf("observed %s, %v", describe(o), err)
	}
	d.Fence.Generation = 1
	if err := c.Apply(ctx, d); err != nil {
		t.Errorf("the same fence after clear: %v", err)
	}
}

// Clear ends everything even if there is no router any more.
func TestClearWithoutRouter(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.apply(desired(1, revision(1, 2, noon.PointsWhole, web("serve"))))
	m.await("r1 serves", func(o noon.Observed) bool { return ready(1, 2)(o) && o.Routed.Generation == 1 })
	if err := m.host.StartTask(t.Context(), newTask("t", "sleep", "1000")); err != nil {
		t.Fatal(err)
	}
	m.router.broken(os.ErrClosed)
	if err := m.host.Clear(t.Context(), shop); err != nil {
		t.Fatal(err)
	}
	for _, s := range m.running() {
		if s.Step != host.Ended {
			t.Errorf("%s is %s", s.ID, s.Step)
		}
	}
}
