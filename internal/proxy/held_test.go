package proxy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/proxy"
	"github.com/noon-deploy/noon/internal/sockets"
)

// holdWord makes the test binary the holder of a proxy's sockets.
const holdWord = "hold-sockets"

// heldProxy is a proxy whose sockets are held by another process.
type heldProxy struct {
	*running
	t    *testing.T
	cfg  sockets.Config
	mark string // in the environment of all its processes
	stop []func()
}

// hold starts a holder, which starts the proxy.
func hold(t *testing.T, env ...string) *heldProxy {
	t.Helper()
	dir := shortDir(t)
	h := &heldProxy{t: t, mark: "NOON_TEST_MARK=" + dir, cfg: sockets.Config{
		Socket: filepath.Join(dir, "h.sock"), Lock: filepath.Join(dir, "h.lock"), Worker: filepath.Join(dir, "p.sock"),
		Output: filepath.Join(dir, "out"), Listen: []string{freeAddress(t, dir)}, Argv: []string{os.Args[0], "worker"},
	}}
	h.running = &running{Client: proxy.NewClient(h.cfg.Worker), url: "http://" + h.cfg.Listen[0], dir: dir, control: h.cfg.Worker}
	t.Cleanup(h.clear)
	h.start(env...)
	h.awaitWorker(0)
	return h
}

// start starts a holder; it does not wait for it.
func (h *heldProxy) start(env ...string) {
	h.t.Helper()
	value, err := json.Marshal(childConfig{Dir: h.dir, Listen: h.cfg.Listen, Control: h.cfg.Worker, Holder: h.cfg.Socket})
	if err != nil {
		h.t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(h.dir, "holder.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.CommandContext(context.Background(), os.Args[0], append([]string{holdWord}, h.cfg.Args()...)...)
	cmd.Env = append(append(os.Environ(), envChild+"="+string(value), h.mark), env...)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	h.stop = append(h.stop, func() { <-ended })
}

// processes are those of this proxy that live.
func (h *heldProxy) processes() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		h.t.Fatal(err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		env, err := os.ReadFile("/proc/" + e.Name() + "/environ")
		if err == nil && slices.Contains(strings.Split(string(env), "\x00"), h.mark) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (h *heldProxy) clear() {
	for range 200 {
		left := h.processes()
		if len(left) == 0 {
			break
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	for _, wait := range h.stop {
		wait()
	}
	if h.t.Failed() {
		data, _ := os.ReadFile(filepath.Join(h.dir, "holder.log"))
		out, _ := os.ReadFile(h.cfg.Output)
		h.t.Logf("the holder said:\n%s\nthe proxies:\n%s", data, out)
	}
}

func (h *heldProxy) status() sockets.Status {
	h.t.Helper()
	st, err := sockets.Ask(h.t.Context(), h.cfg.Socket)
	if err != nil {
		h.t.Fatal(err)
	}
	return st
}

// awaitWorker waits until a worker serves that is not the one before.
func (h *heldProxy) awaitWorker(before int) sockets.Status {
	h.t.Helper()
	var st sockets.Status
	eventually(h.t, "a worker serves", func() bool {
		var err error
		st, err = sockets.Ask(h.t.Context(), h.cfg.Socket)
		return err == nil && st.Worker != 0 && st.Worker != before
	})
	return st
}

func (h *heldProxy) kill(pid int) {
	h.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		h.t.Fatalf("kill %d: %v", pid, err)
	}
}

// killHolder kills it and has another one come up, as noon serve would.
func (h *heldProxy) killHolder() {
	h.t.Helper()
	before := h.status()
	h.kill(before.PID)
	eventually(h.t, "the holder is gone", func() bool {
		_, err := sockets.Ask(h.t.Context(), h.cfg.Socket)
		return err != nil
	})
	h.start()
	if now := h.awaitWorker(0); now.Worker != before.Worker || now.PID == before.PID {
		h.t.Errorf("holder %d has worker %d, before it was holder %d and worker %d", now.PID, now.Worker, before.PID, before.Worker)
	}
}

// killWorker kills the one that serves, and tells how long it took until a
// user was served who came just after.
func (h *heldProxy) killWorker(users *arrivals) (recovery, gap time.Duration) {
	h.t.Helper()
	before := h.status().Worker
	began := time.Now()
	h.kill(before)
	if a := get(h.t, freshClient(h.t), h.url); a.body != "r1" {
		h.t.Errorf("just after the kill: %+v", a)
	}
	recovery = time.Since(began)
	st := h.awaitWorker(before)
	end := st.Ends[len(st.Ends)-1]
	users.killed(began, end.At)
	h.t.Logf("killed; %s until its end was seen, %s until the next one served, %s until a user was answered",
		end.At.Sub(began).Round(time.Millisecond/10), end.Gap.Round(time.Millisecond/10), recovery.Round(time.Millisecond/10))
	if end.PID != before {
		h.t.Errorf("the holder saw process %d end, want %d", end.PID, before)
	}
	return recovery, end.Gap
}

func (h *heldProxy) upgrade() {
	h.t.Helper()
	before := h.status().Worker
	if err := h.Upgrade(h.t.Context(), []string{os.Args[0], "worker"}); err != nil {
		h.t.Fatal(err)
	}
	if now := h.status().Worker; now == before || now == 0 {
		h.t.Errorf("after the upgrade the holder knows worker %d, before %d", now, before)
	}
}

func (h *heldProxy) become() {
	h.t.Helper()
	before := h.status()
	now, err := sockets.Become(h.t.Context(), h.cfg.Socket, append([]string{os.Args[0], holdWord}, h.cfg.Args()...))
	if err != nil {
		h.t.Fatal(err)
	}
	if now.PID != before.PID || now.Worker != before.Worker || !slices.Equal(now.Addresses, before.Addresses) || now.Restarts != before.Restarts {
		h.t.Errorf("before it was %+v, now %+v", before, now)
	}
}

// filesOf counts the open files of a process.
func filesOf(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// zombies counts the children of a process that have ended.
func zombies(t *testing.T, parent int) int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if _, rest, ok := strings.Cut(string(data), ") "); err == nil && ok && strings.HasPrefix(rest, fmt.Sprintf("Z %d ", parent)) {
			n++
		}
	}
	return n
}

// atRest wants one holder with one worker and nothing open that was not, and
// nothing at all once they are asked to end.
func (h *heldProxy) atRest(files int) {
	h.t.Helper()
	st := h.status()
	eventually(h.t, "only holder and worker live", func() bool { return len(h.processes()) == 2 })
	if n := zombies(h.t, st.PID); n > 0 {
		h.t.Errorf("the holder has not let go of %d processes that have ended", n)
	}
	eventually(h.t, "the holder has closed what it had opened", func() bool { return filesOf(h.t, st.PID) <= files })
	for _, pid := range []int{st.PID, st.Worker} {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			h.t.Error(err)
		}
		eventually(h.t, "it ends", func() bool { return !slices.Contains(h.processes(), pid) })
		if pid == st.PID && !slices.Contains(h.processes(), st.Worker) {
			h.t.Error("the worker has ended with the holder")
		}
	}
	if left, _ := filepath.Glob(filepath.Join(h.dir, "*.sock*")); len(left) > 0 {
		h.t.Errorf("left behind: %v", left)
	}
}

// settled waits until one worker serves, the holder knows it, and nobody else
// is left.
func (h *heldProxy) settled() {
	h.t.Helper()
	eventually(h.t, "one worker serves, and the holder knows it", func() bool {
		health, err := h.Health(h.t.Context())
		st, serr := sockets.Ask(h.t.Context(), h.cfg.Socket)
		return err == nil && serr == nil && st.Worker == health.PID && len(h.processes()) == 2
	})
	if a := get(h.t, freshClient(h.t), h.url); a.body != "r1" {
		h.t.Errorf("%+v", a)
	}
}

// freshClient makes a new connection for each request.
func freshClient(t *testing.T) *http.Client {
	t.Helper()
	c := client(t)
	c.Transport.(*http.Transport).DisableKeepAlives = true
	return c
}
