package sqltext

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// Dialect is whose rules hold.
type Dialect string

// The dialects. MySQL is that of MariaDB too.
const (
	PostgreSQL Dialect = "postgres"
	MySQL      Dialect = "mysql"
	SQLite     Dialect = "sqlite"
)

// Kind is what a token is.
type Kind int

// The kinds of tokens.
const (
	Space   Kind = iota
	Comment      // without the line end
	Word         // a keyword, a name without quotes, or a number
	Name         // a name in quotes
	String       // a string literal
	Symbol       // one character
)

// Token is a stretch of the text. Tokens of a text join up to it.
type Token struct {
	Kind   Kind
	Text   string
	Offset int // in bytes, from 0
	Line   int // from 1
}

// Is reports whether the token is one of these words, given in capitals.
func (t Token) Is(words ...string) bool {
	if t.Kind != Word {
		return false
	}
	for _, w := range words {
		if strings.EqualFold(t.Text, w) {
			return true
		}
	}
	return false
}

// Meaningful reports whether the token says something to the server.
func (t Token) Meaningful() bool { return t.Kind != Space && t.Kind != Comment }

// Error is a text that ends inside of something.
type Error struct {
	Line int // where it began
	What string
}

// Error names what has no end.
func (e *Error) Error() string { return fmt.Sprintf("%s that begins here has no end", e.What) }

type scanner struct {
	dialect  Dialect
	text     string
	at, line int
}

// next is the token at a place that is not the end.
func (s *scanner) next() (Token, error) {
	kind, length, what := s.measure()
	t := Token{Kind: kind, Offset: s.at, Line: s.line}
	if length < 0 {
		return t, &Error{Line: s.line, What: what}
	}
	t.Text = s.text[s.at : s.at+length]
	s.at += length
	s.line += strings.Count(t.Text, "\n")
	return t, nil
}

// measure tells what begins here and how long it is, -1 if it does not end.
func (s *scanner) measure() (kind Kind, length int, what string) {
	rest := s.text[s.at:]
	if n := spaces(rest); n > 0 {
		return Space, n, ""
	}
	if n, ok := s.comment(rest); ok {
		return Comment, n, "a comment"
	}
	switch c := rest[0]; {
	case c == '\'':
		return String, quoted(rest, '\'', s.dialect == MySQL), "a string"
	case c == '"' && s.dialect == MySQL:
		return String, quoted(rest, '"', true), "a string"
	case c == '"':
		return Name, quoted(rest, '"', false), "a name in quotes"
	case c == '`' && s.dialect != PostgreSQL:
		return Name, quoted(rest, '`', false), "a name in quotes"
	case c == '[' && s.dialect == SQLite:
		return Name, upTo(rest, "]", 1), "a name in brackets"
	case c == '$' && s.dialect == PostgreSQL && dollarTag().MatchString(rest):
		tag := dollarTag().FindString(rest)
		return String, upTo(rest, tag, len(tag)), "a string in " + tag
	case (c == 'e' || c == 'E') && s.dialect == PostgreSQL && strings.HasPrefix(rest[1:], "'"):
		return String, escaped(rest), "a string"
	case wordByte(c):
		return Word, words(rest), ""
	}
	return Symbol, 1, "" // a longer character is part of a word
}

var dollarTag = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\$(?:[A-Za-z_\x{80}-\x{10FFFF}][A-Za-z0-9_\x{80}-\x{10FFFF}]*)?\$`)
})

// comment is the length of the comment that begins here, if one does.
func (s *scanner) comment(rest string) (length int, ok bool) {
	switch {
	case strings.HasPrefix(rest, "--") && (s.dialect != MySQL || len(rest) == 2 || rest[2] <= ' '):
		return lineLength(rest), true
	case rest[0] == '#' && s.dialect == MySQL:
		return lineLength(rest), true
	case !strings.HasPrefix(rest, "/*") || s.dialect == MySQL && executable(rest):
		return 0, false
	case s.dialect == PostgreSQL:
		return nested(rest), true
	}
	return upTo(rest, "*/", 2), true
}

// executable reports whether a comment holds code for some servers: it is read
// as symbols and words.
func executable(rest string) bool {
	return strings.HasPrefix(rest, "/*!") || strings.HasPrefix(rest, "/*M!")
}

func lineLength(rest string) int {
	line, _, ended := strings.Cut(rest, "\n")
	if ended {
		line = strings.TrimSuffix(line, "\r")
	}
	return len(line)
}

// nested is the length of a comment in which comments count.
func nested(rest string) int {
	depth := 0
	for i := 0; i+1 < len(rest); {
		switch rest[i : i+2] {
		case "/*":
			depth++
			i += 2
		case "*/":
			depth--
			i += 2
			if depth == 0 {
				return i
			}
		default:
			i++
		}
	}
	return -1
}

// upTo is the length until the end of the next end, looked for behind skip.
func upTo(rest, end string, skip int) int {
	n := strings.Index(rest[skip:], end)
	if n < 0 {
		return -1
	}
	return skip + n + len(end)
}

// quoted is the length of what is in quotes, where two of them stand for one.
func quoted(rest string, quote byte, backslash bool) int {
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] == '\\' && backslash:
			i++
		case rest[i] != quote:
		case i+1 < len(rest) && rest[i+1] == quote:
			i++
		default:
			return i + 1
		}
	}
	return -1
}

// escaped is the length of E'...', with the parts that go on in other lines,
// in which backslashes count as well.
func escaped(rest string) int {
	total := 1
	for {
		n := quoted(rest[total:], '\'', true)
		if n < 0 {
			return -1
		}
		total += n
		gap := spaces(rest[total:])
		if !strings.Contains(rest[total:total+gap], "\n") || !strings.HasPrefix(rest[total+gap:], "'") {
			return total
		}
		total += gap
	}
}

// byteOrderMark may begin a file that an editor has written.
const byteOrderMark = "\ufeff"

func spaces(rest string) int {
	n := 0
	for n < len(rest) {
		switch {
		case strings.IndexByte(" \t\r\n\f\v", rest[n]) >= 0:
			n++
		case strings.HasPrefix(rest[n:], byteOrderMark):
			n += len(byteOrderMark)
		default:
			return n
		}
	}
	return n
}

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func words(rest string) int {
	n := 1
	for n < len(rest) && (wordByte(rest[n]) || rest[n] == '$') && !strings.HasPrefix(rest[n:], byteOrderMark) {
		n++
	}
	return n
}
