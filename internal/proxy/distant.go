package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/noon-deploy/noon/internal/proxy/h1"
)

// distant is one exchange with an instance that speaks HTTP/2 alone, as a
// connection of HTTP/1.1 that carries no other: what stream is for users. The
// transport keeps the connection that carries all of them.
type distant struct {
	address   string
	until     time.Time // when there has to be a connection; zero: there is no such limit
	transport *http.Transport

	// Of who writes, one at a time.
	req     h1.Request
	decoder h1.Chunked
	started bool
	left    int64 // bytes of the body that are still to be written; -1: it comes in chunks
	body    *io.PipeWriter
	trailer http.Header // of the request; the transport reads it after the body

	found    chan struct{} // closed when there is a connection to send the request on
	interim  chan []byte   // heads of answers that are not the final one
	answered chan struct{} // closed when res or err is set
	res      *http.Response
	err      error

	// Of who reads.
	text   []byte // what is next
	chunks *chunker
	begun  bool // text is, or was, the head of the final answer

	mu     sync.Mutex
	cancel context.CancelFunc
	over   bool          // its time is over
	woken  chan struct{} // closed when it is
	sent   bool          // the request, all of it
	final  bool          // the final answer has begun, or nobody waits for it
}

// interims is how many interim answers wait for who reads; more are left out.
const interims = 8

func newDistant(address string, until time.Time, transport *http.Transport) *distant {
	return &distant{
		address: address, until: until, transport: transport,
		found: make(chan struct{}), interim: make(chan []byte, interims), answered: make(chan struct{}), woken: make(chan struct{}),
	}
}

// Write takes the request; its head comes as a whole. An error of the first
// part means that nothing was sent.
func (d *distant) Write(p []byte) (int, error) {
	rest := p
	if !d.started {
		n, err := d.req.Parse(p)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			return 0, errHalfHead
		}
		if err := d.start(); err != nil {
			return 0, err
		}
		rest = p[n:]
	}
	if len(rest) > 0 {
		if err := d.send(rest); err != nil {
			return len(p) - len(rest), err
		}
	}
	if d.left == 0 {
		d.note(&d.sent)
	}
	return len(p), nil
}

func (d *distant) note(what *bool) {
	d.mu.Lock()
	*what = true
	d.mu.Unlock()
}

// start sends the head that was parsed, and returns when there is a connection
// for it.
func (d *distant) start() error {
	d.started = true
	ctx, cancel := context.WithCancel(context.Background())
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:        func(httptrace.GotConnInfo) { d.find() },
		Got1xxResponse: d.passOn,
	})
	d.mu.Lock()
	if d.cancel = cancel; d.over {
		cancel()
	}
	d.mu.Unlock()
	r, err := d.request(ctx)
	if err != nil {
		d.err = err
		close(d.answered)
		return err
	}
	go func() {
		defer close(d.answered)
		d.res, d.err = d.transport.RoundTrip(r) //nolint:bodyclose // Close does
	}()
	return d.await()
}

// await waits for a connection.
func (d *distant) await() error {
	var limit <-chan time.Time
	if !d.until.IsZero() {
		timer := time.NewTimer(time.Until(d.until))
		defer timer.Stop()
		limit = timer.C
	}
	select {
	case <-d.found:
		return nil
	case <-d.answered:
		return d.err
	case <-limit:
		_ = d.SetDeadline(time.Unix(1, 0)) // never fails
		<-d.answered
		d.err = &unreachable{os.ErrDeadlineExceeded}
		return d.err
	}
}

// find may be called again: the transport tries once more what was not taken.
func (d *distant) find() {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.found:
	default:
		close(d.found)
	}
}

// request makes of the head what the transport sends.
func (d *distant) request(ctx context.Context) (*http.Request, error) {
	u, err := url.ParseRequestURI(string(d.req.Target))
	if err != nil {
		return nil, err
	}
	u.Scheme, u.Host = "http", d.address
	r, err := http.NewRequestWithContext(ctx, string(d.req.Method), "http://"+d.address, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.URL, r.Host = u, string(d.req.Host)
	for i := range d.req.Fields {
		f := &d.req.Fields[i]
		switch f.Kind {
		case h1.Hop, h1.Host, h1.Length, h1.Transfer, h1.UpgradeTo:
		case h1.Trailer:
			if d.trailer == nil {
				d.trailer = http.Header{}
			}
			d.trailer[textproto.CanonicalMIMEHeaderKey(string(f.Value))] = nil
		default:
			r.Header.Add(string(f.Name), string(f.Value))
		}
	}
	r.Header["Te"] = []string{"trailers"} // they are passed on, and gRPC asks for it
	if r.Header["User-Agent"] == nil {
		r.Header["User-Agent"] = nil // not the transport's own
	}
	if d.left = d.req.Length; d.left != 0 {
		var body *io.PipeReader
		body, d.body = io.Pipe()
		r.Body, r.ContentLength, r.Trailer = body, d.left, d.trailer
	}
	return r, nil
}

// send takes the next part of the body.
func (d *distant) send(p []byte) error {
	if d.left >= 0 {
		n, err := d.body.Write(p)
		if d.left -= int64(n); err == nil && d.left == 0 {
			err = d.body.Close()
		}
		return err
	}
	payload, _, done, err := d.decoder.Decode(bytes.Clone(p)) // it may be sent again to somebody else
	if err == nil && len(payload) > 0 {
		_, err = d.body.Write(payload)
	}
	if err != nil || !done {
		return err
	}
	d.left = 0
	for _, f := range d.decoder.Trailer() {
		name := textproto.CanonicalMIMEHeaderKey(string(f.Name))
		if _, announced := d.trailer[name]; announced {
			d.trailer[name] = append(d.trailer[name], string(f.Value))
		}
	}
	return d.body.Close()
}

// passOn keeps an interim answer for who reads.
func (d *distant) passOn(status int, header textproto.MIMEHeader) error {
	select {
	case d.interim <- append(appendHeader(appendStatusLine(nil, status), http.Header(header)), "\r\n"...):
	default:
	}
	return nil
}

// Read hands out the answer.
func (d *distant) Read(p []byte) (int, error) {
	for len(d.text) == 0 && !d.begun {
		if err := d.hear(); err != nil {
			return 0, err
		}
	}
	if n := copy(p, d.text); n > 0 {
		d.text = d.text[n:]
		return n, nil
	}
	var n int
	var err error
	if d.chunks != nil {
		n, err = d.chunks.Read(p)
	} else {
		n, err = d.res.Body.Read(p)
	}
	if n == 0 && err != nil && d.ended() {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// hear waits for the head of an answer.
func (d *distant) hear() error {
	d.mu.Lock()
	woken := d.woken
	d.mu.Unlock()
	select {
	case d.text = <-d.interim:
		return nil
	case <-d.answered:
	case <-woken:
		return os.ErrDeadlineExceeded
	}
	select {
	case d.text = <-d.interim: // it came before
		return nil
	default:
	}
	switch {
	case d.err == nil:
		d.text, d.begun = d.head(), true
		d.note(&d.final)
		return nil
	case d.ended() && !isUnreachable(d.err):
		return os.ErrDeadlineExceeded
	}
	if isUnreachable(d.err) {
		return d.err
	}
	return fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, d.err) // as a connection that has ended
}

func isUnreachable(err error) bool {
	_, ok := errors.AsType[*unreachable](err)
	return ok
}

// head writes the head of the final answer.
func (d *distant) head() []byte {
	b := appendHeader(appendStatusLine(nil, d.res.StatusCode), d.res.Header)
	for name := range d.res.Trailer {
		b = appendText(b, "Trailer", name)
	}
	switch n := d.res.ContentLength; {
	case d.req.Head || d.res.StatusCode == http.StatusNotModified:
		if n := d.res.Header.Get("Content-Length"); n != "" {
			b = appendText(b, "Content-Length", n)
		}
	case d.res.StatusCode == http.StatusNoContent:
	case n >= 0 && len(d.res.Trailer) == 0:
		b = appendText(b, "Content-Length", strconv.FormatInt(n, 10))
	default:
		b = appendText(b, "Transfer-Encoding", "chunked")
		d.chunks = &chunker{body: d.res.Body, trailer: &d.res.Trailer}
	}
	return append(b, "Connection: close\r\n\r\n"...)
}

func appendStatusLine(b []byte, status int) []byte {
	return append(strconv.AppendInt(append(b, "HTTP/1.1 "...), int64(status), 10), " \r\n"...)
}

// appendHeader adds the fields that say nothing of how a message is framed.
func appendHeader(b []byte, h http.Header) []byte {
	for name, values := range h {
		if slices.Contains([]string{"Content-Length", "Transfer-Encoding", "Connection", "Trailer"}, name) {
			continue
		}
		for _, v := range values {
			b = appendText(b, name, v)
		}
	}
	return b
}

// ended reports that whoever uses the exchange has ended it.
func (d *distant) ended() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

// SetDeadline implements net.Conn, for times that are over, and for none. Whoever
// only waits for the answer to begin may go on to do so.
func (d *distant) SetDeadline(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	waits := d.sent && !d.final
	switch {
	case !isOver(t) && d.over && waits:
		d.over, d.woken = false, make(chan struct{})
	case isOver(t) && !d.over:
		d.over = true
		close(d.woken)
	}
	if d.over && !waits && d.cancel != nil {
		d.cancel()
	}
	return nil
}

// SetReadDeadline implements net.Conn.
func (d *distant) SetReadDeadline(t time.Time) error { return d.SetDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (d *distant) SetWriteDeadline(t time.Time) error { return d.SetDeadline(t) }

// Close ends the exchange: half a body is not taken for a whole one.
func (d *distant) Close() error {
	d.note(&d.final)
	_ = d.SetDeadline(time.Unix(1, 0)) // never fails
	if d.body != nil {
		_ = d.body.CloseWithError(net.ErrClosed) // the same
	}
	if !d.started {
		return nil
	}
	<-d.answered
	if d.res != nil {
		_ = d.res.Body.Close() // what is unread is nobody's
	}
	return nil
}

// LocalAddr is nobody's business.
func (d *distant) LocalAddr() net.Addr { return nil }

// RemoteAddr is nobody's business: the instance is known by its endpoint.
func (d *distant) RemoteAddr() net.Addr { return nil }
