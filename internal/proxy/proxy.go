package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"hash/maphash"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/proxy/cert"
	"github.com/noon-deploy/noon/internal/proxy/meter"
	"github.com/noon-deploy/noon/internal/sockets"
)

// Config is what a proxy needs to know to begin.
type Config struct {
	Dir       string   // of its own; created if it does not exist
	Listen    []string // addresses for users: "127.0.0.1:8080"
	Control   string   // path of the socket that Client speaks to
	Log       *slog.Logger
	Faults    *fault.Points
	Version   string
	Inherited *Inherited // from Inherit; nil if nothing was handed to this process
	Holder    string     // socket of who holds the listeners, see sockets; "" if nobody does
	Limits    Limits
	Access    *meter.Log // nil: no access log
	// Certificates is where several proxies keep accounts and certificates
	// together; nil: in Dir alone.
	Certificates cert.Shared
}

// Limits bound what the proxy waits for. Zero means the default.
type Limits struct {
	Hold      time.Duration // how long a request waits for a ready endpoint
	HoldMost  int           // requests of one site that wait at the same time
	FirstByte time.Duration // from the request to the answer's first byte, except for streams
	Header    time.Duration // for a client to send a request's header
	Idle      time.Duration // how long a client's connection may carry nothing
	Stop      time.Duration // for requests in flight when Run's context ends
	Linger    time.Duration // for what is left in a proxy that has a successor
	Start     time.Duration // for a successor to become ready
	// Connections is how many connections of users are open at a time; the
	// default is a third of the files that the process may open.
	Connections int
}

func (l Limits) withDefaults() Limits {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&l.Hold, 5*time.Second)
	set(&l.FirstByte, time.Minute)
	set(&l.Header, 10*time.Second)
	set(&l.Idle, 75*time.Second)
	set(&l.Stop, 10*time.Second)
	set(&l.Linger, time.Hour)
	set(&l.Start, 10*time.Second)
	if l.HoldMost == 0 {
		l.HoldMost = 1000
	}
	if l.Connections == 0 {
		l.Connections = usualConnections()
	}
	return l
}

// maxHeader bounds a request's header, in bytes.
const maxHeader = 64 << 10

// Proxy sends requests to instances. Open makes one.
type Proxy struct {
	cfg    Config
	limits Limits
	log    *slog.Logger
	store  store

	slabs    slabs
	turns    turns
	heard    heards
	ids      requestIDs
	sweeper  sweeper
	meter    meter.Registry
	bequests bequests
	seed     maphash.Seed
	certs    *cert.Store
	tls      *tls.Config
	web      handOff
	// nowhere counts what belongs to no site.
	nowhere *meter.Series

	snap        atomic.Pointer[snapshot]
	heldUnknown atomic.Int64 // requests that wait for a site that could not be read
	active      gauge        // requests in the handler
	draining    atomic.Bool  // a successor takes the new connections
	first       atomic.Bool  // no proxy before this one is left

	// changes serialises whatever replaces the snapshot or the process.
	changes  sync.Mutex
	handed   bool // under changes: the successor's word counts
	changing changing

	mu        sync.Mutex // short: protects the maps
	sites     map[noon.Site]*siteState
	endpoints map[string]*endpoint

	lock      *os.File
	listeners []namedListener
	control   *net.UnixListener
	users     users
	checkups  health
	outliers  outliers
	parts     *server       // noon's own
	private   *server       // control of a proxy that has a successor
	over      chan struct{} // closed once a successor has taken over
}

// siteState is what is known of one site. The routing and what goes with it
// change under Proxy.changes and Proxy.mu.
type siteState struct {
	routing   noon.Routing
	removed   bool   // only the fence is kept, so that nobody older brings it back
	problem   string // the configuration could not be read; the routing is empty
	held      atomic.Int64
	parked    queue // requests that wait for the end of a hold
	crowd     crowd
	budget    budget
	trouble   error        // with the treatment of its requests
	suspect   atomic.Bool  // an instance has answered 5xx lately
	ejections atomic.Int64 // how often one was left out

	endpoints map[string]*endpoint // routed, or at work
	view      *siteView            // in the current snapshot
}

func newSiteState(r noon.Routing) *siteState {
	return &siteState{routing: r, endpoints: map[string]*endpoint{}}
}

// Open locks the directory, reads the last good configuration of every site
// and binds the listeners, or takes those that were inherited. It serves
// nothing before Run.
func Open(cfg Config) (*Proxy, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &Proxy{
		cfg: cfg, limits: cfg.Limits.withDefaults(), log: cfg.Log,
		store: newStore(cfg.Dir, cfg.Faults),
		sites: map[noon.Site]*siteState{}, endpoints: map[string]*endpoint{},
		over: make(chan struct{}), ids: newRequestIDs(),
	}
	p.seed, p.nowhere = maphash.MakeSeed(), p.meter.Series(meter.Key{})
	p.sweeper.start, p.users.broken = time.Now(), make(chan error, 1)
	p.users.seats.open(p.limits.Connections)
	p.web = handOff{server: p.newWeb(), conns: make(chan net.Conn), done: make(chan struct{})}
	if err := p.open(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *Proxy) open() error {
	if err := checkSocketPath(p.cfg.Control); err != nil {
		return err
	}
	var err error
	if p.lock, err = lockDir(p.cfg.Dir, p.cfg.Inherited); err != nil {
		return err
	}
	if p.sites, err = p.store.load(); err != nil {
		return err
	}
	for _, state := range p.sites {
		if state.problem != "" {
			p.log.Error("configuration of a site can not be read", "site", state.routing.Site.String(), "err", state.problem)
		}
	}
	if err := p.openCerts(); err != nil {
		return err
	}
	p.publish()
	if p.listeners, err = listenAll(p.cfg.Listen, p.cfg.Inherited); err != nil {
		return err
	}
	if p.control, err = listenControl(p.cfg.Control, p.cfg.Inherited); err != nil {
		return err
	}
	p.parts = newServer(p.controlHandler(false), p.limits, slog.NewLogLogger(p.log.Handler(), slog.LevelWarn))
	return nil
}

// close gives back what open has taken.
func (p *Proxy) close() {
	for _, l := range p.listeners {
		_ = l.Close() // nothing is lost: it may be closed already
	}
	if p.control != nil {
		_ = p.control.Close()
	}
	if p.lock != nil {
		_ = p.lock.Close()
	}
	if p.certs != nil {
		_ = p.certs.Close() // ends what it has begun
	}
}

// Addrs returns the addresses that users are served on.
func (p *Proxy) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(p.listeners))
	for i, l := range p.listeners {
		addrs[i] = l.Addr()
	}
	return addrs
}

// Run serves until ctx ends, or until a successor has taken over and nothing
// is left to finish. Without a successor, requests in flight get a moment.
func (p *Proxy) Run(ctx context.Context) error {
	defer p.close()
	p.tellHolder(ctx, sockets.Candidate)
	if err := p.cfg.Inherited.begin(); err != nil {
		return err
	}
	stopSweeping := p.sweep() //nolint:contextcheck // it ends after everything else
	defer stopSweeping()
	for _, l := range p.listeners {
		p.serve(l) //nolint:contextcheck // connections outlive the call
	}
	p.parts.serve(p.control)
	p.tellHolder(ctx, sockets.Serving)
	p.cfg.Inherited.serving()
	p.log.InfoContext(ctx, "proxy is serving", "version", p.cfg.Version, "pid", os.Getpid(), "addresses", fmt.Sprint(p.Addrs()))
	var err error
	select {
	case <-ctx.Done():
		err = p.stop(ctx)
	case <-p.over:
		err = p.finish(ctx)
	case err = <-p.users.broken:
		err = &noon.Error{Kind: noon.Internal, Op: "accept connections", Err: err, Hint: "The proxy stops; start it again."}
	}
	p.closeUsers()
	p.parts.close()
	p.closePrivate()
	p.retireAll()
	return err
}

// stop ends a proxy that has no successor.
func (p *Proxy) stop(ctx context.Context) error {
	p.draining.Store(true)
	p.users.closeListeners()
	p.web.leave()
	p.parts.closeListeners()
	// Taken so that no upgrade begins; one that is under way has ended.
	p.changes.Lock()
	handed := p.handed
	p.handed = true
	p.changes.Unlock()
	if handed {
		return p.finish(ctx)
	}
	left, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.limits.Stop)
	defer cancel()
	if p.active.wait(left) != nil {
		p.endEverything(context.WithoutCancel(ctx))
	}
	_ = os.Remove(p.cfg.Control) // a stale socket is replaced by the next proxy anyway
	return nil
}

// finish lets everything end that this process has begun, now that another one
// takes what is new. Idle connections are not closed: their clients may be
// sending at this moment. They are answered, and told to make a new one.
func (p *Proxy) finish(ctx context.Context) error {
	left, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.limits.Linger)
	defer cancel()
	told := context.AfterFunc(ctx, func() { time.AfterFunc(p.limits.Stop, cancel) })
	defer told()
	p.log.InfoContext(ctx, "a successor serves, finishing what is left", "pid", os.Getpid())
	for {
		if p.users.open.wait(left) != nil || p.active.wait(left) != nil {
			p.endLong(context.WithoutCancel(ctx))
			break
		}
		// A connection that switched protocols is no longer open to the server but
		// its handler is active; neither may have begun in between.
		if p.users.open.n.Load() == 0 && p.active.n.Load() == 0 {
			break
		}
	}
	p.bequeath(context.WithoutCancel(ctx))
	calls, cancelCalls := context.WithTimeout(context.WithoutCancel(ctx), callGrace)
	defer cancelCalls()
	if p.parts.open.wait(calls) != nil {
		p.log.WarnContext(ctx, "a call was still open when the proxy ended")
	}
	return nil
}

// callGrace is how long calls of noon's own parts may take once the process
// has nothing else to do.
const callGrace = 2 * time.Second

// endLong ends what has been in flight for long. A user may be sending a
// request on an old connection just now: what has begun lately, or begins, has
// as long as if the proxy were stopped.
func (p *Proxy) endLong(ctx context.Context) {
	left, cancel := context.WithTimeout(ctx, p.limits.Stop)
	defer cancel()
	before := p.sweeper.clock() - p.limits.Stop.Milliseconds()
	for _, e := range p.allEndpoints() {
		e.endBefore(before)
	}
	if p.active.wait(left) != nil {
		p.endEverything(ctx)
	}
}

func (p *Proxy) allEndpoints() []*endpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Values(p.endpoints))
}

// endEverything ends what is in flight, as kindly as its protocol allows.
func (p *Proxy) endEverything(ctx context.Context) {
	for _, e := range p.allEndpoints() {
		e.endAll()
	}
	last, cancel := context.WithTimeout(ctx, endGrace+time.Second)
	defer cancel()
	if p.active.wait(last) != nil {
		p.log.WarnContext(ctx, "requests had to be cut", "count", p.active.n.Load())
	}
}

// sweep keeps the limits of time until the function it returns was called.
func (p *Proxy) sweep() func() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { p.sweeper.run(ctx, p.pools) })
	wg.Go(func() { p.forgetSeries(ctx) })
	wg.Go(func() { p.checkHealth(ctx) })
	wg.Go(func() {
		if err := p.certs.Run(ctx); err != nil {
			p.log.Error("certificates", "err", err)
		}
	})
	wg.Go(func() { _ = p.web.server.Serve(&p.web) }) // ends with the proxy
	return func() { cancel(); wg.Wait() }
}

func (p *Proxy) pools() []*pool {
	p.mu.Lock()
	defer p.mu.Unlock()
	pools := make([]*pool, 0, len(p.endpoints))
	for _, e := range p.endpoints {
		pools = append(pools, e.pool)
	}
	return pools
}

func (p *Proxy) retireAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.endpoints {
		e.retire()
	}
}

// server is an http.Server that is never shut down by Shutdown: that loses
// requests (golang/go#75591). It knows how many connections are open.
type server struct {
	http      http.Server
	open      gauge      // connections that have not ended or switched protocols
	broken    chan error // first listener that failed by itself
	mu        sync.Mutex
	listeners []net.Listener
	closing   bool
	loops     sync.WaitGroup
}

func newServer(handler http.Handler, limits Limits, log *log.Logger) *server {
	s := &server{broken: make(chan error, 1)}
	s.http = http.Server{
		Handler: handler, ReadHeaderTimeout: limits.Header, IdleTimeout: limits.Idle,
		MaxHeaderBytes: maxHeader, ErrorLog: log, ConnState: s.connState,
	}
	return s
}

func (s *server) connState(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.open.add(1)
	case http.StateClosed, http.StateHijacked:
		s.open.add(-1)
	case http.StateActive, http.StateIdle:
	}
}

// serve accepts connections until closeListeners.
func (s *server) serve(l net.Listener) {
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	s.loops.Go(func() {
		err := s.http.Serve(l)
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closing {
			select {
			case s.broken <- err:
			default:
			}
		}
	})
}

// closeListeners returns when every connection that was accepted is served.
func (s *server) closeListeners() {
	s.mu.Lock()
	s.closing = true
	listeners := s.listeners
	s.listeners = nil
	s.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close() // what could be lost is with the successor's copy
	}
	s.loops.Wait()
}

// close ends every connection that is left.
func (s *server) close() {
	s.closeListeners()
	_ = s.http.Close() // its listeners are closed already
}
