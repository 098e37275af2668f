package rehearsal

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/noon-deploy/noon"
)

// killAfter is how long a program may take to end that was asked to.
const killAfter = 5 * time.Second

// tool finds a program: in PATH, else the newest where Debian puts it.
func tool(name, elsewhere, pkg string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	found, err := filepath.Glob(filepath.Join(elsewhere, name))
	if err == nil && len(found) > 0 {
		return slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(numberIn(a), numberIn(b)) }), nil
	}
	return "", &noon.Error{
		Kind: noon.Invalid, Op: "copy database", Subject: name, Err: errors.New("this machine does not have the program"),
		Hint: fmt.Sprintf("Install it on the controller's machine: `apt install %s`. Or choose another `copy` for the store's rehearsal in noon.yaml. Nothing was copied.", pkg),
	}
}

// numberIn is the number in ".../postgresql/15/bin", 0 where there is none.
func numberIn(path string) int {
	for part := range strings.SplitSeq(path, string(filepath.Separator)) {
		if n, err := strconv.Atoi(part); err == nil {
			return n
		}
	}
	return 0
}

// program is something that is run beside noon.
type program struct {
	path string
	args []string
	env  []string // beside PATH, HOME and the language
}

func (p program) command(ctx context.Context, says *tail) *exec.Cmd {
	c := exec.CommandContext(ctx, p.path, p.args...)
	c.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LC_ALL=C.UTF-8"}, p.env...)
	c.Stderr, c.WaitDelay = says, killAfter
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with what it starts
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGINT) }
	return c
}

// clearUp ends what a program that has ended was told to end with it and did not.
func clearUp(c *exec.Cmd) {
	if c.Process != nil {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // nobody is left, mostly
	}
}

// pipe has one program read what another one writes. Both must end well.
func pipe(ctx context.Context, from, to program) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var said, heard tail
	source, sink := from.command(ctx, &said), to.command(ctx, &heard)
	sink.Stdout = &heard
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	source.Stdout, sink.Stdin = w, r
	if err := source.Start(); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w", filepath.Base(from.path), err), r.Close(), w.Close())
	}
	err = sink.Start()
	_, _ = r.Close(), w.Close() // the programs have their own
	if err != nil {
		cancel()
		return errors.Join(fmt.Errorf("start %s: %w", filepath.Base(to.path), err), source.Wait())
	}
	read := ended(to.path, sink.Wait(), &heard)
	written := ended(from.path, source.Wait(), &said)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if written != nil && said.Len() > 0 || read == nil {
		return written // who reads complains of what is missing then
	}
	return read
}

func ended(path string, err error, said *tail) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: %s", filepath.Base(path), err, said.text())
}

// tail keeps the end of what a program says.
type tail struct{ bytes.Buffer }

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.Buffer.Write(p)
	if t.Len() > 1<<13 {
		t.Next(t.Len() - 1<<12)
	}
	return len(p), nil
}

func (t *tail) text() string { return strings.Join(strings.Fields(t.String()), " ") }

// filled has the user's command fill the copy.
func (r *run) filled(ctx context.Context, copyURL string) error {
	var said tail
	p := program{path: r.Command[0], args: r.Command[1:], env: []string{"SOURCE_URL=" + r.Address, "COPY_URL=" + copyURL}}
	c := p.command(ctx, &said)
	c.Stdout = &said
	err := ended(p.path, c.Run(), &said)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		clearUp(c)
		return context.Cause(ctx)
	}
	return &noon.Error{
		Kind: noon.Failure, Op: "copy database", Subject: strings.Join(r.Command, " "), Err: err,
		Hint: "This is the store's `rehearsal: command:` in noon.yaml. It finds the database to read in SOURCE_URL and the empty one to fill in COPY_URL. The copy was dropped.",
	}
}
