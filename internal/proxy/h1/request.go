package h1

import "bytes"

// Limits of what comes before the fields of a head.
const (
	// MaxLine is the most bytes that a method and a target, or the reason of a
	// status line, may have.
	MaxLine = 16 << 10
	// MaxBlank is the most empty lines that are skipped before a request line.
	MaxBlank = 4
)

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Request is the head of a request. Its slices lie in the buffer that was
// parsed, and are good as long as that is.
type Request struct {
	Method []byte // as sent
	Target []byte // as sent

	// Path is the path of the target as sent, not decoded: "/" where an
	// absolute form has none, "*" or nil if Asterisk is set, nil for CONNECT.
	Path []byte
	// Query follows the "?"; it is nil where there is none, and empty where
	// nothing follows.
	Query []byte
	// Scheme is that of an absolute form, and nil otherwise.
	Scheme []byte
	// Host is the authority that is asked: of an absolute form or of CONNECT
	// that of the target, else of the Host field. It is a name, an IPv4 address
	// or an IPv6 address in brackets, with a port or without. It is nil only in
	// HTTP/1.0 without a Host field.
	Host []byte
	// Hostname is Host without the port; an IPv6 address keeps its brackets.
	Hostname []byte

	Minor  int     // of the version: HTTP/1.Minor, 0 or 1
	Fields []Field // in their order; the slice is reused by the next Parse
	Length int64   // of the body: 0 none, -1 chunked

	// Close reports that the connection ends after this request: the client
	// says so, or HTTP/1.0 implies it.
	Close bool
	// Upgrade is what the client would like to go over to, as sent; nil if it
	// is not to be followed: without "Connection: upgrade", in HTTP/1.0, and for
	// HTTP/2, which RFC 9113 no longer upgrades to.
	Upgrade   []byte
	Expect100 bool // the client waits for 100 (Continue) before it sends the body
	Trailers  bool // the client takes trailer fields (TE: trailers)
	Head      bool // the method is HEAD: no answer has a body
	Asterisk  bool // OPTIONS *
	Connect   bool // the method is CONNECT
	Odd       bool // the name of a field holds other characters than letters, digits and "-"

	index index
}

// Value gives the value of the first field of a kind, or nil if there is none
// or it ends here.
func (r *Request) Value(k Kind) []byte { return r.index.public(r.Fields, k) }

// Repeated reports whether more than one field is of that kind.
func (r *Request) Repeated(k Kind) bool { return k < connection && r.index.twice(k) }

// Reset lets go of the buffer, and keeps only memory for fields.
func (r *Request) Reset() {
	clear(r.Fields[:cap(r.Fields)])
	*r = Request{Fields: r.Fields[:0]}
}

// Parse reads a head from the front of buf. n is its length with the blank
// line, and with empty lines that came before; 0 and nil: more is needed, and
// nothing in r is good. The error is an [*Error], or [ErrPreface].
func (r *Request) Parse(buf []byte) (n int, err error) {
	*r = Request{Fields: r.Fields[:0]}
	i, err := r.line(buf)
	if i == 0 || err != nil {
		return 0, err
	}
	r.Fields, n, err = r.index.fields(r.Fields, buf, i)
	if n == 0 || err != nil {
		return 0, err
	}
	if err := r.settle(); err != nil {
		return 0, err
	}
	return n, nil
}

// Advanced reports whether Parse can say anything new about buf after it
// needed more than the first seen bytes of it: a line has ended, or one has
// become too long. A caller who asks it first is not made to parse a head once
// for every byte of it that a slow client sends.
func Advanced(buf []byte, seen int) bool {
	const long = MaxLine + 2*MaxBlank
	if seen == 0 || seen > len(buf) {
		return true
	}
	return bytes.IndexByte(buf[seen:], '\n') >= 0 || seen <= long && len(buf) > long
}

// line parses the request line and gives the place of the first field, or 0.
func (r *Request) line(buf []byte) (int, error) {
	start, err := skipBlank(buf)
	if err != nil || start == len(buf) {
		return 0, err
	}
	limit := min(len(buf), start+MaxLine)
	i := start
	for i < limit && class[buf[i]]&(inName|inToken) != 0 {
		i++
	}
	if i == limit {
		return 0, tooLong(buf, limit)
	}
	if buf[i] != ' ' || i == start {
		return 0, badMethod(buf, start, i)
	}
	r.Method = buf[start:i]
	i++
	if string(r.Method) == "PRI" && (i == len(buf) || buf[i] == '*') {
		return 0, prior(buf)
	}
	start = i
	seen := uint8(0)
	for i < limit && class[buf[i]]&inTarget != 0 {
		seen |= class[buf[i]]
		i++
	}
	if i == limit {
		return 0, tooLong(buf, limit)
	}
	if buf[i] != ' ' || i == start {
		return 0, badTarget(buf, start, i)
	}
	r.Target = buf[start:i]
	if err := r.target(seen&inParts == 0); err != nil {
		return 0, err
	}
	return r.version(buf, i+1)
}

// skipBlank skips empty lines before a request (RFC 9112 2.2); it gives the
// length of buf while it can not say where they end.
func skipBlank(buf []byte) (int, error) {
	for i := 0; i < len(buf); i += 2 {
		switch {
		case buf[i] == '\n':
			return 0, bad("a line feed without a carriage return before the request line (RFC 9112 2.2)")
		case buf[i] != '\r':
			return i, nil
		case i == 2*MaxBlank:
			return 0, bad("more than %d empty lines before the request line (RFC 9112 2.2)", MaxBlank)
		case i+1 == len(buf):
			return len(buf), nil
		case buf[i+1] != '\n':
			return 0, bad("a carriage return without a line feed before the request line (RFC 9112 2.2)")
		}
	}
	return len(buf), nil
}

// version parses the version, which ends the request line.
func (r *Request) version(buf []byte, i int) (int, error) {
	minor, n, err := version(buf[i:])
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, nil
	}
	i += n
	switch lineEnd(buf, i) {
	case needMore:
		return 0, nil
	case lineGoesOn:
		return 0, badEnd("request line", buf[i])
	}
	r.Minor = minor
	return i + 2, nil
}

// version parses HTTP/1.0 and HTTP/1.1 (RFC 9112 2.3). n is 0 if there is not
// enough of it.
func version(buf []byte) (minor, n int, err error) {
	const name = "HTTP/1.1"
	if len(buf) >= len(name) && string(buf[:len(name)]) == name {
		return 1, len(name), nil
	}
	for i, c := range buf[:min(len(buf), len(name))] {
		if c != name[i] && (class[c]&isDigit == 0 || class[name[i]]&isDigit == 0) {
			return 0, 0, badVersion(buf, i)
		}
	}
	switch {
	case len(buf) < len(name):
		return 0, 0, nil
	case string(buf[:len(name)]) == "HTTP/1.0":
		return 0, len(name), nil
	default:
		return 0, 0, fail(statusVersion, "%s is not spoken here, HTTP/1.1 and HTTP/1.0 are (RFC 9110 2.5)", buf[:len(name)])
	}
}

// prior tells the preface of HTTP/2, which nothing may precede, from what looks
// like it.
func prior(buf []byte) error {
	n := min(len(buf), len(preface))
	switch {
	case string(buf[:n]) != preface[:n]:
		return fail(statusVersion, "a preface of HTTP/2 that is not whole (RFC 9113 3.4)")
	case n == len(preface):
		return ErrPreface
	}
	return nil
}

// tooLong says that a line is, if the limit is what ended it and not the buffer.
func tooLong(buf []byte, limit int) error {
	if limit == len(buf) {
		return nil
	}
	return fail(statusLongTarget, "method and target have more than %d bytes (RFC 9110 4.1)", MaxLine)
}

func badMethod(buf []byte, start, i int) error {
	c := buf[i]
	switch {
	case c == 0x16 && i == start:
		return bad("a TLS handshake where plain HTTP is spoken")
	case c == ' ':
		return bad("a blank before the method (RFC 9112 3)")
	case c == '\r' || c == '\n':
		return bad("the request line ends after the method (RFC 9112 3)")
	default:
		return bad("byte 0x%02x in the method (RFC 9110 9.1)", c)
	}
}

func badTarget(buf []byte, start, i int) error {
	switch c := buf[i]; c {
	case ' ':
		return bad("more than one blank after the method (RFC 9112 3)")
	case '#':
		return bad("the target has a fragment (RFC 9112 3.2)")
	case '\r', '\n':
		return bad("the request line has no version (RFC 9112 3)")
	default:
		return bad("byte 0x%02x in the target at %d (RFC 9112 3.2)", c, i-start)
	}
}

func badVersion(buf []byte, i int) error {
	switch c := buf[i]; {
	case i == 0 && blank(c):
		return bad("more than one blank before the version (RFC 9112 3)")
	case c == '\n':
		return bad("a line feed without a carriage return after the first line (RFC 9112 2.2)")
	default:
		return bad("byte 0x%02x in the version (RFC 9112 2.3)", c)
	}
}

func badEnd(what string, c byte) error {
	switch {
	case c == '\n':
		return bad("a line feed without a carriage return after the %s (RFC 9112 2.2)", what)
	case c == '\r':
		return bad("a carriage return without a line feed after the %s (RFC 9112 2.2)", what)
	case blank(c):
		return bad("a blank at the end of the %s (RFC 9112 3)", what)
	default:
		return bad("byte 0x%02x at the end of the %s (RFC 9112 3)", c, what)
	}
}
