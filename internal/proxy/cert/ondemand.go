package cert

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/noon-deploy/noon"
)

const (
	asksPerSecond = 5 // questions to an app
	asksAtOnce    = 20
	refuseFor     = time.Minute // a name is not asked for again
	refusedMost   = 10_000
	askLimit      = 5 * time.Second
)

// gate decides which names of a site get a certificate at a handshake.
type gate struct {
	site  noon.Site
	rule  noon.OnDemand
	ask   Asker
	now   func() time.Time
	asks  *bucket
	mu    sync.Mutex
	until map[string]time.Time // names that were refused
}

func newGate(site noon.Site, rule noon.OnDemand, ask Asker, now func() time.Time) *gate {
	return &gate{site: site, rule: rule, ask: ask, now: now, asks: newBucket(asksPerSecond, asksAtOnce), until: map[string]time.Time{}}
}

// may reports by an error that a name gets no certificate. Both rules have to
// agree, those that there are.
func (g *gate) may(ctx context.Context, host string) error {
	if !validHost(host) {
		return fmt.Errorf("%q is no host name", host)
	}
	if g.rule.Allow == nil && g.rule.Ask == "" {
		return fmt.Errorf("%v has no rule for on-demand certificates", g.site)
	}
	if g.rule.Allow != nil && !slices.ContainsFunc(g.rule.Allow, func(p string) bool { return covers(p, host) }) {
		return fmt.Errorf("%s is not covered by the rule of %v", host, g.site)
	}
	if g.rule.Ask == "" {
		return nil
	}
	if g.refused(host) {
		return fmt.Errorf("%v refused %s less than %s ago", g.site, host, refuseFor)
	}
	return g.question(ctx, host)
}

func (g *gate) question(ctx context.Context, host string) error {
	if g.ask == nil {
		return fmt.Errorf("nobody is there to ask %v", g.site)
	}
	if !g.asks.take() {
		return fmt.Errorf("%v was asked for too many names; it is asked again in a moment", g.site)
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	status, err := g.ask.Ask(ctx, g.site, g.rule.Ask+"?"+url.Values{"domain": {host}}.Encode())
	if err != nil {
		return fmt.Errorf("ask %v for %s: %w", g.site, host, err) // asked again: the app may just be starting
	}
	if status != http.StatusOK {
		g.refuse(host)
		return fmt.Errorf("%v answers %d for %s", g.site, status, host)
	}
	return nil
}

func (g *gate) refused(host string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now().Before(g.until[host])
}

func (g *gate) refuse(host string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if len(g.until) >= refusedMost {
		for h, until := range g.until {
			if !now.Before(until) {
				delete(g.until, h)
			}
		}
		if len(g.until) >= refusedMost {
			clear(g.until) // somebody tries names; the limit of questions holds
		}
	}
	g.until[host] = now.Add(refuseFor)
}

// obtained is the source of an ACME site: its domains, which are managed, and
// names on demand.
type obtained struct {
	line    *line
	first   string            // of the domains, for clients that name none
	domains map[string]bool   // without wildcards
	demand  *certmagic.Config // nil: no certificates on demand
}

func (o obtained) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := normalHost(hello.ServerName)
	if name == "" && o.first != "" {
		asked := *hello
		asked.ServerName = o.first
		return o.line.managed.GetCertificateWithContext(hello.Context(), &asked)
	}
	if o.demand == nil || o.domains[name] {
		return o.line.managed.GetCertificateWithContext(hello.Context(), hello)
	}
	return o.demand.GetCertificateWithContext(hello.Context(), hello)
}
