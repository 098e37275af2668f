package proxy

import (
	"errors"
	"io"
	"net"
	"os"
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

	readable func(uintptr) bool // made once, so that awaiting allocates nothing
	got      *slab              // of the last await
	n        int
	err      error
}

// init wraps c; below is the socket that carries it, c itself if nothing is
// between.
func (w *wire) init(c, below net.Conn, s *slabs) {
	w.Conn, w.slabs = c, s
	if conn, ok := below.(syscall.Conn); ok {
		if raw, err := conn.SyscallConn(); err == nil {
			w.raw, w.plain = raw, c == below
		}
	}
	if w.plain {
		w.readable = w.tryRead
	}
}

// tryRead is called by the runtime's poller; it takes a buffer only for bytes
// that are there.
func (w *wire) tryRead(fd uintptr) bool {
	s := w.slabs.get(slabSize)
	for {
		n, err := unix.Read(int(fd), s.room(0))
		number, _ := err.(unix.Errno) //nolint:errorlint // of the kernel, never wrapped
		switch number {               //nolint:exhaustive // all others are the reader's
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			w.slabs.put(s)
			return false
		}
		w.got, w.n, w.err = s, n, err
		return true
	}
}

// await returns the first bytes that come, in a buffer the caller gives back.
func (w *wire) await() (*slab, int, error) {
	if !w.plain {
		return w.awaitCovered()
	}
	w.got, w.n, w.err = nil, 0, nil
	if err := w.raw.Read(w.readable); err != nil {
		return nil, 0, err
	}
	s, n, err := w.got, w.n, w.err
	w.got = nil
	if err == nil && n <= 0 {
		err = io.EOF
	}
	if err != nil {
		w.slabs.put(s)
		return nil, 0, lost(err)
	}
	return s, n, nil
}

// lost makes an error of the kernel what net makes of it.
func lost(err error) error {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return err
	}
	return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", number)}
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
