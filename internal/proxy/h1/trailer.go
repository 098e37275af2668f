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
	n := 0
	for n < len(p) && c.state == inTrailer {
		k, err := c.trailerLine(p[n:])
		if err != nil {
			return n, err
		}
		n += k
	}
	return n, nil
}

// trailerLine takes bytes up to the end of a line, and gives how many.
func (c *Chunked) trailerLine(p []byte) (int, error) {
	k := bytes.IndexByte(p, '\n') + 1
	ended := k > 0
	if !ended {
		k = len(p)
	}
	room := MaxTrailer - len(c.section)
	fits := k <= room
	k = min(k, room)
	c.section = append(c.section, p[:k]...)
	line := c.section[c.line:]
	// All but a CR that ends it so far: the line may not have come whole.
	if i := bytes.IndexByte(line, '\r'); i >= 0 && i+1 < len(line) && line[i+1] != '\n' {
		return 0, bad("a carriage return without a line feed in a trailer field (RFC 9112 2.2)")
	}
	switch {
	case !fits:
		return 0, fail(statusTooLarge, "the trailer section has more than %d bytes (RFC 9112 7.1.2)", MaxTrailer)
	case !ended:
		return k, nil
	case string(line) == "\r\n":
		return k, c.fields()
	case len(line) < 2 || line[len(line)-2] != '\r':
		return 0, bad("a line feed without a carriage return in a trailer field (RFC 9112 2.2)")
	}
	c.line = len(c.section)
	return k, nil
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
