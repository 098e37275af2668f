package h1

import (
	"encoding/binary"
	"math/bits"
)

// MaxFields is the most fields a head, or a trailer section, may have.
const MaxFields = 128

// Field is a field line in the buffer that it was parsed from.
type Field struct {
	Name  []byte // as sent
	Value []byte // without surrounding blanks
	Kind  Kind
}

// index finds fields by their kind.
type index struct {
	first    [kinds]uint8 // 1 + the place of the first field of the kind
	repeated uint64       // kinds that more than one field is of
	odd      bool         // a name holds other characters than letters, digits and "-"
}

func (x *index) has(k Kind) bool   { return x.first[k] != 0 }
func (x *index) twice(k Kind) bool { return x.repeated>>k&1 != 0 }
func (x *index) once(k Kind) bool  { return x.has(k) && !x.twice(k) }
func (x *index) note(k Kind, n int) {
	if x.first[k] != 0 {
		x.repeated |= 1 << k
		return
	}
	x.first[k] = uint8(n)
}

// public is the value of the first field of a kind that does not end here.
func (x *index) public(fields []Field, k Kind) []byte {
	if k == Hop || k >= connection {
		return nil
	}
	if n := int(x.first[k]); n != 0 && n <= len(fields) && fields[n-1].Kind == k {
		return fields[n-1].Value
	}
	return nil
}

// value is that of the first field of a kind, which may come to be Hop.
func (x *index) value(fields []Field, k Kind) []byte {
	if n := int(x.first[k]); n != 0 && n <= len(fields) {
		return fields[n-1].Value
	}
	return nil
}

// fields appends the fields of the section that starts at buf[i] to dst, and
// gives the place behind the blank line that ends it: 0 if that has not come.
func (x *index) fields(dst []Field, buf []byte, i int) (all []Field, end int, err error) {
	for i < len(buf) {
		if buf[i] == '\r' {
			switch lineEnd(buf, i) {
			case needMore:
				return dst, 0, nil
			case lineEnds:
				return dst, i + 2, nil
			}
		}
		colon, seen := nameEnd(buf, i)
		if colon == len(buf) {
			break
		}
		if buf[colon] != ':' || colon == i {
			return dst, 0, badName(buf, i, colon, len(dst))
		}
		name := buf[i:colon]
		start := colon + 1
		for start < len(buf) && blank(buf[start]) {
			start++
		}
		end := text(buf, start)
		switch lineEnd(buf, end) {
		case needMore:
			return dst, 0, nil
		case lineGoesOn:
			return dst, 0, badValue(buf[end], name)
		}
		if len(dst) == MaxFields {
			return dst, 0, fail(statusTooLarge, "more than %d fields", MaxFields)
		}
		dst = append(dst, Field{Name: name, Value: trimRight(buf[start:end]), Kind: x.kind(name, seen, len(dst)+1)})
		i = end + 2
	}
	return dst, 0, nil
}

// nameEnd gives the place of the first byte from i on that is not of a name,
// and the kinds of characters seen before.
func nameEnd(buf []byte, i int) (end int, seen uint8) {
	for ; i < len(buf); i++ {
		c := class[buf[i]] & (inName | inToken)
		if c == 0 {
			break
		}
		seen |= c
	}
	return i, seen
}

// What lineEnd finds.
const (
	needMore = iota
	lineEnds
	lineGoesOn
)

// lineEnd looks for CRLF at buf[i].
func lineEnd(buf []byte, i int) int {
	switch {
	case i+1 < len(buf):
		if buf[i] == '\r' && buf[i+1] == '\n' {
			return lineEnds
		}
	case i == len(buf) || buf[i] == '\r':
		return needMore
	}
	return lineGoesOn
}

// kind classifies a name and notes where it is.
func (x *index) kind(name []byte, seen uint8, n int) Kind {
	var k Kind
	if seen&inToken == 0 {
		k = kindOf(name)
	} else {
		x.odd = true
		k = kindOfOdd(name)
	}
	if k == Other {
		return k
	}
	x.note(k, n)
	if k >= connection {
		return Hop
	}
	return k
}

// text gives the place of the first byte from i on that a value can not hold,
// or the length of buf.
func text(buf []byte, i int) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	for {
		for i+8 <= len(buf) {
			x := binary.LittleEndian.Uint64(buf[i:])
			del := x ^ 0x7f*ones
			// The lowest bit that is set belongs to the first byte that is
			// below SP or DEL; those above it may be wrong.
			if stop := ((x-0x20*ones)&^x | (del-ones)&^del) & highs; stop != 0 {
				i += bits.TrailingZeros64(stop) / 8
				break
			}
			i += 8
		}
		for i < len(buf) && class[buf[i]]&inText != 0 {
			if i++; i+8 <= len(buf) {
				break
			}
		}
		if i == len(buf) || class[buf[i]]&inText == 0 {
			return i
		}
	}
}

func trimRight(b []byte) []byte {
	for len(b) > 0 && blank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// badName says what is wrong with a name that ends at buf[i].
func badName(buf []byte, start, i, before int) error {
	c, name := buf[i], cut(buf[start:i])
	switch {
	case blank(c) && i == start && before == 0:
		return bad("a blank before the first field (RFC 9112 2.2)")
	case blank(c) && i == start:
		return bad("field %d is folded over two lines (RFC 9112 5.2)", before)
	case blank(c):
		return bad("field %d: a blank between the name %q and the colon (RFC 9112 5.1)", before+1, name)
	case c == '\n':
		return bad("field %d: a line feed without a carriage return, or no colon (RFC 9112 2.2)", before+1)
	case c == '\r' && i == start:
		return bad("field %d: a carriage return without a line feed (RFC 9112 2.2)", before+1)
	case c == '\r':
		return bad("field %d: no colon after %q (RFC 9112 5)", before+1, name)
	case i == start && c == ':':
		return bad("field %d has no name (RFC 9110 5.1)", before+1)
	default:
		return bad("field %d: byte 0x%02x in the name after %q (RFC 9110 5.1)", before+1, c, name)
	}
}

// badValue says what is wrong with a value in which text stopped at c.
func badValue(c byte, name []byte) error {
	switch c {
	case '\r':
		return bad("field %q: a carriage return without a line feed (RFC 9112 2.2)", cut(name))
	case '\n':
		return bad("field %q: a line feed without a carriage return (RFC 9112 2.2)", cut(name))
	default:
		return bad("field %q: control byte 0x%02x in the value (RFC 9110 5.5)", cut(name), c)
	}
}
