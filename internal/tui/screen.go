package tui

import (
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Screen draws a page on a terminal again and again in the same place. It is
// for one goroutine.
type Screen struct {
	out   io.Writer
	size  func() (columns, rows int)
	drawn []string
	open  bool // the cursor is hidden
}

// NewScreen returns a screen on a terminal of a size that may change.
func NewScreen(out io.Writer, size func() (columns, rows int)) *Screen {
	return &Screen{out: out, size: size}
}

// Draw replaces what was drawn before. What the terminal has no room for is
// cut, since it could not be drawn over.
func (s *Screen) Draw(page string) {
	columns, rows := s.size()
	lines := strings.Split(strings.TrimSuffix(page, "\n"), "\n")
	if rows > 2 && len(lines) > rows-1 {
		lines = append(lines[:rows-2:rows-2], "… "+Count(len(lines)-rows+2, "line")+" more")
	}
	var b strings.Builder
	if !s.open {
		b.WriteString(hideCursor)
		s.open = true
	}
	b.WriteString(rewind(s.drawn, columns) + clearBelow + strings.Join(lines, "\n") + "\n")
	s.drawn = lines
	io.WriteString(s.out, b.String()) //nolint:errcheck // a terminal that is gone is noticed by the signal it sends
}

// Close gives the cursor back. The last page stays.
func (s *Screen) Close() {
	if s.open {
		io.WriteString(s.out, showCursor) //nolint:errcheck // as in Draw
		s.open = false
	}
}

// Size returns the columns and rows of the terminal behind a writer, 0 and 0
// if it is none.
func Size(v any) (columns, rows int) {
	f, ok := v.(*os.File)
	if !ok {
		return 0, 0
	}
	columns, rows, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0, 0
	}
	return columns, rows
}
