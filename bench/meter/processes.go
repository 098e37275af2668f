//go:build linux

package meter

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// stat is what is needed of /proc/PID/stat.
type stat struct {
	parent, session int
	user, system    int64 // in ticks, sampled: their proportion is what counts
}

// Family lists a process, its descendants, and what else is in its session.
func Family(root int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	stats := map[int]stat{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if st, err := readStat(pid); err == nil { // gone since the listing otherwise
			stats[pid] = st
		}
	}
	if _, ok := stats[root]; !ok {
		return nil, fmt.Errorf("process %d has ended", root)
	}
	var family []int
	for pid, st := range stats {
		if st.session == root || descends(stats, pid, root) {
			family = append(family, pid)
		}
	}
	slices.Sort(family)
	return family, nil
}

func descends(stats map[int]stat, pid, root int) bool {
	for pid > 1 {
		if pid == root {
			return true
		}
		pid = stats[pid].parent
	}
	return false
}

func readStat(pid int) (stat, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	// The name before the last ) may hold anything.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 13 {
		return stat{}, fmt.Errorf("process %d: its stat has %d fields", pid, len(fields))
	}
	var numbers [4]int64
	for i, field := range []int{1, 3, 11, 12} {
		if numbers[i], err = strconv.ParseInt(string(fields[field]), 10, 64); err != nil {
			return stat{}, fmt.Errorf("process %d: %w", pid, err)
		}
	}
	return stat{int(numbers[0]), int(numbers[1]), numbers[2], numbers[3]}, nil
}

// CPU is the CPU time of processes since they started.
type CPU struct {
	Total        time.Duration // user and system, from the scheduler, exact
	user, system int64         // sampled ticks
}

// ReadCPU adds up the CPU time of processes, threads that ended included.
func ReadCPU(pids []int) (CPU, error) {
	var sum CPU
	for _, pid := range pids {
		// The kernel's clock of another process's CPU time: what
		// clock_getcpuclockid(3) gives, CPUCLOCK_SCHED.
		const sched = 2
		var ts unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|sched), &ts); err != nil { //nolint:gosec // process ids are small
			return CPU{}, fmt.Errorf("read the CPU clock of process %d: %w", pid, err)
		}
		st, err := readStat(pid)
		if err != nil {
			return CPU{}, err
		}
		sum.Total += time.Duration(ts.Nano())
		sum.user += st.user
		sum.system += st.system
	}
	return sum, nil
}

// Since is what was used after before.
func (c CPU) Since(before CPU) CPU {
	return CPU{c.Total - before.Total, c.user - before.user, c.system - before.system}
}

// UserShare is the part of the time that was not the kernel's, as sampled by
// the timer tick; -1 if nothing was sampled.
func (c CPU) UserShare() float64 {
	if c.user+c.system <= 0 {
		return -1
	}
	return float64(c.user) / float64(c.user+c.system)
}

// Memory adds up the proportional set size of processes, in bytes.
func Memory(pids []int) (int64, error) {
	var sum int64
	for _, pid := range pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
		}
		kib, err := rollupField(data, "Pss:")
		if err != nil {
			return 0, fmt.Errorf("process %d: %w", pid, err)
		}
		sum += kib << 10
	}
	return sum, nil
}

func rollupField(data []byte, name string) (int64, error) {
	for line := range bytes.Lines(data) {
		fields := bytes.Fields(line)
		if len(fields) >= 2 && string(fields[0]) == name {
			return strconv.ParseInt(string(fields[1]), 10, 64)
		}
	}
	return 0, fmt.Errorf("there is no %s in smaps_rollup", name)
}
