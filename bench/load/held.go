//go:build linux

package load

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Held are connections that are open and do nothing.
type Held struct{ conns []net.Conn }

// holders open connections at once: few, so that what a proxy needs while it
// opens one does not count.
const holders = 8

// Hold opens n connections to the address and does one exchange on each.
func Hold(address string, n int, exchange func(net.Conn) error) (*Held, error) {
	h := &Held{conns: make([]net.Conn, n)}
	errs := make([]error, holders)
	var wg sync.WaitGroup
	for part := range holders {
		wg.Go(func() {
			for i := part; i < n && errs[part] == nil; i += holders {
				h.conns[i], errs[part] = open(address, i, exchange)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			h.Close()
			return nil, err
		}
	}
	return h, nil
}

// Again does one more exchange on every connection, which shows that each is
// still there.
func (h *Held) Again(exchange func(net.Conn) error) error {
	for i, c := range h.conns {
		if err := deadline(c, exchange); err != nil {
			return fmt.Errorf("connection %d of %d: %w", i+1, len(h.conns), err)
		}
	}
	return nil
}

// Close closes them.
func (h *Held) Close() {
	for _, c := range h.conns {
		if c != nil {
			_ = c.Close() // nothing is lost with a client's connection
		}
	}
}

// open connects from one of several own addresses, as users have several.
func open(address string, i int, exchange func(net.Conn) error) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(i%sources+1))}}
	c, err := dialer.Dial("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("open a connection: %w", err)
	}
	return c, deadline(c, exchange)
}

func deadline(c net.Conn, exchange func(net.Conn) error) error {
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	return exchange(c)
}

// Get gives an exchange that sends a request and reads its answer.
func Get(request []byte, body int) func(net.Conn) error {
	return func(c net.Conn) error {
		if _, err := c.Write(request); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		a, buf := answer{want: body}, make([]byte, 8<<10)
		for whole := false; !whole; {
			n, err := c.Read(buf)
			if err != nil {
				return fmt.Errorf("receive: %w", err)
			}
			if whole, err = a.feed(buf[:n]); err != nil {
				return err
			}
		}
		if a.close {
			return errors.New("the connection is not kept alive")
		}
		return nil
	}
}

// Upgrade gives an exchange that makes a connection a WebSocket and has a
// message echoed.
func Upgrade(host string) func(net.Conn) error {
	request := []byte("GET /socket HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	return func(c net.Conn) error {
		if _, err := c.Write(request); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		var head []byte
		buf := make([]byte, 2<<10)
		for !bytes.Contains(head, []byte("\r\n\r\n")) {
			n, err := c.Read(buf)
			if err != nil {
				return fmt.Errorf("receive: %w", err)
			}
			head = append(head, buf[:n]...)
		}
		if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
			return fmt.Errorf("it was answered %.60q", head)
		}
		return Echo(c)
	}
}

// Echo sends a message over a WebSocket and reads it back.
func Echo(c net.Conn) error {
	sent := []byte{0x81, 0x80 | 4, 1, 2, 3, 4, 'p' ^ 1, 'i' ^ 2, 'n' ^ 3, 'g' ^ 4}
	if _, err := c.Write(sent); err != nil {
		return fmt.Errorf("send a message: %w", err)
	}
	want := []byte{0x81, 4, 'p', 'i', 'n', 'g'}
	got := make([]byte, 0, len(want))
	for len(got) < len(want) {
		n, err := c.Read(got[len(got):cap(got)])
		if err != nil {
			return fmt.Errorf("receive a message: %w", err)
		}
		got = got[:len(got)+n]
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("the message came back as %q", got)
	}
	return nil
}
