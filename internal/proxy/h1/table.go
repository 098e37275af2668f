package h1

// Bits of the table below.
const (
	inName   = 1 << iota // letters, digits and "-": what names of fields are made of
	inToken              // the other characters of a token (RFC 9110 5.6.2)
	inTarget             // visible ASCII but "#" (RFC 9112 3.2)
	inHost               // unreserved characters (RFC 3986 2.3)
	isHex                // a hexadecimal digit
	isDigit              // a decimal digit
	inText               // what a field's value may hold (RFC 9110 5.5): HTAB, SP, visible ASCII, obs-text
	inParts              // "?" and "%": the target has to be looked into
)

// class says of every byte what it may be part of. It is a constant so that
// nothing can change it and no index needs a check.
const class = "" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x40\x46\x44\x42\x46\xc6\x46\x46\x44\x44\x46\x46\x44\x4d\x4e\x44" +
	"\x7d\x7d\x7d\x7d\x7d\x7d\x7d\x7d\x7d\x7d\x44\x44\x44\x44\x44\xc4" +
	"\x44\x5d\x5d\x5d\x5d\x5d\x5d\x4d\x4d\x4d\x4d\x4d\x4d\x4d\x4d\x4d" +
	"\x4d\x4d\x4d\x4d\x4d\x4d\x4d\x4d\x4d\x4d\x4d\x44\x44\x44\x46\x4e" +
	"\x46\x5d\x5d\x5d\x5d\x5d\x5d\x4d\x4d\x4d\x4d\x4d\x4d\x4d\x4d\x4d" +
	"\x4d\x4d\x4d\x4d\x4d\x4d\x4d\x4d\x4d\x4d\x4d\x44\x46\x44\x4e\x00" +
	"\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40" +
	"\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40" +
	"\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40" +
	"\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40" +
	"\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40" +
	"\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40" +
	"\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40" +
	"\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40"

// token reports whether b is one (RFC 9110 5.6.2).
func token(b []byte) bool {
	for _, c := range b {
		if class[c]&(inName|inToken) == 0 {
			return false
		}
	}
	return len(b) > 0
}

// hexValue is the value of a hexadecimal digit.
func hexValue(c byte) uint64 {
	if c <= '9' {
		return uint64(c - '0')
	}
	return uint64(c|0x20-'a') + 10
}

// blank reports whether c is optional whitespace (RFC 9110 5.6.3).
func blank(c byte) bool { return c == ' ' || c == '\t' }

// trim takes optional whitespace from both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && blank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && blank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// is reports whether b is s, which is in lower case, whatever the case of its
// letters. Bytes that differ from s in bit 5 only are control bytes where s
// has no letter; they do not occur where is is asked.
func is(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range len(s) {
		if b[i]|0x20 != s[i] {
			return false
		}
	}
	return true
}

// elements calls yield with every element of a comma-separated list that is
// not empty (RFC 9110 5.6.1) until it returns false.
func elements(list []byte, yield func([]byte) bool) {
	for start := 0; start < len(list); {
		end := start
		for end < len(list) && list[end] != ',' {
			end++
		}
		if e := trim(list[start:end]); len(e) > 0 && !yield(e) {
			return
		}
		start = end + 1
	}
}
