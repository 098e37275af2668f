package dbtest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// MaxBlocked is how long a statement may wait behind noon, at the default
	// budget.
	MaxBlocked = 500 * time.Millisecond
	// Glance is the time between two looks at who waits on a server.
	Glance = 20 * time.Millisecond
)

// Waits knows how long statements of apps have waited behind noon, by what noon
// was about in their app. Who waits is found out by a look of the engine's tests.
type Waits struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	phase map[string]string                   // what an app's engine is about
	worst map[string]map[string]time.Duration // by app and phase
	looks int
}

// NewWaits gives one that looks at nothing by itself.
func NewWaits() *Waits {
	return &Waits{phase: map[string]string{}, worst: map[string]map[string]time.Duration{}}
}

// Watch has look run until Close, again whenever it returns: tests kill
// servers.
func (w *Waits) Watch(ctx context.Context, look func(context.Context) error) {
	ctx, w.cancel = context.WithCancel(ctx)
	w.done = make(chan struct{})
	go func() {
		defer close(w.done)
		for ctx.Err() == nil {
			if err := look(ctx); err != nil && ctx.Err() == nil {
				<-time.After(Glance)
			}
		}
	}()
}

// Close ends what Watch has begun, if it has.
func (w *Waits) Close() {
	if w.cancel != nil {
		w.cancel()
		<-w.done
	}
}

// Look counts a look: the time since the last one is added to who waits behind
// noon now, by session and with the app that noon works on.
func Look[ID comparable](w *Waits, waited map[ID]time.Duration, behind map[ID]string, since time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	maps.DeleteFunc(waited, func(id ID, _ time.Duration) bool { _, still := behind[id]; return !still })
	for id, app := range behind {
		waited[id] += since
		if w.worst[app] == nil {
			w.worst[app] = map[string]time.Duration{}
		}
		w.worst[app][w.phase[app]] = max(w.worst[app][w.phase[app]], waited[id])
	}
}

// During says what an app's engine is about from now on, until the function it
// returns is called.
func (w *Waits) During(app, phase string) func() {
	set := func(phase string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.phase[app] = phase
	}
	set(phase)
	return func() { set("between") }
}

// Worst is how long a statement has waited at most in a phase of an app; "" is
// the phase of one of which nothing was said.
func (w *Waits) Worst(app, phase string) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.worst[app][phase]
}

// Check fails a test in which a statement waited too long behind noon.
func (w *Waits) Check(tb testing.TB, app string) {
	tb.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for phase, took := range w.worst[app] {
		if took > MaxBlocked {
			tb.Errorf("a statement waited %s behind noon's locks in phase %q, at most %s are allowed", took, phase, MaxBlocked)
		}
	}
}

// Report tells the worst of all apps, by phase.
func (w *Waits) Report() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	worst := map[string]time.Duration{}
	for _, phases := range w.worst {
		for phase, took := range phases {
			worst[phase] = max(worst[phase], took)
		}
	}
	lines := []string{fmt.Sprintf("waits behind noon's locks, the longest of each phase, in %d looks:", w.looks)}
	for _, phase := range slices.Sorted(maps.Keys(worst)) {
		lines = append(lines, fmt.Sprintf("  %-10s %s", cmp.Or(phase, "other"), worst[phase].Round(time.Millisecond)))
	}
	return strings.Join(lines, "\n")
}

// Told prints the report where NOON_BLOCKED asks for it.
func (w *Waits) Told() {
	if os.Getenv("NOON_BLOCKED") != "" {
		fmt.Fprintln(os.Stderr, w.Report())
	}
}

// Glances waits until there were so many looks more.
func (w *Waits) Glances(tb testing.TB, n int) {
	tb.Helper()
	looks := func() int { w.mu.Lock(); defer w.mu.Unlock(); return w.looks }
	for end, deadline := looks()+n, time.Now().Add(30*time.Second); looks() < end; <-time.After(Glance) {
		if time.Now().After(deadline) {
			tb.Fatal("nobody looks who waits")
		}
	}
}
