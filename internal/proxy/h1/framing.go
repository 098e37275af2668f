package h1

import "math"

// Chunked and UntilClose are lengths of bodies that no number tells.
const (
	LengthChunked    = -1
	LengthUntilClose = -2
)

// maxOptions is the most options that Connection may have: each is compared
// with every field.
const maxOptions = 32

// settle draws from the fields what they say of the message as a whole.
func (r *Request) settle() error {
	r.Odd = r.index.odd
	if err := r.host(); err != nil {
		return err
	}
	options, err := r.index.options(r.Fields)
	if err != nil {
		return err
	}
	r.Close = options.close || r.Minor == 0 && !options.keep
	if err := r.framing(); err != nil {
		return err
	}
	if r.index.has(Expect) {
		if err := r.expect(); err != nil {
			return err
		}
	}
	if r.index.has(UpgradeTo) {
		r.Upgrade = r.index.upgrade(r.Fields, options.upgrade && r.Minor == 1)
	}
	r.Trailers = r.index.has(te) && options.te && hasElement(r.index.value(r.Fields, te), "trailers")
	return nil
}

// host checks the Host field (RFC 9112 3.2), also where the target says who is
// asked, and then does not count.
func (r *Request) host() error {
	switch {
	case r.index.twice(Host):
		return bad("more than one Host field (RFC 9112 3.2)")
	case !r.index.has(Host) && r.Minor == 0:
		return nil
	case !r.index.has(Host):
		return bad("no Host field (RFC 9112 3.2)")
	}
	value := r.index.value(r.Fields, Host)
	if r.Host != nil {
		_, err := hostname(value, "the Host field")
		return err
	}
	return r.authority(value, "the Host field")
}

// framing finds the length of the body (RFC 9112 6.3), and rejects all that
// two servers could understand in two ways.
func (r *Request) framing() error {
	x := &r.index
	if !x.has(Transfer) {
		n, err := x.length(r.Fields)
		r.Length = max(n, 0)
		return err
	}
	switch {
	case x.has(Length):
		return bad("both Transfer-Encoding and Content-Length (RFC 9112 6.1)")
	case r.Minor == 0:
		return bad("Transfer-Encoding in HTTP/1.0 (RFC 9112 6.1)")
	}
	r.Length = LengthChunked
	return x.transfer(r.Fields)
}

// expect parses Expect (RFC 9110 10.1.1).
func (r *Request) expect() error {
	if !r.index.once(Expect) || !is(r.index.value(r.Fields, Expect), "100-continue") {
		return fail(statusExpectation, "an expectation other than 100-continue (RFC 9110 10.1.1)")
	}
	r.Expect100 = r.Minor == 1
	return nil
}

// transfer checks that the body is chunked, and nothing else (RFC 9112 7).
func (x *index) transfer(fields []Field) error {
	value := x.value(fields, Transfer)
	switch {
	case x.twice(Transfer):
		return bad("more than one Transfer-Encoding field (RFC 9112 6.1)")
	case is(value, "chunked"):
		return nil
	case token(value):
		return fail(statusNotHere, "the transfer coding %q is not known here, only chunked is (RFC 9112 6.1)", cut(value))
	default:
		return bad("Transfer-Encoding %q is not chunked alone (RFC 9112 6.1)", cut(value))
	}
}

// length is the number of Content-Length (RFC 9110 8.6), -1 without one.
func (x *index) length(fields []Field) (int64, error) {
	if !x.has(Length) {
		return -1, nil
	}
	if x.twice(Length) {
		return -1, bad("more than one Content-Length field (RFC 9110 8.6)")
	}
	return decimal(x.value(fields, Length))
}

func decimal(value []byte) (int64, error) {
	n := int64(0)
	for _, c := range value {
		if class[c]&isDigit == 0 {
			return -1, bad("Content-Length %q is no number (RFC 9110 8.6)", cut(value))
		}
		d := int64(c - '0')
		if n > (math.MaxInt64-d)/10 {
			return -1, bad("Content-Length %q is too large (RFC 9110 8.6)", cut(value))
		}
		n = n*10 + d
	}
	if len(value) == 0 {
		return -1, bad("Content-Length is empty (RFC 9110 8.6)")
	}
	return n, nil
}

// options are what Connection asks for.
type options struct{ close, keep, upgrade, te bool }

// options parses Connection (RFC 9110 7.6.1) and marks the fields it names.
func (x *index) options(fields []Field) (options, error) {
	var o options
	if !x.has(connection) {
		return o, nil
	}
	n := 0
	for i := int(x.first[connection]) - 1; i < len(fields); i++ {
		f := &fields[i]
		if f.Kind != Hop || !is(f.Name, "connection") {
			continue
		}
		elements(f.Value, func(e []byte) bool {
			o.take(e, fields)
			n++
			return n <= maxOptions
		})
		if !x.twice(connection) {
			break
		}
	}
	if n > maxOptions {
		return o, fail(statusTooLarge, "Connection has more than %d options (RFC 9110 7.6.1)", maxOptions)
	}
	return o, nil
}

func (o *options) take(e []byte, fields []Field) {
	switch {
	case is(e, "close"):
		o.close = true
	case is(e, "keep-alive"):
		o.keep = true
	case is(e, "upgrade"):
		o.upgrade = true
	case is(e, "te"):
		o.te = true
	default:
		for i := range fields {
			if f := &fields[i]; f.Kind == Other && same(f.Name, e) {
				f.Kind = Hop
			}
		}
	}
}

// same reports whether two names are the same but for the case of letters.
func same(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if c != b[i] && (c|0x20 != b[i]|0x20 || c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// upgrade gives the value of Upgrade (RFC 9110 7.8) if it is to be followed;
// if not, its fields end here.
func (x *index) upgrade(fields []Field, asked bool) []byte {
	value := x.value(fields, UpgradeTo)
	if asked && x.once(UpgradeTo) && len(value) > 0 && !hasElement(value, "h2c") && !hasElement(value, "h2") {
		return value
	}
	for i := range fields {
		if fields[i].Kind == UpgradeTo {
			fields[i].Kind = Hop
		}
	}
	return nil
}

// hasElement reports whether a list has an element, parameters aside.
func hasElement(list []byte, s string) bool {
	found := false
	elements(list, func(e []byte) bool {
		for i, c := range e {
			if c == ';' || blank(c) {
				e = e[:i]
				break
			}
		}
		found = is(e, s)
		return !found
	})
	return found
}
