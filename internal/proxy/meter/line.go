package meter

import (
	"bytes"
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

// name begins a part whose name needs no escape.
func (l *line) name(name string) {
	if l.parts++; !l.json {
		if l.parts > 1 {
			l.buf = append(l.buf, ' ')
		}
		l.buf = append(l.buf, name...)
		l.buf = append(l.buf, '=')
		return
	}
	if l.parts > 1 {
		l.buf = append(l.buf, ',')
	}
	l.buf = append(l.buf, '"')
	l.buf = append(l.buf, name...)
	l.buf = append(l.buf, '"', ':')
}

// header begins a text part for a header field, whose name may be of any
// bytes: capitals become small and what is no letter or digit an underscore.
func (l *line) header(name string) {
	l.name("header_")
	tail := 1 // "=" or `":`
	if l.json {
		tail = 2
	}
	l.buf = l.buf[:len(l.buf)-tail]
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
	if l.json {
		l.buf = append(l.buf, '"', ':', '"')
		return
	}
	l.buf = append(l.buf, '=')
}

// begin and end enclose a value that is text: add, or what needs no escape.
func (l *line) begin(name string) {
	l.name(name)
	if l.json {
		l.buf = append(l.buf, '"')
	}
}

func (l *line) end() {
	if l.json {
		l.buf = append(l.buf, '"')
	}
}

func (l *line) number(name string, n int64) {
	l.name(name)
	l.buf = strconv.AppendInt(l.buf, n, 10)
}

func (l *line) float(name string, f float64) {
	l.name(name)
	l.buf = strconv.AppendFloat(l.buf, f, 'g', 4, 64)
}

// milliseconds writes a duration with three places: one unit is easier to
// compare and to calculate with than "1.2s" beside "300ms".
func (l *line) milliseconds(name string, d time.Duration) {
	l.name(name)
	us := max(d.Microseconds(), 0)
	l.buf = strconv.AppendInt(l.buf, us/1000, 10)
	l.buf = append(l.buf, '.')
	l.digits(int(us%1000), 3)
}

// time writes RFC 3339 in UTC with microseconds.
func (l *line) time(name string, t time.Time) {
	l.begin(name)
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	l.digits(year, 4)
	l.buf = append(l.buf, '-')
	l.digits(int(month), 2)
	l.buf = append(l.buf, '-')
	l.digits(day, 2)
	l.buf = append(l.buf, 'T')
	l.digits(hour, 2)
	l.buf = append(l.buf, ':')
	l.digits(minute, 2)
	l.buf = append(l.buf, ':')
	l.digits(second, 2)
	l.buf = append(l.buf, '.')
	l.digits(t.Nanosecond()/1000, 6)
	l.buf = append(l.buf, 'Z')
	l.end()
}

// digits writes the last count digits of n.
func (l *line) digits(n, count int) {
	var d [6]byte
	for i := count - 1; i >= 0; i-- {
		d[i] = '0' + byte(n%10)
		n /= 10
	}
	l.buf = append(l.buf, d[:count]...)
}

// text writes a text part, unless it is empty.
func (l *line) text(name, value string) {
	if value != "" {
		l.begin(name)
		add(l, value)
		l.end()
	}
}

// bytes is text for what came with the request.
func (l *line) bytes(name string, value []byte) {
	if len(value) > 0 {
		l.begin(name)
		l.phrase(value)
		l.end()
	}
}

// add appends text to a part that has begun.
func add[T string | []byte](l *line, value T) {
	if l.json {
		l.buf = appendJSON(l.buf, value)
		return
	}
	l.buf = appendText(l.buf, value, '!')
}

// phrase adds a whole value that may hold blanks: for people it is quoted then.
func (l *line) phrase(value []byte) {
	if l.json || bytes.IndexByte(value, ' ') < 0 {
		add(l, value)
		return
	}
	l.buf = append(l.buf, '"')
	l.buf = appendText(l.buf, value, ' ')
	l.buf = append(l.buf, '"')
}

const hexDigits = "0123456789abcdef"

// appendJSON appends the inside of a JSON string.
func appendJSON[T string | []byte](dst []byte, s T) []byte {
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < 0x7f {
			continue
		}
		if c >= utf8.RuneSelf {
			if size := runeSize(s[i:]); size > 0 {
				i += size - 1
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch {
		case c >= utf8.RuneSelf:
			dst = append(dst, "\uFFFD"...)
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(dst, s[start:]...)
}

// appendText appends printable ASCII from the lowest on, but quotes and
// backslashes, as it is, everything else as \xNN: nothing in a log may steer the
// terminal it is read in, nor look like another part.
func appendText[T string | []byte](dst []byte, s T, lowest byte) []byte {
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= lowest && c < 0x7f && c != '\\' && c != '"' {
			continue
		}
		dst = append(dst, s[start:i]...)
		dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		start = i + 1
	}
	return append(dst, s[start:]...)
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
