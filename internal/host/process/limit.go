package process

import (
	"fmt"
	"syscall"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/host"
)

// limit prepares the limits of a process before it is started. What this
// machine can not limit is said in the output of the instance, where people
// look, and does not keep it from running.
func (k *keeper) limit() error {
	join, missing := k.group.make()
	l := limits{Join: join, Processes: k.group.bounds("pids")}
	for _, what := range missing {
		k.output.note(fmt.Sprintf("noon: the limit of %s is not applied: %s", what.name, what.why))
	}
	if k.spec.Limits.Processes > 0 && !l.Processes && k.spec.User == "" {
		k.output.note("noon: the limit of processes is not applied: it needs a cgroup of this machine or a user of its own")
	}
	if err := k.dir.write(limitsFile, l); err != nil {
		return fmt.Errorf("record limits: %w", err)
	}
	return nil
}

// applyLimits is done by the child.
func applyLimits(s host.Spec, l limits) error {
	if s.Limits.Files > 0 {
		n := rlimit(s.Limits.Files)
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &n); err != nil {
			return &noon.Error{
				Kind: noon.Invalid, Op: "limit open files of", Subject: s.ID, Err: err,
				Hint: fmt.Sprintf("This machine does not allow %d open files; ulimit -Hn shows how many it does.", s.Limits.Files),
			}
		}
	}
	// The kernel counts processes per user: without a user of its own the
	// service would pay for everybody else's.
	if s.Limits.Processes > 0 && !l.Processes && s.User != "" {
		n := rlimit(s.Limits.Processes)
		if err := limitProcesses(&n); err != nil {
			return fmt.Errorf("limit processes: %w", err)
		}
	}
	for _, file := range l.Join {
		if err := joinGroup(file); err != nil {
			return &noon.Error{Kind: noon.Failure, Op: "join cgroup of", Subject: s.ID, Err: err, Hint: "Another program on this machine may have taken the cgroup away."}
		}
	}
	return nil
}

func rlimit(n int) syscall.Rlimit {
	return syscall.Rlimit{Cur: uint64(n), Max: uint64(n)}
}
