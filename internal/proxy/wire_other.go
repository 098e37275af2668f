//go:build !linux

package proxy

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

const peerLeft = 0

func bytesAcked(uintptr) (uint64, bool) { return 0, false }

// readNow is read(2); p is not empty.
func readNow(fd uintptr, p []byte) (int, unix.Errno) { return numbered(unix.Read(int(fd), p)) }

// writeNow writes two parts; one of them may be empty.
func writeNow(fd uintptr, first, second []byte) (int, unix.Errno) {
	if len(first) == 0 || len(second) == 0 {
		return numbered(unix.Write(int(fd), slices.Concat(first, second)))
	}
	return numbered(unix.Write(int(fd), first))
}

// numbered splits what a system call returned.
func numbered(n int, err error) (int, unix.Errno) {
	var number unix.Errno
	if errors.As(err, &number) {
		return 0, number
	}
	return n, 0
}
