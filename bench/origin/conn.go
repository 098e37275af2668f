//go:build linux

package origin

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // RFC 6455 asks for it
	"encoding/base64"
	"fmt"
	"strconv"
)

// conn is one connection of a proxy.
type conn struct {
	fd     int
	in     []byte // a head that is not whole
	left   int    // of the request's body
	answer []byte // once the body is read
	out    []byte // what did not fit
	last   bool   // the connection ends with this answer
	echo   bool   // it was upgraded
}

// maxHead bounds a request's head.
const maxHead = 64 << 10

// request is what the head of a request says.
type request struct {
	path         []byte
	length       int
	close        bool
	chunked      bool
	websocketKey []byte
}

// receive takes what came in and reports whether the connection goes on.
func (c *conn) receive(s *Server, data []byte) bool {
	for len(data) > 0 {
		switch {
		case c.echo:
			return c.frames(s, data)
		case c.answer != nil:
			n := min(c.left, len(data))
			c.left -= n
			data = data[n:]
		default:
			rest, ok := c.begin(s, data)
			if !ok {
				return false
			}
			data = rest
		}
		if c.answer != nil && c.left == 0 {
			if !c.reply(s) {
				return false
			}
		}
	}
	return true
}

func (c *conn) reply(s *Server) bool {
	answer := c.answer
	c.answer = nil
	return s.send(c, answer) && (!c.last || len(c.out) > 0)
}

// begin reads a head. rest is what follows it; nothing if it is not whole.
func (c *conn) begin(s *Server, data []byte) (rest []byte, ok bool) {
	if len(c.in) > 0 {
		c.in = append(c.in, data...)
		data = c.in
	}
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 {
		if len(c.in) == 0 {
			c.in = append(c.in, data...)
		}
		return nil, len(c.in) <= maxHead
	}
	c.in = nil
	r, err := parse(data[:end+2])
	if err != nil {
		return nil, false
	}
	c.left, c.last = r.length, r.close
	switch {
	case r.chunked:
		c.answer, c.last = []byte("HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), true
	case r.websocketKey != nil:
		c.echo, c.last = true, false
		c.answer = fmt.Appendf(nil, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept(r.websocketKey))
		return data[end+4:], c.reply(s)
	case bytes.Equal(r.path, []byte("/64k")):
		c.answer = s.large
	default:
		c.answer = s.small
	}
	return data[end+4:], true
}

// accept is the proof of RFC 6455 that the handshake was understood.
func accept(key []byte) string {
	sum := sha1.Sum(append(bytes.Clone(key), "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...)) //nolint:gosec // RFC 6455 asks for it
	return base64.StdEncoding.EncodeToString(sum[:])
}

// parse reads a head that ends with the line break of its last line.
func parse(head []byte) (request, error) {
	line, head, _ := bytes.Cut(head, []byte("\r\n"))
	parts := bytes.Split(line, []byte(" "))
	if len(parts) != 3 {
		return request{}, fmt.Errorf("%q is no request", line)
	}
	r := request{path: parts[1], close: string(parts[2]) == "HTTP/1.0"}
	for len(head) > 0 {
		line, head, _ = bytes.Cut(head, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		if err := r.field(name, bytes.TrimSpace(value)); err != nil {
			return request{}, err
		}
	}
	return r, nil
}

func (r *request) field(name, value []byte) (err error) {
	is := func(s string) bool { return len(name) == len(s) && bytes.EqualFold(name, []byte(s)) }
	switch {
	case is("Content-Length"):
		r.length, err = strconv.Atoi(string(value))
		if err == nil && r.length < 0 {
			err = strconv.ErrRange
		}
	case is("Transfer-Encoding"):
		r.chunked = true
	case is("Connection"):
		r.close = r.close || bytes.EqualFold(value, []byte("close"))
	case is("Sec-WebSocket-Key"):
		r.websocketKey = value
	}
	return err
}

// frames echoes the frames of a WebSocket, which may come in pieces. They are
// short: the client of the benchmark sends no others.
func (c *conn) frames(s *Server, data []byte) bool {
	const head, mask = 2, 4
	if len(c.in) > 0 {
		data = append(c.in, data...)
		c.in = nil
	}
	for len(data) > 0 {
		if len(data) < head || len(data) < head+mask+int(data[1]&0x7f) {
			c.in = append(c.in, data...)
			return true
		}
		n := int(data[1] & 0x7f)
		if n > 125 || data[1]&0x80 == 0 {
			return false
		}
		key, payload := data[head:head+mask], data[head+mask:head+mask+n]
		frame := append(make([]byte, 0, head+n), data[0], byte(n))
		for i, b := range payload {
			frame = append(frame, b^key[i%mask])
		}
		if !s.send(c, frame) || data[0]&0x0f == 8 {
			return false
		}
		data = data[head+mask+n:]
	}
	return true
}
