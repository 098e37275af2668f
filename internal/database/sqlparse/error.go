package sqlparse

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/wasilibs/go-pgquery/parser"
)

// Error is SQL that PostgreSQL would not read, or an expression that can not
// be treated as it was asked for.
type Error struct {
	Line, Column int    // from 1; the column counts characters
	Offset       int    // bytes before the place
	Message      string // in PostgreSQL's words where it is a mistake of syntax
}

// Error gives "3:5: syntax error at or near "x"".
func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message) }

// at makes an error about the place offset bytes into text.
func at(text string, offset int, format string, args ...any) *Error {
	offset = min(max(offset, 0), len(text))
	line, column := place(text, offset)
	return &Error{Line: line, Column: column, Offset: offset, Message: fmt.Sprintf(format, args...)}
}

// place is the line and the column of an offset, both from 1.
func place(text string, offset int) (line, column int) {
	before := text[:offset]
	line = 1 + strings.Count(before, "\n")
	return line, 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}

// syntax translates the parser's error about text that has prefix before it.
func syntax(prefix, text string, err error) error {
	var e *parser.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("parse SQL: %w", err)
	}
	offset := len(text)
	if e.Cursorpos > 0 {
		offset = characters(prefix+text, e.Cursorpos-1) - len(prefix)
	}
	return at(text, offset, "%s", e.Message)
}

// characters is how many bytes the first n characters of text take.
func characters(text string, n int) int {
	for i := range text {
		if n == 0 {
			return i
		}
		n--
	}
	return len(text)
}
