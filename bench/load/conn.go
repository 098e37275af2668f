//go:build linux

package load

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// sources is how many own addresses are used in turn: every connection leaves
// its port unusable for a minute, and one address has too few for that.
const sources = 64

// dial connects without waiting for it.
func (l *loop) dial() (*conn, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket: %w", err)
	}
	c := &conn{fd: fd, answer: answer{want: l.plan.Body}}
	l.source = (l.source + 1) % sources
	from := unix.SockaddrInet4{Addr: [4]byte{127, 0, 1, byte(l.source + 1)}}
	steps := []func() error{
		func() error { return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) },
		func() error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) },
		func() error { return unix.Bind(fd, &from) },
		func() error {
			err := unix.Connect(fd, &l.to)
			if err == unix.EINPROGRESS {
				c.writing, err = true, nil
			}
			return err
		},
		func() error {
			return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: c.events(), Fd: int32(fd)}) //nolint:gosec // a file descriptor fits
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			_ = unix.Close(fd)
			return nil, fmt.Errorf("connect to the proxy: %w", err)
		}
	}
	l.conns[fd] = c
	return c, nil
}

func (c *conn) events() uint32 {
	if c.writing {
		return unix.EPOLLIN | unix.EPOLLOUT
	}
	return unix.EPOLLIN
}

// send begins the next request on a connection. started is when its time was.
func (l *loop) send(c *conn, started time.Time) {
	c.request = l.plan.Requests[l.next%len(l.plan.Requests)]
	l.next++
	c.started, c.busy = started, true
	c.answer.reset()
	if !c.writing {
		l.write(c)
	}
}

func (l *loop) write(c *conn) {
	n, err := unix.Write(c.fd, c.request)
	if err != nil && err != unix.EAGAIN {
		l.lost(c, fmt.Errorf("send: %w", err))
		return
	}
	c.request = c.request[max(n, 0):]
	if writing := len(c.request) > 0; writing != c.writing {
		c.writing = writing
		l.listen(c)
	}
}

// listen tells the kernel what c waits for.
func (l *loop) listen(c *conn) {
	ev := unix.EpollEvent{Events: c.events(), Fd: int32(c.fd)} //nolint:gosec // a file descriptor fits
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, c.fd, &ev); err != nil {
		l.lost(c, err)
	}
}

func (l *loop) ready(c *conn, events uint32) {
	if c.writing && events&unix.EPOLLOUT != 0 {
		l.write(c)
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) == 0 || l.conns[c.fd] != c {
		return
	}
	n, err := unix.Read(c.fd, l.buf)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return
	case err != nil:
		l.lost(c, fmt.Errorf("receive: %w", err))
		return
	case n == 0 && !c.busy:
		l.renew(c) // it may close an idle connection
		return
	case n == 0:
		l.lost(c, fmt.Errorf("the connection was closed before the answer was whole"))
		return
	}
	whole, err := c.answer.feed(l.buf[:n])
	if err != nil {
		l.lost(c, err)
		return
	}
	if whole {
		l.done(c)
	}
}

// done is called with the last byte of an answer.
func (l *loop) done(c *conn) {
	now := time.Now()
	l.answered(c.started, now)
	c.busy = false
	if l.plan.Fresh || c.answer.close {
		l.renew(c)
		return
	}
	if l.plan.Rate == 0 {
		l.send(c, now)
		return
	}
	l.idle = append(l.idle, c)
}

func (l *loop) lost(c *conn, err error) {
	l.result.fail(err)
	l.renew(c)
}

// renew replaces a connection by a new one.
func (l *loop) renew(c *conn) {
	for i, idle := range l.idle {
		if idle == c {
			l.idle = append(l.idle[:i], l.idle[i+1:]...)
			break
		}
	}
	delete(l.conns, c.fd)
	_ = unix.Close(c.fd) // nothing is lost with a client's socket
	began := time.Now()
	next, err := l.dial()
	if err != nil {
		l.result.fail(err)
		return
	}
	if l.plan.Rate == 0 {
		l.send(next, began)
		return
	}
	l.idle = append(l.idle, next)
}
