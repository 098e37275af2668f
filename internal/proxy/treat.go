package proxy

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/noon-deploy/noon/internal/proxy/h1"
	"github.com/noon-deploy/noon/internal/proxy/rules"
)

// What a turn tells segments of its request.

// Header implements rules.Request.
func (t *turn) Header(name string) ([]byte, bool) {
	for i := range t.req.Fields {
		if f := &t.req.Fields[i]; len(f.Name) == len(name) && strings.EqualFold(view(f.Name), name) {
			return f.Value, true
		}
	}
	return nil, false
}

// Query implements rules.Request.
func (t *turn) Query() []byte { return t.req.Query }

// Address implements rules.Request.
func (t *turn) Address() netip.Addr {
	if site := t.query.site; site != nil && !site.rules.Trusted.Empty() {
		return t.origin(site).Client
	}
	return t.conn.address()
}

// origin finds who has sent the request, as far as the site believes others.
func (t *turn) origin(site *siteView) rules.Origin {
	var forwarded, xff [][]byte
	for i := range t.req.Fields {
		f := &t.req.Fields[i]
		switch {
		case f.Kind != h1.Forwarded:
		case strings.EqualFold(view(f.Name), "X-Forwarded-For"):
			xff = append(xff, f.Value)
		case strings.EqualFold(view(f.Name), "Forwarded"):
			forwarded = append(forwarded, f.Value)
		}
	}
	return site.rules.Trusted.Origin(t.conn.address(), forwarded, xff)
}

// appendOrigin tells the instance who has sent the request.
func (t *turn) appendOrigin(b []byte) []byte {
	if site := t.target.site; site != nil && !site.rules.Trusted.Empty() {
		return t.appendTrusted(b, site)
	}
	b = append(b, t.conn.forwarded()...)
	return append(append(append(b, "X-Forwarded-Host: "...), t.req.Host...), "\r\n"...)
}

// appendTrusted is appendOrigin where others may be believed. It is not part of
// it because of what it needs of the stack, which connections keep.
func (t *turn) appendTrusted(b []byte, site *siteView) []byte {
	host := t.req.Host
	o := t.origin(site)
	proto := t.conn.scheme()
	if o.Trusted {
		if v, ok := t.Header("x-forwarded-proto"); ok && (view(v) == "https" || view(v) == "http") {
			proto = string(v)
		}
		if v, ok := t.Header("x-forwarded-host"); ok && len(v) > 0 {
			host = v
		}
	}
	b = append(o.AppendFor(append(b, "X-Forwarded-For: "...)), "\r\nX-Forwarded-Proto: "...)
	b = append(append(append(b, proto...), "\r\nX-Forwarded-Host: "...), host...)
	return append(b, "\r\n"...)
}

// misdirected answers a request on a connection that was begun for another
// site, whose users need not show who they are (RFC 9110, section 15.5.20).
func misdirected(w http.ResponseWriter, r *http.Request) {
	writePage(w, r, http.StatusMisdirectedRequest, "This connection was made for another site.")
}

// scheme is that of the URLs of this connection's requests.
func (c *userConn) scheme() string {
	if c.secure {
		return "https"
	}
	return "http"
}

// asked is what of a request decides whether it is for an instance at all.
type asked struct {
	authority, name     string // as sent, and its normal host name
	target, path, query string // as sent
	secure              bool
	serverName          string // of the handshake
	preview             bool
	length              int64
}

// lead answers a request instead of an instance if the site says so; nil if it
// does not, or if there is no site.
func (p *Proxy) lead(site *siteView, a asked) http.HandlerFunc {
	if site == nil {
		return nil
	}
	if a.secure && !p.certs.Admits(a.serverName, a.authority) {
		return misdirected
	}
	if !a.preview { // a preview is not for users, and noon's own smoke checks come in plain
		if handler, ok := p.redirectSecure(site, a.authority, a.target, a.secure); ok {
			return handler
		}
	}
	if location, status, ok := site.rules.Redirects.Redirect(a.name, a.path, a.query); ok {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(status)
		}
	}
	if most := site.traffic.Limits.Body; most > 0 && a.length > most {
		return func(w http.ResponseWriter, r *http.Request) {
			writePage(w, r, http.StatusRequestEntityTooLarge, tooLargeText)
		}
	}
	return nil
}

// lead is Proxy.lead for the turn.
func (t *turn) lead() http.HandlerFunc {
	return t.proxy.lead(t.target.site, asked{
		authority: string(t.req.Host), name: t.query.host, target: string(t.req.Target), path: string(t.req.Path), query: string(t.req.Query),
		secure: t.conn.secure, serverName: t.conn.name, preview: t.query.preview != "", length: t.req.Length,
	})
}
