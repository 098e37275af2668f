package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
)

// Releases makes the files of a release be in a directory.
type Releases interface {
	// Unpack is idempotent; what it leaves is verified and read-only.
	Unpack(ctx context.Context, digest, dir string) error
	// Verify compares every file of an unpacked release with what the digest
	// promises.
	Verify(ctx context.Context, digest, dir string) error
}

// Router is the proxy that sends requests to the instances.
type Router interface {
	// Route returns when the routing is in force. An older one than the
	// router has is refused as noon.Stale.
	Route(ctx context.Context, r noon.Routing) error
	Status(ctx context.Context, site noon.Site) (noon.RoutingStatus, error)
	// Drain returns when these endpoints, which are not routed any more, have
	// nothing in flight; what is left at the limit is closed.
	Drain(ctx context.Context, site noon.Site, endpoints []string, limit time.Duration) error
}

// Config is what a host part needs.
type Config struct {
	Name     string // of the host: noon.LocalHost for this machine
	Version  string // of noon, for those who ask
	Dir      string // its own; made if missing
	Runner   Runner
	Releases Releases
	Router   Router
	Log      *slog.Logger
	Faults   *fault.Points
}

// Host is the host part of one machine.
type Host struct {
	cfg      Config
	lock     *os.File
	releases *releases

	mu    sync.Mutex
	sites map[noon.Site]*site
	tasks map[string]task // by ID; running or not yet removed
	fresh chan *site      // sites that Run does not know yet
	mess  chan struct{}   // something has ended
}

// Open takes the directory for this process, reads what was desired and finds
// the processes that run.
func Open(cfg Config) (*Host, error) {
	for _, name := range []string{"", desiredDir, stateDir, readyDir, tasksDir, releasesDir} {
		perm := fs.FileMode(0o700)
		if name == "" || name == releasesDir {
			perm = 0o711 // services with a user of their own run files inside
		}
		if err := os.MkdirAll(filepath.Join(cfg.Dir, name), perm); err != nil {
			return nil, &noon.Error{Kind: noon.Failure, Op: "open host directory", Subject: cfg.Dir, Err: err, Hint: "noon must be able to write its data directory."}
		}
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	h := &Host{
		cfg: cfg, lock: lock, releases: newReleases(cfg),
		sites: map[noon.Site]*site{}, tasks: map[string]task{}, mess: make(chan struct{}, 1), fresh: make(chan *site, 1),
	}
	if err := h.load(context.Background()); err != nil {
		lock.Close()
		return nil, err
	}
	return h, nil
}

// The directories of a host part.
const (
	desiredDir  = "desired"
	stateDir    = "state"
	readyDir    = "ready"
	tasksDir    = "tasks"
	releasesDir = "releases"
)

func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, "host.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, &noon.Error{Kind: noon.Failure, Op: "open", Subject: path, Err: err, Hint: "noon must be able to write its data directory."}
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errors.New("another host part uses it")
		}
		return nil, &noon.Error{Kind: noon.Conflict, Op: "lock host directory", Subject: dir, Err: err, Hint: "The kernel frees the lock when that process ends; there is no stale one to remove."}
	}
	return f, nil
}

// Close frees the directory. Run must have returned. Instances go on.
func (h *Host) Close() error { return h.lock.Close() }

// load reads what was desired and what there is.
func (h *Host) load(ctx context.Context) error {
	entries, err := os.ReadDir(filepath.Join(h.cfg.Dir, desiredDir))
	if err != nil {
		return fmt.Errorf("read what was desired: %w", err)
	}
	for _, e := range entries {
		key, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || strings.HasPrefix(key, ".") {
			continue
		}
		if name, err := noon.ParseSiteKey(key); err == nil {
			h.site(name)
		}
	}
	list, err := h.cfg.Runner.List(ctx)
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	for _, s := range list {
		h.changed(s)
	}
	return nil
}

// Run makes things so until ctx ends; that leaves the instances running.
func (h *Host) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	running := map[*site]bool{}
	run := func(s *site) {
		if running[s] {
			return
		}
		running[s] = true
		wg.Go(func() { s.run(ctx) })
	}
	for _, s := range h.allSites() {
		run(s)
	}
	failed := make(chan error, 1)
	wg.Go(func() { failed <- h.cfg.Runner.Watch(ctx, h.changed) })
	wg.Go(func() { h.tidy(ctx) })
	for {
		select {
		case <-h.fresh:
			for _, s := range h.allSites() {
				run(s)
			}
		case err := <-failed:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watch processes: %w", err)
		case <-ctx.Done():
			return nil
		}
	}
}

// site gives the site of that name, a new one if there is none yet.
func (h *Host) site(name noon.Site) *site {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, ok := h.sites[name]
	if !ok {
		s = openSite(h, name)
		h.sites[name] = s
		select {
		case h.fresh <- s:
		default:
		}
	}
	return s
}

// known gives nil if the host has never heard of the site.
func (h *Host) known(name noon.Site) *site {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sites[name]
}

func (h *Host) allSites() []*site {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Values(h.sites))
}

// Sites lists the sites the host has heard of, sorted.
func (h *Host) Sites(context.Context) ([]noon.Site, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.SortedFunc(maps.Keys(h.sites), func(a, b noon.Site) int { return strings.Compare(a.Key(), b.Key()) }), nil
}

// changed takes a report of the runner in.
func (h *Host) changed(s Status) {
	l, err := parseLabels(s.Labels)
	if err != nil {
		h.cfg.Log.Error("process is not of this host", "process", s.ID, "err", err)
		return
	}
	if l.Task != "" {
		h.taskChanged(l, s)
		return
	}
	h.site(l.Site).changed(l, s)
}
