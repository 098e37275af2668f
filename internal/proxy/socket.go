package proxy

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket reads and writes a TCP connection by system calls that Go's scheduler
// is not told of. The socket never blocks, so none of them waits; but many take
// longer than the 20 µs after which the runtime takes a call for one that waits,
// gives its processor to another thread, and looks for more such calls 20 µs
// later: together that costs as much as a fifth of a request.
//
// One goroutine may read while another one writes.
type socket struct {
	net.Conn
	raw   syscall.RawConn
	slabs *slabs

	reads, writes func(uintptr) bool // made once, so that a call allocates nothing

	into   []byte // nil: a slab is borrowed once bytes are there
	got    *slab
	n      int
	failed unix.Errno // of reading

	from    [2][]byte // what is still to be written
	wrote   int64
	refused unix.Errno // of writing
}

// init makes c the connection. It returns false if c is nothing with a socket
// of its own.
func (s *socket) init(c net.Conn, lent *slabs) bool {
	conn, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	s.Conn, s.raw, s.slabs = c, raw, lent
	s.reads, s.writes = s.tryRead, s.tryWrite
	return true
}

// await returns the first bytes that come, in a buffer the caller gives back.
func (s *socket) await() (*slab, int, error) {
	n, err := s.read(nil)
	v := s.got
	s.got = nil
	if err != nil {
		s.slabs.put(v)
		return nil, 0, err
	}
	return v, n, nil
}

// Read implements net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return s.read(p)
}

func (s *socket) read(p []byte) (int, error) {
	s.into, s.n, s.failed = p, 0, 0
	err := s.raw.Read(s.reads)
	s.into = nil
	switch {
	case err != nil:
		return 0, err
	case s.failed != 0:
		return 0, lost("read", s.failed)
	case s.n == 0:
		return 0, io.EOF
	}
	return s.n, nil
}

// tryRead is called by the runtime's poller; false waits until there is more.
func (s *socket) tryRead(fd uintptr) bool {
	p := s.into
	if p == nil {
		s.got = s.slabs.get(slabSize)
		p = s.got.room(0)
	}
	for {
		s.n, s.failed = readNow(fd, p)
		switch s.failed {
		case unix.EINTR:
		case unix.EAGAIN:
			s.slabs.put(s.got)
			s.got = nil
			return false
		default:
			return true
		}
	}
}

// Write implements net.Conn.
func (s *socket) Write(p []byte) (int, error) {
	n, err := s.writeBoth(p, nil)
	return int(n), err
}

// writeBoth writes two parts, with one system call if the kernel has room.
func (s *socket) writeBoth(first, second []byte) (int64, error) {
	s.from, s.wrote, s.refused = [2][]byte{first, second}, 0, 0
	err := s.raw.Write(s.writes)
	s.from = [2][]byte{}
	if err == nil && s.refused != 0 {
		err = lost("write", s.refused)
	}
	return s.wrote, err
}

// tryWrite is called by the runtime's poller; false waits until there is room.
func (s *socket) tryWrite(fd uintptr) bool {
	for len(s.from[0])+len(s.from[1]) > 0 {
		n, number := writeNow(fd, s.from[0], s.from[1])
		switch number {
		case 0:
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		default:
			s.refused = number
			return true
		}
		s.wrote += int64(n)
		for i := range s.from {
			part := min(n, len(s.from[i]))
			s.from[i] = s.from[i][part:]
			n -= part
		}
	}
	return true
}

// lost makes an error of the kernel what net makes of it.
func lost(op string, number unix.Errno) error {
	return &net.OpError{Op: op, Net: "tcp", Err: os.NewSyscallError(op, number)}
}
