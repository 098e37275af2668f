package rules

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/noon-deploy/noon"
)

// VisitorCookie holds the id by which a visitor is known.
const VisitorCookie = "noon_visitor"

// Request is what of a request decides whose it is.
type Request interface {
	// Header gives the value of the first field of that name, which is in
	// lower case, and whether there is one.
	Header(name string) ([]byte, bool)
	// Query is the query of the target as it was sent, without "?".
	Query() []byte
	// Address is who has sent it: Origin.Client.
	Address() netip.Addr
}

// Segments are parts of the users. The zero value has none.
type Segments struct {
	all []segment
}

type segment struct {
	name      string
	revision  noon.Revision
	visitors  map[string]struct{}
	addresses Addresses
	matches   []match
}

type match struct {
	in     string
	name   string
	values []string
}

// CompileSegments makes Segments.
func CompileSegments(list []noon.Segment) (Segments, error) {
	var out Segments
	var errs []error
	for _, s := range list {
		c := segment{name: s.Name, revision: s.Revision}
		var err error
		if c.addresses, err = CompileAddresses(s.Addresses); err != nil {
			errs = append(errs, fmt.Errorf("segment %s: %w", s.Name, err))
		}
		if len(s.Visitors) > 0 {
			c.visitors = make(map[string]struct{}, len(s.Visitors))
		}
		for _, id := range s.Visitors {
			c.visitors[id] = struct{}{}
		}
		for _, m := range s.Matches {
			if err := validMatch(m); err != nil {
				errs = append(errs, fmt.Errorf("segment %s: %w", s.Name, err))
				continue
			}
			name := m.Name
			if m.In == "header" {
				name = strings.ToLower(name)
			}
			c.matches = append(c.matches, match{m.In, name, slices.Clone(m.Values)})
		}
		out.all = append(out.all, c)
	}
	return out, errors.Join(errs...)
}

func validMatch(m noon.Match) error {
	switch m.In {
	case "header", "cookie", "query":
	default:
		return fmt.Errorf("%q is neither header, cookie nor query", m.In)
	}
	if m.Name == "" || m.In != "query" && token([]byte(m.Name)) != len(m.Name) {
		return fmt.Errorf("%q is not the name of a %s", m.Name, m.In)
	}
	return nil
}

// Empty reports whether there are no segments.
func (s *Segments) Empty() bool { return len(s.all) == 0 }

// Of gives the revision of the first segment that the request belongs to, and
// the name of that.
func (s *Segments) Of(r Request) (noon.Revision, string, bool) {
	for i := range s.all {
		if c := &s.all[i]; c.has(r) {
			return c.revision, c.name, true
		}
	}
	return noon.Revision{}, "", false
}

func (c *segment) has(r Request) bool {
	if len(c.visitors) > 0 {
		if id, ok := cookieOf(r, VisitorCookie); ok {
			if _, ok := c.visitors[string(id)]; ok { // the compiler makes no string for a look-up
				return true
			}
		}
	}
	if !c.addresses.Empty() && c.addresses.Contain(r.Address()) {
		return true
	}
	for i := range c.matches {
		if c.matches[i].holds(r) {
			return true
		}
	}
	return false
}

func (m *match) holds(r Request) bool {
	switch m.in {
	case "header":
		v, ok := r.Header(m.name)
		return ok && m.among(v, false)
	case "cookie":
		v, ok := cookieOf(r, m.name)
		return ok && m.among(v, false)
	}
	v, ok := QueryValue(r.Query(), m.name)
	return ok && m.among(v, true)
}

func (m *match) among(v []byte, escaped bool) bool {
	if len(m.values) == 0 {
		return true
	}
	for _, want := range m.values {
		if escaped && equalUnescaped(v, want) || !escaped && string(v) == want {
			return true
		}
	}
	return false
}

func cookieOf(r Request, name string) ([]byte, bool) {
	line, ok := r.Header("cookie")
	if !ok {
		return nil, false
	}
	return CookieValue(line, name)
}

// CookieValue finds a cookie in the value of a Cookie field, without the
// quotes it may have. Of two with the same name it gives the first.
func CookieValue(line []byte, name string) ([]byte, bool) {
	for len(line) > 0 {
		var c []byte
		if i := bytes.IndexByte(line, ';'); i >= 0 {
			c, line = line[:i], line[i+1:]
		} else {
			c, line = line, nil
		}
		c = blankless(c)
		key, v := c, []byte{}
		if i := bytes.IndexByte(c, '='); i >= 0 {
			key, v = c[:i], c[i+1:]
		}
		if string(blankless(key)) == name {
			if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
				v = v[1 : len(v)-1]
			}
			return v, true
		}
	}
	return nil, false
}

// QueryValue finds a parameter in a query and gives its value as it was sent.
// A parameter without "=" has the value "".
func QueryValue(query []byte, name string) ([]byte, bool) {
	for len(query) > 0 {
		var p []byte
		if i := bytes.IndexByte(query, '&'); i >= 0 {
			p, query = query[:i], query[i+1:]
		} else {
			p, query = query, nil
		}
		key, value := p, []byte(nil)
		if i := bytes.IndexByte(p, '='); i >= 0 {
			key, value = p[:i], p[i+1:]
		}
		if len(p) > 0 && equalUnescaped(key, name) {
			return value, true
		}
	}
	return nil, false
}

// equalUnescaped compares what a form would read of b: "+" is a blank, %41 is A.
func equalUnescaped(b []byte, s string) bool {
	n := 0
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(b) && isHex(b[i+1]) && isHex(b[i+2]):
			c = hexDigit(b[i+1])<<4 | hexDigit(b[i+2])
			i += 2
		}
		if n >= len(s) || s[n] != c {
			return false
		}
		n++
	}
	return n == len(s)
}
