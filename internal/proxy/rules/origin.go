package rules

import (
	"bytes"
	"net/netip"
)

// mostHops bounds the proxies in front of this one that are looked behind.
const mostHops = 16

// Origin is who a request is from, and on which way it came.
type Origin struct {
	// Client is who has sent the request, as far as somebody who is trusted
	// says so: the address that is nearest and not trusted itself.
	Client netip.Addr
	// Trusted says that the peer is: what it says of scheme and host in
	// X-Forwarded-Proto, X-Forwarded-Host and Forwarded is to be believed.
	Trusted bool

	way  [mostHops + 1]netip.Addr // from the peer to the client
	hops int
}

// Origin finds who a request is from. forwarded and xff are the values of all
// fields Forwarded (RFC 7239) and X-Forwarded-For, in order. Nothing is
// believed of a peer that is not trusted. If there are fields of both kinds and
// they do not lead to the same client, neither is believed: a trusted proxy
// writes one of them, and who has written the other is not known.
func (a *Addresses) Origin(peer netip.Addr, forwarded, xff [][]byte) Origin {
	peer = peer.Unmap()
	o := Origin{Client: peer, hops: 1}
	o.way[0] = peer
	if !a.Contain(peer) {
		return o
	}
	o.Trusted = true
	switch {
	case len(forwarded) == 0 && len(xff) == 0:
	case len(forwarded) == 0:
		a.follow(&o, xff, false)
	case len(xff) == 0:
		a.follow(&o, forwarded, true)
	default:
		other := o
		a.follow(&o, xff, false)
		if a.follow(&other, forwarded, true); other.Client != o.Client {
			o.Client, o.hops = peer, 1
		}
	}
	return o
}

// AppendFor writes the value of X-Forwarded-For for the next on the way: the
// client first. What the client itself has claimed is not in it.
func (o *Origin) AppendFor(dst []byte) []byte {
	for i := o.hops - 1; i >= 0; i-- {
		dst = o.way[i].AppendTo(dst)
		if i > 0 {
			dst = append(dst, ", "...)
		}
	}
	return dst
}

// AppendForwarded writes the value of Forwarded for the next on the way. proto
// and host are those of the request as noon has got it, "" to leave them out.
func (o *Origin) AppendForwarded(dst []byte, proto string, host []byte) []byte {
	for i := o.hops - 1; i >= 0; i-- {
		if o.way[i].Is6() {
			dst = append(dst, `for="[`...)
			dst = append(o.way[i].AppendTo(dst), `]"`...)
		} else {
			dst = o.way[i].AppendTo(append(dst, "for="...))
		}
		if i > 0 {
			dst = append(dst, ", "...)
		}
	}
	if proto != "" {
		dst = append(append(dst, ";proto="...), proto...)
	}
	if len(host) > 0 {
		dst = append(dst, `;host="`...)
		for _, c := range host {
			if c == '"' || c == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
		}
		dst = append(dst, '"')
	}
	return dst
}

// ring keeps the last addresses of a list that is read from its beginning.
type ring struct {
	last [mostHops]netip.Addr // zero: it is not known, or hidden
	n    int
}

func (r *ring) add(a netip.Addr) {
	r.last[r.n%mostHops] = a
	r.n++
}

// follow goes back from the peer, over everybody who is trusted, to the first
// who is not. An element that holds no address ends the way: nobody knows who
// was behind it.
func (a *Addresses) follow(o *Origin, values [][]byte, forwarded bool) {
	var r ring
	for _, v := range values {
		if forwarded {
			if !r.forwarded(v) {
				return // it is malformed: nothing in it can be told apart
			}
		} else {
			r.list(v)
		}
	}
	for i := range min(r.n, mostHops) {
		addr := r.last[(r.n-1-i)%mostHops]
		if !addr.IsValid() {
			return
		}
		o.Client, o.way[o.hops] = addr, addr
		o.hops++
		if !a.Contain(addr) {
			return
		}
	}
}

// list takes the elements of one X-Forwarded-For.
func (r *ring) list(v []byte) {
	for len(v) > 0 {
		element := v
		if i := bytes.IndexByte(v, ','); i >= 0 {
			element, v = v[:i], v[i+1:]
		} else {
			v = nil
		}
		if element = blankless(element); len(element) > 0 {
			r.add(node(element))
		}
	}
}

func blankless(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// node reads an address with or without a port: "192.0.2.7", "192.0.2.7:80",
// "2001:db8::7", "[2001:db8::7]:80". Anything else is the zero address.
func node(b []byte) netip.Addr {
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 || end+1 < len(b) && (b[end+1] != ':' || !port(b[end+2:])) {
			return netip.Addr{}
		}
		if bytes.IndexByte(b[:end], ':') < 0 {
			return netip.Addr{}
		}
		return address(b[1:end])
	}
	if i := bytes.IndexByte(b, ':'); i >= 0 && bytes.IndexByte(b[i+1:], ':') < 0 {
		if !port(b[i+1:]) {
			return netip.Addr{}
		}
		b = b[:i]
	}
	return address(b)
}

// port takes the forms of RFC 7239, section 6.3: digits, or a name that hides
// them.
func port(b []byte) bool {
	if len(b) > 1 && b[0] == '_' {
		return true
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 5
}
