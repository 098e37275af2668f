package proxy

import (
	"errors"
	"io"
	"net/http"
	"strconv"
)

// chunker hands a body out in chunks, and its trailer fields behind it.
type chunker struct {
	body    io.Reader
	trailer *http.Header // whole once the body is
	tail    []byte       // the last chunk, as far as it was not handed out
	ended   bool         // nothing but the tail is left
}

// sizeLine is the length of the line that begins a chunk.
const sizeLine = len("00000000\r\n")

// Read implements io.Reader for buffers that have room for a chunk.
func (c *chunker) Read(p []byte) (int, error) {
	if c.ended {
		if len(c.tail) == 0 {
			return 0, io.EOF
		}
		n := copy(p, c.tail)
		c.tail = c.tail[n:]
		return n, nil
	}
	if len(p) <= sizeLine+len("\r\n") {
		return 0, io.ErrShortBuffer
	}
	n, err := c.body.Read(p[sizeLine : len(p)-2])
	if errors.Is(err, io.EOF) {
		c.ended, c.tail, err = true, c.last(), nil
		if n == 0 {
			return c.Read(p)
		}
	}
	if n == 0 {
		return 0, err
	}
	line := strconv.FormatUint(uint64(1<<32+n), 16)[1:] //nolint:gosec // never negative; always eight digits
	copy(p, line+"\r\n")
	return sizeLine + n + copy(p[sizeLine+n:], "\r\n"), nil // an error comes again
}

func (c *chunker) last() []byte {
	b := []byte("0\r\n")
	for name, values := range *c.trailer {
		for _, v := range values {
			b = appendText(b, name, v)
		}
	}
	return append(b, "\r\n"...)
}
