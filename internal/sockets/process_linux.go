package sockets

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// adoptOrphans makes this process the parent of workers whose own parent, the
// worker before, has ended. It stays so when the process becomes another
// program.
func adoptOrphans() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// spawn starts a process in a session of its own, so that no signal meant for
// this one reaches it. fds are its first descriptors.
func spawn(c Command, fds []int) (pid int, process *os.File, err error) {
	files := make([]uintptr, len(fds))
	for i, fd := range fds {
		files[i] = uintptr(fd) //nolint:gosec // a descriptor is not negative
	}
	pidfd := -1
	pid, err = syscall.ForkExec(c.Argv[0], c.Argv, &syscall.ProcAttr{
		Dir: "/", Env: c.Env, Files: files, Sys: &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd},
	})
	if err != nil {
		return 0, nil, err
	}
	process, err = processFile(pidfd)
	return pid, process, err
}

// openProcess is a handle of a process that is no child.
func openProcess(pid int) (*os.File, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("watch process %d: %w", pid, err)
	}
	return processFile(pidfd)
}

// processFile has the runtime wait for the process's end as it does for the
// network: without a thread.
func processFile(pidfd int) (*os.File, error) {
	if pidfd < 0 {
		return nil, fmt.Errorf("watch a process: %w (Linux 5.3 is needed)", syscall.ENOSYS)
	}
	if err := unix.SetNonblock(pidfd, true); err != nil {
		_ = unix.Close(pidfd) // nobody else has it
		return nil, fmt.Errorf("watch a process: %w", err)
	}
	return os.NewFile(uintptr(pidfd), "process"), nil
}

// awaitEnd returns once the process has ended and everything that it had is
// closed, or with an error once its handle is closed.
func awaitEnd(process *os.File) error {
	raw, err := process.SyscallConn()
	if err != nil {
		return err
	}
	var perr error
	err = raw.Read(func(fd uintptr) bool {
		var n int
		n, perr = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0) //nolint:gosec // a descriptor fits
		if errors.Is(perr, unix.EINTR) {
			n, perr = 0, nil
		}
		return n > 0 || perr != nil
	})
	return errors.Join(err, perr)
}

// signalProcess reaches that process or, if it has ended, nobody.
func signalProcess(process *os.File, sig syscall.Signal) error {
	raw, err := process.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) { serr = unix.PidfdSendSignal(int(fd), sig, nil, 0) }) //nolint:gosec // a descriptor fits
	return errors.Join(err, serr)
}

// reap lets go of children that have ended and tells how.
func reap() map[int]string {
	ends := map[int]string{}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || pid <= 0:
			return ends
		case status.Signaled():
			ends[pid] = "signal: " + status.Signal().String()
		default:
			ends[pid] = fmt.Sprintf("exit status %d", status.ExitStatus())
		}
	}
}

// peerOf is the process at the other end of a connection.
func peerOf(c *net.UnixConn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var cerr error
	err = raw.Control(func(fd uintptr) { cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }) //nolint:gosec // a descriptor fits
	if err := errors.Join(err, cerr); err != nil {
		return 0, fmt.Errorf("ask who calls: %w", err)
	}
	return int(cred.Pid), nil
}

// memoryFile is a file without a name; a program that this process becomes can
// read it.
func memoryFile(data []byte) (int, error) {
	fd, err := unix.MemfdCreate("holder", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("keep the state: %w", err)
	}
	for rest := data; len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err != nil {
			_ = unix.Close(fd) // nobody else has it
			return -1, fmt.Errorf("keep the state: %w", err)
		}
		rest = rest[n:]
	}
	if _, err := unix.Seek(fd, 0, 0); err != nil {
		_ = unix.Close(fd) // nobody else has it
		return -1, fmt.Errorf("keep the state: %w", err)
	}
	return fd, nil
}
