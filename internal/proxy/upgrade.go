package proxy

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/noon-deploy/noon"
)

// upgrade starts a successor and hands over to it. Nothing is routed
// meanwhile, so that both serve the same.
func (p *Proxy) upgrade(ctx context.Context, argv []string) error {
	if len(argv) == 0 {
		return &noon.Error{Kind: noon.Invalid, Op: "upgrade the proxy", Err: errors.New("no command was given"), Hint: "Name the binary that shall take over."}
	}
	p.changes.Lock()
	defer p.changes.Unlock()
	if p.handed {
		return &noon.Error{Kind: noon.Conflict, Op: "upgrade the proxy", Err: errors.New("another one has taken over already"), Hint: "Ask again; the call then reaches that one."}
	}
	if err := p.openPrivate(); err != nil {
		return err
	}
	p.cfg.Faults.Point("proxy upgrade before")
	if err := p.startSuccessor(ctx, argv); err != nil {
		p.closePrivateLocked()
		return &noon.Error{
			Kind: noon.Failure, Op: "upgrade the proxy to", Subject: argv[0], Err: err,
			Hint: "The proxy that runs now goes on as before; nothing was lost.",
		}
	}
	p.cfg.Faults.Point("proxy upgrade serving")
	p.handOver()
	return nil
}

// handOver leaves everything new to the successor.
func (p *Proxy) handOver() {
	p.handed = true
	p.draining.Store(true)
	p.users.closeListeners()
	p.parts.closeListeners()
	p.web.leave()
	_ = p.lock.Close() // the lock itself is held by the successor's copy
	close(p.over)
}

// openPrivate makes this proxy reachable for its successor.
func (p *Proxy) openPrivate() error {
	path := privatePath(p.cfg.Control, os.Getpid())
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return &noon.Error{Kind: noon.Failure, Op: "remove the stale socket", Subject: path, Err: err, Hint: "Check the permissions of its directory."}
	}
	l, err := listenUnix(path)
	if err != nil {
		return err
	}
	p.private = newServer(p.controlHandler(true), p.limits, slog.NewLogLogger(p.log.Handler(), slog.LevelWarn))
	p.private.serve(l)
	return nil
}

func (p *Proxy) closePrivate() {
	p.changes.Lock()
	defer p.changes.Unlock()
	p.closePrivateLocked()
}

func (p *Proxy) closePrivateLocked() {
	if p.private != nil {
		removePrivate(p.cfg.Control)
		p.private.close()
		p.private = nil
	}
}

// successor is a process that is about to take over.
type successor struct {
	cmd     *exec.Cmd
	ready   *os.File
	words   *bufio.Reader
	goAhead *os.File
	errors  *os.File // what it writes to stderr before it serves
}

// startSuccessor returns nil when the successor serves. Otherwise there is no
// successor any more.
func (p *Proxy) startSuccessor(ctx context.Context, argv []string) error {
	s, err := p.spawn(argv)
	if err != nil {
		return err
	}
	defer s.closeFiles()
	err = s.waitReady(ctx, p.limits.Start)
	if err == nil {
		// From here on it may have taken connections: only its own end is a failure.
		_, _ = s.goAhead.Write([]byte{1}) // if it has ended the next line tells
		err = s.hear(saysServing)
	}
	if err == nil {
		go s.reap()
		return nil
	}
	_ = s.cmd.Process.Kill() // it may have ended
	if exit := s.cmd.Wait(); exit != nil {
		err = fmt.Errorf("%w (%w)", err, exit)
	}
	if tail := s.lastLines(); tail != "" {
		err = fmt.Errorf("%w; its last words: %s", err, tail)
	}
	return err
}

// spawn starts the process with all sockets.
func (p *Proxy) spawn(argv []string) (*successor, error) {
	files, err := p.handedFiles()
	defer func() {
		for _, f := range files {
			_ = f.Close() // copies
		}
	}()
	if err != nil {
		return nil, err
	}
	readyRead, readyWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = readyWrite.Close() }()
	goRead, goWrite, err := os.Pipe()
	if err != nil {
		_ = readyRead.Close()
		return nil, err
	}
	defer func() { _ = goRead.Close() }()
	s := &successor{ready: readyRead, words: bufio.NewReader(readyRead), goAhead: goWrite}
	if s.errors, err = unlinkedFile(p.cfg.Dir); err != nil {
		s.closeFiles()
		return nil, err
	}
	var names inheritance
	for _, l := range p.listeners {
		names.Listen = append(names.Listen, l.name)
	}
	encoded, err := json.Marshal(names)
	if err != nil {
		s.closeFiles()
		return nil, err
	}
	s.cmd = exec.Command(argv[0], argv[1:]...) //nolint:noctx // it outlives the call and this process
	s.cmd.Env = append(withoutInherit(os.Environ()), envInherit+"="+string(encoded))
	s.cmd.Stdout, s.cmd.Stderr = os.Stdout, s.errors
	s.cmd.ExtraFiles = append([]*os.File{files[0], p.lock, readyWrite, goRead, os.Stderr}, files[1:]...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := s.cmd.Start(); err != nil {
		s.closeFiles()
		return nil, err
	}
	return s, nil
}

// handedFiles copies the descriptors of the control socket and of all
// listeners.
func (p *Proxy) handedFiles() ([]*os.File, error) {
	conns := []syscall.Conn{p.control}
	for _, l := range p.listeners {
		conn, ok := l.Listener.(syscall.Conn)
		if !ok {
			return nil, fmt.Errorf("listener %s can not be handed over", l.name)
		}
		conns = append(conns, conn)
	}
	var files []*os.File
	for _, c := range conns {
		f, err := copyFile(c)
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	return files, nil
}

// copyFile duplicates a socket's descriptor. Unlike the File method of
// listeners it leads to a file that exec does not make blocking, which would
// make the original blocking too, and Accept could then not be ended.
func copyFile(c syscall.Conn) (*os.File, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	var derr error
	err = raw.Control(func(original uintptr) {
		fd, derr = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err := errors.Join(err, derr); err != nil {
		return nil, fmt.Errorf("copy a socket: %w", err)
	}
	return os.NewFile(uintptr(fd), "socket"), nil
}

func unlinkedFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, ".successor-*")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

func withoutInherit(env []string) []string {
	var kept []string
	for _, e := range env {
		if !strings.HasPrefix(e, envInherit+"=") {
			kept = append(kept, e)
		}
	}
	return kept
}

func (s *successor) closeFiles() {
	for _, f := range []*os.File{s.ready, s.goAhead, s.errors} {
		if f != nil {
			_ = f.Close() // nothing was buffered
		}
	}
}

func (s *successor) waitReady(ctx context.Context, limit time.Duration) error {
	if err := s.ready.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.ready.SetReadDeadline(time.Unix(1, 0)) })
	err := s.hear(saysReady)
	if !stop() && err != nil {
		return fmt.Errorf("the call was given up: %w", context.Cause(ctx))
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("it was not ready within %v", limit)
	}
	if err != nil {
		return err
	}
	return s.ready.SetReadDeadline(time.Time{})
}

func (s *successor) hear(want string) error {
	word, err := s.words.ReadString('\n')
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("it ended before it was %s", strings.TrimSpace(want))
	case err != nil:
		return err
	case word != want:
		return fmt.Errorf("it said %q instead of %q", word, want)
	}
	return nil
}

// tailBytes is how much of a failed successor's output goes into the error.
const tailBytes = 2 << 10

func (s *successor) lastLines() string {
	size, err := s.errors.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	buf := make([]byte, min(size, tailBytes))
	n, _ := s.errors.ReadAt(buf, size-int64(len(buf))) // what can be read
	return strings.TrimSpace(string(buf[:n]))
}

// reap waits for the successor, so that it does not stay a zombie should it
// end first. It ends with this process at the latest.
func (s *successor) reap() {
	_ = s.cmd.Wait() // how it ended is for whoever watches the proxy
}
