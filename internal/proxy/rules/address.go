package rules

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Addresses is a set of addresses. The zero value is empty.
type Addresses struct {
	one      map[netip.Addr]struct{}
	prefixes []netip.Prefix
}

// CompileAddresses makes Addresses of "192.0.2.7", "192.0.2.0/24",
// "2001:db8::/32". An IPv4 address that is written as IPv6 is the same address.
func CompileAddresses(list []string) (Addresses, error) {
	var out Addresses
	var errs []error
	for _, text := range list {
		p, err := parsePrefix(text)
		switch {
		case err != nil:
			errs = append(errs, err)
		case p.IsSingleIP():
			if out.one == nil {
				out.one = map[netip.Addr]struct{}{}
			}
			out.one[p.Addr()] = struct{}{}
		default:
			out.prefixes = append(out.prefixes, p)
		}
	}
	slices.SortFunc(out.prefixes, func(a, b netip.Prefix) int { return a.Bits() - b.Bits() }) // the widest first
	return out, errors.Join(errs...)
}

func parsePrefix(text string) (netip.Prefix, error) {
	wrong := fmt.Errorf(`%q is neither an address nor a network such as "192.0.2.0/24"`, text)
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, wrong
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, wrong
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q has bits outside of its network; it is %s", text, p.Masked())
	}
	return p, nil
}

// Contain reports whether the address is in the set.
func (a *Addresses) Contain(addr netip.Addr) bool {
	addr = addr.Unmap()
	if _, ok := a.one[addr]; ok {
		return true
	}
	for _, p := range a.prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// Empty reports whether nothing is in the set.
func (a *Addresses) Empty() bool { return len(a.one) == 0 && len(a.prefixes) == 0 }

// address reads an IP address without allocating. It takes what
// netip.ParseAddr takes, but for zones; the result is unmapped. What is no
// address gives the zero one.
func address(b []byte) netip.Addr {
	for _, c := range b {
		switch {
		case c == '.':
			if a, ok := parse4(b); ok {
				return netip.AddrFrom4(a)
			}
			return netip.Addr{}
		case c == ':':
			return parse6(b)
		case !isHex(c):
			return netip.Addr{}
		}
	}
	return netip.Addr{}
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }

func parse4(b []byte) (a [4]byte, ok bool) {
	part, digits, value := 0, 0, 0
	for i := 0; i <= len(b); i++ {
		if i == len(b) || b[i] == '.' {
			if digits == 0 || part > 3 {
				return a, false
			}
			a[part] = byte(value)
			part, digits, value = part+1, 0, 0
			continue
		}
		c := b[i]
		if c < '0' || c > '9' || digits > 0 && value == 0 {
			return a, false
		}
		value = value*10 + int(c-'0')
		if digits++; value > 255 {
			return a, false
		}
	}
	return a, part == 4
}

// parse6 reads the text form of RFC 4291, section 2.2.
func parse6(b []byte) netip.Addr {
	var a [16]byte
	at, gap := 0, -1 // bytes that are written; where "::" stands for zeros
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		gap, b = 0, b[2:]
	}
	for len(b) > 0 {
		n, ok := group(a[at:], b)
		if !ok {
			return netip.Addr{}
		}
		if n < len(b) && b[n] == '.' {
			four, ok := parse4(b)
			if !ok || at > 12 {
				return netip.Addr{}
			}
			at += copy(a[at:], four[:])
			break
		}
		at += 2
		if b, gap, ok = colons(b[n:], at, gap); !ok {
			return netip.Addr{}
		}
	}
	if (gap >= 0) == (at == len(a)) {
		return netip.Addr{} // too few groups, or so many that nothing was left out
	}
	if gap >= 0 {
		n := copy(a[len(a)-(at-gap):], a[gap:at])
		clear(a[gap : len(a)-n])
	}
	return netip.AddrFrom16(a).Unmap()
}

// group reads the hexadecimal digits of one group.
func group(into, b []byte) (n int, ok bool) {
	value := 0
	for n < len(b) && isHex(b[n]) {
		if n == 4 {
			return 0, false
		}
		value = value<<4 | int(hexDigit(b[n]))
		n++
	}
	if n == 0 || len(into) < 2 {
		return 0, false
	}
	into[0], into[1] = byte(value>>8), byte(value)
	return n, true
}

// colons takes what stands between two groups.
func colons(b []byte, at, gap int) (rest []byte, newGap int, ok bool) {
	switch {
	case len(b) == 0:
		return b, gap, true
	case b[0] != ':' || len(b) == 1:
		return b, gap, false
	case b[1] != ':':
		return b[1:], gap, true
	}
	return b[2:], at, gap < 0
}

func hexDigit(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
