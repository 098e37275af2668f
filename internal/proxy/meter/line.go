package meter

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// line builds one line of the log in one of two forms: a JSON object, or
// name=value pairs for people.
type line struct {
	buf   []byte
	json  bool
	parts int
}

// name begins a part. The second half of its name may be of any bytes; capitals
// become small and what is no letter or digit an underscore, so that all names
// look alike.
func (l *line) name(prefix, name string) {
	if l.parts++; l.parts > 1 {
		sep := byte(' ')
		if l.json {
			sep = ','
		}
		l.buf = append(l.buf, sep)
	}
	l.quote()
	l.buf = append(l.buf, prefix...)
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
		default:
			c = '_'
		}
		l.buf = append(l.buf, c)
	}
	l.quote()
	if l.json {
		l.buf = append(l.buf, ':')
	} else {
		l.buf = append(l.buf, '=')
	}
}

// begin and end enclose a value that is text: add, or what needs no escape.
func (l *line) begin(prefix, name string) {
	l.name(prefix, name)
	l.quote()
}

func (l *line) end() { l.quote() }

func (l *line) quote() {
	if l.json {
		l.buf = append(l.buf, '"')
	}
}

func (l *line) number(name string, n int64) {
	l.name("", name)
	l.buf = strconv.AppendInt(l.buf, n, 10)
}

func (l *line) float(name string, f float64) {
	l.name("", name)
	l.buf = strconv.AppendFloat(l.buf, f, 'g', 4, 64)
}

// milliseconds writes a duration with three places: one unit is easier to
// compare and to calculate with than "1.2s" beside "300ms".
func (l *line) milliseconds(name string, d time.Duration) {
	l.name("", name)
	l.buf = strconv.AppendFloat(l.buf, float64(d.Microseconds())/1000, 'f', 3, 64)
}

func (l *line) time(name string, t time.Time) {
	l.begin("", name)
	l.buf = t.UTC().AppendFormat(l.buf, "2006-01-02T15:04:05.000000Z")
	l.end()
}

// part writes a text part, unless it is empty.
func part[T string | []byte](l *line, name string, value T) {
	if len(value) == 0 {
		return
	}
	l.begin("", name)
	add(l, value)
	l.end()
}

// add appends text to a part that has begun.
func add[T string | []byte](l *line, value T) {
	if l.json {
		appendJSON(l, value)
		return
	}
	appendText(l, value)
}

const hexDigits = "0123456789abcdef"

// appendJSON appends the inside of a JSON string.
func appendJSON[T string | []byte](l *line, s T) {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			size := runeSize(s[i:])
			if size == 0 {
				l.buf = append(l.buf, s[start:i]...)
				l.buf = append(l.buf, "\uFFFD"...)
				i++
				start = i
				continue
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
			i++
			continue
		}
		l.buf = append(l.buf, s[start:i]...)
		if c == '"' || c == '\\' {
			l.buf = append(l.buf, '\\', c)
		} else {
			l.buf = append(l.buf, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	l.buf = append(l.buf, s[start:]...)
}

// appendText appends what is printable ASCII but blanks as it is, everything
// else as \xNN: nothing in a log may steer the terminal it is read in, nor look
// like another part.
func appendText[T string | []byte](l *line, s T) {
	start := 0
	for i := range len(s) {
		c := s[i]
		if c > ' ' && c < 0x7f && c != '\\' {
			continue
		}
		l.buf = append(l.buf, s[start:i]...)
		l.buf = append(l.buf, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		start = i + 1
	}
	l.buf = append(l.buf, s[start:]...)
}

// runeSize is the length of the valid rune that s begins with, 0 if none.
func runeSize[T string | []byte](s T) int {
	var first [utf8.UTFMax]byte
	n := copy(first[:], s)
	if r, size := utf8.DecodeRune(first[:n]); r != utf8.RuneError || size > 1 {
		return size
	}
	return 0
}
