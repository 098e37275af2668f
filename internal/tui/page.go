package tui

import (
	"strings"
	"time"
	"unicode"

	"charm.land/lipgloss/v2"
)

// Page draws values as text.
type Page struct {
	Color bool
	Width int       // of the terminal; 0: lines may be as long as they are
	Now   time.Time // what times are relative to
}

func (p Page) paint(s string, style lipgloss.Style) string {
	if !p.Color || s == "" {
		return s
	}
	return style.Render(s)
}

func (p Page) good(s string) string {
	return p.paint(s, lipgloss.NewStyle().Foreground(lipgloss.Green))
}

func (p Page) bad(s string) string {
	return p.paint(s, lipgloss.NewStyle().Foreground(lipgloss.Red))
}

func (p Page) warn(s string) string {
	return p.paint(s, lipgloss.NewStyle().Foreground(lipgloss.Yellow))
}

func (p Page) dim(s string) string { return p.paint(s, lipgloss.NewStyle().Faint(true)) }

func (p Page) bold(s string) string { return p.paint(s, lipgloss.NewStyle().Bold(true)) }

// Good paints what is as it should be.
func (p Page) Good(s string) string { return p.good(s) }

// Bad paints what is not.
func (p Page) Bad(s string) string { return p.bad(s) }

// Dim paints what matters less.
func (p Page) Dim(s string) string { return p.dim(s) }

// fit cuts a line that may hold colours to the width of the page.
func (p Page) fit(line string) string {
	if p.Width <= 0 || lipgloss.Width(line) <= p.Width {
		return line
	}
	if p.Width == 1 {
		return "…"
	}
	return lipgloss.NewStyle().Inline(true).MaxWidth(p.Width-1).Render(line) + "…"
}

// CleanLines is Clean for text of several lines.
func CleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = Clean(line)
	}
	return strings.Join(lines, "\n")
}

// Clean makes text from elsewhere safe to show: what a terminal would act on
// is replaced, so that a commit message can not draw on it.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == unicode.ReplacementChar:
			return '�'
		}
		return r
	}, s)
}
