package tui

import (
	"strings"

	"charm.land/lipgloss/v2"
)

// gap is what stands between the columns of a table.
const gap = "  "

// table aligns rows by their display width. The first row is the head. The
// last column is not padded, and cut where the page is too narrow.
func (p Page) table(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], lipgloss.Width(cell))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-lipgloss.Width(cell)) + gap)
			}
		}
		text := p.fit(strings.TrimRight(line.String(), " "))
		if n == 0 {
			text = p.dim(text)
		}
		b.WriteString(text + "\n")
	}
	return b.String()
}
