package cert

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/noon-deploy/noon"
)

// table says which site a name belongs to. It never changes once it is used.
type table struct {
	hosts  map[string]*policy // "shop.example.com", "*.example.com"
	any    *policy            // the site that answers for every name
	first  *policy            // for clients that name nobody
	bySite map[noon.Site]*policy
}

func newTable() *table {
	return &table{hosts: map[string]*policy{}, bySite: map[noon.Site]*policy{}}
}

func (t *table) add(p *policy) {
	t.bySite[p.site.Site] = p
	if t.first == nil {
		t.first = p
	}
	if len(p.site.Domains) == 0 && t.any == nil {
		t.any = p
	}
	for _, d := range p.names() {
		if name := normalHost(d); t.hosts[name] == nil {
			t.hosts[name] = p
		}
	}
}

// find gives the policy for a name: its own, then that of the longest wildcard
// that covers it, as requests are routed. nil: nobody is there.
func (t *table) find(host string) *policy {
	if host == "" {
		if t.any != nil {
			return t.any
		}
		return t.first
	}
	if p := t.hosts[host]; p != nil {
		return p
	}
	for rest := host; ; {
		_, after, found := strings.Cut(rest, ".")
		if !found {
			return t.any
		}
		if p := t.hosts["*."+after]; p != nil {
			return p
		}
		rest = after
	}
}

// source is where the certificates of a site come from.
type source interface {
	certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error)
}

// nothing is the source of a site whose settings can not be used.
type nothing struct{}

func (nothing) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return nil, errors.New("the site's certificates can not be used")
}

// policy is how handshakes of one site are answered.
type policy struct {
	site   Site
	from   source
	config atomic.Pointer[tls.Config]
	client atomic.Pointer[[sha256.Size]byte] // of the file of client authorities
}

// names are the domains of the site. On-demand names that no domain covers are
// the site's too, as far as a pattern says so.
func (p *policy) names() []string {
	names := p.site.Domains
	if a := p.site.TLS.ACME; a != nil && a.OnDemand != nil {
		names = append(slices.Clip(names), a.OnDemand.Allow...)
	}
	return names
}

// renew builds what handshakes use anew, with these keys of tickets.
func (p *policy) renew(keys [][]byte) error {
	t := p.site.TLS
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: protocols(), GetCertificate: p.from.certificate,
	}
	if t.MinVersion == "1.3" {
		config.MinVersion = tls.VersionTLS13
	}
	scope := p.site.Site.Key()
	var err error
	if t.ClientCA != "" {
		err = p.admit(config)
		scope += fmt.Sprintf(" %x", *p.client.Load())
	}
	config.SetSessionTicketKeys(ticketKeysFor(keys, scope))
	p.config.Store(config)
	return err
}

// admit lets only clients in that have a certificate of an authority in the
// file. While it can not be read those before count, or nobody.
func (p *policy) admit(config *tls.Config) error {
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	data, err := os.ReadFile(p.site.TLS.ClientCA)
	if err == nil && !config.ClientCAs.AppendCertsFromPEM(data) {
		err = fmt.Errorf("%s holds no certificate", p.site.TLS.ClientCA)
	}
	if before := p.config.Load(); err != nil && before != nil {
		config.ClientCAs = before.ClientCAs
		return err
	}
	sum := sha256.Sum256(data)
	p.client.Store(&sum)
	return err
}

// stale reports whether the file of client authorities has changed.
func (p *policy) stale() bool {
	if p.site.TLS.ClientCA == "" {
		return false
	}
	data, err := os.ReadFile(p.site.TLS.ClientCA)
	// A file that is just being replaced does not lock everybody out.
	return err == nil && x509.NewCertPool().AppendCertsFromPEM(data) && sha256.Sum256(data) != *p.client.Load()
}

func protocols() []string { return []string{"h2", "http/1.1"} }
