package meter

import (
	"net/netip"
	"strconv"
	"time"
)

// Entry is one line of the access log. What came with the request is bytes, so
// that a caller gives the parts of its buffers: they are only read while the
// entry is written. Empty parts are left out of the line.
type Entry struct {
	Time      time.Time // when the request began
	Method    []byte
	Host      []byte
	Path      []byte // as sent, without the query
	Query     []byte // as sent, without "?"; only the names of its parameters are written
	Protocol  string // "HTTP/1.1", "HTTP/2.0"
	Status    int    // 0: no answer was sent
	In, Out   int64  // bytes of the request and the answer
	Took      time.Duration
	FirstByte time.Duration // until the first byte of the answer; 0: there was none

	Key      Key    // site, service, route and revision; zero where it belongs to none
	Instance string // who answered, or failed to
	Retries  int    // instances tried before the last
	Failed   bool   // Why says what went wrong
	Why      Failure

	Client    netip.Addr
	UserAgent []byte
	RequestID []byte
	TraceID   []byte
	Fields    []Field // others that the configuration asks for

	Redact *Redaction // nil: the strictest
	Share  float64    // of its kind that are written, where that is less than all: 0 and 1 are all
}

// Field is a header field of the request that is to be in the log.
type Field struct {
	Name  string
	Value []byte
}

// AppendJSON appends the entry as one JSON object with a line feed. Whatever
// bytes it holds, the result is valid JSON: what is no UTF-8 becomes U+FFFD.
func (e *Entry) AppendJSON(dst []byte) []byte {
	l := line{buf: append(dst, '{'), json: true}
	e.write(&l)
	return append(l.buf, "}\n"...)
}

// AppendText appends the entry as one line for people: time, status, request,
// then names and values. Bytes that a terminal could act on are escaped.
func (e *Entry) AppendText(dst []byte) []byte {
	l := line{buf: dst}
	e.write(&l)
	return append(l.buf, '\n')
}

// write gives the parts of an entry in their order.
func (e *Entry) write(l *line) {
	l.time("time", e.Time)
	l.number("status", int64(e.Status))
	l.bytes("method", e.Method)
	l.bytes("host", e.Host)
	l.begin("path")
	e.Redact.target(l, e.Path, e.Query)
	l.end()
	l.text("protocol", e.Protocol)
	l.milliseconds("took_ms", e.Took)
	if e.FirstByte > 0 {
		l.milliseconds("first_byte_ms", e.FirstByte)
	}
	l.number("in", e.In)
	l.number("out", e.Out)
	e.writePlace(l)
	e.writeClient(l)
	if e.Share > 0 && e.Share < 1 {
		l.float("share", e.Share)
	}
}

func (e *Entry) writePlace(l *line) {
	l.text("app", e.Key.Site.App)
	l.text("environment", e.Key.Site.Environment)
	l.text("service", e.Key.Service)
	l.text("route", e.Key.Route)
	if r := e.Key.Revision; !r.IsZero() {
		l.begin("release")
		l.buf = append(l.buf, 'r')
		l.buf = strconv.AppendInt(l.buf, int64(r.Release), 10)
		l.buf = append(l.buf, ".c"...)
		l.buf = strconv.AppendInt(l.buf, int64(r.Config), 10)
		l.end()
	}
	l.text("instance", e.Instance)
	if e.Retries > 0 {
		l.number("retries", int64(e.Retries))
	}
	if e.Failed {
		l.text("failed", e.Why.String())
	}
}

func (e *Entry) writeClient(l *line) {
	if e.Client.IsValid() {
		l.begin("client")
		e.Redact.client(l, e.Client)
		l.end()
	}
	l.bytes("user_agent", e.UserAgent)
	l.bytes("request_id", e.RequestID)
	l.bytes("trace_id", e.TraceID)
	e.Redact.fields(l, e.Fields)
}
