package cert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/noon-deploy/noon"
)

// pair is a certificate and its key in files. They are replaced one after the
// other: what does not fit together is not taken, and read again.
type pair struct {
	files noon.CertificateFiles
	now   func() time.Time

	current atomic.Pointer[tls.Certificate] // nil: there never was a usable pair

	mu      sync.Mutex
	seen    [2]stamp
	problem error
	hash    string // of the certificate in the cache of staples
	stapled *tls.Certificate
}

// stamp tells whether a file has changed.
type stamp struct {
	size     int64
	modified time.Time
	info     os.FileInfo // os.SameFile tells a replaced file
}

// settled is how old a file must be before an equal stamp means equal content:
// clocks of file systems are coarse.
const settled = 3 * time.Second

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.Size(), info.ModTime(), info}, nil
}

func (s stamp) same(other stamp, now time.Time) bool {
	return s.info != nil && other.info != nil && s.size == other.size && s.modified.Equal(other.modified) &&
		os.SameFile(s.info, other.info) && now.Sub(s.modified) > settled
}

// reload reads the files if they may have changed. What was read before stays
// when they can not be used.
func (p *pair) reload() (changed bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	cert, cerr := stampOf(p.files.Cert)
	key, kerr := stampOf(p.files.Key)
	if err := errors.Join(cerr, kerr); err != nil {
		p.seen, p.problem = [2]stamp{}, err
		return false, err
	}
	if now := p.now(); cert.same(p.seen[0], now) && key.same(p.seen[1], now) {
		return false, p.problem
	}
	loaded, err := tls.LoadX509KeyPair(p.files.Cert, p.files.Key)
	if err != nil {
		// Read again at the next look, whatever the stamps say then.
		p.seen, p.problem = [2]stamp{}, fmt.Errorf("%s and %s: %w", p.files.Cert, p.files.Key, err)
		return false, p.problem
	}
	p.seen, p.problem = [2]stamp{cert, key}, nil
	if before := p.current.Load(); before != nil && slices.EqualFunc(before.Certificate, loaded.Certificate, slices.Equal) {
		return false, nil
	}
	p.current.Store(&loaded)
	return true, nil
}

// files is a source of certificates.
type files []*pair

func (f files) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	var first *tls.Certificate
	for _, p := range f {
		c := p.current.Load()
		if c == nil {
			continue
		}
		if len(f) == 1 || hello.SupportsCertificate(c) == nil {
			return c, nil
		}
		if first == nil {
			first = c
		}
	}
	if first == nil {
		return nil, errors.New("no pair of files could be read yet")
	}
	return first, nil // of another name or kind: the client says best what it misses
}

func (f files) reload() error {
	var all []error
	for _, p := range f {
		_, err := p.reload()
		all = append(all, err)
	}
	return errors.Join(all...)
}

// staple puts the newest proof that a certificate is not revoked to it. The
// cache asks for it over the network, keeps it and asks again in time.
func (p *pair) staple(ctx context.Context, cache *certmagic.Cache, cfg *certmagic.Config) error {
	c := p.current.Load()
	if c == nil || c.Leaf == nil || len(c.Leaf.OCSPServer) == 0 {
		return nil
	}
	p.mu.Lock()
	stapled, hash := p.stapled, p.hash
	p.mu.Unlock()
	if stapled == nil || !slices.EqualFunc(stapled.Certificate, c.Certificate, slices.Equal) {
		added, err := cfg.CacheUnmanagedTLSCertificate(ctx, *c, nil)
		if err != nil {
			return err
		}
		if hash != "" && hash != added {
			cache.Remove([]string{hash})
		}
		hash = added
		p.mu.Lock()
		p.hash, p.stapled = hash, c
		p.mu.Unlock()
	}
	for _, name := range namesOf(c.Leaf) {
		for _, cached := range cache.AllMatchingCertificates(name) {
			if cached.Hash() != hash || slices.Equal(cached.OCSPStaple, c.OCSPStaple) {
				continue
			}
			with := *c
			with.OCSPStaple = cached.OCSPStaple
			p.current.CompareAndSwap(c, &with) // or the files have just changed
			return nil
		}
	}
	return nil
}

func namesOf(leaf *x509.Certificate) []string {
	names := slices.Clone(leaf.DNSNames)
	if leaf.Subject.CommonName != "" {
		names = append(names, leaf.Subject.CommonName)
	}
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// forget takes the certificate out of the cache of staples.
func (p *pair) forget(cache *certmagic.Cache) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hash != "" {
		cache.Remove([]string{p.hash})
	}
}
