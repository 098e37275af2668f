package cert

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/noon-deploy/noon"
)

// managedName is a name whose certificate is kept without being asked for.
type managedName struct {
	name string
	line *line
}

const (
	loadWait   = 3 * time.Second // for certificates on disk, before handshakes come
	loadAtOnce = 16
	againAfter = 5 * time.Minute
	ticketLook = time.Minute
)

// loadAll puts certificates that were obtained before into memory, so that a
// new process is as good as the one before it. It does not wait for a network.
func (s *Store) loadAll(names []managedName) {
	places := make(chan struct{}, loadAtOnce)
	var loads sync.WaitGroup
	for _, n := range names {
		loads.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			ctx, cancel := context.WithTimeout(context.Background(), 10*loadWait)
			defer cancel()
			// What is not there is obtained by Run.
			_ = s.load(ctx, n)
		})
	}
	done := make(chan struct{})
	s.work.Go(func() {
		loads.Wait()
		close(done)
	})
	limit := time.NewTimer(loadWait)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
	}
}

// load puts a stored certificate into memory, in place of those that another
// authority has issued.
func (s *Store) load(ctx context.Context, n managedName) error {
	if _, err := n.line.managed.CacheManagedCertificate(ctx, n.name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var others []certmagic.SubjectIssuer
	for _, l := range s.lines {
		if key := l.issuer.IssuerKey(); key != n.line.issuer.IssuerKey() {
			others = append(others, certmagic.SubjectIssuer{Subject: n.name, IssuerKey: key})
		}
	}
	if s.names[n.name] == nil {
		others = append(others, certmagic.SubjectIssuer{Subject: n.name}) // Set was faster
	}
	s.cache.RemoveManaged(others)
	return nil
}

// Run obtains and renews certificates, has them stapled, and follows files,
// until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	defer loops.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	loops.Go(func() { s.stapleAll(ctx) })
	workers := map[string]worker{}
	look, turn := time.NewTicker(s.cfg.Look), time.NewTicker(ticketLook)
	defer look.Stop()
	defer turn.Stop()
	handed := make(chan struct{})
	loops.Go(func() { s.handAll(ctx, handed) })
	var changed <-chan struct{} // nil: what this proxy has already must not be obtained again
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-handed:
			handed, changed = nil, s.changed
		case <-changed:
			s.begin(ctx, &loops, workers)
		case <-look.C:
			s.look()
		case <-turn.C:
			if err := s.turnTickets(ctx); err != nil {
				s.log.WarnContext(ctx, "keys of TLS sessions are not renewed", "err", err)
			}
		}
	}
}

// worker obtains the certificate of one name.
type worker struct {
	line *line
	end  context.CancelFunc
}

// begin starts a worker for every name that is new, and ends those of names
// that are not wanted any more.
func (s *Store) begin(ctx context.Context, loops *sync.WaitGroup, workers map[string]worker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, w := range workers {
		if s.names[name] != w.line {
			w.end()
			delete(workers, name)
		}
	}
	for name, l := range s.names {
		if _, ok := workers[name]; ok {
			continue
		}
		own, end := context.WithCancel(ctx)
		workers[name] = worker{l, end}
		loops.Go(func() {
			defer end()
			s.keepObtained(own, managedName{name, l})
		})
	}
}

// keepObtained sees to it that a name has a certificate. From then on
// certmagic renews it.
func (s *Store) keepObtained(ctx context.Context, n managedName) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		// It does nothing if there is one, and tries for a month if need be.
		err := n.line.managed.ObtainCertAsync(ctx, n.name)
		if err == nil {
			err = s.load(ctx, n)
		}
		if err == nil {
			// It may be one that has waited long.
			err = s.cache.RenewManagedCertificates(ctx)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		s.problem(n.name, err)
		s.log.WarnContext(ctx, "a certificate can not be had", "name", n.name, "err", err, "again_after", againAfter)
		s.dropUnusable(ctx, n)
		wait.Reset(againAfter)
	}
}

// dropUnusable removes a stored certificate that can not be read: it stands in
// the way of a new one.
func (s *Store) dropUnusable(ctx context.Context, n managedName) {
	key := certmagic.StorageKeys.SiteCert(n.line.issuer.IssuerKey(), n.name)
	item, _, _ := pairItem(key)
	data, _, err := s.store.Shared.Load(ctx, item)
	if err != nil || usablePair(data) {
		return
	}
	s.log.WarnContext(ctx, "a stored certificate is damaged and is obtained anew", "name", n.name)
	if err := s.store.Delete(ctx, key); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.WarnContext(ctx, "a damaged certificate can not be removed", "name", n.name, "err", err)
	}
}

// look reads what may have changed in files.
func (s *Store) look() {
	s.mu.Lock()
	pairs, keys := s.pairs, s.keys
	s.mu.Unlock()
	for files, p := range pairs {
		before := p.trouble()
		changed, err := p.reload()
		switch {
		case changed:
			s.log.Info("a certificate was read from its files", "cert", files.Cert)
		case err != nil && fmt.Sprint(before) != err.Error():
			s.log.Warn("a certificate can not be read from its files, the one before stays", "cert", files.Cert, "key", files.Key, "err", err)
		}
	}
	for _, p := range s.table.Load().bySite {
		if p.stale() {
			if err := p.renew(keys); err != nil {
				s.log.Warn("authorities of clients can not be read", "site", p.site.Site.String(), "err", err)
			}
		}
	}
}

func (p *pair) trouble() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.problem
}

// turnTickets takes the keys of tickets that are to be used now.
func (s *Store) turnTickets(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	if err := s.local.Lock(ctx, "tickets"); err != nil {
		return err
	}
	keys, err := s.tickets.keys()
	if err := errors.Join(err, s.local.Unlock(ctx, "tickets")); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.EqualFunc(keys, s.keys, slices.Equal) {
		return nil
	}
	s.keys = keys
	if t := s.table.Load(); t != nil {
		for _, p := range t.bySite {
			_ = p.renew(keys) // what is wrong with the client authorities was told by Set
		}
	}
	return nil
}

// stapleAll has the certificates of files stapled. It waits for a network, so
// it is a loop of its own.
func (s *Store) stapleAll(ctx context.Context) {
	tick := time.NewTicker(s.cfg.Look)
	defer tick.Stop()
	for {
		s.mu.Lock()
		pairs := make([]*pair, 0, len(s.pairs))
		for _, p := range s.pairs {
			pairs = append(pairs, p)
		}
		s.mu.Unlock()
		for _, p := range pairs {
			if err := p.staple(ctx, s.staples, s.stapling); err != nil {
				s.log.WarnContext(ctx, "a certificate can not be stapled", "cert", p.files.Cert, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// handAll gives what was obtained while there was one proxy to the others, once,
// and closes handed when that is done.
func (s *Store) handAll(ctx context.Context, handed chan<- struct{}) {
	if s.store == s.local {
		close(handed)
		return
	}
	wait := time.NewTimer(0)
	defer wait.Stop()
	told := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		err := s.hand(ctx)
		if err == nil {
			close(handed)
			return
		}
		if !told && ctx.Err() == nil {
			told = true
			s.log.WarnContext(ctx, "certificates are not shared yet, and none is obtained until they are", "err", err, "again_after", s.cfg.Look)
		}
		wait.Reset(s.cfg.Look)
	}
}

func (s *Store) hand(ctx context.Context) error {
	const done = "handed-over"
	if _, err := s.local.Load(ctx, done); err == nil {
		return nil
	}
	keys, err := s.local.Shared.List(ctx, "")
	if err != nil {
		return err
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, "certificates/") && !strings.HasPrefix(key, "accounts/") && key != internalRoot {
			continue
		}
		if _, _, err := s.store.Shared.Load(ctx, key); err == nil {
			continue // somebody was faster
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		data, _, err := s.local.Shared.Load(ctx, key)
		if err != nil {
			return err
		}
		if err := s.store.Shared.Store(ctx, key, data); err != nil {
			return err
		}
	}
	return s.local.Store(ctx, done, nil)
}

// configOf tells certmagic how a certificate is renewed.
func (s *Store) configOf(c certmagic.Certificate) (*certmagic.Config, error) {
	if len(c.Names) == 0 {
		return nil, errors.New("a certificate without a name")
	}
	name := c.Names[0]
	if p := s.table.Load().find(name); p != nil {
		if o, ok := p.from.(obtained); ok {
			if o.domains[name] || o.demand == nil {
				return o.line.managed, nil
			}
			return o.demand, nil
		}
	}
	return nil, fmt.Errorf("%s is no site's", name)
}

// event hears what becomes of orders.
func (s *Store) event(ctx context.Context, event string, data map[string]any) error {
	name, _ := data["identifier"].(string)
	switch event {
	case "cert_failed":
		err, _ := data["error"].(error)
		if errors.Is(err, context.Canceled) {
			return nil
		}
		s.problem(name, err)
		s.log.WarnContext(ctx, "a certificate was not issued, it is tried again", "name", name, "renewal", data["renewal"], "err", err)
	case "cert_obtained":
		s.problem(name, nil)
		s.log.InfoContext(ctx, "a certificate was issued", "name", name, "renewal", data["renewal"])
	}
	return nil
}

func (s *Store) problem(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		delete(s.problems, name)
	} else if s.names[name] != nil {
		s.problems[name] = err.Error()
	}
}

// Status is what there is of one certificate.
type Status struct {
	Site     noon.Site `json:"site"`
	Name     string    `json:"name"`   // a domain, or the file of the certificate
	Source   string    `json:"source"` // "files", "acme", "internal"
	NotAfter time.Time `json:"not_after,omitzero"`
	Problem  string    `json:"problem,omitempty"` // why there is none, or no newer one
}

// Status tells of every certificate, sorted by site and name. Names on demand
// are not listed.
func (s *Store) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Status
	for _, p := range s.table.Load().bySite {
		all = append(all, s.statusOf(p)...)
	}
	slices.SortFunc(all, func(a, b Status) int {
		return strings.Compare(a.Site.Key()+" "+a.Name, b.Site.Key()+" "+b.Name)
	})
	return all
}

func (s *Store) statusOf(p *policy) []Status {
	var all []Status
	switch from := p.from.(type) {
	case files:
		for _, f := range from {
			st := Status{Site: p.site.Site, Name: f.files.Cert, Source: "files"}
			if c := f.current.Load(); c != nil && c.Leaf != nil {
				st.NotAfter = c.Leaf.NotAfter
			}
			if err := f.trouble(); err != nil {
				st.Problem = err.Error()
			}
			all = append(all, st)
		}
	case obtained:
		for name := range from.domains {
			st := Status{Site: p.site.Site, Name: name, Source: "acme", Problem: s.problems[name]}
			for _, c := range s.cache.AllMatchingCertificates(name) {
				if c.Leaf != nil && c.Leaf.NotAfter.After(st.NotAfter) {
					st.NotAfter = c.Leaf.NotAfter
				}
			}
			all = append(all, st)
		}
	case *authority:
		all = append(all, Status{Site: p.site.Site, Name: "noon internal authority", Source: "internal", NotAfter: from.root.NotAfter})
	}
	return all
}
