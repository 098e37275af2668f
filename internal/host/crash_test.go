package host_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/host"
	"github.com/noon-deploy/noon/internal/host/runnertest"
)

// hostMain is a host part in a process of its own: arguments are its
// directory, its socket and the socket of its router.
func hostMain(args []string) int {
	faults, err := fault.FromEnv()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	// Of the host part only: its keepers have tests of their own.
	if err := os.Unsetenv(fault.Env); err != nil {
		return 2
	}
	h, err := openHost(args[0], newRemote(args[2]), &store{missing: map[string]bool{}}, faults, logger(os.Stderr))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	_ = os.Remove(args[1])
	var listen net.ListenConfig
	l, err := listen.Listen(context.Background(), "unix", args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 4
	}
	go func() { _ = (&http.Server{Handler: host.Handler(h), ReadHeaderTimeout: time.Minute}).Serve(l) }()
	if err := h.Run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 5
	}
	return 0
}

// remote reaches the router of the test from another process.
type remote struct{ client *http.Client }

func newRemote(socket string) *remote {
	return &remote{&http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}}}
}

type drainRequest struct {
	Site noon.Site
	IDs  []string
}

func (r *remote) call(ctx context.Context, path string, in, out any) error {
	data, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://router"+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var e noon.Error
		if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
			return err
		}
		return &e
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

func (r *remote) Route(ctx context.Context, n noon.Routing) error {
	return r.call(ctx, "/route", n, &struct{}{})
}

func (r *remote) Status(ctx context.Context, site noon.Site) (noon.RoutingStatus, error) {
	var s noon.RoutingStatus
	return s, r.call(ctx, "/status", site, &s)
}

func (r *remote) Drain(ctx context.Context, site noon.Site, ids []string, _ time.Duration) error {
	return r.call(ctx, "/drain", drainRequest{site, ids}, &struct{}{})
}

// serve lets other processes reach the router.
func (r *router) serve(t *testing.T, socket string) {
	t.Helper()
	answer := func(w http.ResponseWriter, out any, err error) {
		if err != nil {
			w.WriteHeader(http.StatusConflict)
			out = noon.AsError(err)
		}
		if err := json.NewEncoder(w).Encode(out); err != nil {
			t.Log(err) // the host part was killed
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/route", func(w http.ResponseWriter, req *http.Request) {
		var n noon.Routing
		err := json.NewDecoder(req.Body).Decode(&n)
		if err == nil {
			err = r.Route(req.Context(), n)
		}
		answer(w, struct{}{}, err)
	})
	mux.HandleFunc("/status", func(w http.ResponseWriter, req *http.Request) {
		var site noon.Site
		err := json.NewDecoder(req.Body).Decode(&site)
		if err != nil {
			answer(w, nil, err)
			return
		}
		s, err := r.Status(req.Context(), site)
		answer(w, s, err)
	})
	mux.HandleFunc("/drain", func(w http.ResponseWriter, req *http.Request) {
		var d drainRequest
		err := json.NewDecoder(req.Body).Decode(&d)
		if err == nil {
			err = r.Drain(req.Context(), d.Site, d.IDs, 0)
		}
		answer(w, struct{}{}, err)
	})
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
}

// child is a host part that is killed and started again.
type child struct {
	t      *testing.T
	dir    string
	router *router
	cmd    *exec.Cmd
	client *host.Client
	ended  chan struct{}
}

func newChild(t *testing.T) *child {
	t.Helper()
	short, err := os.MkdirTemp("", "noon") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, dir: short, router: newRouter()}
	c.router.serve(t, filepath.Join(short, "r"))
	c.client = host.NewClient(filepath.Join(short, "h"))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := c.client.Clear(ctx, noon.Site{}); err != nil {
			t.Errorf("clear: %v", err)
		}
		c.client.Close()
		c.kill()
		c.nobodyLeft()
		if err := os.RemoveAll(short); err != nil {
			t.Error(err)
		}
	})
	return c
}

// start begins the host part, which dies at the point.
func (c *child) start(point, passed string) {
	c.t.Helper()
	self, err := os.Executable()
	if err != nil {
		c.t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(self, "host", filepath.Join(c.dir, "d"), filepath.Join(c.dir, "h"), filepath.Join(c.dir, "r"))
	cmd.Stderr = log
	cmd.Env = append(os.Environ(), fault.Env+"="+point, fault.EnvLog+"="+passed)
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan struct{})
	c.cmd, c.ended = cmd, ended
	go func() { defer close(ended); _ = cmd.Wait() }()
	if point == "" {
		eventually(c.t, "the host part answers", func() bool { _, _, err := c.client.Ping(c.t.Context()); return err == nil }, c.log)
	}
}

func (c *child) kill() {
	if err := c.cmd.Process.Kill(); err != nil && !strings.Contains(err.Error(), "finished") {
		c.t.Error(err)
	}
	<-c.ended
}

func (c *child) log() string {
	data, err := os.ReadFile(filepath.Join(c.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// with lists the processes that have a word in a file of theirs.
func (c *child) with(file, word string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		c.t.Fatal(err)
	}
	var found []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || !runnertest.Alive(pid) {
			continue
		}
		if data, err := os.ReadFile(filepath.Join("/proc", e.Name(), file)); err == nil && bytes.Contains(data, []byte(word)) {
			found = append(found, pid)
		}
	}
	return found
}

func (c *child) nobodyLeft() {
	eventually(c.t, "no process is left", func() bool {
		return len(c.with("cmdline", c.dir)) == 0 && len(c.with("environ", "DIR="+c.dir)) == 0
	}, func() string { return fmt.Sprint(c.with("cmdline", c.dir), c.with("environ", "DIR="+c.dir)) })
}

// insist does something until it is done: the host part may die on the way.
func (c *child) insist(what string, do func() error) {
	c.t.Helper()
	var err error
	eventually(c.t, what, func() bool {
		select {
		case <-c.ended:
			c.start("", "")
		default:
		}
		err = do()
		return err == nil
	}, func() string { return fmt.Sprint(err, "\n", c.log()) })
}

func TestHostKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	for _, point := range []string{
		"host.desired.before", "host.desired.stored", "host.start.before", "process.ordered", "host.start.after", "host.start.after:2",
		"host.ready.before", "host.ready.before:2", "host.route.before", "host.route.after", "host.route.before:3", "host.route.after:3",
		"host.stop.before", "host.stop.after", "host.stop.after:2", "process.stop.written", "process.release.written", "host.task.before", "host.task.started", "host.task.recorded",
	} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			c := newChild(t)
			passed := filepath.Join(c.dir, "passed")
			c.start(point, passed)
			one, two := revision(1, 2, noon.PointsWhole, web("serve")), revision(2, 1, noon.PointsWhole, web("serve"))
			one.Env["DIR"], two.Env["DIR"] = c.dir, c.dir
			c.deploy(desired(1, one), ready(1, 2))
			c.task()
			c.deploy(desired(2, two), func(o noon.Observed) bool { return ready(2, 1)(o) && gone(1)(o) })
			if data, err := os.ReadFile(passed); err != nil || !strings.HasPrefix(point, strings.TrimSpace(string(data))) || len(data) == 0 {
				t.Errorf("the faults passed are %q, %v", data, err)
			}
			if n := c.with("environ", "NOON_INSTANCE=shop@production_r2.c1_web_0_"); len(only(c, n)) != 1 {
				t.Errorf("processes of r2: %v", n)
			}
		})
	}
}

// only picks those of this test.
func only(c *child, pids []int) []int {
	var mine []int
	for _, pid := range c.with("environ", "DIR="+c.dir) {
		for _, p := range pids {
			if p == pid {
				mine = append(mine, p)
			}
		}
	}
	return mine
}

func (c *child) deploy(d noon.Desired, done func(noon.Observed) bool) {
	c.t.Helper()
	ctx := c.t.Context()
	c.insist("apply", func() error { return c.client.Apply(ctx, d) })
	var o noon.Observed
	c.insist("deploy "+d.Fence.String(), func() error {
		var err error
		if o, err = c.client.Observe(ctx, shop); err != nil {
			return err
		}
		if !done(o) || o.Routed != d.Fence {
			return fmt.Errorf("not yet: %s", describe(o))
		}
		return nil
	})
}

// task runs a task and sees that it ran once.
func (c *child) task() {
	c.t.Helper()
	trace := filepath.Join(c.dir, "trace")
	task := noon.Task{
		ID: "migrate", Site: shop, Fence: noon.Fence{Epoch: 1, Generation: 1}, Revision: rev(1), Digest: digest(1),
		Command: []string{"sh", "-c", "echo ran >> " + trace + "; echo done"}, Env: map[string]string{"DIR": c.dir}, Timeout: time.Minute,
	}
	c.insist("start task", func() error { return c.client.StartTask(c.t.Context(), task) })
	var s noon.TaskStatus
	c.insist("end of task", func() error {
		var err error
		if err = c.client.StartTask(c.t.Context(), task); err != nil {
			return err
		}
		if s, err = c.client.TaskStatus(c.t.Context(), "migrate"); err != nil || s.Running {
			return fmt.Errorf("running %v, %w", s.Running, err)
		}
		return nil
	})
	if data, err := os.ReadFile(trace); err != nil || string(data) != "ran\n" || !s.Exit.OK() || strings.Join(s.Output, "") != "done" {
		c.t.Errorf("the task left %q, %v; status %+v, exit %+v", data, err, s, s.Exit)
	}
	// The record must be there before the next kill: wait for it.
	c.insist("record of task", func() error {
		_, err := os.Stat(filepath.Join(c.dir, "d", "tasks", "migrate.json"))
		return err
	})
}

// Between the death of a host part and the next one nothing changes for users,
// and the next one finds everything as it was.
func TestHostDiesWhileServing(t *testing.T) {
	t.Parallel()
	c := newChild(t)
	c.start("", "")
	one := revision(1, 2, noon.PointsWhole, web("serve"))
	one.Env["DIR"] = c.dir
	c.deploy(desired(1, one), ready(1, 2))
	eventually(t, "both are routed", func() bool { return len(c.router.now(shop).Endpoints) == 2 }, c.log)
	before := c.router.now(shop)
	for range 3 {
		c.kill()
		for _, e := range before.Endpoints {
			if body, err := get(t, "http://"+e.Address+"/"); err != nil || !strings.HasPrefix(body, e.ID) {
				t.Errorf("%s answers %q, %v", e.ID, body, err)
			}
		}
		c.start("", "")
		c.deploy(desired(1, one), ready(1, 2))
	}
	for _, n := range c.router.all() {
		if n.Sequence > before.Sequence && len(n.Endpoints) != 2 {
			t.Errorf("routing %d has %d endpoints", n.Sequence, len(n.Endpoints))
		}
	}
	// One of them ends while nobody looks.
	c.kill()
	pids := c.with("environ", "NOON_INSTANCE="+before.Endpoints[0].ID)
	for _, pid := range only(c, pids) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	c.start("", "")
	c.insist("the next incarnation", func() error {
		o, err := c.client.Observe(t.Context(), shop)
		if err != nil {
			return err
		}
		if !ready(1, 2)(o) {
			return fmt.Errorf("not ready: %s", describe(o))
		}
		for _, i := range o.Instances {
			if i.ID == before.Endpoints[0].ID && (i.Exit == nil || i.Exit.Signal != "SIGKILL") {
				return fmt.Errorf("its exit is %+v", i.Exit)
			}
			if i.Index == 0 && i.Incarnation == 2 && i.Phase == noon.Ready {
				return nil
			}
		}
		return fmt.Errorf("no second incarnation: %s", describe(o))
	})
}
