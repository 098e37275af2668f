package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/cert"
	"github.com/noon-deploy/noon/internal/sockets"
)

// openCerts reads what is kept of certificates.
func (p *Proxy) openCerts() error {
	var err error
	p.certs, err = cert.Open(cert.Config{Dir: filepath.Join(p.cfg.Dir, "tls"), Log: p.log, Ask: asker{p}, Shared: p.cfg.Certificates})
	if err == nil {
		p.tls = p.certs.TLS()
	}
	return err
}

// tellCertsLocked makes the TLS settings of all sites the current ones, if
// those of one have changed.
func (p *Proxy) tellCertsLocked(before, after *siteView) {
	if p.certs == nil || !speaksTLS(before) && !speaksTLS(after) {
		return
	}
	var sites []cert.Site
	for site, state := range p.sites {
		if speaksTLS(state.view) {
			sites = append(sites, cert.Site{Site: site, Domains: state.routing.Domains, TLS: state.routing.TLS})
		}
	}
	if err := p.certs.Set(sites); err != nil {
		p.log.Error("certificates", "err", err)
	}
}

func speaksTLS(v *siteView) bool { return v != nil && v.broken == 0 && v.tls != nil }

// handshake serves a connection that begins with TLS.
func (p *Proxy) handshake(conn net.Conn) {
	carrier := conn
	if s := new(socket); s.init(conn, &p.slabs) {
		carrier = s
	}
	c := tls.Server(carrier, p.tls)
	_ = conn.SetDeadline(time.Now().Add(p.limits.Header)) // closed: the handshake tells
	if err := c.HandshakeContext(context.Background()); err != nil {
		p.log.Debug("tls handshake", "remote", conn.RemoteAddr().String(), "err", err)
		p.turnAway(conn)
		return
	}
	_ = conn.SetDeadline(time.Time{}) // closed: the next use tells
	if state := c.ConnectionState(); state.NegotiatedProtocol == "h2" {
		p.users.begun(conn)
		_ = conn.SetReadDeadline(time.Now().Add(p.limits.Header)) // net/http takes it back once HTTP/2 has begun
		p.handToWeb(p.newWebConn(c, c.RemoteAddr(), nil, &state))
		return
	}
	p.serveOn(c, conn, true)
}

// securePort is where users reach HTTPS, 0 if nowhere.
func (p *Proxy) securePort() int {
	for _, l := range p.listeners {
		if a, ok := l.Addr().(*net.TCPAddr); ok && sockets.KindOf(l.name).TLS {
			return a.Port
		}
	}
	return 0
}

// asker asks an app whether a name may have a certificate.
type asker struct{ proxy *Proxy }

// Ask implements cert.Asker.
func (a asker) Ask(ctx context.Context, site noon.Site, target string) (int, error) {
	host := "localhost"
	a.proxy.mu.Lock()
	if state := a.proxy.sites[site]; state != nil && len(state.routing.Domains) > 0 {
		host = strings.TrimPrefix(state.routing.Domains[0], "*.")
	}
	a.proxy.mu.Unlock()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+target, http.NoBody)
	if err != nil {
		return 0, err
	}
	r.RequestURI = target
	answer := &page{header: http.Header{}}
	// A turn looks at the request's context by itself. It says that it is secure:
	// it must not be redirected.
	from := a.proxy.newWebConn(nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, nil, &tls.ConnectionState{ServerName: host})
	if !a.proxy.serveStream(answer, r, from) { //nolint:contextcheck // the same
		return 0, errors.New("the app has not answered")
	}
	return answer.status, nil
}

// redirectSecure answers with where the request has to be sent instead.
func (p *Proxy) redirectSecure(site *siteView, host, target string, secure bool) (http.HandlerFunc, bool) {
	if site.tls == nil {
		return nil, false
	}
	location, status, ok := cert.Redirect(*site.tls, host, target, secure, p.securePort())
	if !ok {
		return nil, false
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.Header().Set("Content-Length", strconv.Itoa(0))
		w.WriteHeader(status)
	}, true
}
