package proxy

import (
	"context"
	"net/http"
	"time"

	"github.com/noon-deploy/noon/internal/sockets"
)

// holderLimit bounds what a proxy waits for the holder of its sockets, which
// it can do without.
const holderLimit = time.Second

// tellHolder has the holder know of this proxy. That it does not answer is no
// error: the next one asks (handIn).
func (p *Proxy) tellHolder(ctx context.Context, role sockets.Role) {
	if p.cfg.Holder == "" || role == sockets.Candidate && !p.cfg.Inherited.fromProxy() {
		return
	}
	if err := p.announce(ctx, role); err != nil {
		p.log.InfoContext(ctx, "no holder of the sockets knows of this proxy", "role", string(role), "err", err)
	}
}

func (p *Proxy) announce(ctx context.Context, role sockets.Role) error {
	ctx, cancel := context.WithTimeout(ctx, holderLimit)
	defer cancel()
	var list []sockets.Listener
	if role == sockets.Serving {
		for _, l := range p.listeners {
			list = append(list, sockets.Listener{Name: l.name, Listener: l.Listener})
		}
	}
	return sockets.Announce(ctx, p.cfg.Holder, role, list)
}

// handIn gives the sockets to a holder that knows nobody. Nothing changes
// meanwhile: while an upgrade is under way nobody can tell who will serve.
func (p *Proxy) handIn(ctx context.Context) error {
	p.changes.Lock()
	defer p.changes.Unlock()
	if p.handed {
		return NewClient(p.cfg.Control).call(ctx, http.MethodPost, sockets.HandInPath, nil, nil)
	}
	return p.announce(ctx, sockets.Serving)
}
