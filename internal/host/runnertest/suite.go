package runnertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/host"
)

// Open opens a runner on a directory. Opened again on the same one it finds
// what the one before has left.
type Open func(t *testing.T, dir string) host.Runner

// Conform runs the whole suite. The binary it runs in must call App first.
func Conform(t *testing.T, open Open) {
	t.Helper()
	cases := []struct {
		name string
		run  func(*Bench)
	}{
		{"exit code", exitCode},
		{"signal", bySignal},
		{"started once", startedOnce},
		{"environment", environment},
		{"stop", stops},
		{"stop what is deaf", stopsDeaf},
		{"stop before start", stopsBeforeStart},
		{"timeout", timesOut},
		{"family", familyEnds},
		{"port", port},
		{"restart", restart},
		{"ends without a runner", endsWithout},
		{"cannot start", cannotStart},
		{"output", outputs},
		{"follow", follows},
		{"remains", remains},
		{"unknown", unknown},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(NewBench(t, open))
		})
	}
}

// Bench is a runner that is watched.
type Bench struct {
	t    *testing.T
	open Open
	dir  string
	Root string // of the releases that are run
	host.Runner

	mu   sync.Mutex
	last map[string]host.Status
	ran  map[string]bool // was ever reported to run
	stop func()
}

// NewBench opens a runner in a directory of its own and watches it. In the end
// all its processes are stopped.
func NewBench(t *testing.T, open Open) *Bench {
	t.Helper()
	b := &Bench{t: t, open: open, dir: t.TempDir(), Root: t.TempDir(), last: map[string]host.Status{}, ran: map[string]bool{}}
	b.Begin()
	t.Cleanup(func() {
		if b.stop == nil {
			b.Begin()
		}
		b.clear()
		b.End()
	})
	return b
}

// Begin opens the runner and watches it.
func (b *Bench) Begin() {
	b.t.Helper()
	b.Runner = b.open(b.t, b.dir)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Watch(ctx, b.changed) }()
	b.stop = func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("watch: %v", err)
		}
	}
}

// End stops watching, as the death of a host part does.
func (b *Bench) End() {
	b.stop()
	b.stop = nil
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = map[string]host.Status{}
}

func (b *Bench) changed(s host.Status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last[s.ID] = s
	if s.Step == host.Running {
		b.ran[s.ID] = true
	}
}

// clear ends everything.
func (b *Bench) clear() {
	ctx := context.Background()
	list, err := b.List(ctx)
	if err != nil {
		b.t.Errorf("list: %v", err)
	}
	for _, s := range list {
		if err := b.Stop(ctx, s.ID, noon.Stop{Signal: "KILL"}); err != nil {
			b.t.Errorf("stop %s: %v", s.ID, err)
		}
		b.Ended(s.ID)
		if err := b.Release(ctx, s.ID); err != nil {
			b.t.Errorf("release %s: %v", s.ID, err)
		}
		if err := b.Remove(ctx, s.ID); err != nil {
			b.t.Errorf("remove %s: %v", s.ID, err)
		}
	}
}

// Order starts a process that is an App.
func (b *Bench) Order(id string, change func(*host.Spec), words ...string) {
	b.t.Helper()
	s := host.Spec{
		ID: id, Labels: map[string]string{"for": id}, Command: Command(words...), Root: b.Root,
		Env: map[string]string{"PATH": os.Getenv("PATH"), "NOON_INSTANCE": id}, Stop: noon.Stop{Signal: "TERM", Grace: 5 * time.Second},
	}
	if change != nil {
		change(&s)
	}
	if err := b.Start(b.t.Context(), s); err != nil {
		b.t.Fatal(err)
	}
}

// Status gives what was reported last.
func (b *Bench) Status(id string) host.Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last[id]
}

// Await waits until a report of a process is as wanted.
func (b *Bench) Await(id, what string, ok func(host.Status) bool) host.Status {
	b.t.Helper()
	var s host.Status
	Eventually(b.t, what, func() bool { s = b.Status(id); return ok(s) }, func() string {
		return fmt.Sprintf("%+v exit=%+v output=%q", s, s.Exit, b.Lines(id))
	})
	return s
}

// Running waits until a process runs, Ended until it has ended.
func (b *Bench) Running(id string) host.Status {
	b.t.Helper()
	return b.Await(id, id+" runs", func(s host.Status) bool { return s.Step == host.Running })
}

// Ended waits until a process has ended.
func (b *Bench) Ended(id string) host.Status {
	b.t.Helper()
	return b.Await(id, id+" has ended", func(s host.Status) bool { return s.Step == host.Ended })
}

// Lines gives everything a process has written.
func (b *Bench) Lines(id string) []string {
	var lines []string
	err := b.Output(context.Background(), id, host.From{Lines: -1}, false, func(l host.Line) error {
		lines = append(lines, l.Text)
		return nil
	})
	if err != nil {
		lines = append(lines, "error: "+err.Error())
	}
	return lines
}

// Says waits until a process has written a line.
func (b *Bench) Says(id, line string) {
	b.t.Helper()
	Eventually(b.t, id+" says "+line, func() bool { return slices.Contains(b.Lines(id), line) }, func() string {
		return strings.Join(b.Lines(id), "\n")
	})
}

// Eventually waits for a condition.
func Eventually(t *testing.T, what string, ok func() bool, state func() string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within 20 s: %s\n%s", what, state())
		}
	}
}

// Kind fails unless err is a noon.Error of that kind.
func Kind(t *testing.T, err error, kind noon.ErrorKind) {
	t.Helper()
	e, ok := errors.AsType[*noon.Error](err)
	if !ok || e.Kind != kind {
		t.Errorf("error is %v (%s), want one of kind %s", err, noon.KindOf(err), kind)
	}
}

// Ran reports whether a process was ever reported to run.
func (b *Bench) Ran(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ran[id]
}
