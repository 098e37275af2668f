//go:build !linux

package release

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// awaitExit returns when the process has exited, and leaves it a zombie, so
// that its number stays its own: a zombie takes no signals, which is all that
// this system lets one ask without reaping.
func awaitExit(pid int) {
	for {
		info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
		const zombie = 5 // SZOMB
		if err != nil || info.Proc.P_stat == zombie {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
