package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"syscall"
	"time"
)

// maxBody is the longest answer a customer reads.
const maxBody = 8 << 20

// client speaks HTTP/1.1 over one connection at a time. net/http's own client
// sends a request again when a kept connection breaks: here every request is
// sent once, and what becomes of it is known.
type client struct {
	address string
	host    string
	timeout time.Duration
	keep    bool // keeps its connection between requests

	conn net.Conn
	in   *bufio.Reader
}

// request is what is sent.
type request struct {
	method string
	path   string
	header http.Header
	body   []byte
}

// answer is what came back, whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request and reads its whole answer. The header is returned with
// an error too once it has arrived.
func (c *client) do(ctx context.Context, q request) (answer, error) {
	response, done, err := c.start(ctx, q) //nolint:bodyclose // it is read to its end, or the connection is closed
	if err != nil {
		return answer{}, err
	}
	defer done()
	a := answer{status: response.StatusCode, header: response.Header}
	a.body, err = io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	switch {
	case err != nil:
		c.close()
		return a, fmt.Errorf("answer cut off after %d bytes: %w", len(a.body), err)
	case len(a.body) > maxBody:
		c.close()
		return a, fmt.Errorf("the answer is longer than %d bytes", maxBody)
	case response.Close || !c.keep:
		c.close()
	}
	return a, nil
}

// start sends a request and reads the head of its answer. The deadline is in
// force until done is called.
func (c *client) start(ctx context.Context, q request) (response *http.Response, done func(), err error) {
	if err := c.connect(ctx); err != nil {
		return nil, nil, err
	}
	conn := c.conn
	if err := conn.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return nil, nil, err
	}
	release := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // it may be closed
	fail := func(err error) (*http.Response, func(), error) {
		release()
		c.close()
		return nil, nil, err
	}
	out, err := http.NewRequestWithContext(ctx, q.method, "http://"+c.host+q.path, bytes.NewReader(q.body))
	if err != nil {
		return fail(err)
	}
	maps.Copy(out.Header, q.header)
	out.Header.Set("User-Agent", "noon-load")
	out.Close = !c.keep
	buffer := bufio.NewWriter(conn)
	if err := errors.Join(out.Write(buffer), buffer.Flush()); err != nil {
		return fail(fmt.Errorf("send: %w", err))
	}
	response, err = http.ReadResponse(c.in, out)
	if err != nil {
		return fail(fmt.Errorf("read answer: %w", err))
	}
	return response, func() { release() }, nil
}

// connect makes sure of an open connection. A kept one that the server has
// closed meanwhile is replaced: nothing has been sent on it.
func (c *client) connect(ctx context.Context) error {
	if c.conn != nil && closedByPeer(c.conn) {
		c.close()
	}
	if c.conn != nil {
		return nil
	}
	dialer := net.Dialer{Timeout: c.timeout}
	conn, err := dialer.DialContext(ctx, "tcp", c.address)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	c.conn, c.in = conn, bufio.NewReader(conn)
	return nil
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close() //nolint:gosec // nothing is waiting to be written
		c.conn, c.in = nil, nil
	}
}

// closedByPeer looks, without waiting, whether an idle connection has ended.
func closedByPeer(conn net.Conn) bool {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	ended := false
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		// Bytes that nobody has asked for make the connection useless as well.
		ended = !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
		return true
	})
	return err != nil || ended
}
