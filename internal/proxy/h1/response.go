package h1

import "errors"

// Response is the head of an answer. Its slices lie in the buffer that was
// parsed, and are good as long as that is.
type Response struct {
	Minor  int     // of the version: HTTP/1.Minor, 0 or 1
	Status int     // 100 to 999
	Reason []byte  // often empty
	Fields []Field // in their order; the slice is reused by the next Parse

	// Length is that of the body: 0 none, [LengthChunked], or
	// [LengthUntilClose].
	Length int64
	// Close reports that the connection can take no other request after this
	// answer: the instance says so, the version or the body implies it, or what
	// follows the head is in doubt.
	Close bool
	// Upgrade is what the instance goes over to with the status 101; nil
	// otherwise.
	Upgrade []byte
	Odd     bool // the name of a field holds other characters than letters, digits and "-"

	index index
}

// Value gives the value of the first field of a kind, or nil if there is none
// or it ends here.
func (r *Response) Value(k Kind) []byte { return r.index.public(r.Fields, k) }

// Repeated reports whether more than one field is of that kind.
func (r *Response) Repeated(k Kind) bool { return k < connection && r.index.twice(k) }

// Reset lets go of the buffer, and keeps only memory for fields.
func (r *Response) Reset() {
	clear(r.Fields[:cap(r.Fields)])
	*r = Response{Fields: r.Fields[:0]}
}

// Parse reads the head of an answer from the front of buf; head says that the
// method of the request was HEAD. n is its length with the blank line; 0 and
// nil: more is needed, and nothing in r is good. The error is an [*Error] with
// the status 502.
func (r *Response) Parse(buf []byte, head bool) (n int, err error) {
	if n, err = r.parse(buf, head); err == nil {
		return n, nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		e.Status = statusBadGateway
	}
	return 0, err
}

func (r *Response) parse(buf []byte, head bool) (n int, err error) {
	*r = Response{Fields: r.Fields[:0]}
	i, err := r.line(buf)
	if i == 0 || err != nil {
		return 0, err
	}
	r.Fields, n, err = r.index.fields(r.Fields, buf, i)
	if n == 0 || err != nil {
		return 0, err
	}
	if err := r.settle(head); err != nil {
		return 0, err
	}
	return n, nil
}

// line parses the status line (RFC 9112 4) and gives the place of the first
// field, or 0. The blank after the status may be missing, as it is where
// servers have no reason to give.
func (r *Response) line(buf []byte) (int, error) {
	minor, i, err := version(buf)
	if i == 0 || err != nil {
		return 0, err
	}
	for n := range 4 {
		switch {
		case i == len(buf):
			return 0, nil
		case n == 0 && buf[i] != ' ', n > 0 && class[buf[i]]&isDigit == 0:
			return 0, bad("byte 0x%02x in the status line (RFC 9112 4)", buf[i])
		case n > 0:
			r.Status = r.Status*10 + int(buf[i]-'0')
		}
		i++
	}
	if r.Status < 100 {
		return 0, bad("the status %03d (RFC 9110 15)", r.Status)
	}
	r.Minor = minor
	start := i
	if i < len(buf) && buf[i] == ' ' {
		start++
		limit := min(len(buf), start+MaxLine)
		if i = text(buf[:limit], start); i == limit && limit < len(buf) {
			return 0, bad("the reason has more than %d bytes (RFC 9112 4)", MaxLine)
		}
	}
	switch lineEnd(buf, i) {
	case needMore:
		return 0, nil
	case lineGoesOn:
		return 0, badEnd("status line", buf[i])
	}
	r.Reason = buf[start:i]
	return i + 2, nil
}

// settle draws from the fields what they say of the message as a whole.
func (r *Response) settle(head bool) error {
	r.Odd = r.index.odd
	options, err := r.index.options(r.Fields)
	if err != nil {
		return err
	}
	r.Close = options.close || r.Minor == 0 && !options.keep
	if err := r.framing(head); err != nil {
		return err
	}
	if r.index.has(UpgradeTo) {
		r.Upgrade = r.index.upgrade(r.Fields, options.upgrade && r.Status == 101)
	}
	return nil
}

// framing finds the length of the body (RFC 9112 6.3).
func (r *Response) framing(head bool) error {
	x := &r.index
	length, err := r.length()
	switch {
	case err != nil:
		return err
	case x.has(Transfer) && x.has(Length):
		return bad("both Transfer-Encoding and Content-Length (RFC 9112 6.1)")
	case x.has(Transfer) && r.Minor == 0:
		return bad("Transfer-Encoding in HTTP/1.0 (RFC 9112 6.1)")
	case x.has(Transfer):
		length = LengthChunked
		if err := x.transfer(r.Fields); err != nil {
			return err
		}
	}
	switch {
	case r.Status < 200 || r.Status == 204:
		// RFC 9110 8.6 and RFC 9112 6.1: such an answer has no length. If it
		// claims a body, nobody knows whether one follows.
		r.Close = r.Close || length > 0 || length == LengthChunked
		r.drop(Length)
		r.drop(Transfer)
	case head || r.Status == 304:
	case length == LengthUntilClose:
		r.Length, r.Close = length, true
	default:
		r.Length = length
	}
	return nil
}

// length is the number of Content-Length; the same one twice counts once.
func (r *Response) length() (int64, error) {
	x := &r.index
	if !x.has(Length) {
		return LengthUntilClose, nil
	}
	first := x.value(r.Fields, Length)
	if x.twice(Length) {
		for i := int(x.first[Length]); i < len(r.Fields); i++ {
			f := &r.Fields[i]
			if f.Kind != Length {
				continue
			}
			if string(f.Value) != string(first) {
				return 0, bad("Content-Length is %q and %q (RFC 9110 8.6)", cut(first), cut(f.Value))
			}
			f.Kind = Hop
		}
	}
	return decimal(first)
}

// drop makes the fields of a kind end here.
func (r *Response) drop(k Kind) {
	if !r.index.has(k) {
		return
	}
	for i := range r.Fields {
		if r.Fields[i].Kind == k {
			r.Fields[i].Kind = Hop
		}
	}
}
