package proxy

import (
	"encoding/binary"
	"math"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
)

// What of HTTP/2 has to be known to leave a connection (RFC 9113, sections 3.4,
// 4.1, 6.7 and 6.8).
const (
	preface    = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frameHead  = 9
	headers    = 0x1
	ping       = 0x6
	goAway     = 0x7
	cont       = 0x9
	ack        = 0x1 // flag of ping
	endHeaders = 0x4 // flag of headers and cont
)

// farewell leaves a connection of HTTP/2 so that no request is lost. net/http
// would name the last stream it has seen at once: a user whose request is on
// its way at that moment has to send it again, or give up. So first it is told
// that the connection takes no more, with no stream named, and asked for an
// answer (GOAWAY and PING). When that is here everything that was on its way
// has come before it, and the connection ends when it is done. net/http itself
// knows nothing of it: it sends no PING, and sees an answer it does not wait for.
type farewell struct {
	in       frameReader
	last     atomic.Uint32 // the highest stream of the user
	returned atomic.Bool   // the answer is here

	mu     sync.Mutex // of what is written; the following are under it
	out    frameReader
	wanted bool
	told   atomic.Bool // under mu when it changes
}

// heard follows what the user sends and reports that the answer has come.
func (f *farewell) heard(p []byte) bool {
	answered := false
	f.in.read(p, func(kind, flags byte, id uint32) {
		switch {
		case kind == headers && id > f.last.Load():
			f.last.Store(id)
		case kind == ping && flags&ack != 0 && f.told.Load():
			answered = true
		}
	})
	return answered && !f.returned.Swap(true)
}

// write sends p, and what is to be said between two frames.
func (f *farewell) write(to net.Conn, p []byte) (int, error) {
	// net/http sends what is there, and collects what comes until that is done.
	// To let others go first means fewer and larger records: a fifth of the cost
	// of small answers over TLS.
	runtime.Gosched()
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := to.Write(p)
	f.out.read(p[:n], nil)
	f.sayLocked(to)
	return n, err
}

// begin says that the connection takes no more, as soon as no frame is half
// written. It may wait for a user who does not read.
func (f *farewell) begin(to net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wanted = true
	f.sayLocked(to)
}

func (f *farewell) sayLocked(to net.Conn) {
	if !f.wanted || f.told.Load() || !f.out.between() {
		return
	}
	f.told.Store(true)
	b := appendGoAway(nil, math.MaxInt32)
	b = append(b, 0, 0, 8, ping, 0, 0, 0, 0, 0)
	_, _ = to.Write(append(b, "farewell"...)) // whoever reads finds out
}

// end closes a connection that carries nothing.
func (f *farewell) end(to net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.out.between() {
		_, _ = to.Write(appendGoAway(nil, f.last.Load())) // the user may have left
	}
	_ = to.Close()
}

// appendGoAway adds a frame that says, without an error, that streams above
// the last are not taken.
func appendGoAway(b []byte, last uint32) []byte {
	b = append(b, 0, 0, 8, goAway, 0, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, last)
	return append(b, 0, 0, 0, 0)
}

// frameReader follows the frames of one direction.
type frameReader struct {
	head  [frameHead]byte
	have  int  // bytes of the head that were read
	left  int  // bytes of the payload that are to come
	begun bool // there was a frame
	block bool // between the frames of one field section nothing may come
}

// between reports that another frame may be put here.
func (r *frameReader) between() bool { return r.begun && r.have == 0 && r.left == 0 && !r.block }

// read takes the next bytes, and tells of every frame whose head is whole.
func (r *frameReader) read(p []byte, seen func(kind, flags byte, id uint32)) {
	for len(p) > 0 {
		if r.left > 0 {
			n := min(r.left, len(p))
			r.left -= n
			p = p[n:]
			continue
		}
		n := copy(r.head[r.have:], p)
		p = p[n:]
		if r.have += n; r.have < frameHead {
			return
		}
		h := &r.head
		r.have, r.begun = 0, true
		r.left = int(h[0])<<16 | int(h[1])<<8 | int(h[2])
		kind, flags := h[3], h[4]
		if kind == headers || kind == cont {
			r.block = flags&endHeaders == 0
		}
		if seen != nil {
			seen(kind, flags, binary.BigEndian.Uint32(h[5:])&math.MaxInt32)
		}
	}
}
