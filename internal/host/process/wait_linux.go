package process

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reap takes away the zombies of adopted orphans and reports whether main has
// ended. main itself stays a zombie for now: so long its pid and its group can
// not be anybody else's.
func reap(main int) bool {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		pid := childOf(&info)
		if err != nil || pid == 0 {
			return false
		}
		if pid == main {
			return true
		}
		if _, err := wait4(pid, nil, syscall.WNOHANG); err != nil {
			return false
		}
	}
}

// childOf reads si_pid, which x/sys does not name: it is the first field
// behind the three of every signal, on 64-bit machines behind a gap.
func childOf(info *unix.Siginfo) int {
	const behind = 3 * 4
	offset := (behind + unsafe.Sizeof(uintptr(0)) - 1) &^ (unsafe.Sizeof(uintptr(0)) - 1)
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), offset)))
}
