package dbtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// startLimit bounds how long a server may take until it answers, on a machine
// that does other things as well.
const startLimit = time.Minute

// Server is a running database server. It may be killed and started again;
// its data stay until Close.
type Server struct {
	kind kind
	dir  string // holds the data, the socket and the log
	attr *syscall.SysProcAttr

	mu      sync.Mutex
	port    int
	process *exec.Cmd
	ended   chan struct{} // closed when the process has ended
}

// kind is what differs between servers.
type kind interface {
	create(ctx context.Context, s *Server) error // makes the data directory
	command(s *Server, port int) (*exec.Cmd, error)
	answers(ctx context.Context, s *Server) error
}

func start(ctx context.Context, k kind) (*Server, error) {
	attr, err := account()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "noon-db-") // the server's account can not enter t.TempDir
	if err != nil {
		return nil, fmt.Errorf("make the server's directory: %w", err)
	}
	s := &Server{kind: k, dir: dir, attr: attr}
	if err := errors.Join(give(dir, attr), k.create(ctx, s)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.Start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Start starts the server again after Kill, on the same port, and returns
// when it answers.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		return errors.New("the server runs already")
	}
	for tries := 0; ; tries++ {
		if s.port == 0 {
			port, err := freePort(ctx)
			if err != nil {
				return err
			}
			s.port = port
			err = s.launch(ctx)
			if err != nil && tries < 3 {
				s.port = 0 // somebody else may have taken it in between
				continue
			}
			return err
		}
		return s.launch(ctx)
	}
}

func (s *Server) launch(ctx context.Context) error {
	cmd, err := s.kind.command(s, s.port)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the server's log: %w", err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.SysProcAttr = log, log, s.dir, s.attr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // a killed server is what many tests want
	}()
	s.process, s.ended = cmd, ended
	if err := s.wait(ctx); err != nil {
		s.kill()
		return fmt.Errorf("%w; its log ends with:\n%s", err, s.Log())
	}
	return nil
}

// wait returns when the server answers.
func (s *Server) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.kind.answers(ctx, s)
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return errors.New("the server ended before it answered")
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// Kill ends every process of the server at once with SIGKILL, as a crash of
// the machine does to them, and returns when they are gone. All but the first
// are in sessions of their own: they are looked up while the first one can not
// start more of them.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kill()
}

func (s *Server) kill() {
	if s.process == nil {
		return
	}
	pid := s.process.Process.Pid
	_ = syscall.Kill(pid, syscall.SIGSTOP) // it may have ended already
	family := children(pid)
	for _, child := range append(family, pid) {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
	<-s.ended
	for _, child := range family { // they keep the memory that they share until they are gone
		for until := time.Now().Add(startLimit); alive(child) && time.Now().Before(until); {
			<-time.After(time.Millisecond)
		}
	}
	s.process, s.ended = nil, nil
}

// Close ends the server and removes its data.
func (s *Server) Close() error {
	s.Kill()
	return os.RemoveAll(s.dir)
}

// Port is the TCP port on 127.0.0.1.
func (s *Server) Port() int { return s.port }

// Dir holds the server's data, socket and log.
func (s *Server) Dir() string { return s.dir }

// Log returns the last lines of the server's log.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(text[max(0, len(text)-2000):]))
}

func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

// run runs one of the server's own programs in its account.
func (s *Server) run(ctx context.Context, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = s.dir, env, s.attr
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w\n%s", filepath.Base(name), err, out)
	}
	return nil
}

func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("find a free port: %s is no TCP address", l.Addr())
	}
	return addr.Port, nil
}
