package sockets

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
)

// A worker's roles beside those that it tells itself.
const (
	starting  Role = "starting" // this holder has started it and it does not serve yet
	candidate      = Candidate
	serving        = Serving
	leaving   Role = "leaving" // it has a successor
)

// worker is a living process that serves the sockets, will or did.
type worker struct {
	pid     int
	role    Role
	since   time.Time // in this role
	offset  int64     // where its output begins
	process *os.File  // handle
	limit   *time.Timer
	ended   chan struct{}
}

func (w *worker) forget() {
	w.limit.Stop()
	_ = w.process.Close() // ends the wait for its end; nothing was buffered
}

// Limits and pauses of the supervision.
const (
	startLimit = 20 * time.Second       // for a worker to come to serve
	atOnce     = 500 * time.Millisecond // who serves for less has ended at once
	firstPause = 20 * time.Millisecond  // once two in a row ended at once
	longest    = 5 * time.Second        // a pause
	askLimit   = 2 * time.Second        // for a worker to hand in its sockets
	askAgain   = 300 * time.Millisecond // after one has not
	bindLimit  = time.Second            // for a port that is taken, maybe by a worker
)

func (h *holder) withRoleLocked(r Role) *worker {
	for _, w := range h.workers {
		if w.role == r {
			return w
		}
	}
	return nil
}

// lacking reports that nobody serves and nobody is about to.
func (h *holder) lacking() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.ending && h.withRoleLocked(serving) == nil && h.withRoleLocked(candidate) == nil && h.withRoleLocked(starting) == nil
}

// provide finds the worker that is there, or starts one.
func (h *holder) provide(ctx context.Context) error {
	h.sleep(ctx, h.pause())
	err := h.findWorker(ctx)
	switch {
	case ctx.Err() != nil || !h.lacking():
		return nil //nolint:nilerr // there is a worker, or it is over
	case gone(err):
		err := h.start(ctx)
		if errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(h.bindBy) {
			h.sleep(ctx, askAgain/6) // it may be a worker's that only comes up
			return nil
		}
		return err
	case err == nil:
		err = errors.New("it has not done so")
	}
	h.mu.Lock()
	h.book.Problem = fmt.Sprintf("the proxy that runs does not hand in its sockets: %v", err)
	h.tellLocked()
	h.mu.Unlock()
	h.log.Warn("worker does not hand in its sockets", "err", err)
	h.sleep(ctx, askAgain)
	return nil
}

func (h *holder) pause() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.quick < 2 {
		return 0
	}
	return min(firstPause<<min(h.quick-2, 16), longest)
}

func (h *holder) sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// findWorker asks whoever answers on the worker's socket to say that it serves
// and to hand in its sockets. Nobody there is an error that gone knows.
func (h *holder) findWorker(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	c := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", h.cfg.Worker)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://worker"+HandInPath, http.NoBody)
	if err != nil {
		return err
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	if res.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("it answers %s", res.Status)
	}
	return nil
}

// HandInPath is what a worker is asked for on its own socket by a holder that
// knows no worker: it answers once Announce has returned.
const HandInPath = "/v1/holder"

// start starts a worker with copies of the sockets, which are bound if there
// are none yet.
func (h *holder) start(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.bindLocked(ctx); err != nil {
		return err
	}
	h.cfg.Faults.Point("sockets.start.before")
	w, err := h.startLocked()
	if err != nil {
		h.log.Error("worker can not be started", "command", h.next.Argv[0], "err", err)
		h.noteLocked(End{At: time.Now(), How: "it can not be started: " + err.Error()})
		return nil
	}
	h.cfg.Faults.Point("sockets.start.after")
	if h.started {
		h.book.Restarts++
	}
	h.started = true
	h.log.Info("worker started", "pid", w.pid)
	h.expect(w)
	return nil
}

func (h *holder) bindLocked(ctx context.Context) error {
	if len(h.held) > 0 {
		return nil
	}
	for _, name := range h.cfg.Listen {
		l, err := Bind(ctx, name)
		if err != nil {
			return errors.Join(err, h.dropLocked(nil))
		}
		fd, err := copyOf(l)
		if err := errors.Join(err, l.Close()); err != nil {
			return errors.Join(err, h.dropLocked(nil))
		}
		h.held = append(h.held, held{name, fd})
	}
	close(h.settled)
	return nil
}

// dropLocked puts other sockets in the place of those that are held.
func (h *holder) dropLocked(instead []held) error {
	var errs []error
	for _, s := range h.held {
		errs = append(errs, unix.Close(s.FD))
	}
	h.held = instead
	return errors.Join(errs...)
}

func (h *holder) startLocked() (*worker, error) {
	out, offset, err := openOutput(h.cfg.Output)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	fds := []int{int(null.Fd()), int(out.Fd()), int(out.Fd())} //nolint:gosec // descriptors fit
	var names []string
	for _, s := range h.held {
		fds, names = append(fds, s.FD), append(names, s.Name)
	}
	c := Command{Argv: h.next.Argv, Env: append(slices.Clone(h.next.Env), inheritance(names))}
	if spec := os.Getenv(fault.Env + "_PROXY"); spec != "" && !h.started {
		c.Env = append(c.Env, fault.Env+"="+spec) // the first one only: a point must not be met again and again
	}
	pid, process, err := spawn(c, fds)
	if err != nil {
		return nil, err
	}
	return h.addLocked(pid, process, starting, offset), nil
}

// addLocked watches a process.
func (h *holder) addLocked(pid int, process *os.File, role Role, offset int64) *worker {
	w := &worker{
		pid: pid, process: process, role: role, since: time.Now(), offset: offset,
		limit: time.NewTimer(0), ended: make(chan struct{}),
	}
	w.limit.Stop()
	h.workers[pid] = w
	h.wg.Go(func() {
		if awaitEnd(process) == nil {
			h.gone(w)
		}
	})
	return w
}

// expect ends a worker that does not come to serve in time.
func (h *holder) expect(w *worker) {
	w.limit = time.AfterFunc(startLimit, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.workers[w.pid] == w && (w.role == starting || w.role == candidate) {
			h.log.Error("worker does not come to serve", "pid", w.pid, "limit", startLimit)
			_ = signalProcess(w.process, syscall.SIGKILL) // it may have ended
		}
	})
}

// gone is called when a worker has ended.
func (h *holder) gone(w *worker) {
	h.mu.Lock()
	defer h.mu.Unlock()
	end := End{At: time.Now(), PID: w.pid, How: h.reapLocked()[w.pid]}
	if end.How == "" {
		end.How = "unseen" // it was no child of this process
	}
	delete(h.workers, w.pid)
	delete(h.hows, w.pid)
	w.forget()
	close(w.ended)
	if h.ending {
		return
	}
	log := h.log.With("pid", w.pid, "role", string(w.role), "how", end.How)
	if w.role == leaving || h.withRoleLocked(serving) != nil {
		log.Info("worker ended, another one serves")
		return
	}
	end.Output = tail(h.cfg.Output, w.offset)
	if w.role == serving && time.Since(w.since) >= atOnce {
		h.quick = 0
	}
	log.Error("worker ended")
	h.noteLocked(end)
	if next := h.withRoleLocked(candidate); next != nil {
		h.expect(next)
	}
	h.poke()
}

// noteLocked remembers an end after which nobody serves.
func (h *holder) noteLocked(e End) {
	h.quick++
	h.book.Ends = append(h.book.Ends, e)
	h.book.Ends = h.book.Ends[max(0, len(h.book.Ends)-mostEnds):]
	h.book.Problem = e.How
	if e.PID != 0 {
		h.book.Problem = fmt.Sprintf("process %d has ended (%s)", e.PID, e.How)
	}
	if e.Output != "" {
		h.book.Problem += ": " + strings.ReplaceAll(e.Output, "\n", " | ")
	}
	h.tellLocked()
}

// reapLocked tells how workers ended, whenever they were reaped.
func (h *holder) reapLocked() map[int]string {
	for pid, how := range reap() {
		if h.workers[pid] != nil {
			h.hows[pid] = how
		}
	}
	return h.hows
}

// register takes the word of a worker.
func (h *holder) register(pid int, c call, fds []int) error {
	if len(fds) != len(c.Listen) {
		closeAll(fds)
		return &noon.Error{Kind: noon.Invalid, Op: "hold sockets", Err: fmt.Errorf("%d sockets with %d names", len(fds), len(c.Listen))}
	}
	h.cfg.Faults.Point("sockets.register.before")
	h.mu.Lock()
	defer h.mu.Unlock()
	w, err := h.knownLocked(pid, Role(c.Say))
	if err != nil {
		closeAll(fds)
		return err
	}
	if w.role != Role(c.Say) {
		h.log.Info("worker", "pid", pid, "role", c.Say, "was", string(w.role))
	}
	if c.Say == sayCandidate {
		w.role, w.since = candidate, time.Now()
		if h.withRoleLocked(serving) == nil {
			h.expect(w)
		}
		return nil
	}
	return h.servesLocked(w, c, fds)
}

func (h *holder) knownLocked(pid int, role Role) (*worker, error) {
	if h.ending {
		return nil, &noon.Error{Kind: noon.Unavailable, Op: "hold sockets", Err: errors.New("this holder ends"), Hint: "The next one asks."}
	}
	if w := h.workers[pid]; w != nil {
		return w, nil
	}
	process, err := openProcess(pid)
	if err != nil {
		return nil, &noon.Error{Kind: noon.Internal, Op: "hold sockets", Err: err}
	}
	return h.addLocked(pid, process, role, sizeOf(h.cfg.Output)), nil
}

// servesLocked makes w the worker that counts. Its sockets are those that are
// held from now on: they are the ones that were held, but for such as its
// command adds or leaves out.
func (h *holder) servesLocked(w *worker, c call, fds []int) error {
	for _, other := range h.workers {
		if other != w && other.role == serving {
			other.role = leaving
		}
	}
	if w.role != serving {
		w.since = time.Now()
	}
	w.role = serving
	w.limit.Stop()
	if len(fds) > 0 {
		var instead []held
		for i, fd := range fds {
			instead = append(instead, held{c.Listen[i], fd})
		}
		if err := h.dropLocked(instead); err != nil {
			h.log.Warn("socket can not be closed", "err", err)
		}
		select {
		case <-h.settled:
		default:
			close(h.settled)
		}
	}
	if len(c.Command.Argv) > 0 {
		h.next = c.Command
	}
	h.started, h.book.Problem = true, ""
	if n := len(h.book.Ends); n > 0 && h.book.Ends[n-1].Gap == 0 {
		h.book.Ends[n-1].Gap = time.Since(h.book.Ends[n-1].At)
	}
	h.tellLocked()
	h.cfg.Faults.Point("sockets.register.after")
	return nil
}
