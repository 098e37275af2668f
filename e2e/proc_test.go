package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// proc is a living process of a machine.
type proc struct {
	pid  int
	args []string
}

func (p proc) String() string { return fmt.Sprintf("%d %s", p.pid, strings.Join(p.args, " ")) }

// part is "serve", "host", "sockets", "proxy", "keeper" or "exec-instance" if it is one of
// noon's own, "" if it is the app's.
func (p proc) part() string {
	if len(p.args) > 1 && strings.HasPrefix(filepath.Base(p.args[0]), "noon") {
		return p.args[1]
	}
	return ""
}

// processes lists the living processes that carry the machine's mark.
func (m *machine) processes() []proc {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		m.t.Fatal(err)
	}
	var list []proc
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if p, ok := process(pid, m.mark); ok {
				list = append(list, p)
			}
		}
	}
	return list
}

// process looks at one process; false if it is gone, or only a zombie, or
// another machine's.
func process(pid int, mark string) (proc, bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	environ, err := os.ReadFile(dir + "/environ")
	if err != nil || !slices.Contains(strings.Split(string(environ), "\x00"), markName+"="+mark) {
		return proc{}, false
	}
	cmdline, err := os.ReadFile(dir + "/cmdline")
	if err != nil || len(cmdline) == 0 {
		return proc{}, false
	}
	return proc{pid: pid, args: strings.Split(strings.TrimRight(string(cmdline), "\x00"), "\x00")}, true
}

// parts lists the processes of one part of noon.
func (m *machine) parts(name string) []proc {
	var list []proc
	for _, p := range m.processes() {
		if p.part() == name {
			list = append(list, p)
		}
	}
	return list
}

// listening lists the TCP ports that processes listen on.
func listening(procs []proc) []int {
	inodes := map[string]bool{}
	for _, p := range procs {
		links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.pid))
		for _, link := range links {
			if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, "socket:[") {
				inodes[strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")] = true
			}
		}
	}
	var ports []int
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range bytes.Lines(data) {
			// sl, local address, remote address, state, …; the tenth is the inode
			f := strings.Fields(string(line))
			if len(f) < 10 || f[3] != "0A" || !inodes[f[9]] {
				continue
			}
			_, hex, _ := strings.Cut(f[1], ":")
			if port, err := strconv.ParseInt(hex, 16, 32); err == nil {
				ports = append(ports, int(port))
			}
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}
