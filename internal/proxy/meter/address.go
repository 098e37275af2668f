package meter

import (
	"bytes"
	"net/netip"
)

// withoutPort takes the port, brackets and zone off an address.
func withoutPort(addr []byte) []byte {
	if len(addr) > 0 && addr[0] == '[' {
		if end := bytes.IndexByte(addr, ']'); end > 0 {
			addr = addr[1:end]
		}
	} else if colon := bytes.IndexByte(addr, ':'); colon >= 0 && bytes.IndexByte(addr[colon+1:], ':') < 0 {
		addr = addr[:colon]
	}
	addr, _, _ = bytes.Cut(addr, []byte{'%'})
	return addr
}

// The parts of an address that are written: those of a network, not a person.
const (
	networkV4 = 24
	networkV6 = 48
)

// longestAddr is more than any address needs as text.
const longestAddr = 64

// addNetwork writes the network of an address. What is no address is not
// written at all.
func addNetwork(l *line, addr []byte) {
	if len(addr) > longestAddr {
		addHidden(l)
		return
	}
	// The text is short and does not leave this function: no allocation.
	ip, err := netip.ParseAddr(string(addr))
	if err != nil {
		addHidden(l)
		return
	}
	ip = ip.Unmap()
	most := networkV6
	if ip.Is4() {
		most = networkV4
	}
	prefix, err := ip.Prefix(most)
	if err != nil {
		addHidden(l)
		return
	}
	l.buf = prefix.AppendTo(l.buf)
}
