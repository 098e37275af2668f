package sockets

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/noon-deploy/noon"
)

// held is a socket that the holder keeps. It is not given to the runtime: a
// connection that comes must not wake who does not take it.
type held struct {
	Name string `json:"name"`
	FD   int    `json:"fd"`
}

// holder holds sockets and has a worker serve them.
type holder struct {
	cfg     Config
	log     *slog.Logger
	control *net.UnixListener
	lock    *os.File
	wake    chan struct{} // has room for one: a worker may be lacking
	settled chan struct{} // closed once there are sockets
	wg      sync.WaitGroup
	reply   *net.UnixConn // who has asked for this program; nil if nobody
	bindBy  time.Time

	mu      sync.Mutex
	held    []held
	workers map[int]*worker
	hows    map[int]string // how workers ended that were reaped before that was noticed
	next    Command        // what the next worker is started with
	book    book
	started bool // a worker has been started or found
	quick   int  // workers in a row that ended at once
	ending  bool
	changed chan struct{} // closed and replaced when the status changes
}

// book is what is remembered of workers.
type book struct {
	Restarts int    `json:"restarts"`
	Ends     []End  `json:"ends,omitempty"`
	Problem  string `json:"problem,omitempty"`
}

// mostEnds is how many ends are remembered.
const mostEnds = 5

// open takes the lock and the holder's own socket, or goes on with what the
// program had that this process was before.
func open(cfg Config, before *state) (*holder, error) {
	h := &holder{
		cfg: cfg, log: cfg.Log, wake: make(chan struct{}, 1), settled: make(chan struct{}), changed: make(chan struct{}),
		bindBy: time.Now().Add(bindLimit), workers: map[int]*worker{}, hows: map[int]string{}, next: Command{Argv: cfg.Argv, Env: cleanEnviron(os.Environ())},
	}
	if err := adoptOrphans(); err != nil {
		return nil, &noon.Error{Kind: noon.Internal, Op: "become the parent of orphans", Err: err}
	}
	if before != nil {
		return h, h.goOn(before)
	}
	var err error
	if h.lock, err = takeLock(cfg.Lock); err != nil {
		return nil, err
	}
	// The lock is held: a socket that is there is nobody's.
	if err := os.Remove(cfg.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, &noon.Error{Kind: noon.Failure, Op: "remove the stale socket", Subject: cfg.Socket, Err: err, Hint: "Check the permissions of its directory."}
	}
	if h.control, err = net.ListenUnix("unix", &net.UnixAddr{Name: cfg.Socket, Net: "unix"}); err == nil {
		h.control.SetUnlinkOnClose(false) // it is removed with the lock still held
		err = os.Chmod(cfg.Socket, 0o600)
	}
	if err != nil {
		return nil, &noon.Error{Kind: noon.Failure, Op: "listen on", Subject: cfg.Socket, Err: err, Hint: "Check that its directory exists and may be written to."}
	}
	return h, nil
}

// lockPatience is how long the lock of a holder that is just dying is waited
// for.
const lockPatience = 2 * time.Second

func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, &noon.Error{Kind: noon.Failure, Op: "lock", Subject: path, Err: err, Hint: "Check that its directory exists and may be written to."}
	}
	limit := time.Now().Add(lockPatience)
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) //nolint:gosec // a descriptor fits
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(limit) {
			_ = f.Close() // nothing was written
			return nil, &noon.Error{Kind: noon.Conflict, Op: "hold the sockets of", Subject: path, Err: err, Hint: "Another holder does. End it first, or upgrade it."}
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// run holds the sockets until ctx ends, or until they can not be had at all.
func (h *holder) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	h.wg.Go(func() { h.accept(ctx) })
	h.wg.Go(func() { h.reapOrphans(ctx, children) })
	h.poke()
	err := h.supervise(ctx)
	cancel()
	signal.Stop(children)
	h.end()
	return err
}

// supervise starts a worker whenever there is none. The error is that the
// sockets can not be bound.
func (h *holder) supervise(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.wake:
		}
		for h.lacking() && ctx.Err() == nil {
			if err := h.provide(ctx); err != nil {
				return err
			}
		}
	}
}

// reapOrphans lets go of processes that this one has become the parent of and
// that have never said that they are workers.
func (h *holder) reapOrphans(ctx context.Context, children <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-children:
			h.mu.Lock()
			h.reapLocked()
			h.mu.Unlock()
		}
	}
}

func (h *holder) poke() {
	select {
	case h.wake <- struct{}{}:
	default: // it is awake already
	}
}

// tellLocked wakes those who watch.
func (h *holder) tellLocked() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// stopLimit is how long a worker may take to end that is not yet known to
// those who would end it.
const stopLimit = 5 * time.Second

// end leaves the worker that serves alone. One that is only coming up is
// ended: nobody else knows of it.
func (h *holder) end() {
	h.mu.Lock()
	h.ending = true
	var coming []*worker
	for _, w := range h.workers {
		if w.role == starting {
			coming = append(coming, w)
			_ = signalProcess(w.process, syscall.SIGTERM) // it may have ended
		}
	}
	h.mu.Unlock()
	for _, w := range coming {
		select {
		case <-w.ended:
		case <-time.After(stopLimit):
			_ = signalProcess(w.process, syscall.SIGKILL) // it may have ended
			<-w.ended
		}
	}
	_ = h.control.Close()
	h.mu.Lock()
	for _, w := range h.workers {
		w.forget()
	}
	h.mu.Unlock()
	h.wg.Wait()
	_ = os.Remove(h.cfg.Socket) // a stale one is replaced by the next holder anyway
	for _, s := range h.held {
		_ = unix.Close(s.FD) // the worker has its own copy
	}
	_ = h.lock.Close()
}

// status is what callers are told, with what tells them of the next change.
func (h *holder) status() (Status, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	st := Status{
		Version: h.cfg.Version, PID: os.Getpid(), Command: h.next.Argv,
		Restarts: h.book.Restarts, Ends: slices.Clone(h.book.Ends), Problem: h.book.Problem,
	}
	for _, s := range h.held {
		st.Listen = append(st.Listen, s.Name)
		st.Addresses = append(st.Addresses, addressOf(s.FD))
	}
	if w := h.withRoleLocked(serving); w != nil {
		st.Worker = w.pid
	}
	return st, h.changed
}

func addressOf(fd int) string {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return err.Error()
	}
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return (&net.TCPAddr{IP: a.Addr[:], Port: a.Port}).String()
	case *unix.SockaddrInet6:
		return (&net.TCPAddr{IP: a.Addr[:], Port: a.Port}).String()
	}
	return "a socket of another kind"
}
