package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// The PROXY protocol: a load balancer before us tells whose connection it is,
// in a header before everything else (haproxy.org, proxy-protocol.txt). It is
// only read on listeners that ask for it: anybody could send one.

const (
	introduction2 = "\r\n\r\n\x00\r\nQUIT\n" // how version 2 begins
	introduction1 = "PROXY "                 // and version 1
	fixed2        = 16                       // bytes of version 2 that say how long it is
	longest1      = 107
	longest2      = 4 << 10 // with all that may be told besides addresses
)

var errNotIntroduced = errors.New("the connection does not begin with a header of the PROXY protocol")

// introducedConn is a connection whose other side speaks for somebody else.
type introducedConn struct {
	*net.TCPConn
	peer *net.TCPAddr
}

// RemoteAddr is who the other side speaks for.
func (c *introducedConn) RemoteAddr() net.Addr { return c.peer }

// introduced serves a connection that begins with who it is from.
func (p *Proxy) introduced(conn net.Conn, serve func(net.Conn)) {
	_ = conn.SetReadDeadline(time.Now().Add(p.limits.Header)) // closed: reading tells
	peer, err := readIntroduction(conn)
	tcp, ok := conn.(*net.TCPConn)
	if err != nil || !ok {
		p.log.Debug("proxy protocol", "remote", conn.RemoteAddr().String(), "err", err)
		p.turnAway(conn)
		return
	}
	_ = conn.SetReadDeadline(time.Time{}) // closed: the next use tells
	if peer.IsValid() {
		conn = &introducedConn{tcp, net.TCPAddrFromAddrPort(peer)}
	}
	serve(conn)
}

// readIntroduction reads a header and not one byte more: what follows is read
// elsewhere. The address is not valid if the other side speaks for itself.
func readIntroduction(r io.Reader) (netip.AddrPort, error) {
	buf := make([]byte, 0, longest1)
	for {
		n, err := introductionLeft(buf)
		if err != nil {
			return netip.AddrPort{}, err
		}
		if n == 0 {
			return introductionOf(buf)
		}
		have := len(buf)
		buf = append(buf, make([]byte, n)...)
		if _, err := io.ReadFull(r, buf[have:]); err != nil {
			return netip.AddrPort{}, fmt.Errorf("read the header of the PROXY protocol: %w", err)
		}
	}
}

// introductionLeft is how many bytes certainly still belong to a header that
// begins so; 0: it is whole.
func introductionLeft(b []byte) (int, error) {
	const shortest = len("PROXY UNKNOWN\r\n")
	switch {
	case len(b) == 0:
		return shortest, nil
	case bytes.HasPrefix(b, []byte(introduction2)):
		if len(b) < fixed2 {
			return fixed2 - len(b), nil
		}
		whole := fixed2 + int(binary.BigEndian.Uint16(b[14:fixed2]))
		if whole > longest2 {
			return 0, fmt.Errorf("a header of the PROXY protocol has %d bytes, not %d at most", whole, longest2)
		}
		return whole - len(b), nil
	case !bytes.HasPrefix(b, []byte(introduction1)):
		return 0, errNotIntroduced
	}
	end := bytes.IndexByte(b, '\n')
	switch {
	case end == len(b)-1:
		return 0, nil
	case end >= 0 || len(b) >= longest1:
		return 0, errNotIntroduced
	case b[len(b)-1] == '\r':
		return 1, nil
	}
	// A blank and one byte at least for each part that has not begun.
	left := len("\r\n")
	if !bytes.HasPrefix(b, []byte("PROXY UNKNOWN")) {
		left += 2 * max(0, 5-bytes.Count(b, []byte(" ")))
	}
	return min(left, longest1-len(b)), nil
}

// introductionOf reads a whole header.
func introductionOf(b []byte) (netip.AddrPort, error) {
	if bytes.HasPrefix(b, []byte(introduction2)) {
		return introductionOf2(b)
	}
	line, ok := strings.CutSuffix(string(b), "\r\n")
	if !ok || strings.ContainsAny(line, "\r\n") {
		return netip.AddrPort{}, errNotIntroduced
	}
	parts := strings.Split(strings.TrimPrefix(line, introduction1), " ")
	if parts[0] == "UNKNOWN" {
		return netip.AddrPort{}, nil
	}
	if len(parts) != 5 || parts[0] != "TCP4" && parts[0] != "TCP6" {
		return netip.AddrPort{}, errNotIntroduced
	}
	var from netip.AddrPort
	for i := range 2 { // where it was for is nobody's concern, but has to be one
		addr, err := netip.ParseAddr(parts[1+i])
		port, perr := strconv.ParseUint(parts[3+i], 10, 16)
		if err := errors.Join(err, perr); err != nil {
			return netip.AddrPort{}, fmt.Errorf("read the header of the PROXY protocol: %w", err)
		}
		if addr.Is4() != (parts[0] == "TCP4") || addr.Zone() != "" || strconv.FormatUint(port, 10) != parts[3+i] {
			return netip.AddrPort{}, errNotIntroduced
		}
		if i == 0 {
			from = netip.AddrPortFrom(addr.Unmap(), uint16(port))
		}
	}
	return from, nil
}

// introductionOf2 reads version 2.
func introductionOf2(b []byte) (netip.AddrPort, error) {
	version, command, rest := b[12]>>4, b[12]&15, b[fixed2:]
	if version != 2 || command > 1 {
		return netip.AddrPort{}, fmt.Errorf("byte 0x%02x of the PROXY protocol is no version and command", b[12])
	}
	if command == 0 { // of itself: it sees whether we are there
		return netip.AddrPort{}, nil
	}
	var size int // of an address
	switch b[13] {
	case 0x00: // not known to it
		return netip.AddrPort{}, nil
	case 0x11:
		size = 4
	case 0x21:
		size = 16
	default:
		return netip.AddrPort{}, fmt.Errorf("0x%02x of the PROXY protocol is not TCP", b[13])
	}
	if len(rest) < 2*size+4 {
		return netip.AddrPort{}, errors.New("a header of the PROXY protocol has no room for its addresses")
	}
	if err := checkRest(b, fixed2+2*size+4); err != nil {
		return netip.AddrPort{}, err
	}
	addr, _ := netip.AddrFromSlice(rest[:size])
	return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(rest[2*size:])), nil
}

// checkRest reads what is told besides addresses, from b[at:] on: each a type,
// a length and a value. Of those only the checksum concerns us.
func checkRest(b []byte, at int) error {
	const head, checksum = 3, 0x03
	for at < len(b) {
		if len(b)-at < head {
			return errNotIntroduced
		}
		kind, from := b[at], at+head
		at = from + int(binary.BigEndian.Uint16(b[at+1:]))
		if at > len(b) {
			return errNotIntroduced
		}
		if kind != checksum {
			continue
		}
		if at-from != crc32.Size {
			return errNotIntroduced
		}
		table := crc32.MakeTable(crc32.Castagnoli)
		sum := crc32.Update(0, table, b[:from])
		sum = crc32.Update(sum, table, make([]byte, crc32.Size)) // as if it were not there
		if crc32.Update(sum, table, b[at:]) != binary.BigEndian.Uint32(b[from:at]) {
			return errors.New("the checksum of the PROXY protocol is wrong")
		}
	}
	return nil
}
