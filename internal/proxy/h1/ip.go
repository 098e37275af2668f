package h1

// ipv6 reports whether b is the text of an IPv6 address without a zone (RFC
// 4291 2.2): eight groups, or fewer with one "::".
func ipv6(b []byte) bool {
	before, after, short := groups(b)
	if !short {
		return before == 8
	}
	if len(after) == 0 {
		return before >= 0 && before < 8
	}
	behind, _, again := groups(after)
	return before >= 0 && behind > 0 && before+behind < 8 && !again
}

// groups counts the groups of b, of which an IPv4 address at the end is two,
// up to "::" (short), and gives what is behind that; -1 if they are wrong.
func groups(b []byte) (n int, behind []byte, short bool) {
	if doubled(b) {
		return 0, b[2:], true
	}
	for {
		k := 0
		for k < len(b) && class[b[k]]&isHex != 0 {
			k++
		}
		switch rest := b[k:]; {
		case len(rest) > 0 && rest[0] == '.' && ipv4(b):
			return n + 2, nil, false
		case k == 0 || k > 4:
			return -1, nil, false
		case len(rest) == 0:
			return n + 1, nil, false
		case doubled(rest):
			return n + 1, rest[2:], true
		case rest[0] != ':':
			return -1, nil, false
		}
		n++
		b = b[k+1:]
	}
}

func doubled(b []byte) bool { return len(b) >= 2 && b[0] == ':' && b[1] == ':' }

// ipv4 reports whether b is four numbers up to 255 without leading zeros.
func ipv4(b []byte) bool {
	for part := range 4 {
		n, v := 0, 0
		for n < len(b) && n < 3 && class[b[n]]&isDigit != 0 {
			v = v*10 + int(b[n]-'0')
			n++
		}
		if n == 0 || v > 255 || n > 1 && b[0] == '0' {
			return false
		}
		if b = b[n:]; part == 3 {
			return len(b) == 0
		}
		if len(b) == 0 || b[0] != '.' {
			return false
		}
		b = b[1:]
	}
	return false
}
