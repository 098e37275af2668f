package h1

import "bytes"

// Trailer gives the trailer fields of a body that is over, without those that
// may not come so late: all that frame, route, authenticate or modify a
// message, or say how to read its content (RFC 9110 6.5.1). It is good until
// the next Reset.
func (c *Chunked) Trailer() []Field { return c.trailer }

// end takes bytes of the trailer section, and gives how many.
func (c *Chunked) end(p []byte) (int, error) {
	if len(c.section) == 0 && len(p) >= 2 && p[0] == '\r' && p[1] == '\n' {
		c.state = over
		return 2, nil
	}
	for n := 0; n < len(p); {
		k := bytes.IndexByte(p[n:], '\n') + 1
		ended := k > 0
		if !ended {
			k = len(p) - n
		}
		if len(c.section)+k > MaxTrailer {
			return n, fail(statusTooLarge, "the trailer section has more than %d bytes (RFC 9112 7.1.2)", MaxTrailer)
		}
		c.section = append(c.section, p[n:n+k]...)
		n += k
		if !ended {
			return n, nil
		}
		line := c.section[c.line:]
		c.line = len(c.section)
		if string(line) == "\r\n" {
			return n, c.fields()
		}
		if len(line) < 2 || line[len(line)-2] != '\r' {
			return n, bad("trailer: a line feed without a carriage return (RFC 9112 2.2)")
		}
	}
	return len(p), nil
}

// fields parses the trailer section, which is whole.
func (c *Chunked) fields() error {
	var x index
	all, _, err := x.fields(c.trailer, c.section, 0)
	if err != nil {
		return err
	}
	c.state = over
	c.trailer = all[:0]
	for _, f := range all {
		if f.Kind == Other {
			c.trailer = append(c.trailer, f)
		}
	}
	return nil
}
