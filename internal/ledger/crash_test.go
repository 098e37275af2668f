package ledger_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/ledger"
)

const (
	crashEnv   = "NOON_LEDGER_TEST_PATH"
	crashCount = "NOON_LEDGER_TEST_COUNT"
)

// crashChild goes on with the journal of deployment 1 and tells of every event
// once it is recorded.
func crashChild(ctx context.Context, path string) error {
	points, err := fault.FromEnv()
	if err != nil {
		return err
	}
	l, err := ledger.Open(ctx, path, testKey(), ledger.WithFaults(points))
	if err != nil {
		return err
	}
	epoch, err := l.Acquire(ctx, production(), "child")
	if err != nil {
		return err
	}
	d, err := l.Deployment(ctx, 1)
	if noon.KindOf(err) == noon.NotFound && err != nil {
		d, err = l.Create(ctx, walking(production()))
	}
	if err != nil {
		return err
	}
	var count int
	if _, err := fmt.Sscan(os.Getenv(crashCount), &count); err != nil {
		return err
	}
	for range count {
		d.At++
		if err := l.Record(ctx, d, epoch, noon.Event{Kind: noon.Intent, State: d.At}, noon.Event{Kind: noon.Done, State: d.At}); err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, d.At)
	}
	return l.Close()
}

// crash runs the child until it has acknowledged kill records, or to its end
// when kill is 0. It returns the last record that was acknowledged and whether
// the child was killed.
func crash(t *testing.T, path, spec string, count, kill int) (acknowledged int, killed bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), must(os.Executable())(t))
	cmd.Env = append(os.Environ(), crashEnv+"="+path, fmt.Sprintf("%s=%d", crashCount, count), fault.Env+"="+spec)
	cmd.Stderr = os.Stderr
	out := must(cmd.StdoutPipe())(t)
	noErr(t, cmd.Start())
	lines, seen := bufio.NewScanner(out), 0
	for lines.Scan() {
		must(fmt.Sscan(lines.Text(), &acknowledged))(t)
		if seen++; seen == kill {
			noErr(t, cmd.Process.Kill()) // it goes on recording until the signal reaches it
		}
	}
	err := cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || !strings.Contains(err.Error(), "killed")) {
		t.Fatalf("the child ended with %v", err)
	}
	return acknowledged, err != nil
}

// wantJournal checks that the journal has no gap, no half of a record and
// everything that was acknowledged, and returns how far it goes.
func wantJournal(t *testing.T, path string, acknowledged int) int {
	t.Helper()
	l := must(ledger.Open(t.Context(), path, testKey()))(t)
	defer func() { noErr(t, l.Close()) }()
	d, err := l.Deployment(t.Context(), 1)
	if err != nil {
		wantKind(t, err, noon.NotFound)
		if acknowledged != 0 {
			t.Fatalf("the deployment is gone, record %d of it was acknowledged", acknowledged)
		}
		return 0
	}
	events := must(l.Events(t.Context(), 1, 0))(t)
	for i, e := range events {
		if e.Seq != int64(i)+1 || e.State != walking(production()).At+1+i/2 {
			t.Fatalf("event %d is number %d of state %d", i, e.Seq, e.State)
		}
	}
	if len(events)%2 != 0 || d.At != walking(production()).At+len(events)/2 {
		t.Fatalf("the deployment is at %d with %d events: half a record is there", d.At, len(events))
	}
	if d.At < acknowledged {
		t.Fatalf("the journal ends with record %d, but %d was acknowledged", d.At, acknowledged)
	}
	return d.At
}

func TestKilledAtEveryFaultPoint(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	deaths := 0
	for {
		acknowledged, killed := crash(t, path, fmt.Sprintf("*:%d", deaths+1), 2, 0)
		wantJournal(t, path, acknowledged)
		if !killed {
			break
		}
		deaths++
	}
	// Three points in each of Acquire and two Records.
	if deaths < 9 {
		t.Errorf("the child died %d times, there are more points than that", deaths)
	}
}

func TestKilledAtAnyTime(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	reached, kills := 0, 0
	for range 12 {
		acknowledged, killed := crash(t, path, "", 10_000, 1+rand.IntN(20))
		now := wantJournal(t, path, acknowledged)
		if now < reached {
			t.Fatalf("the journal went back from %d to %d", reached, now)
		}
		reached = now
		if killed {
			kills++
		}
	}
	if kills == 0 {
		t.Error("no child was killed")
	}
}
