package host_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/host"
	"github.com/noon-deploy/noon/internal/host/process"
	"github.com/noon-deploy/noon/internal/host/runnertest"
)

var shop = noon.Site{App: "shop", Environment: "production"}

// router is a real router of the smallest kind: it keeps the newest routing,
// refuses older ones and can be made to forget or to fail.
type router struct {
	mu       sync.Mutex
	has      map[noon.Site]noon.Routing
	log      []noon.Routing
	drained  []string
	fail     error
	draining func(id string) // called in Drain
}

func newRouter() *router { return &router{has: map[noon.Site]noon.Routing{}} }

func (r *router) Route(_ context.Context, n noon.Routing) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return r.fail
	}
	if old, ok := r.has[n.Site]; ok && n.Compare(old.Fence, old.Sequence) <= 0 {
		return &noon.Error{Kind: noon.Stale, Op: "route", Subject: n.Site.String(), Err: errors.New("older than what is in force")}
	}
	r.has[n.Site] = n
	r.log = append(r.log, n)
	return nil
}

func (r *router) Status(_ context.Context, site noon.Site) (noon.RoutingStatus, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return noon.RoutingStatus{}, r.fail
	}
	n := r.has[site]
	s := noon.RoutingStatus{Site: site, Fence: n.Fence, Sequence: n.Sequence, Shares: n.Shares}
	for _, e := range n.Endpoints {
		s.Endpoints = append(s.Endpoints, noon.EndpointStatus{ID: e.ID, Revision: e.Revision, Service: e.Service, Routed: true})
	}
	return s, nil
}

func (r *router) Drain(_ context.Context, site noon.Site, ids []string, _ time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return r.fail
	}
	for _, e := range r.has[site].Endpoints {
		if slices.Contains(ids, e.ID) {
			return fmt.Errorf("endpoint %s is still routed", e.ID)
		}
	}
	r.drained = append(r.drained, ids...)
	if r.draining != nil {
		for _, id := range ids {
			r.draining(id)
		}
	}
	return nil
}

// forget is a proxy that lost its state.
func (r *router) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.has = map[noon.Site]noon.Routing{}
}

func (r *router) broken(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = err
}

func (r *router) now(site noon.Site) noon.Routing {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.has[site]
}

func (r *router) all() []noon.Routing {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

// store unpacks releases that hold one file.
type store struct {
	mu      sync.Mutex
	missing map[string]bool
}

func (s *store) Unpack(_ context.Context, digest, dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.missing[digest] {
		return &noon.Error{Kind: noon.NotFound, Op: "unpack release", Subject: digest, Err: errors.New("it is not in the store"), Hint: "Build it again."}
	}
	if _, err := os.Stat(filepath.Join(dir, "digest")); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "digest"), []byte(digest), 0o444)
}

func (s *store) Verify(_ context.Context, digest, dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, "digest"))
	if err == nil && string(data) != digest {
		err = errors.New("a file was altered")
	}
	return err
}

// machine is a host part in this process with everything around it.
type machine struct {
	t      *testing.T
	dir    string
	router *router
	store  *store
	host   *host.Host
	runner host.Runner
	stop   func()
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir(), router: newRouter(), store: &store{missing: map[string]bool{}}}
	m.start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		m.router.broken(nil)
		if m.stop == nil {
			m.start()
		}
		if err := m.host.Clear(ctx, noon.Site{}); err != nil {
			t.Errorf("clear: %v", err)
		}
		m.end()
	})
	return m
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func logger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func openRunner(dir string, faults *fault.Points, log *slog.Logger) (host.Runner, error) {
	self, err := os.Executable()
	if err != nil {
		return host.Runner{}, err
	}
	r, err := process.Open(process.Config{
		Dir: filepath.Join(dir, "run"), Keeper: []string{self, "keeper"}, Exec: []string{self, "exec-instance"}, Log: log, Faults: faults,
	})
	return host.Runner{Lives: r, Remains: r}, err
}

func openHost(dir string, r host.Router, s host.Releases, faults *fault.Points, log *slog.Logger) (*host.Host, error) {
	runner, err := openRunner(dir, faults, log)
	if err != nil {
		return nil, err
	}
	return host.Open(host.Config{Name: noon.LocalHost, Dir: dir, Runner: runner, Releases: s, Router: r, Log: log, Faults: faults})
}

// start begins a host part; end is its end, which leaves instances running.
func (m *machine) start() {
	m.t.Helper()
	log := quiet()
	if testing.Verbose() {
		log = logger(os.Stderr)
	}
	h, err := openHost(m.dir, m.router, m.store, nil, log)
	if err != nil {
		m.t.Fatal(err)
	}
	m.host = h
	if m.runner, err = openRunner(m.dir, nil, log); err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	m.stop = func() {
		cancel()
		if err := <-done; err != nil {
			m.t.Errorf("run: %v", err)
		}
		if err := h.Close(); err != nil {
			m.t.Errorf("close: %v", err)
		}
	}
}

func (m *machine) end() {
	m.stop()
	m.stop = nil
}

func (m *machine) apply(d noon.Desired) {
	m.t.Helper()
	if err := m.host.Apply(m.t.Context(), d); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) observe() noon.Observed {
	m.t.Helper()
	o, err := m.host.Observe(m.t.Context(), shop)
	if err != nil {
		m.t.Fatal(err)
	}
	return o
}

// await waits until what is observed is as wanted.
func (m *machine) await(what string, ok func(noon.Observed) bool) noon.Observed {
	m.t.Helper()
	var o noon.Observed
	eventually(m.t, what, func() bool { o = m.observe(); return ok(o) }, func() string { return describe(o) })
	return o
}

func eventually(t *testing.T, what string, ok func() bool, state func() string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within a minute: %s\n%s", what, state())
		}
	}
}

func describe(o noon.Observed) string {
	var b strings.Builder
	fmt.Fprintf(&b, "accepted %s routed %s shares %v problem %v\n", o.Accepted, o.Routed, o.Shares, o.Problem)
	for _, i := range o.Instances {
		fmt.Fprintf(&b, "  %s %s loop=%v probe=%q exit=%+v lines=%q\n", i.ID, i.Phase, i.CrashLoop, i.Probe, i.Exit, i.LastLines)
	}
	return b.String()
}

// digest gives one for a number.
func digest(n int) string { return fmt.Sprintf("sha256:%064x", n) }

func rev(n int) noon.Revision { return noon.Revision{Release: n, Config: 1} }

func web(words ...string) noon.Service {
	return noon.Service{
		Name: "web", Command: runnertest.Command(words...), Paths: []string{"/"},
		Ready: noon.Probe{HTTP: "/healthz", Interval: 20 * time.Millisecond, Timeout: 10 * time.Second},
		Stop:  noon.Stop{Signal: "TERM", Grace: 2 * time.Second}, Drain: time.Second,
	}
}

func revision(n, count, share int, services ...noon.Service) noon.DesiredRevision {
	r := noon.DesiredRevision{Revision: rev(n), Digest: digest(n), Share: share, Env: map[string]string{"GREETING": fmt.Sprint("hello from ", n)}}
	for _, s := range services {
		r.Instances = append(r.Instances, noon.DesiredService{Service: s, Count: count})
	}
	return r
}

func desired(generation int64, revisions ...noon.DesiredRevision) noon.Desired {
	slices.SortFunc(revisions, func(a, b noon.DesiredRevision) int { return cmp.Compare(a.Revision.Release, b.Revision.Release) })
	return noon.Desired{Site: shop, Fence: noon.Fence{Epoch: 1, Generation: generation}, Revisions: revisions}
}

// phases counts instances of a revision by phase.
func phases(o noon.Observed, r noon.Revision) map[noon.Phase]int {
	count := map[noon.Phase]int{}
	for _, i := range o.Instances {
		if i.Revision == r {
			count[i.Phase]++
		}
	}
	return count
}

func ready(n, count int) func(noon.Observed) bool {
	return func(o noon.Observed) bool { return phases(o, rev(n))[noon.Ready] == count }
}

func gone(n int) func(noon.Observed) bool {
	return func(o noon.Observed) bool { return len(phases(o, rev(n))) == 0 }
}

func get(t *testing.T, url string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}
