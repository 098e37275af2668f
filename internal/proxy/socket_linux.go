package proxy

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// readNow is read(2) of a descriptor that does not block; p is not empty.
func readNow(fd uintptr, p []byte) (int, unix.Errno) {
	n, _, number := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p))) //nolint:gosec // p is held until the call is over
	if number != 0 {
		return 0, number
	}
	return int(n), 0 //nolint:gosec // at most len(p)
}

// writeNow writes two parts to a descriptor that does not block; one of them
// may be empty.
func writeNow(fd uintptr, first, second []byte) (int, unix.Errno) {
	if len(first) == 0 {
		first, second = second, nil
	}
	var n uintptr
	var number unix.Errno
	if len(second) == 0 {
		n, _, number = unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&first[0])), uintptr(len(first))) //nolint:gosec // the same
	} else {
		vec := [2]unix.Iovec{{Base: &first[0], Len: uint64(len(first))}, {Base: &second[0], Len: uint64(len(second))}}
		n, _, number = unix.RawSyscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&vec)), uintptr(len(vec))) //nolint:gosec // the same
	}
	if number != 0 {
		return 0, number
	}
	return int(n), 0 //nolint:gosec // at most what was to be written
}
