package process

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// move takes bytes out of the pipe only as they get into the file: a keeper
// that is killed between a read and a write would lose them.
func move(pipe, file, size int) (moved, lost int, err error) {
	n, err := unix.Splice(pipe, nil, file, nil, size, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
	if errors.Is(err, syscall.EINVAL) { // a file system or device that can not
		return moveByCopy(pipe, file)
	}
	return int(n), 0, err
}

// growPipe lets the process write more while there is no keeper.
func growPipe(pipe *os.File) {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, chunk) // the default does too
	})
}
