package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/noon-deploy/noon"
)

// Mistake is one thing that is wrong in a manifest.
type Mistake struct {
	Line    int    `json:"line"`   // from 1
	Column  int    `json:"column"` // from 1, in characters
	Path    string `json:"path"`   // "services.web.instances", "" the whole file
	Message string `json:"message"`
	Excerpt string `json:"excerpt,omitempty"` // the line with a caret below, two lines
	Hint    string `json:"hint"`              // what to do, a full sentence or two
}

// Error is everything that is wrong in one manifest, in the order of the file.
type Error struct {
	Name     string // of the file
	Mistakes []*Mistake
}

// maxShown bounds the text of an Error: who has more mistakes than that starts
// with the first ones.
const maxShown = 50

// Error gives every mistake as "noon.yaml:LINE:COLUMN: message", the source
// line with a caret, and the hint.
func (e *Error) Error() string {
	var b strings.Builder
	for i, m := range e.Mistakes[:min(len(e.Mistakes), maxShown)] {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s:%d:%d: %s\n", e.Name, m.Line, m.Column, m.Message)
		if m.Excerpt != "" {
			b.WriteString(m.Excerpt + "\n")
		}
		b.WriteString("  hint: " + m.Hint + "\n")
	}
	if more := len(e.Mistakes) - maxShown; more > 0 {
		fmt.Fprintf(&b, "\nand %d more\n", more)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Unwrap gives the same as one [*noon.Error] of kind Invalid: its subject is
// the first mistake's place.
func (e *Error) Unwrap() error {
	first := e.Mistakes[0]
	cause, hint := errors.New(first.Message), first.Hint
	if n := len(e.Mistakes); n > 1 {
		cause = fmt.Errorf("%s (and %d more)", first.Message, n-1)
		hint = fmt.Sprintf("Correct all %d mistakes, then run \"noon check\".", n)
	}
	return &noon.Error{
		Kind:    noon.Invalid,
		Op:      "read",
		Subject: fmt.Sprintf("%s:%d:%d", e.Name, first.Line, first.Column),
		Err:     cause,
		Hint:    hint,
	}
}

// err returns what was collected, sorted, or nil.
func (d *decoder) err() error {
	if len(d.mistakes) == 0 {
		return nil
	}
	for _, m := range d.mistakes {
		if d.hidden[m.Line] {
			m.Excerpt = ""
		}
	}
	slices.SortStableFunc(d.mistakes, func(a, b *Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &Error{Name: d.name, Mistakes: d.mistakes}
}

// spot is a place in the file, both from 1; column counts characters.
type spot struct{ line, column int }

// maxPath is how much of a long path messages show.
const maxPath = 120

// wrong records a mistake.
func (d *decoder) wrong(at spot, path, message, hint string) {
	if long := []rune(path); len(long) > maxPath {
		message = strings.ReplaceAll(message, path, string(long[:maxPath])+"…")
	}
	d.mistakes = append(d.mistakes, &Mistake{
		Line:    at.line,
		Column:  at.column,
		Path:    path,
		Message: message,
		Excerpt: excerpt(d.lines, at),
		Hint:    hint,
	})
}

// excerptWidth is how much of a long line is shown.
const excerptWidth = 100

// excerpt shows the line of a spot with a caret below. What a terminal would
// act on is replaced, so that a hostile file can not draw on it.
func excerpt(lines []string, at spot) string {
	if at.line < 1 || at.line > len(lines) {
		return ""
	}
	line := []rune(strings.ToValidUTF8(lines[at.line-1], "�"))
	column := min(max(at.column-1, 0), len(line))
	from := 0
	if column > excerptWidth-20 {
		from = column - excerptWidth/2
	}
	shown := line[from:min(len(line), from+excerptWidth)]
	gutter := fmt.Sprintf("%5d | ", at.line)
	blank := strings.Repeat(" ", len(gutter)-2) + "| "
	return strings.TrimRight(gutter+clean(shown), " ") + "\n" +
		blank + strings.Repeat(" ", column-from) + "^"
}

func clean(line []rune) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return '�'
		}
		return r
	}, string(line))
}

// quote shows a value of the file inside a message, short and printable.
func quote(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
