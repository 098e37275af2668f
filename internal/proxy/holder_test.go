package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/sockets"
)

// TestHeldUnderLoad kills and upgrades the proxy and the holder while users
// come: their connections are never refused, and fail only with the process
// that had accepted them.
func TestHeldUnderLoad(t *testing.T) {
	t.Parallel()
	h := hold(t)
	mustRoute(t, h.running, routing(1, 1, backend(t, says("r1"))))
	users := arrive(t, h.url)
	users.good("calm", 200)
	files := filesOf(t, h.status().PID)

	var recoveries, gaps []time.Duration
	for range kills(20) {
		users.good("between kills", 250) // so that a worker has served for a while
		recovery, gap := h.killWorker(users)
		recoveries, gaps = append(recoveries, recovery), append(gaps, gap)
	}
	users.good("20 kill -9 of the worker", 100)
	slices.Sort(recoveries)
	slices.Sort(gaps)
	t.Logf("kill to answer: median %s, all %v", recoveries[len(recoveries)/2], recoveries)
	t.Logf("end seen to serving: median %s, all %v", gaps[len(gaps)/2], gaps)
	if worst := recoveries[len(recoveries)-1]; worst > 5*time.Second {
		t.Errorf("the worst recovery took %s", worst)
	}

	for range kills(10) {
		h.upgrade()
		users.good("upgrade", 40)
	}
	h.killHolder()
	users.good("kill -9 of the holder", 200)
	h.killWorker(users)
	users.good("kill -9 of the worker after that", 200)
	for range 3 {
		h.become()
		users.good("upgrade of the holder", 100)
	}
	h.killWorker(users)
	users.good("kill -9 of the worker after that", 200)
	h.kill(h.status().PID)
	h.start()
	h.awaitWorker(0)
	h.become()
	h.upgrade()
	users.good("everything in turn", 100)
	users.end()
	h.atRest(files)
}

// kills is how many of n are done in a short run.
func kills(n int) int {
	if testing.Short() {
		return max(1, n/5)
	}
	return n
}

// TestWorkerKilledWhileUpgrading: whenever the worker dies on its way to a
// successor, one of them or another one serves, and nobody is refused.
func TestWorkerKilledWhileUpgrading(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"proxy upgrade before", "proxy upgrade serving"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			h := hold(t, fault.Env+"_PROXY="+point)
			mustRoute(t, h.running, routing(1, 1, backend(t, says("r1"))))
			wantKind(t, h.Upgrade(t.Context(), []string{os.Args[0], "worker"}), noon.Unavailable)
			h.settled()
		})
	}
	t.Run("anywhere", func(t *testing.T) {
		t.Parallel()
		h := hold(t)
		mustRoute(t, h.running, routing(1, 1, backend(t, says("r1"))))
		users := arrive(t, h.url)
		for i := range kills(15) {
			before := h.status().Worker
			upgraded := make(chan error, 1)
			go func() { upgraded <- h.Upgrade(context.WithoutCancel(t.Context()), []string{os.Args[0], "worker"}) }()
			if i%2 == 1 { // from when there is a successor, or may have been
				eventually(t, "a successor is there", func() bool { return len(h.processes()) == 3 || h.status().Worker != before })
			}
			<-time.After(time.Duration(i) * 2 * time.Millisecond)
			began := time.Now()
			_ = syscall.Kill(before, syscall.SIGKILL) // it may have handed over and ended
			eventually(t, "it is gone", func() bool { return !slices.Contains(h.processes(), before) })
			users.killed(began, time.Now())
			if err := <-upgraded; err != nil {
				t.Logf("the upgrade did not come that far: %v", err)
			}
			h.settled()
			users.good(fmt.Sprintf("kill %d in an upgrade", i), 50)
		}
		users.end()
	})
}

// TestQueueOutlivesWorker: a connection that was made, and sent its request,
// before the worker was killed, but was not accepted by it, loses nothing.
func TestQueueOutlivesWorker(t *testing.T) {
	t.Parallel()
	h := hold(t)
	mustRoute(t, h.running, routing(1, 1, backend(t, says("r1"))))
	worker := h.status().Worker
	if err := syscall.Kill(worker, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has stopped", func() bool {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", worker))
		return err == nil && strings.Contains(string(data), ") T ")
	})
	var waiting []*rawConn
	for range 50 {
		c := dialRaw(t, h.url)
		if _, err := c.conn.Write([]byte("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\norder")); err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, c)
	}
	h.kill(worker)
	for _, c := range waiting {
		if a := c.send(""); a.status != http.StatusOK || a.body != "r1" {
			t.Errorf("%+v", a)
		}
	}
}

// TestBothKilled: sockets are bound anew when nobody has them any more.
func TestBothKilled(t *testing.T) {
	t.Parallel()
	h := hold(t)
	mustRoute(t, h.running, routing(1, 1, backend(t, says("r1"))))
	idle := dialRaw(t, h.url)
	if a := idle.get("/"); a.body != "r1" {
		t.Fatal(a)
	}
	before := h.status()
	h.kill(before.PID)
	h.kill(before.Worker)
	h.start()
	if now := h.awaitWorker(before.Worker); now.PID == before.PID || now.Addresses[0] != before.Addresses[0] {
		t.Errorf("before it was %+v, now %+v", before, now)
	}
	if a := get(t, client(t), h.url); a.body != "r1" {
		t.Errorf("%+v", a)
	}
}

// TestHolderKilledAtPoints: wherever the holder dies, nobody is refused, and
// the next one has everything.
func TestHolderKilledAtPoints(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		point string
		do    func(*heldProxy) error
	}{
		{"sockets.become.before", becomeAnother},
		{"sockets.become.after", becomeAnother},
		{"sockets.register.before:2", upgradeWorker}, // the candidate's word
		{"sockets.register.before:3", upgradeWorker}, // the successor's word
		{"sockets.register.after:2", upgradeWorker},
		{"sockets.start.before:2", killServing},
		{"sockets.start.after:2", killServing},
	} {
		t.Run(strings.ReplaceAll(row.point, ":", "_"), func(t *testing.T) {
			t.Parallel()
			h := hold(t, fault.Env+"="+row.point)
			mustRoute(t, h.running, routing(1, 1, backend(t, says("r1"))))
			before := h.status()
			if err := row.do(h); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the holder dies", func() bool { return !slices.Contains(h.processes(), before.PID) })
			if strings.HasPrefix(row.point, "sockets.start.before") {
				h.start() // nobody has the sockets until then
				h.awaitWorker(0)
			} else if a := get(t, freshClient(t), h.url); a.body != "r1" {
				t.Errorf("without a holder: %+v", a)
			} else {
				h.start()
				h.awaitWorker(0)
			}
			h.kill(h.status().Worker)
			if a := get(t, freshClient(t), h.url); a.body != "r1" {
				t.Errorf("after the next kill: %+v", a)
			}
			eventually(t, "only holder and worker live", func() bool { return len(h.processes()) == 2 })
		})
	}
}

func becomeAnother(h *heldProxy) error {
	_, err := sockets.Become(h.t.Context(), h.cfg.Socket, append([]string{os.Args[0], holdWord}, h.cfg.Args()...))
	if noon.KindOf(err) != noon.Unavailable {
		return fmt.Errorf("it said %w, want that it is unavailable", errors.Join(err, errors.New("or nothing")))
	}
	return nil
}

func upgradeWorker(h *heldProxy) error {
	return h.Upgrade(h.t.Context(), []string{os.Args[0], "worker"})
}

func killServing(h *heldProxy) error { return syscall.Kill(h.status().Worker, syscall.SIGKILL) }

// TestSuccessorDiesHeld: the holder starts what served last, in the
// environment that it served in, and without the points at which it died.
func TestSuccessorDiesHeld(t *testing.T) {
	t.Parallel()
	h := hold(t, fault.Env+"_PROXY=proxy save before:2")
	before := routing(1, 1, backend(t, says("r1")))
	mustRoute(t, h.running, before)
	first := h.status().Worker
	wantKind(t, h.Route(t.Context(), routing(2, 2, backend(t, says("r2")))), noon.Unavailable)
	h.awaitWorker(first)
	mustRoute(t, h.running, routing(2, 2, backend(t, says("r2")))) // it does not die again
	mustRoute(t, h.running, routing(3, 1, before.Endpoints[0].Address))
	if err := h.Upgrade(t.Context(), []string{os.Args[0], "worker", "of", "the", "upgrade"}); err != nil {
		t.Fatal(err)
	}
	second := h.status()
	h.kill(second.Worker)
	third := h.awaitWorker(second.Worker)
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", third.Worker))
	if want := os.Args[0] + "\x00worker\x00of\x00the\x00upgrade\x00"; err != nil || string(args) != want {
		t.Errorf("it runs as %q, %v", args, err)
	}
	if third.Restarts != 2 || len(third.Ends) != 2 {
		t.Errorf("status %+v", third)
	}
}
