package process

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/host"
)

// Watch implements host.Lives: one goroutine a process sees that it has a
// keeper and reports what that writes down.
func (r *Runner) Watch(ctx context.Context, changed func(host.Status)) error {
	r.clean()
	ids, err := r.ids()
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	followed := map[string]bool{}
	follow := func(ids []string) {
		for _, id := range ids {
			if followed[id] {
				continue
			}
			followed[id] = true
			f := &follower{cfg: r.cfg, dir: dir(filepath.Join(r.cfg.Dir, id)), changed: changed}
			wg.Go(func() { f.run(ctx) })
		}
	}
	follow(ids)
	for {
		select {
		case <-r.more:
			r.mu.Lock()
			orders := r.orders
			r.orders = nil
			r.mu.Unlock()
			follow(orders)
		case <-ctx.Done():
			return nil
		}
	}
}

// follower sees that one process has a keeper until it is released.
type follower struct {
	cfg     Config
	dir     dir
	changed func(host.Status)
	last    *host.Status
	child   *os.Process // the keeper this follower has started
	starts  int         // of keepers
	quick   int         // keepers in a row that died early
	since   time.Time   // of the last start
	problem *noon.Error // why there is no keeper
}

const (
	keeperBackoff    = 5 * time.Millisecond
	keeperBackoffMax = 5 * time.Second
)

func (f *follower) run(ctx context.Context) {
	log := f.cfg.Log.With("process", filepath.Base(string(f.dir)))
	events, err := f.dir.openWake(eventsFIFO)
	if err != nil {
		log.Error("follow process", "err", err)
		return
	}
	woken := make(chan struct{}, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer events.Close()
	wg.Go(func() { readWakes(events, woken) })
	// An order of an earlier host part may be written down and not be told.
	f.dir.wake(controlFIFO)
	for ctx.Err() == nil {
		done, err := f.step(ctx, woken)
		if err != nil {
			log.Error("follow process", "err", err)
			f.quick++
			f.pause(ctx, woken)
		}
		if done {
			return
		}
	}
}

// step reports the present status, sees to a keeper and waits for a change.
func (f *follower) step(ctx context.Context, woken <-chan struct{}) (bool, error) {
	s, err := f.dir.status()
	gone := noon.KindOf(err) == noon.NotFound
	if err != nil && !gone {
		return false, err
	}
	if !gone {
		f.report(s)
	}
	if gone || s.Released { // a keeper that is still there ends by itself
		return true, f.await(ctx, f.childPID(), nil, nil)
	}
	pid, err := lockHolder(f.dir)
	if err != nil {
		return false, err
	}
	if pid != 0 {
		return false, f.await(ctx, pid, woken, nil)
	}
	if f.child == nil {
		f.pause(ctx, woken)
		if err := f.spawn(); err != nil {
			f.problem = &noon.Error{Kind: noon.Internal, Op: "start keeper of", Subject: s.ID, Err: err, Hint: "Is noon's own binary still in its place?"}
			f.report(s)
			return false, err
		}
		f.problem = nil
	}
	// It takes the lock without a word, which is what the tick is for.
	return false, f.await(ctx, f.childPID(), woken, time.After(5*time.Millisecond))
}

func (f *follower) childPID() int {
	if f.child == nil {
		return 0
	}
	return f.child.Pid
}

// await returns at the next poke or tick, or when the keeper pid has died.
func (f *follower) await(ctx context.Context, pid int, woken <-chan struct{}, tick <-chan time.Time) error {
	if pid == 0 {
		return nil
	}
	h, err := openHandle(pid)
	if err != nil {
		return err
	}
	if h == nil || !f.keeps(pid) {
		return f.reap()
	}
	defer h.close()
	ctx, stop := context.WithCancel(ctx)
	died := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() {
		if h.wait(ctx) == nil {
			close(died)
		}
	})
	select {
	case <-woken:
	case <-tick:
	case <-died:
		return f.reap()
	case <-ctx.Done():
	}
	return nil
}

// keeps reports whether pid still is the keeper it was a moment ago, which
// makes a handle opened since then the keeper's. A child's pid is its own
// until it is reaped.
func (f *follower) keeps(pid int) bool {
	if pid == f.childPID() {
		return true
	}
	holder, err := lockHolder(f.dir)
	return err == nil && holder == pid
}

// reap takes away the keeper this follower has started, if it has ended.
func (f *follower) reap() error {
	if f.child == nil {
		return nil
	}
	pid, err := wait4(f.child.Pid, nil, syscall.WNOHANG)
	if pid == 0 && err == nil {
		return nil
	}
	_ = f.child.Release()
	f.child = nil
	f.quick++
	if time.Since(f.since) > time.Second {
		f.quick = 0
	}
	return nil
}

func (f *follower) report(s host.Status) {
	if s.Problem == nil {
		s.Problem = f.problem
	}
	if f.last != nil && reflect.DeepEqual(*f.last, s) {
		return
	}
	f.last = &s
	f.changed(s)
}

// spawn starts a keeper in a session of its own: it does not end with this
// process, nor with its terminal.
func (f *follower) spawn() error {
	log, err := os.OpenFile(f.dir.path("keeper.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	if info, err := log.Stat(); err == nil && info.Size() > 1<<20 {
		_ = log.Truncate(0)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	env := os.Environ()
	if f.starts > 0 { // a fault is for the first; the next one must get through
		env = withoutFaults(env)
	}
	argv := append(append(append([]string{}, f.cfg.Keeper...), string(f.dir)), f.cfg.Exec...)
	child, err := os.StartProcess(argv[0], argv, &os.ProcAttr{
		Dir: "/", Env: env, Files: []*os.File{null, null, log}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	f.child, f.since = child, time.Now()
	f.starts++
	return nil
}

func withoutFaults(env []string) []string {
	var kept []string
	for _, pair := range env {
		if !strings.HasPrefix(pair, fault.Env+"=") && !strings.HasPrefix(pair, fault.EnvLog+"=") {
			kept = append(kept, pair)
		}
	}
	return kept
}

// pause keeps a keeper that dies at once from being started without end.
func (f *follower) pause(ctx context.Context, woken <-chan struct{}) {
	if f.quick == 0 {
		return
	}
	select {
	case <-time.After(min(keeperBackoffMax, keeperBackoff<<min(f.quick, 12))):
	case <-woken:
	case <-ctx.Done():
	}
}
