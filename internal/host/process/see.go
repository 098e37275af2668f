package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/noon-deploy/noon"
	"golang.org/x/sys/unix"
)

// taskGrace is how long a process has from the signal at its timeout to
// SIGKILL, unless its spec says otherwise.
const taskGrace = 10 * time.Second

// hurry is how the end of a process is being brought about.
type hurry struct {
	why    string // "" while nobody wants it to end
	grace  time.Duration
	killed bool // SIGKILL was needed
}

// see waits for the end of a process, ends it when that is ordered or its
// time is up, and clears away what it leaves.
func (k *keeper) see(ctx context.Context, l *life) (ending, error) {
	var h hurry
	timeout, kill := k.timer(l), stopped()
	defer timeout.Stop()
	defer func() { kill.Stop() }()
	hasten := func(why, sig string, left, grace time.Duration) {
		h = hurry{why: why, grace: grace}
		k.faults.Point("keeper.stop.before")
		k.send(l, signalOf(sig))
		kill.Reset(left)
	}
	for {
		if h.why == "" {
			if order, left, ok := k.stopOrdered(); ok {
				hasten("stopped", order.Signal, left, order.Grace)
			}
		}
		select {
		case <-l.ended:
			return k.finish(ctx, l, h), nil
		case <-k.woken:
		case <-timeout.C:
			if h.why == "" {
				grace := k.spec.Stop.Grace
				if grace <= 0 {
					grace = taskGrace
				}
				hasten(fmt.Sprintf("timed out after %s", k.spec.Timeout), k.spec.Stop.Signal, grace, grace)
			}
		case <-kill.C:
			h.killed = true
			k.send(l, syscall.SIGKILL)
		case <-ctx.Done():
			return ending{}, context.Cause(ctx)
		}
	}
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// timer fires when the process has had its time, counted from its own start
// and by a clock that does not jump.
func (k *keeper) timer(l *life) *time.Timer {
	if k.spec.Timeout <= 0 {
		return stopped()
	}
	return time.NewTimer(max(0, k.spec.Timeout-age(l.claim.Start)))
}

// stopOrdered gives the order to stop and what is left of its grace. A wall
// clock that jumps makes it no longer than the whole grace.
func (k *keeper) stopOrdered() (stopOrder, time.Duration, bool) {
	var o stopOrder
	ok, err := k.dir.read(stopFile, &o)
	if err != nil {
		k.log.Error("read order to stop", "err", err)
		return stopOrder{}, 0, false
	}
	return o, min(o.Grace, max(0, o.Grace-time.Since(o.At))), ok
}

func (k *keeper) send(l *life, s syscall.Signal) {
	if err := l.signal(s); err != nil {
		k.log.Error("signal instance", "signal", unix.SignalName(s), "err", err)
	}
}

// signalOf gives the signal of a noon.Stop, SIGTERM if it is none.
func signalOf(name string) syscall.Signal {
	if s := unix.SignalNum("SIG" + name); s != 0 {
		return s
	}
	return syscall.SIGTERM
}

// finish clears away what the process left, takes the rest of its output and
// tells how it ended.
func (k *keeper) finish(ctx context.Context, l *life, h hurry) ending {
	k.sweep(l)
	status, known := l.status(ctx)
	k.output.drain()
	end := ending{Exit: noon.Exit{Code: -1, Known: known, At: time.Now().UTC()}}
	if end.Problem = k.failure(); end.Problem != nil {
		k.group.remove()
		end.Exit.Known = true
		end.Exit.Reason = "not started: " + end.Problem.Error()
		return end
	}
	switch {
	case !known:
		end.Exit.Reason = k.unknown(l)
	case status.Signaled():
		end.Exit.Signal = unix.SignalName(status.Signal())
		end.Exit.Reason = describe(status)
	default:
		end.Exit.Code = status.ExitStatus()
		end.Exit.Reason = describe(status)
	}
	if k.group.outOfMemory() {
		end.Exit.Reason += ": out of memory, more than the limit of its service"
	}
	if h.why != "" {
		end.Exit.Reason = h.why + ": " + end.Exit.Reason
	}
	if h.killed {
		end.Exit.Reason += fmt.Sprintf(": it did not end within %s of being asked", h.grace)
	}
	k.group.remove()
	return end
}

// failure is why the child could not become the process, nil if it did.
func (k *keeper) failure() *noon.Error {
	data, err := os.ReadFile(k.dir.path(failureFile))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(data) == 0 {
		return nil
	}
	if err != nil {
		k.log.Error("read why the instance did not start", "err", err)
	}
	var e noon.Error
	if err := json.Unmarshal(data, &e); err != nil {
		return &noon.Error{Kind: noon.Internal, Op: "start", Subject: k.spec.ID, Err: err, Hint: "Its keeper.log may say more."}
	}
	return &e
}

// unknown is honest about an end nobody saw.
func (k *keeper) unknown(l *life) string {
	if l.claim.PID == 0 {
		return "it was never started"
	}
	if l.claim.Boot != bootID() {
		return "ended with a restart or a power loss of the machine; nobody saw how"
	}
	return "ended while its keeper was not there; nobody saw how"
}

// sweep kills what the process leaves behind: the rest of its group and
// session, orphans this keeper has adopted, everything in its cgroup. Until a
// child is reaped its pid, and so its group, can be nobody else's. For an
// adopted one a living process of that pid means that the pid, and with it the
// group, is another's: a pid is not given out while a group of it has members.
func (k *keeper) sweep(l *life) {
	if l.claim.PID == 0 || l.claim.Boot != bootID() {
		return
	}
	k.group.kill()
	self := selfPID()
	for range 50 {
		if !l.child && othersPID(l.claim) {
			return
		}
		left := kin(l.claim.PID, self)
		if len(left) == 0 {
			return
		}
		_ = syscall.Kill(-l.claim.PID, syscall.SIGKILL)
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(2 * time.Millisecond) // the killed are on their way out
	}
	k.log.Warn("processes of the instance do not end", "pid", l.claim.PID)
}
