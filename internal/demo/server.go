package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// server keeps `noon serve` running, as the init system of a machine would:
// when it ends without having been taken down, it is started again.
type server struct {
	binary string
	args   []string
	env    []string
	log    string

	mu      sync.Mutex
	process *os.Process
	starts  int
	down    bool          // it may end now
	over    chan struct{} // closed when it has ended for good
	failed  error         // why it is not started again
}

// maxStarts bounds the starts of a server that does not stay up.
const maxStarts = 200

// start starts the server and keeps it.
func (s *server) start() error {
	s.over = make(chan struct{})
	cmd, err := s.spawn()
	if err != nil {
		close(s.over)
		return err
	}
	go s.keep(cmd) // ends with the server; takeDown and wait see that it does
	return nil
}

func (s *server) spawn() (*exec.Cmd, error) {
	out, err := os.OpenFile(s.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of noon serve: %w", err)
	}
	defer out.Close()
	s.mu.Lock()
	binary := s.binary
	s.mu.Unlock()
	cmd := exec.Command(binary, s.args...) //nolint:noctx // it is ended by noon down
	cmd.Env, cmd.Dir = s.env, "/"
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start noon serve: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process = cmd.Process
	s.starts++
	return cmd, nil
}

func (s *server) keep(cmd *exec.Cmd) {
	defer close(s.over)
	for {
		began := time.Now()
		err := cmd.Wait()
		again := s.again(err, time.Since(began))
		if !again {
			return
		}
		if cmd, err = s.spawn(); err != nil {
			s.mu.Lock()
			s.failed = err
			s.mu.Unlock()
			return
		}
	}
}

// again decides whether the server is started again.
func (s *server) again(err error, lived time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process = nil
	if s.down {
		return false
	}
	killed := false
	if exited := (*exec.ExitError)(nil); errors.As(err, &exited) {
		status, ok := exited.Sys().(syscall.WaitStatus)
		killed = ok && status.Signaled()
	}
	if !killed || s.starts >= maxStarts {
		s.failed = fmt.Errorf("noon serve ended by itself after %s: %w: %s", lived.Round(time.Millisecond), orEnded(err), s.lastLines())
		return false
	}
	return true
}

func orEnded(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

func (s *server) lastLines() string {
	data, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " | ")
}

// kill ends the server with SIGKILL and returns its process id.
func (s *server) kill() (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return 0, errors.New("noon serve does not run")
	}
	return s.process.Pid, s.process.Kill()
}

// problem tells why the server is gone, nil if it is not.
func (s *server) problem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// use says which binary the server is started from when it has to be started
// again.
func (s *server) use(binary string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.binary = binary
}

// mayEnd says that the server is not started again.
func (s *server) mayEnd() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = true
}

// wait waits until the server has ended for good.
func (s *server) wait(ctx context.Context) error {
	select {
	case <-s.over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("noon serve does not end: %w", context.Cause(ctx))
	}
}

// gone reports whether the server has ended for good.
func (s *server) gone() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}
