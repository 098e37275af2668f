package migration

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// lockers are the processes that hold a lock to write a SQLite database, by
// the kernel's list of locks (proc(5)); those of other containers have no
// number that could be told.
func lockers(path string) ([]Blocker, error) {
	files := map[string]bool{}
	for _, name := range []string{path, path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			files[fmt.Sprint(st.Ino)] = true
		}
	}
	list, err := os.ReadFile("/proc/locks")
	if err != nil {
		return nil, err
	}
	var all []Blocker
	for line := range strings.Lines(string(list)) {
		// 1: POSIX  ADVISORY  WRITE 4711 08:01:1234 120 120
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "POSIX" || f[3] != "WRITE" {
			continue
		}
		inode := f[5][strings.LastIndexByte(f[5], ':')+1:]
		var pid int64
		if _, err := fmt.Sscan(f[4], &pid); err != nil || pid <= 0 || pid == int64(os.Getpid()) || !files[inode] {
			continue
		}
		command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			continue // it has ended
		}
		all = append(all, Blocker{Session: pid, User: owner(pid), State: "writing", Query: strings.ReplaceAll(string(command), "\x00", " "), Sure: true})
	}
	return all, nil
}

// owner is whose process it is.
func owner(pid int64) string {
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return "unknown"
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("uid %d", st.Uid)
	}
	return "unknown"
}
