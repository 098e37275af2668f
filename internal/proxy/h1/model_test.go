package h1_test

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/noon-deploy/noon/internal/proxy/h1"
)

// message is what became of one request.
type message struct {
	request h1.Request
	trailer []h1.Field
	whole   bool // head and body are
	inBody  bool // the error is
	body    string
	rest    string
	err     error
}

func (m *message) status() int {
	if e, ok := errors.AsType[*h1.Error](m.err); ok {
		return e.Status
	}
	return 0
}

// equal compares all that does not depend on where in memory it is.
func (m *message) equal(o message) bool {
	return m.whole == o.whole && m.inBody == o.inBody && m.body == o.body && m.rest == o.rest && fmt.Sprint(m.err) == fmt.Sprint(o.err) &&
		head(&m.request) == head(&o.request) && fields(m.trailer) == fields(o.trailer)
}

func (m message) String() string {
	return fmt.Sprintf("whole %v, in body %v, error %v, body %q, rest %q, trailer %s, %s", m.whole, m.inBody, m.err, m.body, m.rest, fields(m.trailer), head(&m.request))
}

func head(r *h1.Request) string {
	return fmt.Sprintf("%q %q path %q query %q %v scheme %q host %q %q minor %d length %d close %v upgrade %q expect %v trailers %v head %v * %v connect %v odd %v\n%s",
		r.Method, r.Target, r.Path, r.Query, r.Query != nil, r.Scheme, r.Host, r.Hostname, r.Minor, r.Length, r.Close, r.Upgrade, r.Expect100, r.Trailers, r.Head, r.Asterisk, r.Connect, r.Odd, fields(r.Fields))
}

func fields(all []h1.Field) string {
	var b strings.Builder
	for _, f := range all {
		fmt.Fprintf(&b, "%q: %q (%s)\n", f.Name, f.Value, f.Kind)
	}
	return b.String()
}

// exactly gives a copy of b whose memory goes on with what must not be read.
func exactly(b []byte) []byte {
	return append(append(make([]byte, 0, len(b)+64), b...), strings.Repeat("\r\n\r\n\x00X: ", 8)...)[:len(b)]
}

// read reads one request that is there at once.
func read(raw []byte) message {
	var m message
	buf := exactly(raw)
	n, err := m.request.Parse(buf)
	if n == 0 || err != nil {
		return message{err: err}
	}
	m.take(buf[n:], len(buf)-n)
	return m
}

// readSlowly reads one request of which the bytes come one by one, as a server
// does that asks h1.Advanced first.
func readSlowly(raw []byte) message {
	var m message
	seen := 0
	for end := range len(raw) + 1 {
		if end < len(raw) && !h1.Advanced(raw[:end], seen) {
			continue
		}
		buf := exactly(raw[:end])
		seen = end
		n, err := m.request.Parse(buf)
		if err != nil {
			return message{err: err}
		}
		if n > 0 {
			m.take(raw[n:], 1)
			return m
		}
	}
	return message{}
}

// take reads the body from b, of which step bytes come at a time.
func (m *message) take(b []byte, step int) {
	if m.request.Length >= 0 {
		n := min(int64(len(b)), m.request.Length)
		m.body, m.rest, m.whole = string(b[:n]), string(b[n:]), n == m.request.Length
		return
	}
	m.body, m.rest, m.trailer, m.whole, m.err = decode(b, step)
	m.inBody = m.err != nil
	if m.err != nil {
		m.body = "" // how much came before the error depends on the steps
	}
}

// decode decodes a chunked body of which step bytes come at a time.
func decode(b []byte, step int) (body, rest string, trailer []h1.Field, done bool, err error) {
	var c h1.Chunked
	var all strings.Builder
	for at := 0; at < len(b) && !done && err == nil; {
		p := exactly(b[at:min(at+step, len(b))])
		var payload []byte
		var n int
		payload, n, done, err = c.Decode(p)
		all.Write(payload)
		at += n
		if err == nil && !done && n != len(p) {
			return "", "", nil, false, fmt.Errorf("%d of %d bytes consumed: %w", n, len(p), io.ErrShortBuffer)
		}
		if done {
			rest = string(b[at:])
		}
	}
	return all.String(), rest, c.Trailer(), done, err
}

// goesOn reports whether a field of that kind is for the instance.
func goesOn(k h1.Kind) bool {
	return k != h1.Hop && k != h1.Transfer && k != h1.UpgradeTo
}
