package release_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/release"
)

// hang is an app whose build never ends, and tells the pids of its processes:
// one of the shell, one of a child that ignores being asked, one that has
// left the process group.
const hang = `trap '' TERM HUP INT; sh -c 'trap "" TERM; echo $$ >> "$PIDS"; while :; do sleep 1; done' & setsid sleep 1000 & echo $! >> "$PIDS"; echo $$ >> "$PIDS"; wait`

func hanging(tb testing.TB, timeout time.Duration) (release.Recipe, string) {
	tb.Helper()
	r := shop(tb)
	r.app(noon.App{Build: noon.Build{Command: []string{"sh", "-c", hang}, Timeout: timeout}}).commit("Hang")
	pids := filepath.Join(tb.TempDir(), "pids")
	recipe := r.recipe()
	recipe.Env = []string{"PIDS=" + pids}
	return recipe, pids
}

func readPids(tb testing.TB, file string) []int {
	tb.Helper()
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		tb.Fatal(err)
	}
	var pids []int
	for f := range strings.FieldsSeq(string(data)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			tb.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// gone reports whether the process has ended; one that nobody has reaped yet
// has.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return bytes.HasPrefix(state, []byte("Z"))
}

func wantGone(tb testing.TB, file string) {
	tb.Helper()
	pids := readPids(tb, file)
	if len(pids) != 3 {
		tb.Fatalf("the build started %v, want three processes", pids)
	}
	for _, pid := range pids {
		eventually(tb, fmt.Sprintf("process %d ends", pid), func() bool { return gone(pid) })
	}
}

func TestBuildThatHangs(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "releases")
	s := openAt(t, dir)
	recipe, pids := hanging(t, 2*time.Second)
	_, err := s.Build(t.Context(), recipe)
	wantError(t, err, noon.Failure, "it did not end within 2s")
	wantGone(t, pids)
	wantClean(t, dir, s)
}

func TestBuildThatIsCancelled(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "releases")
	s := openAt(t, dir)
	recipe, pids := hanging(t, time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	go func() {
		_, err := s.Build(ctx, recipe)
		done <- err
	}()
	eventually(t, "the build runs", func() bool { return len(readPids(t, pids)) == 3 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || noon.KindOf(err) != noon.Failure {
		t.Errorf("error is %v", err)
	}
	wantGone(t, pids)
	wantClean(t, dir, s)
}

func TestBuildLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := shop(t)
	r.app(noon.App{Build: noon.Build{Command: []string{"sh", "-c", `setsid sleep 1000 & echo $! $! $! > "$PIDS"`}}}).commit("Daemon")
	recipe := r.recipe()
	pids := filepath.Join(t.TempDir(), "pids")
	recipe.Env = []string{"PIDS=" + pids}
	build(t, s, recipe)
	wantGone(t, pids)
}

func TestBuildWhoseProcessIsKilled(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "releases")
	recipe, pids := hanging(t, time.Hour)
	cmd := childCommand(t, "build", dir, recipe.Repo, filepath.Join(t.TempDir(), "release"))
	cmd.Env = append(cmd.Env, "PIDS="+pids)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the build runs", func() bool { return len(readPids(t, pids)) == 3 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) {
		t.Fatalf("child ended with %v", err)
	}
	s := openAt(t, dir)
	wantClean(t, dir, s)
	wantGone(t, pids)
}

func TestBuildsInOnePlaceTakeTurns(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "releases")
	s := openAt(t, dir)
	results := make(chan error)
	const builds = 6
	for range builds {
		r := shop(t)
		r.app(noon.App{Build: noon.Build{Command: []string{"sh", "-c", "test ! -e mark && echo 1 > mark"}}}).commit("Mark")
		go func() {
			own, err := release.Open(dir)
			if err == nil {
				_, err = own.Build(t.Context(), r.recipe())
			}
			results <- err
		}()
	}
	for range builds {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	wantClean(t, dir, s)
}
