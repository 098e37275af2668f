package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readBoot is read once: it does not change while this process lives.
var readBoot = sync.OnceValue(func() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
})

func bootID() string { return readBoot() }

// stat is what noon needs of /proc/PID/stat.
type stat struct {
	state          byte
	parent         int
	group, session int
	start          uint64
	threads        int
	exit           int // a wait status, of a zombie
}

func readStat(pid int) (stat, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, err
	}
	return parseStat(data)
}

// parseStat reads behind the last parenthesis: a process may call itself
// anything.
func parseStat(data []byte) (stat, error) {
	at := bytes.LastIndexByte(data, ')')
	fields := strings.Fields(string(data[at+1:]))
	if at < 0 || len(fields) < 20 || len(fields[0]) != 1 {
		return stat{}, errors.New("read process: unknown format of /proc/PID/stat")
	}
	numbers := make([]int, 3)
	for i := range numbers {
		n, err := strconv.Atoi(fields[i+1])
		if err != nil {
			return stat{}, fmt.Errorf("read process: %w", err)
		}
		numbers[i] = n
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("read process: %w", err)
	}
	threads, err := strconv.Atoi(fields[17])
	if err != nil {
		return stat{}, fmt.Errorf("read process: %w", err)
	}
	s := stat{threads: threads, state: fields[0][0], parent: numbers[0], group: numbers[1], session: numbers[2], start: start, exit: -1}
	if len(fields) >= 50 {
		if exit, err := strconv.Atoi(fields[49]); err == nil {
			s.exit = exit
		}
	}
	return s, nil
}

func startTime(pid int) (uint64, error) {
	s, err := readStat(pid)
	return s.start, err
}

// over reports that nothing of the process runs any more. A zombie that still
// has threads is one that becomes another program: exec by another thread than
// the first lets the first die, and takes its place.
func (s stat) over() bool { return (s.state == 'Z' || s.state == 'X') && s.threads <= 1 }

// runs reports whether the process is there and has not ended. It looks twice:
// the first look may fall into the instant in which an exec puts a thread in
// the place of the first, and see the one that is gone.
func runs(pid int, start uint64) bool {
	for range 2 {
		s, err := readStat(pid)
		if err == nil && s.start == start && !s.over() {
			return true
		}
	}
	return false
}

// became reports whether the child that was claimed in d runs the program of
// the process: until its exec the last of its arguments is d, as ExecMain was
// called.
func became(pid int, d dir) bool {
	args, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return err == nil && !bytes.HasSuffix(args, []byte("\x00"+string(d)+"\x00"))
}

// age is how long a process has been there, by the clock that does not jump.
func age(start uint64) time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0
	}
	const ticks = 100 // USER_HZ, the same on every architecture Go runs on
	return time.Duration(now.Nano()) - time.Duration(start)*(time.Second/ticks)
}

// kin lists the living processes of the session or group of pid, and the
// children of keeper except pid: what an instance leaves behind. Zombies are
// not listed.
func kin(pid, keeper int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []int
	for _, e := range entries {
		p, err := strconv.Atoi(e.Name())
		if err != nil || p == pid || p == keeper {
			continue
		}
		s, err := readStat(p)
		if err != nil || s.state == 'Z' || s.state == 'X' {
			continue
		}
		if s.group == pid || s.session == pid || s.parent == keeper {
			found = append(found, p)
		}
	}
	return found
}

// adoptOrphans makes what the instance leaves behind children of this keeper.
func adoptOrphans() error {
	return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
}

// handle is a descriptor of a process: it can not come to mean another one.
type handle struct{ f *os.File }

// openHandle gives nil if the process is not there.
func openHandle(pid int) (*handle, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.EINVAL) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	return &handle{f: os.NewFile(uintptr(fd), "pidfd")}, nil
}

// wait returns when the process has ended.
func (h *handle) wait(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = h.f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := h.f.SyscallConn()
	if err != nil {
		return err
	}
	err = raw.Read(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		return n > 0 || err != nil && !errors.Is(err, syscall.EINTR)
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (h *handle) close() { _ = h.f.Close() }

// pidfdInfo is struct pidfd_info of linux/pidfd.h in its first size.
type pidfdInfo struct {
	mask, cgroup uint64
	ids          [11]uint32
	exitCode     int32
}

const (
	pidfdInfoExit = 1 << 3
	pidfdGetInfo  = 3<<30 | unsafe.Sizeof(pidfdInfo{})<<16 | 0xff<<8 | 11 // _IOWR(0xff, 11, …)
)

// waitStatus asks the kernel how a process ended that is not a child of this
// one. While it is a zombie its stat tells; once its parent has seen it, Linux
// from 6.15 tells.
func (h *handle) waitStatus(ctx context.Context, c claim) (syscall.WaitStatus, bool) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(500 * time.Millisecond)
	for {
		if s, err := readStat(c.PID); err == nil && s.start == c.Start && s.over() && s.exit >= 0 {
			return syscall.WaitStatus(uint32(s.exit)), true
		}
		info := pidfdInfo{mask: pidfdInfoExit}
		var errno syscall.Errno
		raw, err := h.f.SyscallConn()
		if err != nil {
			return 0, false
		}
		err = raw.Control(func(fd uintptr) {
			_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, pidfdGetInfo, uintptr(unsafe.Pointer(&info)))
		})
		if err != nil || errno != 0 && errno != syscall.ESRCH {
			return 0, false
		}
		if errno == 0 && info.mask&pidfdInfoExit != 0 {
			return syscall.WaitStatus(uint32(info.exitCode)), true
		}
		select {
		case <-tick.C:
		case <-limit:
			return 0, false
		case <-ctx.Done():
			return 0, false
		}
	}
}

func selfPID() int { return os.Getpid() }

// othersPID reports whether the pid of a process that has ended is in use by
// another one now.
func othersPID(c claim) bool {
	s, err := readStat(c.PID)
	return err == nil && s.start != c.Start
}
