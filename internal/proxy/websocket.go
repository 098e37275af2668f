package proxy

import (
	"encoding/binary"
	"net"
	"sync"
	"time"
)

// upgradedConn is a client's connection after a switch of protocols. If that
// is WebSocket it follows the frames sent to the client, to be able to put a
// close frame between two of them.
type upgradedConn struct {
	net.Conn
	websocket bool

	mu     sync.Mutex // of what is written
	frames frames
	leave  bool // a close frame is to be written at the next boundary
	closed bool // one was written: nothing comes after it
}

// goingAway is a close frame with status 1001.
func goingAway() []byte { return []byte{0x88, 2, 1001 >> 8, 1001 & 0xff} }

// goAway tells a WebSocket client that the server goes away; force is called
// when the client does not end the connection within endGrace, at once for
// other protocols.
func (c *upgradedConn) goAway(force func()) {
	if !c.websocket {
		force()
		return
	}
	// A client that does not read must not hold up anybody.
	_ = c.SetWriteDeadline(time.Now().Add(endGrace))
	go func() {
		c.sayGoodbye()
		time.AfterFunc(endGrace, force) // counted from the word: a busy machine may be late
	}()
}

// sayGoodbye writes the close frame now if no frame is half written. It ends
// with the write deadline.
func (c *upgradedConn) sayGoodbye() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leave = true
	_ = c.SetWriteDeadline(time.Now().Add(endGrace)) // the one before was for who wrote
	if c.frames.boundary() {
		c.writeClose()
	}
}

func (c *upgradedConn) writeClose() {
	if c.closed {
		return
	}
	c.closed = true
	if !c.frames.closing {
		_, _ = c.Conn.Write(goingAway()) // the client may have left
	}
}

// Write implements net.Conn. After the close frame it swallows what the
// instance still sends, so that the client's answer can reach the instance.
func (c *upgradedConn) Write(p []byte) (int, error) {
	if !c.websocket {
		return c.Conn.Write(p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return len(p), nil
	}
	if !c.leave {
		c.frames.advance(p)
		return c.Conn.Write(p)
	}
	rest := c.frames.finish(p)
	if n, err := c.Conn.Write(p[:rest]); err != nil {
		return n, err
	}
	if c.frames.boundary() {
		c.writeClose()
	}
	return len(p), nil
}

// CloseWrite passes on that the instance has said its last word.
func (c *upgradedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// frames follows WebSocket frames (RFC 6455, section 5.2).
type frames struct {
	header  [14]byte
	have    int    // bytes of the header read so far
	payload uint64 // bytes of the payload to come
	closing bool   // a close frame has begun
}

// boundary reports that no frame is half done.
func (f *frames) boundary() bool { return f.have == 0 && f.payload == 0 }

func (f *frames) advance(p []byte) {
	for len(p) > 0 {
		p = p[f.step(p):]
	}
}

// finish advances to the end of the frame that is half done and says how much
// of p that took.
func (f *frames) finish(p []byte) int {
	n := 0
	for n < len(p) && !f.boundary() {
		n += f.step(p[n:])
	}
	return n
}

// step takes at least one byte: of a header, or up to the whole payload.
func (f *frames) step(p []byte) int {
	if f.payload > 0 {
		n := min(f.payload, uint64(len(p)))
		f.payload -= n
		return int(n) //nolint:gosec // not more than len(p)
	}
	f.header[f.have] = p[0]
	f.have++
	if f.have >= 2 && f.have == f.headerLen() {
		f.payload = f.payloadLen()
		f.closing = f.closing || f.header[0]&0x0f == 0x8
		f.have = 0
	}
	return 1
}

func (f *frames) headerLen() int {
	n := 2
	switch f.header[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.header[1]&0x80 != 0 {
		n += 4
	}
	return n
}

func (f *frames) payloadLen() uint64 {
	switch n := f.header[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.header[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.header[2:])
	default:
		return uint64(n)
	}
}
