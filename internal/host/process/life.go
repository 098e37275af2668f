package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/noon-deploy/noon"
	"golang.org/x/sys/unix"
)

// life is the process as its keeper sees it.
type life struct {
	claim  claim
	handle *handle // nil: gone before anybody looked
	child  bool    // of this keeper, which so learns how it ends
	ended  chan struct{}
	done   func()
	wg     sync.WaitGroup
}

// start makes the child that becomes the process. A *noon.Error says why there
// can be none.
func (k *keeper) start(ctx context.Context) (*life, error) {
	if err := k.reserve(); err != nil {
		return nil, err
	}
	if err := k.limit(); err != nil {
		return nil, err
	}
	pid, ready, err := k.fork()
	if err != nil {
		return nil, &noon.Error{Kind: noon.Internal, Op: "start", Subject: k.spec.ID, Err: err, Hint: "The machine may have run out of processes or memory."}
	}
	k.faults.Point("keeper.started")
	// The pipe ends when the child has become the process or has given up.
	_, err = io.Copy(io.Discard, ready)
	ready.Close()
	if err != nil {
		return nil, fmt.Errorf("wait for start: %w", err)
	}
	k.dir.wake(eventsFIFO)
	c, err := readClaim(k.dir)
	if err != nil {
		return nil, err
	}
	if c == nil || c.PID != pid { // it could not even claim, or another child was first
		return k.instead(ctx, pid, c)
	}
	return k.watchChild(ctx, *c)
}

// instead deals with a child that did not become the process.
func (k *keeper) instead(ctx context.Context, pid int, c *claim) (*life, error) {
	var status syscall.WaitStatus
	if _, err := wait4(pid, &status, 0); err != nil {
		return nil, fmt.Errorf("wait for child: %w", err)
	}
	if c != nil {
		return k.adopt(ctx, *c)
	}
	return nil, &noon.Error{
		Kind: noon.Internal, Op: "start", Subject: k.spec.ID,
		Err: fmt.Errorf("the child ended before it could record itself (%s)", describe(status)), Hint: "Is the disk of noon's data directory full or read-only? Its keeper.log says more.",
	}
}

// fork makes the child in a session of its own. The pipe ends with exec.
func (k *keeper) fork() (int, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, nil, err
	}
	defer w.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		r.Close()
		return 0, nil, err
	}
	defer null.Close()
	argv := append(append([]string{}, k.exec...), string(k.dir))
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{null.Fd(), os.Stderr.Fd(), os.Stderr.Fd(), w.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		r.Close()
		return 0, nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	return pid, r, nil
}

// watchChild waits for a child, and for the orphans this keeper adopts.
func (k *keeper) watchChild(ctx context.Context, c claim) (*life, error) {
	ctx, stop := context.WithCancel(ctx)
	l := &life{claim: c, child: true, ended: make(chan struct{}), done: stop}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD)
	signals <- syscall.SIGCHLD // it may have ended already
	l.wg.Go(func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-signals:
				if reap(c.PID) {
					close(l.ended)
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return l, nil
}

// adopt watches a process that an earlier keeper has started.
func (k *keeper) adopt(ctx context.Context, c claim) (*life, error) {
	k.port = nil // the process has it; it is taken back when the process has ended
	ctx, stop := context.WithCancel(ctx)
	l := &life{claim: c, ended: make(chan struct{}), done: stop}
	if c.alive() {
		h, err := openHandle(c.PID)
		if err != nil {
			stop()
			return nil, err
		}
		l.handle = h
	}
	// Looked at again: the handle may be of a process that took its pid.
	if l.handle == nil || !c.alive() {
		close(l.ended)
		return l, nil
	}
	if err := k.awaitExec(ctx, c); err != nil {
		l.close()
		return nil, err
	}
	l.wg.Go(func() {
		if l.handle.wait(ctx) == nil {
			close(l.ended)
		}
	})
	return l, nil
}

// awaitExec tells the host part when a child that lost its keeper on the way
// has become the process. One that gives up ends.
func (k *keeper) awaitExec(ctx context.Context, c claim) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for c.alive() && !became(c.PID, k.dir) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	k.dir.wake(eventsFIFO)
	return nil
}

func (l *life) close() {
	l.done()
	l.wg.Wait()
	if l.handle != nil {
		l.handle.close()
	}
}

// signal reaches the whole group. It is called only while the process, or
// what is left of it as a zombie child, holds its pid.
func (l *life) signal(s syscall.Signal) error {
	if !l.child && !l.claim.alive() {
		return nil
	}
	err := syscall.Kill(-l.claim.PID, s)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// status tells how the process ended, false if nobody can know.
func (l *life) status(ctx context.Context) (syscall.WaitStatus, bool) {
	if l.child {
		var status syscall.WaitStatus
		_, err := wait4(l.claim.PID, &status, 0)
		return status, err == nil
	}
	if l.handle == nil {
		return 0, false
	}
	return l.handle.waitStatus(ctx, l.claim)
}

// describe gives a wait status in words.
func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "killed by " + unix.SignalName(status.Signal())
	}
	return fmt.Sprintf("exited with code %d", status.ExitStatus())
}
