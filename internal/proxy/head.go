package proxy

import (
	"bytes"
	"encoding/hex"
	"net"
	"net/http"
	"strconv"
	"strings"
	"unsafe"

	"github.com/noon-deploy/noon/internal/proxy/h1"
)

// ask takes from the head what decides where the request goes and whether it
// may be sent twice.
func (t *turn) ask() {
	r := &t.req
	t.query.host = t.normalHost(r.Hostname)
	t.query.path = pathOf(r.Path)
	for i := range r.Fields {
		f := &r.Fields[i]
		switch f.Kind { //nolint:exhaustive // the others decide nothing
		case h1.Cookie:
			if strings.Contains(view(f.Value), ownCookies) {
				readCookieLine(string(f.Value), &t.query)
			}
		case h1.Noon:
			if len(f.Value) > 0 && strings.EqualFold(view(f.Name), previewHeader) {
				t.query.preview = string(f.Value)
			}
		case h1.IdempotencyKey:
			t.keyed = len(f.Value) > 0
		}
	}
	t.query.asked = t
}

// safe reports a method that asks for no change (RFC 9110, section 9.2.1).
func safe(method []byte) bool {
	switch string(method) { // the compiler makes no string of it
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// normalHost is normalHost without allocations; what it returns is good until
// the next request.
func (t *turn) normalHost(host []byte) string {
	if len(host) > len(t.host) {
		return normalHost(string(host))
	}
	n := copy(t.host[:], host)
	for i, c := range t.host[:n] {
		if 'A' <= c && c <= 'Z' {
			t.host[i] = c + 'a' - 'A'
		}
	}
	return strings.TrimSuffix(view(t.host[:n]), ".")
}

// view is a string of bytes that do not change while it is used.
func view(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // see above
}

// pathOf is the path that routes are compared with: as the instances would
// read it, so that %61dmin is admin.
func pathOf(raw []byte) string {
	if bytes.IndexByte(raw, '%') < 0 {
		return view(raw)
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		var c [1]byte
		if raw[i] == '%' && i+2 < len(raw) {
			if _, err := hex.Decode(c[:], raw[i+1:i+3]); err == nil {
				out = append(out, c[0])
				i += 2
				continue
			}
		}
		out = append(out, raw[i])
	}
	return string(out)
}

// appendRequest writes the head of the request for an instance. What it says
// of the user is noon's word, never the user's.
func (t *turn) appendRequest(b []byte) []byte {
	r := &t.req
	b = append(append(b, r.Method...), ' ')
	b = t.appendTarget(b)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	if len(r.Host) > 0 {
		b = append(b, r.Host...)
	} else {
		b = append(b, t.endpoint.Address...)
	}
	b = append(b, "\r\n"...)
	changes := &t.target.site.rules.Request
	changed := !changes.Empty()
	identified, traced := false, false
	for i := range r.Fields {
		f := &r.Fields[i]
		if changed && changes.Removes(f.Name) || !t.passes(f) {
			continue
		}
		switch f.Kind { //nolint:exhaustive // all others go on as they are
		case h1.Cookie:
			b = appendCookie(b, f)
			continue
		case h1.RequestID:
			if identified {
				continue
			}
			identified = true
		case h1.TraceParent:
			if traced {
				continue
			}
			traced = true
		}
		b = appendField(b, f)
	}
	if !identified {
		b = append(append(append(b, "X-Request-Id: "...), t.number()...), "\r\n"...)
	}
	if !traced {
		b = append(append(append(b, "traceparent: "...), t.traceParent()...), "\r\n"...)
	}
	b = t.appendOrigin(b)
	if strip := t.target.route.prefix; t.target.route.strip && strip != "" {
		b = append(append(append(b, "X-Forwarded-Prefix: "...), strip...), "\r\n"...)
	}
	b = t.target.site.rules.Request.AppendSet(b)
	return t.appendFraming(b)
}

// passes reports whether a field goes on to the instance.
func (t *turn) passes(f *h1.Field) bool {
	switch f.Kind { //nolint:exhaustive // all others do
	case h1.Hop, h1.Host, h1.Length, h1.Transfer, h1.UpgradeTo, h1.Forwarded, h1.Noon:
		return false
	case h1.Expect:
		return t.body.streams()
	case h1.Trailer:
		return t.body.length < 0
	case h1.RequestID:
		return validRequestID(view(f.Value))
	case h1.TraceParent:
		return validTraceParent(f.Value)
	}
	return true
}

func (t *turn) appendTarget(b []byte) []byte {
	if t.target.route.strip && t.target.route.prefix != "" {
		return t.appendStripped(b)
	}
	return t.req.AppendTarget(b)
}

// appendStripped writes the target without the prefix of its route.
func (t *turn) appendStripped(b []byte) []byte {
	b = append(b, stripped(view(t.req.Path), len(t.target.route.prefix))...)
	if t.req.Query != nil {
		b = append(append(b, '?'), t.req.Query...)
	}
	return b
}

// stripped gives a path as it was sent without its first n bytes, counted as
// instances would read them: %61 is one. What is left begins with a slash.
func stripped(raw string, n int) string {
	for ; n > 0 && raw != ""; n-- {
		if escaped(raw) {
			raw = raw[2:]
		}
		raw = raw[1:]
	}
	switch {
	case raw == "":
		return "/"
	case raw[0] != '/' && escaped(raw):
		return "/" + raw[3:] // it was written %2F
	}
	return raw
}

// escaped reports that a text begins with a byte written as %XX.
func escaped(s string) bool {
	var c [1]byte
	if len(s) < 3 || s[0] != '%' {
		return false
	}
	_, err := hex.Decode(c[:], []byte(s[1:3]))
	return err == nil
}

// appendFraming ends the head: how long the body is, and what becomes of the
// connection.
func (t *turn) appendFraming(b []byte) []byte {
	switch {
	case t.body.length < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case t.body.length > 0 || !safe(t.req.Method):
		b = strconv.AppendInt(append(b, "Content-Length: "...), t.body.length, 10)
		b = append(b, "\r\n"...)
	}
	if t.req.Upgrade != nil {
		b = append(b, "Connection: Upgrade\r\nUpgrade: "...)
		b = append(append(b, t.req.Upgrade...), "\r\n"...)
	}
	return append(b, "\r\n"...)
}

func appendField(b []byte, f *h1.Field) []byte {
	b = append(append(b, f.Name...), ": "...)
	return append(append(b, f.Value...), "\r\n"...)
}

func appendCookie(b []byte, f *h1.Field) []byte {
	if !strings.Contains(view(f.Value), ownCookies) {
		return appendField(b, f)
	}
	var ignored query
	rest := readCookieLine(string(f.Value), &ignored)
	if rest == "" {
		return b
	}
	b = append(append(b, f.Name...), ": "...)
	return append(append(b, rest...), "\r\n"...)
}

// forwarded gives the lines that say who the user is.
func (c *userConn) forwarded() []byte {
	if c.from == nil {
		ip := c.RemoteAddr().String()
		if host, _, err := net.SplitHostPort(ip); err == nil {
			ip = host
		}
		c.from = []byte("X-Forwarded-For: " + ip + "\r\nX-Forwarded-Proto: " + c.scheme() + "\r\n")
	}
	return c.from
}
