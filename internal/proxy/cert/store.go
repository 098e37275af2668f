package cert

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/noon-deploy/noon"
)

// Config is what a Store needs to know to begin.
type Config struct {
	Dir    string         // of its own; certificates, accounts and ticket keys are kept here
	Log    *slog.Logger   // nil: nothing is logged
	Shared Shared         // where several proxies keep things together; nil: in Dir alone
	Ask    Asker          // for on-demand certificates; nil: no app can be asked
	Roots  *x509.CertPool // by which ACME directories are trusted; nil: the system's
	Look   time.Duration  // between looks at files; zero: 2s
	Renew  time.Duration  // between looks at what is due for renewal; zero: 10m
}

// Asker sends a request to an app, through its routing as any other request.
type Asker interface {
	// Ask gives the status of the answer to a GET of target, a path with query.
	Ask(ctx context.Context, site noon.Site, target string) (status int, err error)
}

// Site is what the Store needs to know of one site.
type Site struct {
	Site    noon.Site
	Domains []string
	TLS     *noon.TLS // nil: it is served in plain alone
}

// Store has the certificates of all sites. Its methods may be called from many
// goroutines.
type Store struct {
	cfg        Config
	log        *slog.Logger
	now        func() time.Time
	local      *keep // in Dir
	store      *keep // the shared one, or local
	challenges *challenges
	tickets    tickets
	http       *http.Client
	cache      *certmagic.Cache // obtained certificates
	staples    *certmagic.Cache // those of files, to have them stapled
	stapling   *certmagic.Config
	doors      []*door
	table      atomic.Pointer[table]
	changed    chan struct{} // Run has something to begin
	work       sync.WaitGroup
	closing    sync.Once

	mu       sync.Mutex // what Set and Run change
	sites    []Site
	keys     [][]byte // of tickets
	lines    map[account]*line
	pairs    map[noon.CertificateFiles]*pair
	names    map[string]*line // that are obtained without being asked for
	own      *authority
	problems map[string]string // by name
}

// account is what tells one ACME account from another.
type account struct{ directory, email string }

// line is one account with an authority.
type line struct {
	issuer  *issuer
	managed *certmagic.Config
}

// Open reads what is kept in the directory. Close gives back what it takes.
func Open(cfg Config) (*Store, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Look == 0 {
		cfg.Look = 2 * time.Second
	}
	dir, err := NewDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	inner := &door{Shared: dir}
	s := &Store{
		cfg: cfg, log: cfg.Log, now: time.Now, local: newKeep(inner), doors: []*door{inner}, changed: make(chan struct{}, 1),
		tickets: tickets{filepath.Join(cfg.Dir, "tickets.json"), time.Now},
		http:    acmeClient(cfg.Roots),
		lines:   map[account]*line{}, pairs: map[noon.CertificateFiles]*pair{}, names: map[string]*line{}, problems: map[string]string{},
	}
	s.local.wait = time.Second / 10 // it is on this machine
	s.store = s.local
	if cfg.Shared != nil {
		outer := &door{Shared: cfg.Shared}
		s.store, s.doors = newKeep(outer), append(s.doors, outer)
	}
	s.challenges = newChallenges(s.store.Shared)
	if err := s.turnTickets(context.Background()); err != nil {
		return nil, &noon.Error{Kind: noon.Failure, Op: "keep the keys of TLS sessions", Subject: cfg.Dir, Err: err, Hint: "Check that the disk is not full and the directory may be written to."}
	}
	s.table.Store(&table{})
	s.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: s.configOf, RenewCheckInterval: cfg.Renew, Capacity: cacheMost, Logger: zapTo(s.log),
	})
	s.staples = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return s.stapling, nil }, Logger: zapTo(s.log),
	})
	s.stapling = s.newConfig(s.staples, nil)
	return s, nil
}

// cacheMost bounds the certificates in memory: on-demand ones are read again.
const cacheMost = 20_000

// acmeClient is how authorities are spoken to.
func acmeClient(roots *x509.CertPool) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	transport.TLSClientConfig = clientTLS(roots)
	transport.ResponseHeaderTimeout = 30 * time.Second
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// newConfig is how certmagic handles the certificates of an issuer.
func (s *Store) newConfig(cache *certmagic.Cache, from *issuer) *certmagic.Config {
	cfg := certmagic.Config{Storage: s.store, Logger: zapTo(s.log), OnEvent: s.event, Issuers: []certmagic.Issuer{}}
	if s.store != s.local {
		cfg.LocalCache = s.local
	}
	if from != nil {
		cfg.Issuers = []certmagic.Issuer{from}
	}
	return certmagic.New(cache, cfg)
}

// Set makes exactly these sites the current ones. What can not be used of them
// is told, and tried again; the rest is current all the same.
func (s *Store) Set(sites []Site) error {
	sites = slices.DeleteFunc(slices.Clone(sites), func(x Site) bool { return x.TLS == nil })
	slices.SortFunc(sites, func(a, b Site) int { return strings.Compare(a.Site.Key(), b.Site.Key()) })
	s.mu.Lock()
	if reflect.DeepEqual(sites, s.sites) {
		s.mu.Unlock()
		return nil
	}
	fresh, err := s.replace(sites)
	s.mu.Unlock()
	s.loadAll(fresh)
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return err
}

// replace builds the table of sites. It gives the names that are new.
func (s *Store) replace(sites []Site) (fresh []managedName, err error) {
	before := s.table.Load()
	next := newTable()
	pairs, names := map[noon.CertificateFiles]*pair{}, map[string]*line{}
	var errs []error
	for _, site := range sites {
		p, err := s.policyOf(before, site, pairs)
		if err != nil {
			errs = append(errs, &noon.Error{
				Kind: noon.Failure, Op: "serve over TLS", Subject: site.Site.String(), Err: err,
				Hint: "It is tried again, and what was in use goes on being used. Check that the files are there, fit together, and can be read by the proxy.",
			})
		}
		if o, ok := p.from.(obtained); ok {
			for name := range o.domains {
				names[name] = o.line
			}
		}
		next.add(p)
	}
	for name, l := range names {
		if s.names[name] != l {
			fresh = append(fresh, managedName{name, l})
		}
	}
	var gone []certmagic.SubjectIssuer
	for name := range s.names {
		if names[name] == nil {
			gone = append(gone, certmagic.SubjectIssuer{Subject: name})
			delete(s.problems, name)
		}
	}
	for files, p := range s.pairs {
		if pairs[files] == nil {
			p.forget(s.staples)
		}
	}
	s.sites, s.pairs, s.names = sites, pairs, names
	s.table.Store(next)
	s.cache.RemoveManaged(gone) // after the table, so that nobody asks for them any more
	return fresh, errors.Join(errs...)
}

// policyOf gives a site's policy, the one before if nothing has changed. The
// policy is usable also when there is an error: then it lets nobody in.
func (s *Store) policyOf(before *table, site Site, pairs map[noon.CertificateFiles]*pair) (*policy, error) {
	if p := before.bySite[site.Site]; p != nil && reflect.DeepEqual(p.site, site) {
		if _, ok := p.from.(files); ok {
			for _, c := range site.TLS.Certificates {
				pairs[c] = s.pairs[c]
			}
		}
		return p, nil
	}
	p := &policy{site: site}
	var err error
	switch t := site.TLS; {
	case len(t.Certificates) > 0:
		p.from, err = s.filesOf(t.Certificates, pairs)
	case t.ACME != nil:
		p.from = s.obtainedOf(site)
	case t.Internal:
		p.from, err = s.ownAuthority()
	default:
		p.from, err = nothing{}, errors.New("it does not say where certificates come from")
	}
	return p, errors.Join(err, p.renew(s.keys))
}

func (s *Store) filesOf(all []noon.CertificateFiles, pairs map[noon.CertificateFiles]*pair) (source, error) {
	var from files
	for _, c := range all {
		if pairs[c] == nil {
			pairs[c] = s.pairs[c]
		}
		if pairs[c] == nil {
			pairs[c] = &pair{files: c, now: s.now}
		}
		from = append(from, pairs[c])
	}
	return from, from.reload()
}

func (s *Store) ownAuthority() (source, error) {
	if s.own != nil {
		return s.own, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	// What is in the directory is good without the controller.
	own, err := loadAuthority(ctx, s.local, s.now)
	if err != nil {
		if own, err = openAuthority(ctx, s.store, s.now); err != nil {
			return nothing{}, err
		}
		if s.store != s.local {
			data, lerr := s.store.Load(ctx, internalRoot)
			if lerr == nil {
				lerr = s.local.Store(ctx, internalRoot, data)
			}
			err = lerr
		}
	}
	s.own = own
	return own, err
}

func (s *Store) obtainedOf(site Site) source {
	acme := *site.TLS.ACME
	acme.OnDemand = nil
	if acme.Directory == "" {
		acme.Directory = noon.LetsEncrypt
	}
	key := account{acme.Directory, acme.Email}
	l := s.lines[key]
	if l == nil || l.issuer.settings != acme {
		i := &issuer{settings: acme, store: s.store, http: s.http, challenges: s.challenges, log: s.log, orders: newBucket(1, ordersAtOnce)}
		l = &line{issuer: i, managed: s.newConfig(s.cache, i)}
		s.lines[key] = l
	}
	o := obtained{line: l, domains: map[string]bool{}}
	for _, d := range site.Domains {
		if name := normalHost(d); validHost(name) {
			o.domains[name] = true
			if o.first == "" {
				o.first = name
			}
		}
	}
	if rule := site.TLS.ACME.OnDemand; rule != nil {
		g := newGate(site.Site, *rule, s.cfg.Ask, s.now)
		o.demand = s.newConfig(s.cache, l.issuer)
		o.demand.OnDemand = &certmagic.OnDemandConfig{DecisionFunc: g.may}
	}
	return o
}

// ServeChallenge answers an authority that asks over plain HTTP. It is not ok
// for all other requests: the app may have challenges of its own.
func (s *Store) ServeChallenge(host, path string) (body string, ok bool) {
	if !strings.HasPrefix(path, challengePath) {
		return "", false
	}
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	return s.challenges.http(ctx, normalHost(host), path)
}

// InternalRoot is the certificate of the own authority in PEM, nil if no site
// has asked for it.
func (s *Store) InternalRoot() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own == nil {
		return nil
	}
	return s.own.pem()
}

// Close ends what Open has begun, once Run has ended. Handshakes go on to be answered with what is
// in memory.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.work.Wait()
		s.cache.Stop()
		s.staples.Stop()
		for _, d := range s.doors {
			d.close()
		}
		s.http.CloseIdleConnections()
	})
	return nil
}
