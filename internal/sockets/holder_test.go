package sockets_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/sockets"
)

// TestWaitsInsteadOfRefusing: connections made while nobody serves are
// answered by the next worker.
func TestWaitsInsteadOfRefusing(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	st := p.serving()
	for range 5 {
		p.kill(st.Worker)
		got := p.asks(p.cfg.Listen[0])
		before := st.Worker
		st = p.await("the next one serves", func(st sockets.Status) bool { return st.Worker != 0 && st.Worker != before })
		if got != strconv.Itoa(st.Worker) {
			t.Errorf("process %s has answered, %d serves", got, st.Worker)
		}
		if end := st.Ends[len(st.Ends)-1]; end.PID != before || end.How != "signal: killed" || end.Gap <= 0 {
			t.Errorf("%d has ended, it says %s", before, text(st))
		}
	}
	if st.Restarts != 5 || st.Problem != "" {
		t.Errorf("%s", text(st))
	}
}

// TestDiesAtOnce: a worker that can not come up is started again, with pauses,
// and what it said is told.
func TestDiesAtOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "fails")
	p.start()
	st := p.await("it was tried again", func(st sockets.Status) bool { return st.Restarts >= 4 })
	if st.Worker != 0 || !strings.Contains(st.Problem, "exit status 3") || !strings.Contains(st.Problem, "first line | the disk is made of cheese") {
		t.Errorf("%s", text(st))
	}
	if n := len(st.Ends); n < 3 || n > 5 || strings.Count(st.Ends[n-1].Output, "cheese") != 1 {
		t.Errorf("%s", text(st))
	}
}

// TestNoSuchWorker: so is one that can not be started at all.
func TestNoSuchWorker(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.cfg.Argv = []string{filepath.Join(p.dir, "nothing")}
	p.start()
	st := p.await("it tells why", func(st sockets.Status) bool { return st.Problem != "" })
	if !strings.Contains(st.Problem, "it can not be started: no such file") {
		t.Errorf("%s", text(st))
	}
	script := "#!/bin/sh\nexec " + os.Args[0] + " " + asWorker + " " + p.dir + "\n"
	if err := os.WriteFile(p.cfg.Argv[0]+".new", []byte(script), 0o700); err != nil { //nolint:gosec // to be run
		t.Fatal(err)
	}
	if err := os.Rename(p.cfg.Argv[0]+".new", p.cfg.Argv[0]); err != nil {
		t.Fatal(err)
	}
	p.await("it serves once it is there", func(st sockets.Status) bool { return st.Worker != 0 && st.Problem == "" })
}

// TestPortIsTaken: a holder that can not have its sockets ends and says why.
func TestPortIsTaken(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	p.cfg.Listen = append(p.cfg.Listen, taken.Addr().String())
	h := p.start()
	<-h.ended
	if said := h.said.String(); h.ProcessState.ExitCode() != 1 || !strings.Contains(said, "address already in use") || !strings.Contains(said, taken.Addr().String()) {
		t.Errorf("exit %d: %s", h.ProcessState.ExitCode(), said)
	}
	if left, _ := filepath.Glob(filepath.Join(p.dir, "*.sock")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestOneHolder(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	first := p.serving()
	h := p.start()
	<-h.ended
	if said := h.said.String(); h.ProcessState.ExitCode() != 1 || !strings.Contains(said, "hold the sockets of") {
		t.Errorf("exit %d: %s", h.ProcessState.ExitCode(), said)
	}
	if st := p.serving0(); st.PID != first.PID || st.Worker != first.Worker {
		t.Errorf("%s, before %s", text(st), text(first))
	}
}

func (p *place) serving0() sockets.Status {
	p.t.Helper()
	st, err := sockets.Ask(p.t.Context(), p.cfg.Socket)
	if err != nil {
		p.t.Fatal(err)
	}
	return st
}

// TestOtherSockets: what is held is what the worker that serves has.
func TestOtherSockets(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	first, other := p.serving(), freeAddress(t)
	// As after an upgrade to a worker that listens elsewhere.
	p.cfg.Argv = append(p.cfg.Argv, "instead="+other)
	if _, err := sockets.Become(t.Context(), p.cfg.Socket, append([]string{os.Args[0], asHolder}, p.cfg.Args()...)); err != nil {
		t.Fatal(err)
	}
	if st := p.serving0(); !slices.Equal(st.Listen, first.Listen) || len(st.Command) != 3 {
		t.Errorf("another holder changes neither sockets nor worker: %s", text(st))
	}
	p.kill(first.PID)
	p.start() // it finds the worker, whose command counts for as long as there is one
	p.await("the worker is found", func(st sockets.Status) bool { return st.Worker == first.Worker })
	p.kill(p.serving0().PID)
	p.kill(first.Worker)
	p.start() // nobody is there
	st := p.await("another worker serves", func(st sockets.Status) bool { return st.Worker != 0 })
	if !slices.Equal(st.Listen, []string{other}) || p.asks(other) != strconv.Itoa(st.Worker) {
		t.Errorf("%s", text(st))
	}
	if c, err := net.Dial("tcp", p.cfg.Listen[0]); err == nil {
		_ = c.Close()
		t.Error("the socket that nobody serves is still open")
	}
}

// TestBecomeRefused: a program that can not be run changes nothing.
func TestBecomeRefused(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	before := p.serving()
	for _, row := range []struct {
		argv []string
		kind noon.ErrorKind
	}{
		{nil, noon.Invalid},
		{[]string{"relative"}, noon.Invalid},
		{[]string{filepath.Join(p.dir, "nothing")}, noon.Failure},
		{[]string{p.cfg.Lock}, noon.Failure},
	} {
		if _, err := sockets.Become(t.Context(), p.cfg.Socket, row.argv); noon.KindOf(err) != row.kind || noon.HintOf(err) == "" {
			t.Errorf("%q: %v", row.argv, err)
		}
	}
	if st := p.serving0(); text(st) != text(before) {
		t.Errorf("%s, before %s", text(st), text(before))
	}
	// Nothing of the attempts is left to the next worker.
	p.kill(before.Worker)
	st := p.await("the next one serves", func(st sockets.Status) bool { return st.Worker != 0 && st.Worker != before.Worker })
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", st.Worker))
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && (strings.Contains(to, "memfd:") || to == p.cfg.Lock) {
			t.Errorf("the worker has %s", to)
		}
	}
}

// TestNonsense: calls that are none harm nobody.
func TestNonsense(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	before := p.serving()
	for _, say := range []string{"", "sing", "candidate\n"} {
		c := dialHolder(t, p)
		if err := sockets.Send(c, sockets.Call(say), nil); err != nil {
			t.Fatal(err)
		}
		if said, err := sockets.AnswerError(c); err != nil || noon.KindOf(said) != noon.Invalid || noon.HintOf(said) == "" {
			t.Errorf("%q: it says %v, %v", say, said, err)
		}
	}
	c := dialHolder(t, p)
	if err := sockets.Send(c, sockets.Call("serving"), []int{0}); err != nil { // one without a name
		t.Fatal(err)
	}
	if said, err := sockets.AnswerError(c); err != nil || noon.KindOf(said) != noon.Invalid {
		t.Errorf("it says %v, %v", said, err)
	}
	c = dialHolder(t, p)
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 10)); err == nil {
		t.Errorf("it answers HTTP with %d bytes", n)
	}
	if st := p.serving0(); text(st) != text(before) {
		t.Errorf("%s, before %s", text(st), text(before))
	}
}

func dialHolder(t *testing.T, p *place) *net.UnixConn {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: p.cfg.Socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestWatch: changes are told as they come, and the end of the holder too.
func TestWatch(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	first := p.serving()
	var worker atomic.Int64
	ended := make(chan error, 1)
	go func() {
		ended <- sockets.Watch(t.Context(), p.cfg.Socket, func(st sockets.Status) { worker.Store(int64(st.Worker)) })
	}()
	eventually(t, "the worker is told", func() bool { return worker.Load() == int64(first.Worker) })
	p.kill(first.Worker)
	eventually(t, "the next worker is told", func() bool { n := worker.Load(); return n != 0 && n != int64(first.Worker) })
	p.kill(first.PID)
	if err := <-ended; noon.KindOf(err) != noon.Unavailable {
		t.Errorf("the watch ended with %v", err)
	}
}

// TestLeaves: a holder that is asked to end leaves the worker and nothing else.
func TestLeaves(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	h := p.start()
	st := p.await("a worker serves", func(st sockets.Status) bool { return st.Worker != 0 })
	if err := h.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-h.ended
	if code := h.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit %d: %s", code, h.said)
	}
	if got := p.asks(p.cfg.Listen[0]); got != strconv.Itoa(st.Worker) || !slices.Equal(p.processes(), []int{st.Worker}) {
		t.Errorf("%s answers, %v are left, worker was %d", got, p.processes(), st.Worker)
	}
	if _, err := os.Stat(p.cfg.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its socket is there: %v", err)
	}
}
