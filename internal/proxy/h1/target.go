package h1

import "bytes"

// target takes the target apart (RFC 9112 3.2). plain says that it holds
// neither "?" nor "%".
func (r *Request) target(plain bool) error {
	t := r.Target
	r.Head = string(r.Method) == "HEAD"
	switch {
	case string(r.Method) == "CONNECT":
		r.Connect = true
		return r.authorityForm()
	case t[0] == '/' && plain:
		r.Path = t
		return nil
	case t[0] == '/':
		return r.originForm(t)
	case len(t) == 1 && t[0] == '*':
		if string(r.Method) != "OPTIONS" {
			return bad("the target * is for OPTIONS only (RFC 9112 3.2.4)")
		}
		r.Asterisk, r.Path = true, t
		return nil
	default:
		return r.absoluteForm()
	}
}

// originForm parses a path and what follows it.
func (r *Request) originForm(t []byte) error {
	path, query, found := bytes.Cut(t, []byte{'?'})
	r.Path = path
	if found {
		r.Query = query
	}
	return escapes(r.Path)
}

// escapes checks that every "%" of a path begins an octet (RFC 3986 2.1):
// what does not is decoded in as many ways as there are servers.
func escapes(path []byte) error {
	for rest := path; ; {
		i := bytes.IndexByte(rest, '%')
		if i < 0 {
			return nil
		}
		if len(rest) < i+3 || class[rest[i+1]]&isHex == 0 || class[rest[i+2]]&isHex == 0 {
			return bad("a %% in the path that is not followed by two hexadecimal digits (RFC 3986 2.1)")
		}
		rest = rest[i+3:]
	}
}

// absoluteForm parses http://authority/path (RFC 9112 3.2.2).
func (r *Request) absoluteForm() error {
	scheme, rest, found := bytes.Cut(r.Target, []byte("://"))
	if !found || !is(scheme, "http") && !is(scheme, "https") {
		return bad("the target %q is neither a path nor an http address (RFC 9112 3.2)", cut(r.Target))
	}
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	r.Scheme = scheme
	if err := r.authority(rest[:end], "the target"); err != nil {
		return err
	}
	path := rest[end:]
	if len(path) > 0 && path[0] == '/' {
		return r.originForm(path)
	}
	// Without a path it is "/" (RFC 9110 4.2.3): the last one of "://".
	r.Path = r.Target[len(scheme)+2 : len(scheme)+3]
	if len(path) > 0 {
		r.Query = path[1:]
	} else if string(r.Method) == "OPTIONS" {
		// RFC 9112 3.2.4: this is how a client asks a proxy for OPTIONS *.
		r.Asterisk, r.Path = true, nil
	}
	return nil
}

// authorityForm parses the target of CONNECT: a host with a port (RFC 9112 3.2.3).
func (r *Request) authorityForm() error {
	if err := r.authority(r.Target, "the target"); err != nil {
		return err
	}
	if len(r.Host) == len(r.Hostname) {
		return bad("the target of CONNECT has no port (RFC 9112 3.2.3)")
	}
	return nil
}

// authority takes b for the host that is asked.
func (r *Request) authority(b []byte, where string) error {
	name, err := hostname(b, where)
	r.Host, r.Hostname = b, name
	return err
}

// hostname checks host [":" port], and gives the host. It is narrower than RFC
// 3986 3.2.2: percent-encoding and sub-delims are in no name that can be
// routed, a literal is of IPv6, and a colon is followed by a port.
func hostname(b []byte, where string) ([]byte, error) {
	i := 0
	if len(b) > 0 && b[0] == '[' {
		i = bytes.IndexByte(b, ']') + 1
		if i == 0 || !ipv6(b[1:i-1]) {
			return nil, bad("the host %q in %s is no IPv6 address (RFC 3986 3.2.2)", cut(b), where)
		}
	} else {
		for i < len(b) && class[b[i]]&inHost != 0 {
			i++
		}
	}
	switch {
	case i == 0 && (len(b) == 0 || b[0] == ':'):
		return nil, bad("no host in %s (RFC 9110 4.2.1)", where)
	case i == len(b) || b[i] == ':' && port(b[i+1:]):
		return b[:i], nil
	case bytes.IndexByte(b, '@') >= 0:
		return nil, bad("%s names a user (RFC 9110 4.2.4)", where)
	case b[i] == ':':
		return nil, bad("the port in %s is no number from 0 to 65535 (RFC 3986 3.2.3)", where)
	default:
		return nil, bad("byte 0x%02x in the host in %s (RFC 3986 3.2.2)", b[i], where)
	}
}

func port(b []byte) bool {
	n := 0
	for _, c := range b {
		if class[c]&isDigit == 0 {
			return false
		}
		n = min(n*10+int(c-'0'), 1<<16)
	}
	return len(b) > 0 && n < 1<<16
}

// AppendTarget appends the target in the form that an origin server is asked
// in: path and query, or "*".
func (r *Request) AppendTarget(dst []byte) []byte {
	if r.Asterisk {
		return append(dst, '*')
	}
	dst = append(dst, r.Path...)
	if r.Query != nil {
		dst = append(append(dst, '?'), r.Query...)
	}
	return dst
}
