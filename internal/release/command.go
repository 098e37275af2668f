package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/noon-deploy/noon"
)

// defaultTimeout bounds a command that sets no limit of its own.
const defaultTimeout = 10 * time.Minute

// endTimeout bounds the wait for killed processes.
const endTimeout = 10 * time.Second

// checkoutVariable names the checkout in the environment of a build. By it
// the build's processes are found, whatever they have done to get lost.
const checkoutVariable = "NOON_CHECKOUT"

// command is a build command or build hook, run in the checkout.
type command struct {
	name     string // for people: "build.command", "hook before-build/generate"
	argv     []string
	dir      string
	env      []string
	timeout  time.Duration
	output   io.Writer
	checkout string // value of checkoutVariable in env
}

// run waits for the command and ends its whole process group with it, however
// it ended.
func (c command) run(ctx context.Context) error {
	if c.timeout <= 0 {
		c.timeout = defaultTimeout
	}
	path, err := c.find()
	if err != nil {
		return err
	}
	late := fmt.Errorf("it did not end within %s", c.timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, late)
	defer cancel()
	out := &tail{w: c.output}
	cmd := &exec.Cmd{Path: path, Args: c.argv, Dir: c.dir, Env: c.env, Stdout: out, Stderr: out, SysProcAttr: ownGroup(), WaitDelay: 2 * time.Second}
	err = runGroup(ctx, cmd, c.checkout)
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.Is(err, exec.ErrWaitDelay):
		err = errors.New("a process that it started left its group and still holds its output")
	}
	if err == nil {
		return nil
	}
	return c.failed(err, out.last())
}

func (c command) failed(err error, last string) error {
	if last != "" {
		err = fmt.Errorf("%w; its last output was:\n%s", err, last)
	}
	hint := "Run it yourself in a fresh clone of the commit; only what is committed is there, and the environment holds little more than PATH and HOME."
	if errors.Is(err, context.Canceled) {
		hint = ""
	}
	return &noon.Error{Kind: noon.Failure, Op: "run " + c.name, Subject: strings.Join(c.argv, " "), Err: err, Hint: hint}
}

// runGroup starts the command in a group of its own. The group is killed
// before its leader is reaped, as long as its number can not belong to anybody
// else; then whatever has left the group.
func runGroup(ctx context.Context, cmd *exec.Cmd, checkout string) error {
	// The kernel kills the leader when the thread that started it ends, so
	// the thread has to stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return err
	}
	group := cmd.Process.Pid
	exited := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		awaitExit(group)
		close(exited)
	})
	select {
	case <-exited:
	case <-ctx.Done():
	}
	// Each may be gone already, and the leader may have left its group.
	_ = syscall.Kill(-group, syscall.SIGKILL)
	_ = syscall.Kill(group, syscall.SIGKILL)
	waiting.Wait()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	ended := endProcesses(end, checkout)
	if err := cmd.Wait(); err != nil {
		return err
	}
	return ended
}

// find looks the program up in the PATH that the command gets, not in noon's.
func (c command) find() (string, error) {
	name := c.argv[0]
	if strings.Contains(name, "/") {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(c.dir, path)
		}
		err := executable(path)
		if err != nil {
			return "", c.unusable(err, "Is it committed, and executable there (git update-index --chmod=+x)?")
		}
		return path, nil
	}
	var search string
	for _, v := range c.env {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			search = value
		}
	}
	for _, dir := range filepath.SplitList(search) {
		if path := filepath.Join(dir, name); filepath.IsAbs(dir) && executable(path) == nil {
			return path, nil
		}
	}
	return "", c.unusable(exec.ErrNotFound, "Install it where the build runs, or write its path. PATH is "+search)
}

func (c command) unusable(err error, hint string) error {
	return &noon.Error{Kind: noon.Failure, Op: "run " + c.name, Subject: c.argv[0], Err: err, Hint: hint}
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return errors.New("there is no such file")
	case err != nil:
		return err
	case info.IsDir() || info.Mode()&0o111 == 0:
		return fmt.Errorf("it is not executable: %w", fs.ErrPermission)
	}
	return nil
}

// tail passes output on and keeps the end of it.
type tail struct {
	w   io.Writer
	buf []byte
}

const tailSize = 4 << 10

// Write never fails: a reader of the output who went away does not make a
// build fail.
func (t *tail) Write(p []byte) (int, error) {
	if t.w != nil {
		if _, err := t.w.Write(p); err != nil {
			t.w = nil
		}
	}
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

// last gives up to ten lines.
func (t *tail) last() string {
	lines := bytes.Split(bytes.TrimSpace(t.buf), []byte("\n"))
	lines = lines[max(0, len(lines)-10):]
	return strings.ToValidUTF8(string(bytes.Join(lines, []byte("\n"))), "\uFFFD")
}
