package meter

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
)

// hidden stands for what is not written.
const hidden = "…"

// Redaction says what of a request is not written to the log. The nil and the
// zero value are the strictest: no query values, no client address beyond its
// network. Cookies are never written, whatever it says.
type Redaction struct {
	ShowQuery  []string // parameters whose values are written, by name
	HidePaths  []string // path prefixes after which nothing is written, as of preview tokens
	HideFields []string // header fields whose values are not written, besides the known ones
	WholeAddr  bool     // client addresses whole; else IPv4 to /24 and IPv6 to /48
}

// target writes the path, with the names of the query's parameters.
func (r *Redaction) target(l *line, path, query []byte) {
	if prefix := r.hidesPath(path); prefix > 0 {
		add(l, path[:prefix])
		addHidden(l)
		return
	}
	add(l, path)
	sep := byte('?')
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte{'&'})
		l.buf = append(l.buf, sep)
		sep = '&'
		name, value, valued := bytes.Cut(pair, []byte{'='})
		// A parameter without "=" may be a value as well as a name: a token as in
		// "/join?9f8e7d". What is short and plain is taken for a name.
		switch {
		case !valued && !plainName(name):
			addHidden(l)
		case !valued:
			add(l, name)
		case r.shows(name):
			add(l, pair)
		default:
			add(l, name)
			l.buf = append(l.buf, '=')
			if len(value) > 0 {
				addHidden(l)
			}
		}
	}
}

// plainName reports letters and dashes, and few of them.
func plainName(name []byte) bool {
	for _, c := range name {
		if (c|0x20 < 'a' || c|0x20 > 'z') && c != '-' && c != '_' {
			return false
		}
	}
	return len(name) <= 24
}

func addHidden(l *line) {
	l.buf = append(l.buf, hidden...)
}

func (r *Redaction) hidesPath(path []byte) int {
	if r == nil {
		return 0
	}
	for _, prefix := range r.HidePaths {
		if len(path) > len(prefix) && string(path[:len(prefix)]) == prefix {
			return len(prefix)
		}
	}
	return 0
}

func (r *Redaction) shows(name []byte) bool {
	if r == nil || len(r.ShowQuery) == 0 {
		return false
	}
	return slices.Contains(r.ShowQuery, string(name))
}

// fields writes those header fields that may be.
func (r *Redaction) fields(l *line, fields []Field) {
	for i := range fields {
		name := fields[i].Name
		if name == "" || holds(name, "cookie") {
			continue
		}
		l.header(name)
		if r.hidesField(name) {
			addHidden(l)
		} else {
			l.phrase(fields[i].Value)
		}
		l.end()
	}
}

// secretWord reports whether a header field's name says that it holds a secret.
func secretWord(name string) bool {
	for _, word := range [...]string{"auth", "token", "secret", "password", "key", "session", "credential", "signature", "csrf", "xsrf", "jwt", "preview"} {
		if holds(name, word) {
			return true
		}
	}
	return false
}

func (r *Redaction) hidesField(name string) bool {
	return secretWord(name) || r != nil && slices.ContainsFunc(r.HideFields, func(h string) bool { return strings.EqualFold(h, name) })
}

// holds reports whether s has the lower-case word in it, in whatever case.
func holds(s, word string) bool {
	for i := 0; i+len(word) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(word)], word) {
			return true
		}
	}
	return false
}

// The parts of an address that are written: those of a network, not a person.
const (
	networkV4 = 24
	networkV6 = 48
)

// client writes the client's address.
func (r *Redaction) client(l *line, addr netip.Addr) {
	addr = addr.Unmap().WithZone("")
	if r != nil && r.WholeAddr {
		l.buf = addr.AppendTo(l.buf)
		return
	}
	most := networkV6
	if addr.Is4() {
		most = networkV4
	}
	if network, err := addr.Prefix(most); err == nil {
		l.buf = network.AppendTo(l.buf)
	}
}
