package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// endProcesses kills every process that has checkoutVariable for this
// directory in the environment it was started with: what a build has left in
// another process group, or a build whose noon was killed in any. The caller
// holds the checkout, so nobody else has a right to it.
func endProcesses(ctx context.Context, dir string) error {
	mark := []byte("\x00" + checkoutVariable + "=" + dir + "\x00")
	for {
		found, err := killMarked(mark)
		if !found || err != nil {
			return err
		}
		// What was killed may take a moment, and may just have forked.
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
}

func killMarked(mark []byte) (found bool, err error) {
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return false, err
	}
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// It is empty for a zombie, and not to be read for another user's.
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || !bytes.Contains(append([]byte{0}, env...), mark) {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err == nil {
			found = true
		} else if !errors.Is(err, syscall.ESRCH) {
			return found, fmt.Errorf("end process %d of a build: %w", pid, err)
		}
	}
	return found, nil
}
