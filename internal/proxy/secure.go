package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
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
	p.certs, err = cert.Open(cert.Config{Dir: filepath.Join(p.cfg.Dir, "tls"), Log: p.log, Ask: asker{p}})
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
	c := tls.Server(conn, p.tls)
	_ = conn.SetDeadline(time.Now().Add(p.limits.Header)) // closed: the handshake tells
	if err := c.HandshakeContext(context.Background()); err != nil {
		p.log.Debug("tls handshake", "remote", conn.RemoteAddr().String(), "err", err)
		p.turnAway(conn)
		return
	}
	_ = conn.SetDeadline(time.Time{}) // closed: the next use tells
	if c.ConnectionState().NegotiatedProtocol == "h2" {
		p.users.begun(conn)
		p.handToWeb(c)
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
	r.RequestURI, r.RemoteAddr = target, "127.0.0.1:0"
	r.TLS = &tls.ConnectionState{} // it must not be redirected
	answer := &page{header: http.Header{}}
	a.proxy.forward(answer, r)
	return answer.status, nil
}

// Web is what net/http serves: HTTP/2, and what is too odd for the path of our
// own.

// handOff is a listener that is given its connections.
type handOff struct {
	server *http.Server
	conns  chan net.Conn
	done   chan struct{}
}

// Accept implements net.Listener.
func (h *handOff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handOff) Close() error { return nil }

// Addr implements net.Listener.
func (h *handOff) Addr() net.Addr { return &net.TCPAddr{} }

// newWeb makes the server; its connections are counted as all others.
func (p *Proxy) newWeb() *http.Server {
	s := &http.Server{
		Handler: p, ReadHeaderTimeout: p.limits.Header, IdleTimeout: p.limits.Idle, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug), Protocols: &http.Protocols{},
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 250},
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if begun, ok := c.(*begunConn); ok && begun.secure {
			return context.WithValue(ctx, secureKey{}, true)
		}
		return ctx
	}
	s.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed || state == http.StateHijacked {
			p.users.open.add(-1)
			p.users.gone()
		}
	}
	return s
}

// handToWeb leaves a connection to net/http.
func (p *Proxy) handToWeb(c net.Conn) {
	select {
	case p.web.conns <- c:
	case <-p.web.done:
		_ = c.Close() // the proxy ends
		p.users.open.add(-1)
		p.users.gone()
	}
}

// toWeb leaves the connection of a turn to net/http, with what was read of it.
func (t *turn) toWeb() outcome {
	c := t.conn
	rest := bytes.Clone(t.in.b[:t.have])
	c.within(0)
	c.proxy.sweeper.remove(c)
	c.proxy.handToWeb(&begunConn{c.Conn, headThen{rest, c.Conn}, c.RemoteAddr(), c.secure})
	return passed
}

// headThen reads what was read before, then on.
type headThen struct {
	head []byte
	conn net.Conn
}

func (h *headThen) Read(p []byte) (int, error) {
	if len(h.head) > 0 {
		n := copy(p, h.head)
		h.head = h.head[n:]
		return n, nil
	}
	h.head = nil
	return h.conn.Read(p)
}

// begunConn is a connection whose beginning was read.
type begunConn struct {
	net.Conn
	from   headThen
	peer   net.Addr
	secure bool // it came over TLS, which net/http does not see
}

// secureKey marks the requests of such a connection.
type secureKey struct{}

// RemoteAddr is who the connection is from.
func (c *begunConn) RemoteAddr() net.Addr { return c.peer }

// Read implements net.Conn.
func (c *begunConn) Read(p []byte) (int, error) { return c.from.Read(p) }

// CloseWrite ends our direction.
func (c *begunConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
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
