package proxy

import (
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Sizes of buffers, in bytes.
const (
	slabSize = 16 << 10 // a head, and the bodies of most messages
	bigSize  = 80 << 10 // the largest head, or a body that is sent as a whole
	spare    = 64       // behind what is read, for the framing of what is sent on
)

// slabs lends buffers: to a connection only while something is on its way.
type slabs struct{ small, big sync.Pool }

// slab is a buffer that is lent. Nothing is read into the last bytes of it.
type slab struct{ b []byte }

// room is the part that may be read into, from at on.
func (s *slab) room(at int) []byte { return s.b[at : len(s.b)-spare] }

func (s *slabs) get(size int) *slab {
	pool, size := &s.small, max(size, slabSize)
	if size > slabSize {
		pool, size = &s.big, bigSize
	}
	if v, ok := pool.Get().(*slab); ok {
		return v
	}
	return &slab{b: make([]byte, size+spare)}
}

func (s *slabs) put(v *slab) {
	if v == nil {
		return
	}
	if cap(v.b) >= bigSize {
		s.big.Put(v)
		return
	}
	s.small.Put(v)
}

// wire is a connection whose reader holds no buffer while nothing comes.
type wire struct {
	net.Conn
	slabs *slabs
	raw   syscall.RawConn // of the socket; nil if it has none
	plain bool            // what is on the socket is what Conn reads and writes
	sock  socket          // if it is plain
}

// init wraps c; below is the socket that carries it, c itself if nothing is
// between.
func (w *wire) init(c, below net.Conn, s *slabs) {
	w.Conn, w.slabs = c, s
	if w.plain = c == below && w.sock.init(c, s); w.plain {
		w.raw = w.sock.raw
	} else if conn, ok := below.(syscall.Conn); ok {
		if raw, err := conn.SyscallConn(); err == nil {
			w.raw = raw
		}
	}
}

// await returns the first bytes that come, in a buffer the caller gives back.
func (w *wire) await() (*slab, int, error) {
	if w.plain {
		return w.sock.await()
	}
	return w.awaitCovered()
}

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if w.plain {
		return w.sock.Read(p)
	}
	return w.Conn.Read(p)
}

// Write implements net.Conn.
func (w *wire) Write(p []byte) (int, error) {
	if w.plain {
		return w.sock.Write(p)
	}
	return w.Conn.Write(p)
}

// writePair writes both parts, with one system call where that is possible.
func (w *wire) writePair(first, second []byte) (int64, error) {
	switch {
	case len(second) == 0 || len(second) <= cap(first)-len(first) && len(second) < 2<<10:
		n, err := w.Write(append(first, second...))
		return int64(n), err
	case w.plain:
		return w.sock.writeBoth(first, second)
	}
	n, err := w.Conn.Write(first)
	m := 0
	if err == nil {
		m, err = w.Conn.Write(second)
	}
	return int64(n + m), err
}

// awaitCovered waits with a buffer of one byte: TLS has what follows in
// buffers of its own.
func (w *wire) awaitCovered() (*slab, int, error) {
	var one [1]byte
	if _, err := io.ReadFull(w.Conn, one[:]); err != nil {
		return nil, 0, err
	}
	s := w.slabs.get(slabSize)
	s.b[0] = one[0]
	n, err := w.Read(s.room(1))
	if err != nil {
		w.slabs.put(s)
		return nil, 0, err
	}
	return s, n + 1, nil
}

// left reports whether the other side has closed its direction or the whole
// connection, whatever is still unread.
func (w *wire) left() bool {
	if s, ok := w.Conn.(*stream); ok {
		return s.request.Context().Err() != nil
	}
	return w.poll(peerLeft)
}

// stirs reports whether there is anything to read on the socket, its end
// included: on a connection that should be silent that is the end of its use.
func (w *wire) stirs() bool { return w.poll(peerLeft | unix.POLLIN) }

func (w *wire) poll(events int16) bool {
	if w.raw == nil {
		return false
	}
	seen := false
	err := w.raw.Control(func(fd uintptr) {
		p := [1]unix.PollFd{{Fd: int32(fd), Events: events}} //nolint:gosec // descriptors fit
		n, err := unix.Poll(p[:], 0)
		seen = n > 0 && err == nil
	})
	return seen || err != nil // closed on our side
}

// acknowledged is how many bytes of what was sent the other side's kernel has
// taken. ok is false if this can not be known.
func (w *wire) acknowledged() (n uint64, ok bool) {
	if w.raw == nil || !w.plain {
		return 0, false
	}
	err := w.raw.Control(func(fd uintptr) { n, ok = bytesAcked(fd) })
	return n, ok && err == nil
}
