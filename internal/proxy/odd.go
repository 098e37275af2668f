package proxy

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/noon-deploy/noon/internal/proxy/h1"
	"github.com/noon-deploy/noon/internal/proxy/meter"
)

// odd gives the handler of a request that is for noon itself, nil for all
// others.
func (t *turn) odd() http.HandlerFunc {
	switch {
	case t.req.Connect:
		return func(w http.ResponseWriter, r *http.Request) {
			writePage(w, r, http.StatusMethodNotAllowed, "This is not a forward proxy.")
		}
	case t.req.Asterisk:
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
	case strings.HasPrefix(t.query.path, previewPath):
		return t.proxy.servePreview
	case strings.HasPrefix(t.query.path, challengePath):
		if body, ok := t.proxy.certs.ServeChallenge(string(t.req.Host), t.query.path); ok {
			return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) } // a client that left needs none
		}
	}
	return nil
}

// challengePath is where authorities look for what a certificate is given for
// (RFC 8555, section 8.3).
const challengePath = "/.well-known/acme-challenge/"

// page is an answer that noon makes itself.
type page struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (p *page) Header() http.Header { return p.header }

// Flush implements http.Flusher: nothing is kept back.
func (p *page) Flush() {}

// WriteHeader implements http.ResponseWriter.
func (p *page) WriteHeader(status int) {
	if p.status == 0 {
		p.status = status
	}
}

// Write implements http.ResponseWriter.
func (p *page) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	return p.body.Write(b)
}

// serve has a handler answer the request, which takes none of its body.
func (t *turn) serve(handler http.HandlerFunc) outcome {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(t.in.b[:t.head])))
	if err != nil {
		return t.refuse(&h1.Error{Status: http.StatusBadRequest, Reason: "The request can not be read."})
	}
	r.RemoteAddr = t.conn.RemoteAddr().String()
	if t.conn.secure {
		r.TLS = &tls.ConnectionState{}
	}
	answer := &page{header: http.Header{}}
	handler(answer, r)
	return t.sendPage(answer, t.req.Length == 0)
}

// refuse answers a request that can not be read, and ends the connection:
// nobody can tell where the next one begins.
func (t *turn) refuse(err error) outcome {
	status, text := statusOf(err)
	if status == 0 || t.have == 0 {
		return over // the user has left
	}
	answer := &page{header: http.Header{}}
	writePage(answer, &http.Request{Method: http.MethodGet, Header: http.Header{}}, status, text)
	return t.sendPage(answer, false)
}

// fail answers a request that no instance has answered.
func (t *turn) fail(err error) outcome {
	t.conn.mu.Lock()
	ended, left := t.ended, t.abandoned
	t.conn.mu.Unlock()
	status, text := http.StatusServiceUnavailable, endedText
	switch {
	case left:
		t.account.fail(meter.ClientGone)
		return over
	case !ended:
		status, text = failureText(err)
		t.account.fail(failureOf(err))
	default:
		t.account.fail(meter.Ended)
	}
	r := &http.Request{Method: string(t.req.Method), Header: http.Header{"Accept": {string(t.req.Value(h1.Accept))}}}
	if status >= http.StatusInternalServerError {
		t.proxy.log.Warn("request failed", "host", t.query.host, "path", t.query.path, "status", status, "err", err)
	}
	answer := &page{header: http.Header{}}
	t.proxy.writeSitePage(answer, r, t.target.site, status, text)
	return t.sendPage(answer, t.body.sending == nil && t.body.done && !ended)
}

// sendPage sends noon's own answer. whole says that the request was read to
// its end.
func (t *turn) sendPage(p *page, whole bool) outcome {
	how := kept
	if !whole || t.req.Close || t.proxy.draining.Load() {
		how = over
		p.header.Set("Connection", "close")
	}
	if p.header.Get("Content-Length") == "" {
		p.header.Set("Content-Length", strconv.Itoa(p.body.Len()))
	}
	if p.status == 0 {
		p.status = http.StatusOK
	}
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 " + strconv.Itoa(p.status) + " " + http.StatusText(p.status) + "\r\n")
	if err := p.header.Write(&b); err != nil {
		return over // not reached: a buffer takes everything
	}
	b.WriteString("\r\n")
	if !t.req.Head {
		b.Write(p.body.Bytes())
	}
	t.begun = true
	t.account.answered(p.status, t.proxy.cfg.Access != nil)
	t.account.out = int64(b.Len())
	t.conn.within(writeLimit)
	if _, err := t.conn.Write(b.Bytes()); err != nil {
		return over
	}
	if !whole && t.body.sending == nil {
		t.linger()
	}
	return how
}

// linger takes what the user is still sending for a moment: a connection that
// is closed with something unread is reset, and the answer with it.
func (t *turn) linger() {
	half, ok := t.conn.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	t.conn.within(unreadFor)
	for taken := 0; taken < maxUnread; {
		n, err := t.conn.Read(t.in.room(0))
		if err != nil {
			return
		}
		taken += n
	}
}

// maxUnread bounds what is taken of a request that was refused, in bytes.
const maxUnread = 16 << 20

const endedText = "The instance that worked on this request had to stop. Please try again."

// failureText is the answer to a request that no instance has answered.
func failureText(err error) (int, string) {
	var refused *refusal
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &refused):
		return refused.page()
	case errors.Is(err, errTooLarge), errors.As(err, &large):
		return http.StatusRequestEntityTooLarge, tooLargeText
	case errors.Is(err, errNoEndpoint):
		return http.StatusServiceUnavailable, "The application is not ready. Please try again in a moment."
	case errors.Is(err, errNoRoom), errors.Is(err, errWaited):
		return http.StatusServiceUnavailable, "There is too much to do just now. Please try again in a moment."
	case errors.Is(err, errGreedy):
		return http.StatusTooManyRequests, "Too many requests come from your address. Please try again in a moment."
	case isTimeout(err):
		return http.StatusGatewayTimeout, "The application did not answer in time."
	default:
		return http.StatusBadGateway, "The application did not answer."
	}
}
