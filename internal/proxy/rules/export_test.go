package rules

import "net/netip"

// ParseAddress is address for tests.
func ParseAddress(b []byte) netip.Addr { return address(b) }
