package proxy

import (
	"net/netip"
	"slices"

	"github.com/noon-deploy/noon"
)

// request is what segments look at.
type request interface {
	// property gives what a request has of a kind and name, and whether it has
	// it at all.
	property(in, name string) (string, bool)
	// address is the user's.
	address() netip.Addr
}

// has reports whether the user who asks belongs to the segment.
func (s *segment) has(q *query) bool {
	if q.id != "" && slices.Contains(s.Visitors, q.id) {
		return true
	}
	if q.asked == nil {
		return false
	}
	return slices.ContainsFunc(s.Matches, func(m noon.Match) bool {
		value, ok := q.asked.property(m.In, m.Name)
		return ok && (len(m.Values) == 0 || slices.Contains(m.Values, value))
	}) || len(s.nets) > 0 && s.covers(q.asked.address())
}

func (s *segment) covers(a netip.Addr) bool {
	return slices.ContainsFunc(s.nets, func(n netip.Prefix) bool { return n.Contains(a.Unmap()) })
}

// newSegment reads the addresses, which were validated.
func newSegment(s noon.Segment, view *revisionView) segment {
	made := segment{Segment: s, view: view}
	for _, text := range s.Addresses {
		if n, err := parseNet(text); err == nil {
			made.nets = append(made.nets, n)
		}
	}
	return made
}

// parseNet reads "192.0.2.0/24" or "192.0.2.7".
func parseNet(text string) (netip.Prefix, error) {
	if n, err := netip.ParsePrefix(text); err == nil {
		return n.Masked(), nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	return a.Prefix(a.BitLen())
}
