package soak_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
	"github.com/noon-deploy/noon/internal/sockets"
)

// proxyConfig is what a proxy, and every one that follows it, is started with.
type proxyConfig struct {
	Dir    string
	Listen string
	Limits proxy.Limits
}

func (c proxyConfig) control() string { return filepath.Join(c.Dir, "p.sock") }
func (c proxyConfig) holder() string  { return filepath.Join(c.Dir, "h.sock") }

// asHolder is the first argument of the process that holds the proxy's
// sockets, and starts it again when it has died.
const asHolder = "holder"

// runProxy is the real proxy, or who holds its sockets, as the daemon runs
// them.
func runProxy(value string) error {
	if len(os.Args) > 1 && os.Args[1] == asHolder {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // until whoever started it has ended
			os.Exit(3)
		}()
		os.Exit(sockets.Main(context.Background(), "soak", os.Args[2:]))
	}
	var c proxyConfig
	if err := json.Unmarshal([]byte(value), &c); err != nil {
		return err
	}
	inherited, err := proxy.Inherit()
	if err != nil {
		return err
	}
	if err := obey(filepath.Join(c.Dir, "leash")); err != nil {
		return err
	}
	p, err := proxy.Open(proxy.Config{
		Dir: c.Dir, Listen: []string{c.Listen}, Control: c.control(), Limits: c.Limits,
		Inherited: inherited, Holder: c.holder(), Version: "soak", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return p.Run(ctx)
}

// rig is one proxy, its instances and its users.
type rig struct {
	*proxy.Client
	t      *testing.T
	config proxyConfig
	leash  *leash
	book   *book
	stderr string // file of what all processes write
	holder *exec.Cmd
	stdin  io.Closer // of the holder
	ended  chan struct{}

	mu         sync.Mutex
	generation int64
	instances  []*running
}

// newRig starts a proxy that routes nothing yet.
func newRig(t *testing.T, limits proxy.Limits) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "noon") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, config: proxyConfig{Dir: dir, Listen: freeAddress(t), Limits: limits}, leash: newLeash(t, dir), book: newBook()}
	r.Client = proxy.NewClient(r.config.control())
	r.stderr = filepath.Join(dir, "stderr")
	t.Cleanup(r.tearDown)
	r.start()
	return r
}

// tearDown ends everything and looks at what the proxies have said.
func (r *rig) tearDown() {
	for _, i := range r.all() {
		i.kill()
	}
	if r.holder != nil {
		_ = r.holder.Process.Kill() // it would start another proxy
		<-r.ended
		r.stdin.Close()
	}
	r.leash.close()
	text, err := os.ReadFile(r.stderr)
	if err != nil {
		r.t.Error(err)
	}
	for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
		if at := bytes.Index(text, []byte(bad)); at >= 0 {
			r.t.Errorf("a proxy wrote:\n%.4000s", text[at:])
		}
	}
	eventually(r.t, "the directory can be removed", patience, func() error { return os.RemoveAll(r.config.Dir) })
}

// freeAddress is one at which nobody listens now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs the holder, which runs a proxy, and waits until that serves.
func (r *rig) start() {
	r.t.Helper()
	value, err := json.Marshal(r.config)
	if err != nil {
		r.t.Fatal(err)
	}
	args := sockets.Config{
		Socket: r.config.holder(), Lock: filepath.Join(r.config.Dir, "h.lock"), Worker: r.config.control(),
		Output: r.stderr, Listen: []string{r.config.Listen}, Argv: []string{self(r.t)},
	}.Args()
	cmd := exec.CommandContext(context.Background(), self(r.t), append([]string{asHolder}, args...)...)
	cmd.Env = append(os.Environ(), envProxy+"="+string(value))
	log, err := os.Create(filepath.Join(r.config.Dir, "holder.log"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	if r.stdin, err = cmd.StdinPipe(); err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	r.holder, r.ended = cmd, ended
	r.awaitProxy(0)
}

// awaitProxy waits until a proxy serves that is not the process before.
func (r *rig) awaitProxy(before int) {
	r.t.Helper()
	eventually(r.t, "a proxy serves", patience, func() error {
		h, err := r.Health(r.t.Context())
		if err == nil && h.PID == before {
			err = fmt.Errorf("process %d still serves", before)
		}
		return err
	})
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// running is an instance that runs.
type running struct {
	release int
	address string
	cmd     *exec.Cmd
	stdin   io.Closer
	ended   chan struct{}
}

// run starts an instance of a release and returns when it listens.
func (r *rig) run(release int) *running {
	r.t.Helper()
	i, err := startInstance(self(r.t), instanceConfig{Release: release, Journal: r.journal()})
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.instances = append(r.instances, i)
	return i
}

func (r *rig) journal() string { return filepath.Join(r.config.Dir, "posts") }

func (r *rig) all() []*running {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.instances
}

func startInstance(binary string, c instanceConfig) (*running, error) {
	value, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.Background(), binary)
	cmd.Env = append(os.Environ(), envInstance+"="+string(value))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	i := &running{release: c.Release, address: strings.TrimSpace(line), cmd: cmd, stdin: stdin, ended: make(chan struct{})}
	go func() {
		defer close(i.ended)
		_ = cmd.Wait()
	}()
	if err != nil {
		i.kill()
		return nil, fmt.Errorf("the instance did not say where it listens: %w", err)
	}
	return i, nil
}

func (i *running) id() string { return fmt.Sprintf("r%d_%s", i.release, i.address) }

// kill ends it as a crash does, and returns when it has ended.
func (i *running) kill() {
	_ = i.cmd.Process.Kill() // it may have ended
	i.stdin.Close()
	<-i.ended
}

func site() noon.Site { return noon.Site{App: "shop", Environment: "production"} }

// routing sends all users to the instances; all are of one release.
func (r *rig) routing(release int, instances ...*running) noon.Routing {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.generation++
	revision := noon.Revision{Release: release}
	routing := noon.Routing{
		Site: site(), Fence: noon.Fence{Epoch: 1, Generation: r.generation}, Sequence: r.generation,
		Paths:     []noon.Path{{Prefix: "/", Service: "web"}},
		Shares:    []noon.Share{{Revision: revision, Points: noon.PointsWhole}},
		Endpoints: []noon.Endpoint{},
	}
	for _, i := range instances {
		routing.Endpoints = append(routing.Endpoints, noon.Endpoint{ID: i.id(), Revision: revision, Service: "web", Address: i.address})
	}
	return routing
}

// route makes a routing the one that users get, and holds users to it.
func (r *rig) route(routing noon.Routing) {
	r.t.Helper()
	release := int64(routing.Shares[0].Revision.Release)
	r.book.begun.Store(max(release, r.book.begun.Load()))
	if err := r.Route(r.t.Context(), routing); err != nil {
		r.t.Fatal(err)
	}
	r.book.acked.Store(release)
}

// baseline is how the proxy is before anybody has come.
func (r *rig) baseline() vitals {
	r.t.Helper()
	v, err := r.leash.one()
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

// settle waits until one process is left that has no more open than before.
func (r *rig) settle(before vitals) vitals {
	r.t.Helper()
	var now vitals
	eventually(r.t, "goroutines and files go back to what they were", r.config.Limits.Linger+90*time.Second, func() error {
		var err error
		if now, err = r.leash.one(); err != nil {
			return err
		}
		if now.Goroutines > before.Goroutines || now.Files > before.Files {
			return fmt.Errorf("now %+v, before %+v", now, before)
		}
		return nil
	})
	return now
}

// wantOnce checks the journal: every POST that was answered was carried out,
// and none twice.
func (r *rig) wantOnce() {
	r.t.Helper()
	data, err := os.ReadFile(r.journal())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.t.Fatal(err)
	}
	times := map[string]int{}
	var twice, lost []string
	for id := range strings.FieldsSeq(string(data)) {
		if times[id]++; times[id] == 2 {
			twice = append(twice, id)
		}
	}
	r.book.mu.Lock()
	defer r.book.mu.Unlock()
	for _, id := range r.book.posts {
		if times[fmt.Sprint(id)] == 0 {
			lost = append(lost, fmt.Sprint(id))
		}
	}
	wantNone(r.t, "POSTs carried out twice", twice)
	wantNone(r.t, "POSTs answered and not carried out", lost)
}
