package sockets_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/noon-deploy/noon/internal/sockets"
)

// The test binary is a holder or a worker if its first argument says so.
const (
	asHolder = "hold-sockets"
	asWorker = "serve-sockets"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == asHolder || os.Args[1] == asWorker) {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		switch os.Args[1] {
		case asHolder:
			os.Exit(sockets.Main(ctx, "test", os.Args[2:]))
		case asWorker:
			if err := work(ctx, os.Args[2], os.Args[3:]); err != nil {
				fmt.Fprintln(os.Stderr, "worker:", err)
				os.Exit(3)
			}
			os.Exit(0)
		}
	}
	goleak.VerifyTestMain(m)
}

// work is a worker: it answers every connection with its process id. The words
// say how it differs from a good one: "fails" ends at once, "instead=ADDRESS"
// listens there and nowhere else.
func work(ctx context.Context, dir string, words []string) error {
	listeners, err := sockets.Inherit()
	if err != nil {
		return err
	}
	for _, word := range words {
		if word == "fails" {
			return errors.New("first line\nthe disk is made of cheese")
		}
		if address, ok := strings.CutPrefix(word, "instead="); ok {
			l, err := sockets.Bind(ctx, address)
			if err != nil {
				return err
			}
			for _, old := range listeners {
				_ = old.Close()
			}
			listeners = []sockets.Listener{{Name: address, Listener: l}}
		}
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, l := range listeners {
		defer l.Close()
		wg.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = fmt.Fprint(c, os.Getpid())
				_ = c.Close()
			}
		})
	}
	return answerHolder(ctx, dir, listeners)
}

// answerHolder tells the holder that this worker serves, and each that asks.
func answerHolder(ctx context.Context, dir string, listeners []sockets.Listener) error {
	path := filepath.Join(dir, "w.sock")
	_ = os.Remove(path)
	control, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return err
	}
	announce := func(ctx context.Context) error {
		return sockets.Announce(ctx, filepath.Join(dir, "h.sock"), sockets.Serving, listeners)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := announce(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	served := make(chan error, 1)
	go func() { served <- server.Serve(control) }()
	if err := announce(ctx); err != nil {
		return err
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// place is a directory with a holder in it.
type place struct {
	t   *testing.T
	dir string
	cfg sockets.Config
}

func newPlace(t *testing.T, words ...string) *place {
	t.Helper()
	dir, err := os.MkdirTemp("", "held") //nolint:usetesting // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, dir: dir, cfg: sockets.Config{
		Socket: filepath.Join(dir, "h.sock"), Lock: filepath.Join(dir, "lock"), Worker: filepath.Join(dir, "w.sock"),
		Output: filepath.Join(dir, "out"), Listen: []string{freeAddress(t)}, Argv: append([]string{os.Args[0], asWorker, dir}, words...),
	}}
	t.Cleanup(p.clear)
	return p
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// process is one that a test has started.
type process struct {
	*exec.Cmd
	ended chan struct{}
	said  *strings.Builder // stderr, once it has ended
}

func (p *place) start() *process {
	p.t.Helper()
	c := &process{
		Cmd:   exec.CommandContext(context.Background(), os.Args[0], append([]string{asHolder}, p.cfg.Args()...)...),
		ended: make(chan struct{}), said: &strings.Builder{},
	}
	c.Env, c.Stderr = append(os.Environ(), "HELD_IN="+p.dir), c.said
	if err := c.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(c.ended)
		_ = c.Wait()
	}()
	p.t.Cleanup(func() { _ = c.Process.Kill(); <-c.ended })
	return c
}

// serving starts a holder and waits until a worker serves.
func (p *place) serving() sockets.Status {
	p.t.Helper()
	p.start()
	return p.await("a worker serves", func(st sockets.Status) bool { return st.Worker != 0 })
}

func (p *place) await(what string, holds func(sockets.Status) bool) sockets.Status {
	p.t.Helper()
	var st sockets.Status
	eventually(p.t, what, func() bool {
		var err error
		st, err = sockets.Ask(p.t.Context(), p.cfg.Socket)
		return err == nil && holds(st)
	})
	return st
}

func (p *place) kill(pid int) {
	p.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
}

// asks is what a user gets.
func (p *place) asks(address string) string {
	p.t.Helper()
	c, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	data, err := io.ReadAll(c)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(data)
}

// processes are those of the place that live.
func (p *place) processes() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		p.t.Fatal(err)
	}
	var pids []int
	for _, e := range entries {
		env, err := os.ReadFile("/proc/" + e.Name() + "/environ")
		if pid, perr := strconv.Atoi(e.Name()); err == nil && perr == nil && slices.Contains(strings.Split(string(env), "\x00"), "HELD_IN="+p.dir) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (p *place) clear() {
	eventually(p.t, "every process ends", func() bool {
		left := p.processes()
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return len(left) == 0
	})
	if err := os.RemoveAll(p.dir); err != nil {
		p.t.Error(err)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("never: %s", what)
		}
	}
}

// text is a value for a failure.
func text(v any) string {
	data, err := json.Marshal(v)
	return fmt.Sprint(string(data), err)
}
