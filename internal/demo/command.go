package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/noon-deploy/noon"
)

// command runs noon's command line as a person would, in the shop's directory.
type command struct {
	binary string
	dir    string
	env    []string
	log    string // gets everything that is run, for those who look afterwards
}

// ended is how a command ended.
type ended struct {
	args     []string
	code     int
	stdout   []byte
	stderr   string
	started  time.Time
	finished time.Time
}

// endWait is how long a command that is interrupted may take to end.
const endWait = 10 * time.Second

// run runs a command and gives its result, whatever its exit code is.
func (c *command) run(ctx context.Context, stdin string, args ...string) (ended, error) {
	cmd := exec.CommandContext(ctx, c.binary, args...)
	cmd.Dir, cmd.Env = c.dir, c.env
	cmd.Stdin = strings.NewReader(stdin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt of the demo is the demo's to pass on
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endWait
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	e := ended{args: args, started: time.Now()}
	err := cmd.Run()
	e.finished = time.Now()
	e.stdout, e.stderr, e.code = stdout.Bytes(), stderr.String(), cmd.ProcessState.ExitCode()
	if ctx.Err() != nil {
		return e, context.Cause(ctx)
	}
	if exited := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exited) {
		return e, fmt.Errorf("run noon %s: %w", strings.Join(args, " "), err)
	}
	return e, c.note(e)
}

// must is run for a command that has to work; its answer is read into out.
func (c *command) must(ctx context.Context, stdin string, out any, args ...string) error {
	e, err := c.run(ctx, stdin, append(args, "--json")...)
	if err != nil {
		return err
	}
	if e.code != 0 {
		return e.failure()
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(e.stdout, out); err != nil {
		return fmt.Errorf("read the answer of noon %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// failure is what a command said when it did not work.
func (e ended) failure() error {
	lines := strings.Split(strings.TrimSpace(e.stderr), "\n")
	var said struct {
		Error *noon.Error `json:"error"`
	}
	err := errors.New(strings.TrimSpace(e.stderr))
	if json.Unmarshal([]byte(lines[len(lines)-1]), &said) == nil && said.Error != nil {
		err = said.Error
	}
	return fmt.Errorf("noon %s: exit code %d: %w", strings.Join(e.args, " "), e.code, err)
}

func (c *command) note(e ended) error {
	f, err := os.OpenFile(c.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write down a command: %w", err)
	}
	_, err = fmt.Fprintf(f, "%s noon %s\nexit code %d after %s\n%s%s\n", e.started.Format(time.RFC3339Nano),
		strings.Join(e.args, " "), e.code, e.finished.Sub(e.started), e.stdout, e.stderr)
	return errors.Join(err, f.Close())
}
