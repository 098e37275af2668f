package rules

import "strings"

// forwarded takes the elements of one Forwarded field, by the grammar of RFC
// 7239, section 4. It returns false if that is not what v is.
func (r *ring) forwarded(v []byte) bool {
	for {
		v = blankless(v)
		if len(v) == 0 {
			return true
		}
		if v[0] == ',' { // an empty element, RFC 9110, section 5.6.1
			v = v[1:]
			continue
		}
		var e forwardedElement
		var ok bool
		if v, ok = e.read(v); !ok {
			return false
		}
		r.add(node(e.from))
		if len(v) == 0 {
			return true
		}
		v = v[1:] // the comma
	}
}

// forwardedElement is what one proxy has said.
type forwardedElement struct {
	from []byte // what follows for=, without quotes; nil: it did not say
}

// read takes the pairs of one element. What it returns is empty or begins with
// the comma that ends the element.
func (e *forwardedElement) read(v []byte) ([]byte, bool) {
	for {
		name, value, rest, ok := pair(v)
		if !ok {
			return nil, false
		}
		if len(name) == 3 && equalFold(name, "for") {
			if e.from != nil {
				return nil, false // each name at most once
			}
			e.from = value
		}
		v = blankless(rest)
		if len(v) == 0 || v[0] == ',' {
			return v, true
		}
		if v[0] != ';' {
			return nil, false
		}
		v = blankless(v[1:])
	}
}

// pair reads "name=value".
func pair(v []byte) (name, value, rest []byte, ok bool) {
	i := token(v)
	if i == 0 || i == len(v) || v[i] != '=' {
		return nil, nil, nil, false
	}
	name, v = v[:i], v[i+1:]
	if len(v) > 0 && v[0] == '"' {
		value, rest, ok = quoted(v[1:])
		return name, value, rest, ok
	}
	// An IPv4 address with a port has to be quoted, and often is not.
	i = 0
	for i < len(v) && (tokenByte(v[i]) || v[i] == ':' || v[i] == '[' || v[i] == ']') {
		i++
	}
	return name, v[:i], v[i:], i > 0
}

// quoted reads up to the closing quote. A value with an escape in it is no
// address: it is given as it is, and not understood by whoever reads it.
func quoted(v []byte) (value, rest []byte, ok bool) {
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '\\':
			i++
		case '"':
			return v[:i], v[i+1:], true
		}
	}
	return nil, nil, false
}

func token(v []byte) int {
	i := 0
	for i < len(v) && tokenByte(v[i]) {
		i++
	}
	return i
}

// tokenByte reports the characters of a token, RFC 9110, section 5.6.2.
func tokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
