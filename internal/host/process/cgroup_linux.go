package process

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// cgroupRoot is where Linux systems mount their cgroups.
const cgroupRoot = "/sys/fs/cgroup"

// parent is the directory in which a controller's groups of noon are, and
// whether it is of version 2.
func parent(controller string) (string, bool) {
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		return filepath.Join(cgroupRoot, "noon"), true
	}
	return filepath.Join(cgroupRoot, controller, "noon"), false
}

// existing finds the directories an earlier keeper made.
func (g *cgroup) existing() map[string]string {
	dirs := map[string]string{}
	for _, c := range []string{"memory", "cpu", "pids"} {
		base, _ := parent(c)
		path := filepath.Join(base, g.name)
		if _, err := os.Stat(path); err == nil {
			dirs[c] = path
		}
	}
	return dirs
}

// setting is one limit in the words of both versions.
type setting struct {
	controller, name string
	v2, v1           map[string]string // file → value
}

func (g *cgroup) settings() []setting {
	var list []setting
	if m := g.limits.Memory; m > 0 {
		bytes := strconv.FormatInt(m, 10)
		list = append(list, setting{"memory", "memory", map[string]string{"memory.max": bytes}, map[string]string{"memory.limit_in_bytes": bytes}})
	}
	if c := g.limits.CPUs; c > 0 {
		const period = 100_000
		quota := strconv.Itoa(max(1000, int(c*period)))
		list = append(list, setting{
			"cpu", "CPUs",
			map[string]string{"cpu.max": quota + " " + strconv.Itoa(period)},
			map[string]string{"cpu.cfs_quota_us": quota},
		})
	}
	if p := g.limits.Processes; p > 0 {
		n := strconv.Itoa(p)
		list = append(list, setting{"pids", "processes", map[string]string{"pids.max": n}, map[string]string{"pids.max": n}})
	}
	return list
}

// make makes the group, gives the files by which a process joins it, and says
// which limits can not be had.
func (g *cgroup) make() ([]string, []unlimited) {
	if g == nil {
		return nil, nil
	}
	var missing []unlimited
	g.dirs = map[string]string{}
	for _, s := range g.settings() {
		base, second := parent(s.controller)
		path := filepath.Join(base, g.name)
		if err := g.set(s, base, path, second); err != nil {
			_ = os.Remove(path)
			missing = append(missing, unlimited{s.name, reason(err)})
			continue
		}
		g.dirs[s.controller] = path
	}
	var join []string
	for _, path := range slices.Compact(slices.Sorted(maps.Values(g.dirs))) {
		join = append(join, filepath.Join(path, "cgroup.procs"))
	}
	return join, missing
}

func (g *cgroup) set(s setting, base, path string, second bool) error {
	files := s.v1
	if second {
		files = s.v2
		if err := enable(s.controller, base); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	for file, value := range files {
		if err := os.WriteFile(filepath.Join(path, file), []byte(value), 0); err != nil {
			return err
		}
	}
	return nil
}

// enable hands a controller of version 2 down to noon's groups.
func enable(controller, base string) error {
	if err := os.MkdirAll(base, 0o755); err != nil {
		return err
	}
	for _, dir := range []string{cgroupRoot, base} {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0); err != nil {
			return err
		}
	}
	return nil
}

func reason(err error) string {
	if errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return "noon may not make cgroups here; run noon serve as root"
	}
	return fmt.Sprintf("cgroups of this machine do not allow it (%v)", err)
}

// outOfMemory reports whether the kernel has killed for the memory limit.
func (g *cgroup) outOfMemory() bool {
	if !g.bounds("memory") {
		return false
	}
	for _, file := range []string{"memory.events", "memory.oom_control"} {
		data, err := os.ReadFile(filepath.Join(g.dirs["memory"], file))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if n, ok := strings.CutPrefix(line, "oom_kill "); ok && strings.TrimSpace(n) != "0" {
				return true
			}
		}
	}
	return false
}

// kill kills everything in the group.
func (g *cgroup) kill() {
	if g == nil {
		return
	}
	for _, path := range g.dirs {
		if os.WriteFile(filepath.Join(path, "cgroup.kill"), []byte("1"), 0) == nil {
			continue
		}
		data, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 1 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}

// remove takes the group away; it must be empty.
func (g *cgroup) remove() {
	if g == nil {
		return
	}
	for _, path := range g.dirs {
		_ = syscall.Rmdir(path)
	}
}
