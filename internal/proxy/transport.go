package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync/atomic"
	"time"

	"github.com/noon-deploy/noon"
)

const (
	dialAgain   = 100 * time.Millisecond // before endpoints that refused are tried again
	headerLimit = 1 << 20                // of an instance's answer
)

// newTransport makes the connections to one endpoint. Connections are kept
// only for requests that may be sent twice: a server may close an idle
// connection at the very moment a request is sent on it, and whether it was
// acted upon can not be known. All others get a connection of their own, so
// that a POST is neither lost to that race nor ever sent twice.
func newTransport(keep bool, firstByte time.Duration, protocol noon.Protocol) *http.Transport {
	dialer := &net.Dialer{Timeout: dialLimit}
	// Not DisableKeepAlives: its "Connection: close" makes servers that refuse
	// an upload early reset the connection before their answer was read.
	most := -1
	if keep {
		most = keptMost
	}
	var protocols http.Protocols
	protocols.SetHTTP1(protocol == noon.HTTP1)
	protocols.SetUnencryptedHTTP2(protocol == noon.H2C)
	return &http.Transport{
		Protocols: &protocols,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, &unreachable{err}
			}
			return &sentConn{Conn: conn}, nil
		},
		DisableCompression:     true,
		MaxIdleConnsPerHost:    most,
		IdleConnTimeout:        keptIdle,
		ResponseHeaderTimeout:  firstByte,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: headerLimit,
		WriteBufferSize:        16 << 10,
		ReadBufferSize:         16 << 10,
	}
}

// unreachable is a connection that could not be made: nothing was sent.
type unreachable struct{ err error }

func (e *unreachable) Error() string { return e.err.Error() }
func (e *unreachable) Unwrap() error { return e.err }

// sentConn knows whether anything was sent on it.
type sentConn struct {
	net.Conn
	sent atomic.Bool
}

func (c *sentConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if n > 0 && !c.sent.Load() {
		c.sent.Store(true)
	}
	return n, err
}

// CloseWrite lets an upgraded connection end in one direction.
func (c *sentConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// RoundTrip claims an endpoint and sends the request to it, to another one if
// it could not be reached, and waits for one if there is none.
func (p *Proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	x := exchangeOf(r.Context())
	if x.body != nil {
		x.body.source = r.Body
	}
	var tried []*endpoint
	var limit time.Time
	for {
		e, t, snap, v := p.claim(&x.query, tried)
		if v == claimed {
			if len(tried) == 0 && !x.renewed {
				t.site.state.budget.earn(t.site.traffic.Replay.Budget)
			}
			x.take(e, t)
			res, err := p.try(x, e, r)
			if err == nil {
				return res, nil
			}
			x.drop()
			if !p.another(x, e, r, err) {
				return nil, err
			}
			tried = append(tried, e)
			x.retries++
			continue
		}
		x.target.site = t.site
		if err := p.wait(r.Context(), &x.exchange, t, snap, v, &limit, len(tried) > 0); err != nil {
			return nil, err
		}
		tried = nil
	}
}

// try sends the request once.
func (p *Proxy) try(x *webExchange, e *endpoint, r *http.Request) (*http.Response, error) {
	out := *r
	url := *r.URL
	url.Host = e.Address
	out.URL = &url
	x.routed(&out)
	if x.body != nil {
		reader, ok := x.body.again()
		if !ok {
			return nil, &unsendable{}
		}
		out.Body = reader
	}
	transport, sent := e.kept, new(firstWrite)
	if !x.repeat || x.renewed {
		transport = e.once
		out = *out.WithContext(httptrace.WithClientTrace(r.Context(), sent.trace()))
	}
	if streaming(r) {
		transport = e.stream
	}
	res, err := transport.RoundTrip(&out)
	if err != nil && !x.repeat && sent.nothing() {
		err = &unreachable{err}
	}
	if err == nil {
		e.answers()
		if x.body != nil {
			x.body.forget()
		}
	}
	return res, err
}

// firstWrite learns whether anything was written on the connection that a
// request got.
type firstWrite struct{ conn atomic.Pointer[sentConn] }

func (f *firstWrite) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if c, ok := info.Conn.(*sentConn); ok {
			f.conn.Store(c)
		}
	}}
}

func (f *firstWrite) nothing() bool {
	c := f.conn.Load()
	return c != nil && !c.sent.Load()
}

type unsendable struct{}

func (*unsendable) Error() string { return "the request's body can not be sent again" }

// another decides whether the request may go to another endpoint, and notes
// the failure. The client's own leaving is nobody's failure.
func (p *Proxy) another(x *webExchange, e *endpoint, r *http.Request, err error) bool {
	if r.Context().Err() != nil {
		return false
	}
	e.failed.Add(1)
	var timeout net.Error
	var lost *unreachable
	switch {
	case errors.As(err, &lost):
		e.stumbles(false)
		return true
	case errors.As(err, &timeout) && timeout.Timeout():
		e.stumbles(true)
		return false
	case connectionLost(err):
		e.stumbles(true)
		if x.repeat && !x.renewed { // once
			x.renewed = x.target.site.state.budget.spend()
			return x.renewed
		}
	}
	return false
}

// connectionLost reports that the connection ended before an answer began.
func connectionLost(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op) ||
		err.Error() == "http: server closed idle connection"
}

// streaming reports a request whose answer may take its time to begin.
func streaming(r *http.Request) bool {
	return r.Header.Get("Upgrade") != "" || slices.ContainsFunc(r.Header["Accept"], isEventStream)
}
