package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/proxy/cert/sharing"
	"github.com/noon-deploy/noon/internal/schedule"
	"github.com/noon-deploy/noon/internal/walk"
)

// Options are what the parts of noon are started with.
type Options struct {
	Paths   Paths
	Listen  []string // addresses for users
	Metrics string   // loopback address that answers GET /metrics; "" none
	Access  AccessOptions
	Binary  string // absolute path of noon, for the parts it starts
	Version string
	Log     *slog.Logger
	Faults  *fault.Points
	Ready   func() // called once everything answers; may be nil
}

// ending is why Serve ends.
type ending int

const (
	endStop    ending = iota // asked by a signal: everything else goes on
	endUpgrade               // another binary takes over this process
	endDown                  // everything was stopped
)

// Serve runs the controller until ctx ends, and has the host part and the
// proxy running. They and the apps go on when it ends. It returns the binary
// to go on with if it was asked to upgrade, else "".
func Serve(ctx context.Context, opts Options) (next string, err error) {
	if err := opts.Paths.Prepare(); err != nil {
		return "", err
	}
	if _, _, err := accessConfig(opts); err != nil {
		return "", err // told here, where a person reads it, not by the proxy
	}
	lock, err := lockData(ctx, opts.Paths)
	if err != nil {
		return "", err
	}
	defer lock.Close() // frees the lock
	c, err := newController(ctx, opts)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	return c.serve(ctx)
}

// lockData takes the data directory for this process. The kernel frees it when
// the process ends, however it ends: there is no stale lock.
func lockData(ctx context.Context, p Paths) (*os.File, error) {
	f, err := os.OpenFile(p.LockFile(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, &noon.Error{Kind: noon.Invalid, Op: "lock", Subject: p.LockFile(), Err: err, Hint: "Name a data directory you may write to with --data."}
	}
	if err := waitLock(ctx, f); err != nil {
		f.Close()
		return nil, &noon.Error{
			Kind: noon.Conflict, Op: "serve", Subject: p.Data, Err: errors.New("another controller works on this data directory"),
			Hint: "`noon status` asks it. To go on with another binary use `noon upgrade`; to stop it, end its `noon serve`.",
		}
	}
	return f, nil
}

// endingLimit is how long a controller that is ending may still hold the lock.
const endingLimit = 3 * time.Second

func waitLock(ctx context.Context, f *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, endingLimit)
	defer cancel()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil || ctx.Err() != nil {
			return err
		}
		sleep(ctx, lookEvery)
	}
}

func (c *Controller) serve(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var once sync.Once
	how := endStop
	c.end = func(e ending) {
		once.Do(func() {
			how = e
			cancel()
		})
	}
	faces, err := c.listen(ctx)
	if err != nil {
		return "", err
	}
	group, ctx := errgroup.WithContext(ctx)
	keeping, stopKeeping := context.WithCancel(ctx)
	defer stopKeeping()
	var keepers sync.WaitGroup
	c.leaveParts = func() {
		stopKeeping()
		keepers.Wait()
	}
	for _, name := range []string{partSockets, "proxy", "host"} {
		c.setPart(name, errStarting)
	}
	c.spawn = func(do func(context.Context)) {
		group.Go(func() error {
			do(ctx)
			return nil
		})
	}
	keepers.Go(func() { c.opts.holderPart().keepHolder(keeping, c.setPart) })
	keepers.Go(func() { c.opts.hostPart().keep(keeping, c.setPart) })
	group.Go(func() error { return c.whenUp(ctx, group) })
	for _, f := range faces {
		group.Go(func() error { return serveHTTP(ctx, f.listener, f.handler) })
	}
	err = group.Wait()
	c.leaveParts()
	if how == endUpgrade {
		return c.opts.Binary, errors.Join(err, c.stopParts(context.WithoutCancel(ctx), "host"))
	}
	return "", err
}

// face is one of the ways in which a controller is spoken to.
type face struct {
	listener net.Listener
	handler  http.Handler
}

// listen binds everything that the controller answers on.
func (c *Controller) listen(ctx context.Context) (faces []face, err error) {
	defer func() {
		if err != nil {
			for _, f := range faces {
				_ = f.listener.Close() // nobody was answered yet
			}
		}
	}()
	handler, err := api.NewHandler(c.routes())
	if err != nil {
		return nil, err
	}
	for path, h := range map[string]http.Handler{
		c.opts.Paths.APISocket():         handler,
		c.opts.Paths.CertificateSocket(): sharing.Handler(c.ledger.Certificates()),
	} {
		l, err := listenUnix(ctx, path)
		if err != nil {
			return faces, err
		}
		faces = append(faces, face{l, h})
	}
	metrics, err := listenMetrics(ctx, c.opts.Metrics)
	if metrics != nil {
		faces = append(faces, face{metrics, api.NewMetricsHandler(c.routes())})
	}
	return faces, err
}

// whenUp starts working once every part answers.
func (c *Controller) whenUp(ctx context.Context, group *errgroup.Group) error {
	for {
		problem, changed := c.partProblem()
		if problem == "" {
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
	c.compareListen(ctx)
	sites, err := c.ledger.Sites(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.run = func(l *walk.Line) { group.Go(func() error { return c.runLine(ctx, l) }) }
	for _, line := range c.lines {
		c.run(line)
	}
	c.mu.Unlock()
	for _, site := range sites {
		c.wake(site)
	}
	scheduler := &schedule.Scheduler{Sites: c.jobSites, Book: book{c.ledger}, Starter: starter{c}, Log: c.opts.Log}
	group.Go(func() error { scheduler.Run(ctx); return nil })
	if c.opts.Ready != nil {
		c.opts.Ready()
	}
	return nil
}

// compareListen tells if the proxy, which outlives controllers, was started
// with other addresses than this controller.
func (c *Controller) compareListen(ctx context.Context) {
	health, err := c.proxy.Health(ctx)
	if err != nil || slices.Equal(health.Asked, c.opts.Listen) {
		return
	}
	c.opts.Log.Warn("the proxy that runs listens elsewhere; noon upgrade makes it listen where this controller was told to",
		"listens", health.Asked, "told", c.opts.Listen)
}

// runLine works on a site until the controller ends. Losing one site to
// another controller is no reason to lose the others.
func (c *Controller) runLine(ctx context.Context, l *walk.Line) error {
	for {
		err := l.Run(ctx)
		if ctx.Err() != nil || err == nil {
			return nil //nolint:nilerr // the controller ends
		}
		c.opts.Log.Error("site lost, taking it again", "site", l.Site.String(), "err", err)
		sleep(ctx, restartMost)
	}
}

// listenUnix binds a socket, replacing one that nobody listens on any more.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, &noon.Error{Kind: noon.Invalid, Op: "listen on", Subject: path, Err: err, Hint: "Name another directory for the sockets with --run."}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("protect socket: %w", err)
	}
	return l, nil
}

// stopGrace is how long requests to the API may take to end.
const stopGrace = 2 * time.Second

func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve the API: %w", err)
	case <-ctx.Done():
	}
	// Clients of the API ask again by themselves; see api.Client.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		_ = srv.Close() // what does not end is cut off
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the API: %w", err)
	}
	return nil
}

func (c *Controller) routes() api.Controller {
	return api.Controller{
		Health: c.Health, Releases: c.Releases, AddRelease: c.AddRelease, Plan: c.Plan, Deploy: c.Deploy,
		Deployments: c.Deployments, Deployment: c.Deployment, Watch: c.Watch, Approve: c.Approve, Abort: c.Abort,
		Status: c.Status, Halt: c.Halt, Config: c.Config, SetConfig: c.SetConfig, Logs: c.Logs, Doctor: c.Doctor,
		Traffic: c.proxy.Traffic, Routed: c.proxy.Show, Metrics: c.proxy.Metrics, Access: c.Access,
		Rehearsals: api.RehearsalDesk{
			Rehearse: c.Rehearse, Rehearsals: c.Rehearsals, Rehearsal: c.Rehearsal, WatchRehearsal: c.WatchRehearsal, StopRehearsal: c.StopRehearsal,
		},
		Backup: c.ledger.Backup, Upgrade: c.Upgrade, Down: c.Down,
	}
}
