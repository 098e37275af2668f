//go:build linux

package origin

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Small and Large are the lengths of the bodies it answers with.
const (
	Small = 200
	Large = 64 << 10
)

// Server is an origin that listens.
type Server struct {
	Addresses []string
	listeners map[int]bool
	epoll     int
	conns     map[int]*conn
	buf       []byte
	small     []byte
	large     []byte
}

// Listen takes as many ports of the loopback as there are instances to play.
func Listen(instances int) (*Server, error) {
	s := &Server{listeners: map[int]bool{}, conns: map[int]*conn{}, buf: make([]byte, 256<<10), small: page(Small), large: page(Large)}
	var err error
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make an event loop: %w", err)
	}
	for range instances {
		if err := s.listen(); err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
	}
	return s, nil
}

func page(size int) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nDate: Sun, 01 Nov 2026 12:00:00 GMT\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-cache\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))
}

func (s *Server) listen() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	s.listeners[fd] = true
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	if err := unix.Listen(fd, 4096); err != nil {
		return err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	own, ok := name.(*unix.SockaddrInet4)
	if !ok {
		return &net.AddrError{Err: "not an IPv4 address"}
	}
	s.Addresses = append(s.Addresses, netip.AddrPortFrom(netip.AddrFrom4(own.Addr), uint16(own.Port)).String()) //nolint:gosec // a port fits
	return s.watch(fd, unix.EPOLL_CTL_ADD, unix.EPOLLIN)
}

func (s *Server) watch(fd, op int, events uint32) error {
	return unix.EpollCtl(s.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}) //nolint:gosec // a file descriptor fits
}

// Serve answers until the process ends or the loop fails.
func (s *Server) Serve() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	events := make([]unix.EpollEvent, 256)
	for {
		n, err := unix.EpollWait(s.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for requests: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			if s.listeners[int(e.Fd)] {
				s.accept(int(e.Fd))
			} else if c := s.conns[int(e.Fd)]; c != nil && !s.ready(c, e.Events) {
				delete(s.conns, c.fd)
				_ = unix.Close(c.fd) // a peer that left needs no more
			}
		}
	}
}

func (s *Server) accept(listener int) {
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return // none is left, or the next round tries again
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // slower without, not wrong
		if err := s.watch(fd, unix.EPOLL_CTL_ADD, unix.EPOLLIN); err != nil {
			_ = unix.Close(fd)
			continue
		}
		s.conns[fd] = &conn{fd: fd}
	}
}

func (s *Server) ready(c *conn, events uint32) bool {
	if events&unix.EPOLLOUT != 0 && !s.flush(c) {
		return false
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) == 0 {
		return true
	}
	n, err := unix.Read(c.fd, s.buf)
	if err == unix.EAGAIN {
		return true
	}
	if err != nil || n <= 0 {
		return false
	}
	return c.receive(s, s.buf[:n])
}

// send writes, and keeps what does not fit for later.
func (s *Server) send(c *conn, data []byte) bool {
	if len(c.out) > 0 {
		c.out = append(c.out, data...)
		return true
	}
	n, err := unix.Write(c.fd, data)
	if err != nil && err != unix.EAGAIN {
		return false
	}
	if n = max(n, 0); n == len(data) {
		return true
	}
	c.out = append(c.out, data[n:]...)
	return s.watch(c.fd, unix.EPOLL_CTL_MOD, unix.EPOLLIN|unix.EPOLLOUT) == nil
}

func (s *Server) flush(c *conn) bool {
	for len(c.out) > 0 {
		n, err := unix.Write(c.fd, c.out)
		if err == unix.EAGAIN {
			return true
		}
		if err != nil {
			return false
		}
		c.out = c.out[n:]
	}
	c.out = nil
	return !c.last && s.watch(c.fd, unix.EPOLL_CTL_MOD, unix.EPOLLIN) == nil
}
