package dbtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// programs is where a server's programs lie and what they need to start.
type programs struct {
	dir  string   // of the programs
	root string   // of an unpacked tree, "" when the server is installed
	env  []string // libraries of an unpacked tree
}

func (p programs) path(name string) string { return filepath.Join(p.dir, name) }

// find looks for a program in the installed directories that match a pattern,
// then in what scripts/servers has unpacked, then in PATH.
func find(program, pattern string) (programs, error) {
	if dir := newest(pattern, program); dir != "" {
		return programs{dir: dir}, nil
	}
	root, err := unpacked()
	if err != nil {
		return programs{}, err
	}
	if dir := newest(filepath.Join(root, pattern), program); dir != "" {
		return programs{dir: dir, root: root, env: libraries(root)}, nil
	}
	if path, err := exec.LookPath(program); err == nil {
		return programs{dir: filepath.Dir(path)}, nil
	}
	return programs{}, fmt.Errorf("%s is neither installed nor in %s: run scripts/servers", program, root)
}

// newest returns the directory of a pattern that holds the program; of several
// the one with the highest version in its path.
func newest(pattern, program string) string {
	dirs, err := filepath.Glob(pattern)
	if err != nil {
		return ""
	}
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range dirs {
		if info, err := os.Stat(filepath.Join(dir, program)); err == nil && !info.IsDir() {
			return dir
		}
	}
	return ""
}

// version is the number in ".../postgresql/15/bin", 0 where there is none.
func version(dir string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	if err != nil {
		return 0
	}
	return n
}

// unpacked is .cache/servers of the checkout that the test runs in.
func unpacked() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the checkout: %w", err)
	}
	for ; filepath.Dir(dir) != dir; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "scripts", "servers")); err == nil {
			return filepath.Join(dir, ".cache", "servers"), nil
		}
	}
	return "", fmt.Errorf("no checkout with scripts/servers around the test")
}

func libraries(root string) []string {
	list := []string{root + "/lib"}
	for _, pattern := range []string{"/usr/lib/*-linux-gnu", "/lib/*-linux-gnu"} {
		dirs, err := filepath.Glob(root + pattern)
		if err != nil {
			continue
		}
		list = append(list, dirs...)
	}
	return []string{"LD_LIBRARY_PATH=" + strings.Join(list, ":")}
}
