package process_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/host"
	"github.com/noon-deploy/noon/internal/host/process"
	"github.com/noon-deploy/noon/internal/host/runnertest"
)

// pids lists the processes whose arguments hold all the words.
func pids(t *testing.T, words ...string) []int {
	t.Helper()
	return matching(t, "cmdline", words...)
}

func matching(t *testing.T, file string, words ...string) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
next:
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || !runnertest.Alive(pid) {
			continue
		}
		data, err := os.ReadFile(filepath.Join("/proc", e.Name(), file))
		if err != nil {
			continue
		}
		for _, w := range words {
			if !bytes.Contains(data, []byte(w)) {
				continue next
			}
		}
		found = append(found, pid)
	}
	return found
}

// withDir opens a runner and tells its directory.
func withDir(at *string) runnertest.Open {
	return func(t *testing.T, dir string) host.Runner {
		t.Helper()
		*at = dir
		return open(t, dir)
	}
}

// trace counts how often an instance was started.
func trace(t *testing.T, file string) int {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return bytes.Count(data, []byte("\n"))
}

func TestKilledAtEveryPoint(t *testing.T) {
	for point, starts := range map[string]int{
		"keeper.locked": 1, "keeper.started": 1, "keeper.stop.before": 1, "keeper.exit.before": 1, "keeper.exit.after": 1,
		"exec.claim.before": 0, "exec.claim.after": 0, "exec.before": 0,
	} {
		t.Run(point, func(t *testing.T) {
			passed := filepath.Join(t.TempDir(), "passed")
			t.Setenv(fault.Env, point)
			t.Setenv(fault.EnvLog, passed)
			var dir string
			b := runnertest.NewBench(t, withDir(&dir))
			id := fmt.Sprintf("p-%s-%d", point, os.Getpid())
			log := filepath.Join(b.Root, "trace")
			b.Order(id, func(s *host.Spec) { s.Port = true }, "once", log)
			if starts > 0 {
				b.Says(id, "once")
				if err := b.Stop(t.Context(), id, noon.Stop{Signal: "TERM", Grace: 5 * time.Second}); err != nil {
					t.Fatal(err)
				}
			}
			s := b.Ended(id)
			if n := trace(t, log); n != starts {
				t.Errorf("it was started %d times", n)
			}
			if data, err := os.ReadFile(passed); err != nil || string(data) != point+"\n" {
				t.Errorf("the faults passed are %q, %v", data, err)
			}
			if s.Exit.Reason == "" || starts == 0 && s.Exit.OK() {
				t.Errorf("exit is %+v", s.Exit)
			}
			if err := b.Release(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			runnertest.Eventually(t, "nobody is left", func() bool {
				return len(pids(t, dir)) == 0 && len(matching(t, "environ", "NOON_INSTANCE="+id)) == 0
			}, func() string { return fmt.Sprint(pids(t, dir), matching(t, "environ", "NOON_INSTANCE="+id)) })
		})
	}
}

func killKeeper(t *testing.T, dir string) {
	t.Helper()
	for _, pid := range pids(t, "keeper", dir) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
}

func TestOutputSurvivesKeepers(t *testing.T) {
	t.Parallel()
	var dir string
	b := runnertest.NewBench(t, withDir(&dir))
	b.Order("p", func(s *host.Spec) { s.Port = true }, "tick", "800")
	pid := b.Running("p").PID
	done := func() bool { l := b.Lines("p"); return len(l) > 0 && l[len(l)-1] == "printed" }
	kills := 0
	for !done() && kills < 8 {
		killKeeper(t, filepath.Join(dir, "p"))
		kills++
		runnertest.Eventually(t, "there is a keeper", func() bool { return len(pids(t, "keeper", filepath.Join(dir, "p"))) > 0 }, func() string { return "" })
	}
	b.Says("p", "printed")
	if s := b.Running("p"); s.PID != pid {
		t.Errorf("pid is %d, was %d", s.PID, pid)
	}
	if err := b.Stop(t.Context(), "p", noon.Stop{Signal: "TERM", Grace: 5 * time.Second}); err != nil {
		t.Fatal(err)
	}
	s := b.Ended("p")
	t.Logf("%d kills; %s, known %v", kills, s.Exit.Reason, s.Exit.Known)
	if kills == 0 || s.Exit.Known && s.Exit.Code != 0 {
		t.Errorf("after %d kills exit is %+v", kills, s.Exit)
	}
	runnertest.Numbered(t, b.Lines("p"), 800)
}

func TestEndsWhileNobodyIsThere(t *testing.T) {
	t.Parallel()
	var dir string
	b := runnertest.NewBench(t, withDir(&dir))
	b.Order("p", nil, "wait")
	b.Says("p", "waiting")
	pid := b.Running("p").PID
	b.End()
	killKeeper(t, dir)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	runnertest.Eventually(t, "all are gone", func() bool { return len(pids(t, dir)) == 0 && !runnertest.Alive(pid) }, func() string { return "" })
	b.Begin()
	if s := b.Ended("p"); s.Exit.Known || s.Exit.Code != -1 || !strings.Contains(s.Exit.Reason, "nobody saw how") {
		t.Errorf("exit is %+v", s.Exit)
	}
}

// A pid that was given to another process is neither adopted nor killed.
func TestPIDOfAnother(t *testing.T) {
	t.Parallel()
	for name, claim := range map[string]string{
		"another start": `{"pid":%d,"start":1,"boot":%q}`,
		"another boot":  `{"pid":%d,"start":%[3]d,"boot":"another"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var dir string
			b := runnertest.NewBench(t, withDir(&dir))
			b.Order("innocent", nil, "wait")
			b.Says("innocent", "waiting")
			other := b.Running("innocent").PID
			boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
			if err != nil {
				t.Fatal(err)
			}
			b.End()
			b.Order("p", nil, "wait")
			record := fmt.Sprintf(claim, other, strings.TrimSpace(string(boot)), startOf(t, other))
			if i := strings.Index(record, "%!(EXTRA"); i >= 0 {
				record = record[:i]
			}
			if err := os.WriteFile(filepath.Join(dir, "p", "pid.json"), []byte(record), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := b.Stop(t.Context(), "p", noon.Stop{Signal: "KILL"}); err != nil {
				t.Fatal(err)
			}
			b.Begin()
			if s := b.Ended("p"); s.Exit.Known {
				t.Errorf("exit is %+v", s.Exit)
			}
			if s := b.Running("innocent"); s.PID != other || !runnertest.Alive(other) {
				t.Error("another process was killed")
			}
		})
	}
}

func startOf(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	start, err := strconv.Atoi(fields[19])
	if err != nil {
		t.Fatal(err)
	}
	return start
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	var dir string
	b := runnertest.NewBench(t, withDir(&dir))
	b.End()
	through := filepath.Join(b.Root, "trace")
	b.Order("p", nil, "flood", "3000000", through)
	if err := os.Symlink("/dev/full", filepath.Join(dir, "p", "output", strings.Repeat("0", 20)+".log")); err != nil {
		t.Fatal(err)
	}
	b.Begin()
	runnertest.Eventually(t, "it is through", func() bool { return trace(t, through) == 1 }, func() string { return fmt.Sprint(b.Status("p")) })
	if err := b.Stop(t.Context(), "p", noon.Stop{Signal: "TERM", Grace: 15 * time.Second}); err != nil {
		t.Fatal(err)
	}
	if s := b.Ended("p"); !s.Exit.OK() {
		t.Errorf("exit is %+v", s.Exit)
	}
}

// A disk that is full for a time costs lines, says so, and goes on.
func TestDiskFullForATime(t *testing.T) {
	t.Parallel()
	small := t.TempDir()
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=256k"); err != nil {
		t.Skip("no tmpfs can be mounted here:", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(small, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	filler := filepath.Join(small, "filler")
	if err := os.WriteFile(filler, make([]byte, 200<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	var dir string
	b := runnertest.NewBench(t, withDir(&dir))
	b.End()
	b.Order("p", nil, "tick", "40000")
	if err := os.Symlink(filepath.Join(small, "log"), filepath.Join(dir, "p", "output", strings.Repeat("0", 20)+".log")); err != nil {
		t.Fatal(err)
	}
	b.Begin()
	keeperLog := filepath.Join(dir, "p", "keeper.log")
	says := func() string {
		data, err := os.ReadFile(keeperLog)
		if err != nil {
			return err.Error()
		}
		return string(data)
	}
	runnertest.Eventually(t, "the disk is full", func() bool { return strings.Contains(says(), "no space left") }, says)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	runnertest.Eventually(t, "the loss is told", func() bool {
		return strings.Contains(strings.Join(b.Lines("p"), "\n"), "bytes of output were lost: no space left on device")
	}, says)
}

func TestRotation(t *testing.T) {
	t.Parallel()
	var dir string
	b := runnertest.NewBench(t, withDir(&dir))
	b.Order("p", nil, "flood", "40000000")
	runnertest.Eventually(t, "it has written", func() bool {
		last := ""
		err := b.Output(t.Context(), "p", host.From{Lines: 1}, false, func(l host.Line) error { last = l.Text; return nil })
		return err == nil && last == "flooded"
	}, func() string { return "" })
	files, err := filepath.Glob(filepath.Join(dir, "p", "output", "*.log"))
	if err != nil || len(files) != 4 {
		t.Fatalf("segments are %v, %v", files, err)
	}
	var size int64
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > 40<<20 {
		t.Errorf("the output takes %d bytes", size)
	}
	next := -1
	for _, line := range b.Lines("p") {
		var n int
		if _, err := fmt.Sscanf(line, "line %d ", &n); err != nil {
			continue
		}
		if next >= 0 && n != next {
			t.Fatalf("line %d comes where %d should", n, next)
		}
		next = n + 1
	}
	if next < 300_000 {
		t.Errorf("the last line is %d", next-1)
	}
}

func TestOneKeeper(t *testing.T) {
	t.Parallel()
	var dir string
	b := runnertest.NewBench(t, withDir(&dir))
	b.Order("p", nil, "wait")
	b.Says("p", "waiting")
	if code := process.KeeperMain(t.Context(), []string{filepath.Join(dir, "p"), "false"}); code != 0 {
		t.Errorf("a second keeper ended with %d", code)
	}
	if s := b.Running("p"); s.Stopping {
		t.Errorf("status is %+v", s)
	}
}

func TestNoKeeper(t *testing.T) {
	t.Parallel()
	b := runnertest.NewBench(t, func(t *testing.T, dir string) host.Runner {
		t.Helper()
		keeper := "/does/not/exist"
		if _, err := os.Stat(filepath.Join(dir, "mended")); err == nil {
			return open(t, dir)
		}
		r, err := process.Open(process.Config{Dir: dir, Keeper: []string{keeper}, Exec: []string{keeper}, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, "mended"), 0o700); err != nil {
			t.Fatal(err)
		}
		return host.Runner{Lives: r, Remains: r}
	})
	b.Order("p", nil, "wait")
	s := b.Await("p", "the problem is told", func(s host.Status) bool { return s.Problem != nil })
	if !strings.Contains(s.Problem.Error(), "no such file") || s.Problem.Hint == "" {
		t.Errorf("problem is %v", s.Problem)
	}
	b.End()
	b.Begin()
	b.Running("p")
}

func TestLimits(t *testing.T) {
	t.Parallel()
	b := runnertest.NewBench(t, open)
	b.Order("p", func(s *host.Spec) { s.Limits = noon.Limits{Memory: 64 << 20, CPUs: 0.5, Processes: 64, Files: 100} }, "eat", "200000000")
	runnertest.Eventually(t, "it ends or says why not", func() bool {
		return b.Status("p").Step == host.Ended || len(b.Lines("p")) > 0
	}, func() string { return "" })
	if lines := strings.Join(b.Lines("p"), "\n"); strings.Contains(lines, "the limit of memory is not applied") {
		t.Skip(lines)
	}
	if s := b.Ended("p"); s.Exit.Signal != "SIGKILL" || !strings.Contains(s.Exit.Reason, "out of memory") {
		t.Errorf("exit is %+v, output %q", s.Exit, b.Lines("p"))
	}
}

func TestUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root starts processes as another user")
	}
	b := runnertest.NewBench(t, open)
	b.Order("p", func(s *host.Spec) {
		s.Root, s.User, s.Command = "/", "nobody", []string{"sh", "-c", "id -un; echo $HOME; ulimit -n; echo again > /dev/stdout"}
		s.Limits.Files = 100
	})
	b.Ended("p")
	if got := strings.Join(b.Lines("p"), " "); got != "nobody /nonexistent 100 again" {
		t.Errorf("it says %q", got)
	}
}

// The secrets of a process are gone once it is released.
func TestForgetsSecrets(t *testing.T) {
	t.Parallel()
	var dir string
	b := runnertest.NewBench(t, withDir(&dir))
	b.Order("p", func(s *host.Spec) { s.Env["SECRET"] = "hunter2-hunter2" }, "say", "hello", "0")
	b.Ended("p")
	if err := b.Release(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(filepath.Join(dir, "p"), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte("hunter2")) {
			t.Errorf("%s holds the secret", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
