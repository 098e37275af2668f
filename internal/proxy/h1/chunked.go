package h1

import "math"

// Limits of what surrounds the data of a chunked body.
const (
	MaxChunkExtension = 1 << 10  // bytes of extensions of one chunk
	MaxExtensions     = 16 << 10 // bytes of extensions of a body
	MaxTrailer        = 8 << 10  // bytes of a trailer section
)

// state is what is expected next.
type state uint8

const (
	atSize    state = iota // the size of a chunk
	inExt                  // extensions
	sizeLF                 // the line feed that ends the line of the size
	inData                 // data
	dataCR                 // the carriage return after data
	dataLF                 // the line feed after it
	inTrailer              // the trailer section
	over                   // nothing: the body has ended
)

// Chunked decodes a chunked body strictly (RFC 9112 7.1). The zero value is
// ready.
type Chunked struct {
	left     uint64 // of the data; or the size as far as it was read
	digits   int    // of the size
	ext      int    // bytes of extensions of this chunk
	exts     int    // bytes of extensions of the body
	state    state
	section  []byte // the trailer section
	line     int    // where its last line begins
	trailer  []Field
	received int64
}

// Reset makes c ready for another body. It keeps memory for trailers.
func (c *Chunked) Reset() {
	clear(c.trailer[:cap(c.trailer)])
	*c = Chunked{section: c.section[:0], trailer: c.trailer[:0]}
}

// Received is the number of bytes of data that came so far.
func (c *Chunked) Received() int64 { return c.received }

// Decode decodes p. The payload lies in p, which is overwritten: at its front,
// or where it was if all of it was in one piece. n is how much of p was
// consumed: all of it, unless the body is over (done), trailer section
// included. The error is an [*Error]; what came before it may have been
// decoded, and the body is not to be used.
func (c *Chunked) Decode(p []byte) (payload []byte, n int, done bool, err error) {
	i := 0
	for i < len(p) && c.state != over {
		if c.state == inData {
			k := int(min(c.left, uint64(len(p)-i)))
			if len(payload) == 0 {
				payload = p[i : i+k]
			} else {
				payload = gather(p, payload, p[i:i+k])
			}
			i += k
			if c.left -= uint64(k); c.left == 0 {
				c.state = dataCR
			}
			continue
		}
		if c.state == inTrailer {
			k, err := c.end(p[i:])
			if err != nil {
				return nil, i, false, err
			}
			i += k
			continue
		}
		if k := c.between(p[i:]); k > 0 {
			i += k
			continue
		}
		if err := c.step(p[i]); err != nil {
			return nil, i, false, err
		}
		i++
	}
	c.received += int64(len(payload))
	return payload, i, c.state == over, nil
}

// gather puts two pieces of p together at its front.
func gather(p, first, second []byte) []byte {
	if &first[0] != &p[0] {
		copy(p, first)
	}
	n := copy(p[len(first):], second)
	return p[:len(first)+n]
}

// between takes the end of the data of a chunk, or the line that begins one,
// if it is whole and without extensions, as nearly all are. It gives 0 if it
// is not; step then takes it byte by byte.
func (c *Chunked) between(p []byte) int {
	if c.state == dataCR {
		if len(p) < 2 || p[0] != '\r' || p[1] != '\n' {
			return 0
		}
		c.state = atSize
		return 2
	}
	if c.state != atSize || c.digits != 0 {
		return 0
	}
	n, size := 0, uint64(0)
	for n < len(p) && n < 15 && class[p[n]]&isHex != 0 {
		size = size<<4 | hexValue(p[n])
		n++
	}
	if n == 0 || n+1 >= len(p) || p[n] != '\r' || p[n+1] != '\n' {
		return 0
	}
	c.left = size
	c.begin()
	return n + 2
}

// step takes one byte of what surrounds the data.
func (c *Chunked) step(b byte) error {
	switch c.state {
	case atSize:
		return c.size(b)
	case inExt:
		return c.extension(b)
	case sizeLF:
		if b != '\n' {
			return bad("a carriage return without a line feed after the size of a chunk (RFC 9112 7.1)")
		}
		c.begin()
	case dataCR:
		if b != '\r' {
			return bad("byte 0x%02x where the data of a chunk should end (RFC 9112 7.1)", b)
		}
		c.state = dataLF
	case dataLF:
		if b != '\n' {
			return bad("a carriage return without a line feed after the data of a chunk (RFC 9112 7.1)")
		}
		c.state = atSize
	default: // data, trailers and the end are Decode's
	}
	return nil
}

// size takes one byte of the size of a chunk, or the one that ends it.
func (c *Chunked) size(b byte) error {
	switch {
	case class[b]&isHex != 0:
		if c.digits == 16 {
			return bad("the size of a chunk has more than 16 digits (RFC 9112 7.1)")
		}
		c.digits++
		c.left = c.left<<4 | hexValue(b)
	case c.digits == 0:
		return bad("byte 0x%02x where the size of a chunk should begin (RFC 9112 7.1)", b)
	case c.left > math.MaxInt64:
		return bad("the size of a chunk is too large (RFC 9112 7.1)")
	case b == '\r':
		c.state = sizeLF
	case b == ';':
		c.state = inExt
		return c.extension(b)
	default:
		return bad("byte 0x%02x after the size of a chunk (RFC 9112 7.1)", b)
	}
	return nil
}

// extension takes one byte of extensions, which nobody passes on (RFC 9112 7.1.1).
func (c *Chunked) extension(b byte) error {
	if b == '\r' {
		c.state = sizeLF
		return nil
	}
	c.ext++
	c.exts++
	switch {
	case class[b]&inText == 0:
		return bad("byte 0x%02x in the extensions of a chunk (RFC 9112 7.1.1)", b)
	case c.ext > MaxChunkExtension:
		return fail(statusTooLarge, "more than %d bytes of extensions of one chunk (RFC 9112 7.1.1)", MaxChunkExtension)
	case c.exts > MaxExtensions:
		return fail(statusTooLarge, "more than %d bytes of extensions in one body (RFC 9112 7.1.1)", MaxExtensions)
	}
	return nil
}

// begin begins the data of a chunk, or the trailer section after the last one.
func (c *Chunked) begin() {
	c.state = inData
	if c.left == 0 {
		c.state = inTrailer
	}
	c.digits, c.ext = 0, 0
}
