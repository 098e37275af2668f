package rules

import (
	"errors"
	"fmt"
	"strings"

	"github.com/noon-deploy/noon"
)

// Redirects are the redirects of a site.
type Redirects struct {
	exact  map[place]redirect
	prefix map[place]redirect // by prefix without "/*"
}

// place is where a redirect begins; host is "" for any.
type place struct{ host, path string }

// redirect is where one leads: before, what the prefix left, behind.
type redirect struct {
	before, behind string
	status         int
	wild           bool // the rest goes between the two
	query          bool // the target has a query of its own
}

// CompileRedirects makes Redirects. Two from one place are refused: nobody
// could say which counts.
func CompileRedirects(list []noon.Redirect) (Redirects, error) {
	if len(list) == 0 {
		return Redirects{}, nil
	}
	out := Redirects{exact: map[place]redirect{}, prefix: map[place]redirect{}}
	var errs []error
	for _, r := range list {
		if err := noon.ValidRedirect(r); err != nil {
			errs = append(errs, err)
			continue
		}
		into, path := out.exact, r.From
		if prefix, ok := strings.CutSuffix(path, "/*"); ok {
			into, path = out.prefix, prefix
		}
		at := place{strings.ToLower(r.Host), path}
		if _, twice := into[at]; twice {
			errs = append(errs, fmt.Errorf("there are two redirects from %s%s", at.host, r.From))
		}
		to := redirect{status: r.Status, query: strings.Contains(r.To, "?")}
		to.before, to.behind, to.wild = strings.Cut(r.To, "*")
		into[at] = to
	}
	return out, errors.Join(errs...)
}

// Redirect tells where a request for a path leads. host is the normal form of
// the host name: lower case, no port. path and query are as they were sent;
// query is without "?". A whole path comes before a prefix, a longer prefix
// before a shorter one, and a rule for the host before one for any. A target
// without a query of its own keeps that of the request.
func (r *Redirects) Redirect(host, path, query string) (location string, status int, ok bool) {
	if r.exact == nil {
		return "", 0, false
	}
	if to, ok := find(r.exact, host, path); ok {
		return to.location("", query), to.status, true
	}
	if len(r.prefix) == 0 {
		return "", 0, false
	}
	for prefix := path; ; {
		if to, ok := find(r.prefix, host, prefix); ok {
			return to.location(strings.TrimPrefix(path[len(prefix):], "/"), query), to.status, true
		}
		cut := strings.LastIndexByte(prefix, '/')
		if cut < 0 {
			return "", 0, false
		}
		prefix = prefix[:cut]
	}
}

func find(in map[place]redirect, host, path string) (redirect, bool) {
	if to, ok := in[place{host, path}]; ok {
		return to, true
	}
	to, ok := in[place{"", path}]
	return to, ok
}

// location writes the target. What the user has sent is kept from meaning
// anything else than a path: "/\evil.example" and "//evil.example" are host
// names to browsers.
func (r redirect) location(rest, query string) string {
	var b strings.Builder
	b.Grow(len(r.before) + len(rest) + len(r.behind) + len(query) + 1)
	if r.wild && r.before == "/" {
		rest = strings.TrimLeft(rest, `/\`)
	}
	b.WriteString(r.before)
	if r.wild {
		writeEscaped(&b, rest)
		b.WriteString(r.behind)
	}
	if query != "" && !r.query {
		b.WriteByte('?')
		writeEscaped(&b, query)
	}
	return b.String()
}

// writeEscaped writes what can not end or split a header field.
func writeEscaped(b *strings.Builder, s string) {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; c > ' ' && c < 0x7f && c != '\\' && c != '"' && c != '<' && c != '>' && c != '#' {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
}
