package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"
)

const (
	releaseHeader = "Noon-Release"
	requestHeader = "X-Request-Id"
	traceHeader   = "Traceparent"
	maxRequestID  = 128
)

// ServeHTTP takes a request from a user that net/http has read.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	from := webConnOf(r.Context())
	from.active.Add(1)
	defer from.over()
	if r.ProtoMajor < 2 || !p.serveStream(w, r, from) {
		p.serveWeb(w, r, from)
	}
	if from.told.Load() {
		// The connection ends soon after its last request: nothing may be kept
		// back here until then.
		_ = http.NewResponseController(w).Flush() // a user who left needs nothing
	}
}

// serveWeb answers a request for an instance that speaks HTTP/2 alone, or one
// that came on the same connection of HTTP/1.1 as such.
func (p *Proxy) serveWeb(w http.ResponseWriter, r *http.Request, from *webConn) {
	p.active.add(1)
	defer p.active.add(-1)
	r.TLS = from.tls
	if p.leaves(r) && r.Header.Get("Upgrade") == "" {
		// Tells the client that the next request needs a new connection, which is
		// then the successor's. This one stays open until the client has seen it.
		w.Header().Set("Connection", "close")
	}
	switch {
	case r.Method == http.MethodConnect:
		writePage(w, r, http.StatusMethodNotAllowed, "This is not a forward proxy.")
	case strings.HasPrefix(r.URL.Path, previewPath):
		p.servePreview(w, r)
	default:
		if handler := p.leadWeb(r); handler != nil {
			handler(w, r)
			return
		}
		p.forward(w, r)
	}
}

// leaves reports that the answer is to say that its connection ends. HTTP/2 is
// told otherwise, see farewell.
func (p *Proxy) leaves(r *http.Request) bool { return r.ProtoMajor < 2 && p.draining.Load() }

// forward sends the request upstream and the answer back.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	x := &webExchange{cancel: cancel, writer: http.NewResponseController(w)}
	x.proxy, x.ender, x.in = p, x, r
	x.query = query{host: normalHost(r.Host), path: r.URL.Path, asked: webRequest{r, &x.query, r.Header["Cookie"]}}
	readCookies(r.Header, &x.query)
	if token := r.Header.Get(previewHeader); token != "" {
		x.query.preview = token
	}
	x.setBody(r)
	defer x.part()
	defer x.drop()
	if protocol := r.Header.Get("Upgrade"); protocol != "" {
		w = &upgradeWriter{ResponseWriter: w, exchange: x, protocol: protocol}
	}
	seen := &seenWriter{ResponseWriter: w}
	defer p.settleWeb(x, r, seen, time.Now())
	w = seen
	p.reverse.ServeHTTP(w, r.WithContext(context.WithValue(ctx, exchangeKey{}, x)))
}

// setBody decides whether the request may be sent twice, and makes its body
// one that can be started again while nothing of it was sent.
func (x *webExchange) setBody(r *http.Request) {
	if r.ContentLength == 0 {
		switch r.Method {
		case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
			x.repeat = true
		}
		return
	}
	x.body = &replayBody{}
}

// newReverse makes the part that copies headers and bodies.
func (p *Proxy) newReverse() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      p,
		ModifyResponse: p.modifyResponse,
		ErrorHandler:   p.writeFailure,
		FlushInterval:  -1,
		BufferPool:     &buffers{sync.Pool{New: func() any { return new([bufferSize]byte) }}},
		ErrorLog:       slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
}

// rewrite makes the upstream request: what it says of the client is noon's
// word, never the client's.
func rewrite(r *httputil.ProxyRequest) {
	r.Out.URL.Scheme = "http"
	r.Out.URL.Host = r.In.Host // RoundTrip puts the endpoint's address
	r.Out.URL.RawQuery = r.In.URL.RawQuery
	r.Out.Host = r.In.Host
	x := exchangeOf(r.In.Context())
	x.treatRequest(r)
	if x.id = r.In.Header.Get(requestHeader); !validRequestID(x.id) {
		x.id = rand.Text()
	}
	r.Out.Header.Set(requestHeader, x.id)
	if x.trace = r.In.Header.Get(traceHeader); !validTraceParent([]byte(x.trace)) {
		x.trace = string(appendTraceParent(nil))
	}
	r.Out.Header.Set(traceHeader, x.trace)
}

func validRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// modifyResponse marks the answer with its release and watches streams.
func (p *Proxy) modifyResponse(res *http.Response) error {
	x := exchangeOf(res.Request.Context())
	x.treatAnswer(res)
	if len(res.Trailer) > 0 {
		res.Header.Del("Content-Length") // HTTP/1.1 has trailers behind chunks only
	}
	if x.target.shared && x.query.issued && x.query.preview == "" {
		res.Header.Add("Set-Cookie", x.query.visitorCookie(res.Request.TLS != nil))
	}
	switch {
	case res.StatusCode == http.StatusSwitchingProtocols:
		x.becomeStream()
		return nil
	case isEventStream(res.Header.Get("Content-Type")):
		x.becomeStream()
		res.Body = &eventBody{ReadCloser: res.Body, ctx: res.Request.Context}
	}
	early := x.body != nil && !x.body.finished()
	if early {
		// The answer begins while the request is still being sent. The connection
		// can then not be used again: in full duplex net/http does not survive a
		// body that the handler has left unread (it panics), nor announce that.
		_ = x.writer.EnableFullDuplex() // HTTP/2 is so anyway
	}
	if early && x.in.ProtoMajor < 2 || p.leaves(x.in) {
		res.Header.Set("Connection", "close")
	}
	return nil
}

func isEventStream(contentType string) bool {
	if !strings.Contains(contentType, "event-stream") {
		return false
	}
	kind, _, _ := mime.ParseMediaType(contentType) // an unreadable parameter does not change the kind
	return kind == "text/event-stream"
}

// eventBody ends like a finished answer when a drain ends it: the client
// connects again and goes on from its last event.
type eventBody struct {
	io.ReadCloser
	ctx func() context.Context
}

func (b *eventBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && errors.Is(context.Cause(b.ctx()), errEnded) {
		err = io.EOF
	}
	return n, err
}

const bufferSize = 32 << 10

// buffers are given back between answers.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte  { return b.pool.Get().(*[bufferSize]byte)[:] }
func (b *buffers) Put(p []byte) { b.pool.Put((*[bufferSize]byte)(p)) }
