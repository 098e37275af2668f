//go:build linux

package meter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Instructions counts the user instructions of processes.
type Instructions struct{ counters []int }

// CountInstructions begins to count. Many virtual machines have no counters,
// and some kernels allow them to nobody: then it says so.
func CountInstructions(pids []int) (*Instructions, error) {
	c := &Instructions{}
	for _, pid := range pids {
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		for _, t := range threads {
			tid, err := strconv.Atoi(t.Name())
			if err != nil {
				continue
			}
			fd, err := unix.PerfEventOpen(attributes(), tid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
			if errors.Is(err, unix.ESRCH) {
				continue // the thread has ended
			}
			if err != nil {
				return nil, errors.Join(fmt.Errorf("count instructions: %w", err), c.Close())
			}
			c.counters = append(c.counters, fd)
		}
	}
	return c, nil
}

func attributes() *unix.PerfEventAttr {
	return &unix.PerfEventAttr{
		Type: unix.PERF_TYPE_HARDWARE, Config: unix.PERF_COUNT_HW_INSTRUCTIONS,
		Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		Bits: unix.PerfBitInherit | unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv,
	}
}

// Read gives the count until now.
func (c *Instructions) Read() (uint64, error) {
	var sum uint64
	var buf [8]byte
	for _, fd := range c.counters {
		if _, err := unix.Read(fd, buf[:]); err != nil {
			return 0, fmt.Errorf("read a counter of instructions: %w", err)
		}
		sum += binary.NativeEndian.Uint64(buf[:])
	}
	return sum, nil
}

// Close ends the counting.
func (c *Instructions) Close() error {
	var errs []error
	for _, fd := range c.counters {
		errs = append(errs, unix.Close(fd))
	}
	c.counters = nil
	return errors.Join(errs...)
}
