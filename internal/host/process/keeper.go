package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/host"
)

// KeeperMain is the keeper of one process: args are its directory and the
// command by which ExecMain is reached. It returns an exit code when the host
// part has released the process. Ending ctx makes the keeper leave the process
// running for the next keeper.
func KeeperMain(ctx context.Context, args []string) int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if len(args) < 2 {
		log.Error("keeper wants a directory and the command that becomes the instance")
		return 2
	}
	faults, err := fault.FromEnv()
	if err != nil {
		log.Error("faults of the environment", "err", err)
		return 2
	}
	k := &keeper{dir: dir(args[0]), exec: args[1:], faults: faults, log: log, woken: make(chan struct{}, 1)}
	if err := k.run(ctx); err != nil {
		log.Error("keeper ended", "err", err)
		return 1
	}
	return 0
}

// keeper is the one who started or adopted a process and waits for it.
type keeper struct {
	dir    dir
	exec   []string
	faults *fault.Points
	log    *slog.Logger
	spec   host.Spec
	woken  chan struct{} // the host part has written something
	output *output
	port   *reservation
	group  *cgroup
}

// run keeps the process until the host part has released it.
func (k *keeper) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	lock, err := takeLock(k.dir)
	if err != nil || lock == nil {
		return err // another keeper is at it
	}
	defer lock.Close()
	k.faults.Point("keeper.locked")
	// Caught and not ignored: what is ignored stays so in the instance.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP, syscall.SIGPIPE)
	defer signal.Stop(hangups)
	control, err := k.dir.openWake(controlFIFO)
	if err != nil {
		return fmt.Errorf("open %s: %w", controlFIFO, err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer control.Close()
	wg.Go(func() { readWakes(control, k.woken) })
	if !k.dir.has(exitFile) {
		if err := k.live(ctx); err != nil {
			return err
		}
	}
	k.dir.wake(eventsFIFO)
	return k.awaitRelease(ctx)
}

// readWakes passes pokes on until the FIFO is closed.
func readWakes(f *os.File, woken chan<- struct{}) {
	buf := make([]byte, 512)
	for {
		if _, err := f.Read(buf); err != nil {
			return
		}
		select {
		case woken <- struct{}{}:
		default:
		}
	}
}

// awaitRelease holds the port until nobody is sent to it any more.
func (k *keeper) awaitRelease(ctx context.Context) error {
	if k.port == nil && !k.released() {
		k.port = reserveAgain(k.dir.port()) // nil if it can not be had: then somebody else has it anyway
	}
	defer k.port.close()
	for !k.released() {
		select {
		case <-k.woken:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// released is also a process whose directory was removed.
func (k *keeper) released() bool {
	return k.dir.has(releasedFile) || !k.dir.has(aboutFile)
}

// live sees the process through to its end and writes that down.
func (k *keeper) live(ctx context.Context) error {
	if ok, err := k.dir.read(specFile, &k.spec); err != nil || !ok {
		return errors.Join(err, notThere(k.dir, ok))
	}
	if err := adoptOrphans(); err != nil {
		k.log.Warn("orphans of the instance can not be adopted", "err", err)
	}
	out, err := openOutput(k.dir, k.log)
	if err != nil {
		return fmt.Errorf("open output: %w", err)
	}
	k.output, k.group = out, groupOf(k.dir, k.spec.Limits)
	defer out.close()
	end, err := k.through(ctx)
	if err != nil {
		return err
	}
	k.faults.Point("keeper.exit.before")
	if err := k.dir.write(exitFile, end); err != nil {
		return fmt.Errorf("record exit: %w", err)
	}
	k.faults.Point("keeper.exit.after")
	return nil
}

// through starts or adopts the process, waits for its end and tells how it
// was.
func (k *keeper) through(ctx context.Context) (ending, error) {
	c, err := readClaim(k.dir)
	if err != nil {
		return ending{}, err
	}
	var l *life
	if c == nil {
		if k.dir.has(stopFile) {
			return k.neverStarted("stopped before it was started")
		}
		l, err = k.start(ctx)
		if refused, ok := errors.AsType[*noon.Error](err); ok {
			return k.refuse(refused)
		}
	} else {
		l, err = k.adopt(ctx, *c)
	}
	if err != nil {
		return ending{}, err
	}
	defer l.close()
	return k.see(ctx, l)
}

// neverStarted makes sure that it stays so: a child of an earlier keeper may
// still be on its way.
func (k *keeper) neverStarted(why string) (ending, error) {
	won, err := stake(k.dir, claim{At: time.Now().UTC()})
	if err != nil {
		return ending{}, err
	}
	if !won {
		return ending{}, errors.New("it was started at the last moment; look again")
	}
	return ending{Exit: noon.Exit{Code: -1, Reason: why, Known: true, At: time.Now().UTC()}}, nil
}

// refuse ends a process that could not be started because of e.
func (k *keeper) refuse(e *noon.Error) (ending, error) {
	end, err := k.neverStarted("not started: " + e.Error())
	end.Problem = e
	return end, err
}
