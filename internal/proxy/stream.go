package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/noon-deploy/noon/internal/proxy/h1"
)

// stream is a request of HTTP/2 as a connection of HTTP/1.1 that carries this
// request alone. A turn serves it as any other, so that all that noon decides
// of a request is decided in one place. What net/http has understood of it is
// written as a head and read by the grammar that reads all heads: what would be
// ambiguous for an instance that speaks HTTP/1.1 is refused there.
type stream struct {
	conn    userConn // what the turn serves: its Conn is this stream
	request *http.Request

	from *webConn
	body io.Reader // in chunks if it tells no length, or has trailers

	answer  answerWriter
	control *http.ResponseController

	mu          sync.Mutex // deadlines come from other goroutines
	read, write waiting
}

// waiting is one direction of a stream.
type waiting struct {
	now  bool // something waits
	over bool // its time is over: nothing waits any more
}

// serveStream answers a request of HTTP/2. It returns false if there is no
// answer, or no end of it.
func (p *Proxy) serveStream(w http.ResponseWriter, r *http.Request, from *webConn) bool {
	s := &stream{request: r, from: from, body: r.Body, control: http.NewResponseController(w)}
	s.answer = answerWriter{to: w, heard: p.heard.get(), bodiless: r.Method == http.MethodHead}
	defer p.heard.put(s.answer.heard)
	s.conn.init(s, s, &p.slabs)
	s.conn.proxy, s.conn.secure, s.conn.name = p, from.user.secure, from.user.name
	s.conn.from, s.conn.hashed = from.user.from, from.user.hashed
	if t := r.RequestURI; r.Method != http.MethodConnect && t != "*" && !strings.HasPrefix(t, "/") {
		writePage(w, r, http.StatusBadRequest, "The path of a request begins with a slash.") // RFC 9113, section 8.3.1
		return true
	}
	in, n := s.head()
	if in == nil {
		writePage(w, r, http.StatusRequestHeaderFieldsTooLarge, "The head of the request is too long.")
		return true
	}
	p.sweeper.add(&s.conn)
	t := p.turns.get(&s.conn, in, n)
	t.run()
	p.turns.put(t)
	p.sweeper.remove(&s.conn)
	return s.answer.whole
}

// head writes the head of the request into a buffer; none: it does not fit.
func (s *stream) head() (*slab, int) {
	slabs := s.conn.slabs
	in := slabs.get(slabSize)
	room := in.room(0)
	head := s.appendHead(room[:0])
	if len(head) <= len(room) {
		return in, len(head)
	}
	defer slabs.put(in) // the head may lie in it
	if len(head) > maxHeader {
		return nil, 0
	}
	large := slabs.get(bigSize)
	return large, copy(large.b, head)
}

func (s *stream) appendHead(b []byte) []byte {
	r := s.request
	b = append(append(b, r.Method...), ' ')
	b = append(append(b, r.RequestURI...), " HTTP/1.1\r\n"...)
	b = appendText(b, "Host", r.Host)
	for name, values := range r.Header {
		switch name {
		case "Host", "Content-Length", "Transfer-Encoding", "Connection": // of HTTP/2 itself, or not of it
			continue
		}
		for _, v := range values {
			b = appendText(b, name, v)
		}
	}
	for name := range r.Trailer {
		b = appendText(b, "Trailer", name)
	}
	switch {
	case r.ContentLength < 0, r.ContentLength > 0 && len(r.Trailer) > 0:
		s.body = &chunker{body: r.Body, trailer: &r.Trailer}
		b = appendText(b, "Transfer-Encoding", "chunked")
	case r.ContentLength > 0:
		b = strconv.AppendInt(append(b, "Content-Length: "...), r.ContentLength, 10)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

func appendText(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	return append(append(b, value...), "\r\n"...)
}

// Read hands out the body.
func (s *stream) Read(p []byte) (int, error) {
	if !s.begin(&s.read) {
		return 0, os.ErrDeadlineExceeded
	}
	defer s.done(&s.read)
	return s.body.Read(p)
}

// Write takes the answer. What is not its end is on its way when it returns.
func (s *stream) Write(p []byte) (int, error) {
	if !s.begin(&s.write) {
		return 0, os.ErrDeadlineExceeded
	}
	defer s.done(&s.write)
	if err := s.answer.take(p); err != nil {
		return 0, err
	}
	if s.answer.begun && !s.answer.whole {
		return len(p), s.control.Flush()
	}
	return len(p), nil
}

// begin notes that a direction waits, unless its time is over.
func (s *stream) begin(w *waiting) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.now = !w.over
	return w.now
}

func (s *stream) done(w *waiting) {
	s.mu.Lock()
	w.now = false
	s.mu.Unlock()
}

// SetDeadline implements net.Conn.
func (s *stream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn, for times that are over: net/http takes
// none back, so it is only told of one while something waits.
func (s *stream) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read.over = isOver(t); s.read.over && s.read.now {
		return s.control.SetReadDeadline(t)
	}
	return nil
}

// SetWriteDeadline implements net.Conn.
func (s *stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write.over = isOver(t)
	if s.write.now && s.write.over || !t.IsZero() && !s.write.over {
		return s.control.SetWriteDeadline(t)
	}
	return nil
}

func isOver(t time.Time) bool { return !t.IsZero() && !t.After(time.Now()) }

// Close ends what waits.
func (s *stream) Close() error { return s.SetDeadline(time.Unix(1, 0)) }

// LocalAddr is nobody's business.
func (s *stream) LocalAddr() net.Addr { return nil }

// RemoteAddr is who the connection is from.
func (s *stream) RemoteAddr() net.Addr { return s.from.RemoteAddr() }

// answerWriter makes of an answer in HTTP/1.1 one that net/http sends.
type answerWriter struct {
	to       http.ResponseWriter
	bodiless bool // to HEAD
	begun    bool // the final answer
	whole    bool // and all of it was taken
	left     int64
	*heard
}

// heard is what an answer is read with; it is lent.
type heard struct {
	res     h1.Response
	decoder h1.Chunked
}

type heards struct{ pool sync.Pool }

func (p *heards) get() *heard {
	if v, ok := p.pool.Get().(*heard); ok {
		return v
	}
	return &heard{}
}

func (p *heards) put(v *heard) {
	v.res.Reset()
	v.decoder.Reset()
	p.pool.Put(v)
}

var errHalfHead = errors.New("the head of the answer is not whole")

// take takes the next bytes of the answer. Heads come as a whole.
func (a *answerWriter) take(p []byte) error {
	for !a.begun && len(p) > 0 {
		n, err := a.res.Parse(p, a.bodiless)
		if err != nil {
			return err
		}
		if n == 0 {
			return errHalfHead
		}
		a.head(p[:n])
		p = p[n:]
	}
	switch {
	case len(p) == 0 || a.whole:
		return nil
	case a.left < 0:
		return a.chunks(p)
	}
	n, err := a.to.Write(p[:min(int64(len(p)), a.left)])
	a.left -= int64(n)
	a.whole = a.left == 0
	return err
}

// head begins the answer, or sends an interim one.
func (a *answerWriter) head(p []byte) {
	h, text := a.to.Header(), string(p) // one string for all
	values := make([]string, 0, len(a.res.Fields))
	for i := range a.res.Fields {
		f := &a.res.Fields[i]
		if f.Kind == h1.Hop || f.Kind == h1.Transfer {
			continue
		}
		at := offset(p, f.Name)
		name := textproto.CanonicalMIMEHeaderKey(text[at : at+len(f.Name)])
		at = offset(p, f.Value)
		values = append(values, text[at:at+len(f.Value)])
		if known := h[name]; known != nil {
			h[name] = append(known, values[len(values)-1])
		} else {
			h[name] = values[len(values)-1 : len(values) : len(values)]
		}
	}
	if a.res.Status < http.StatusOK {
		a.to.WriteHeader(a.res.Status)
		clear(h)
		return
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // net/http is not to guess it
	}
	a.to.WriteHeader(a.res.Status)
	a.begun, a.left = true, a.res.Length
	a.whole = a.left == 0
}

// chunks sends a body that comes in chunks.
func (a *answerWriter) chunks(p []byte) error {
	payload, _, done, err := a.decoder.Decode(p)
	if err != nil {
		return err
	}
	if len(payload) > 0 {
		if _, err := a.to.Write(payload); err != nil {
			return err
		}
	}
	if a.whole = done; done {
		for _, f := range a.decoder.Trailer() {
			a.to.Header().Add(http.TrailerPrefix+string(f.Name), string(f.Value))
		}
	}
	return nil
}
