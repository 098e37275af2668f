package tui

import (
	"fmt"
	"strings"

	"github.com/noon-deploy/noon"
)

// hazard draws what a statement of a migration would do. What somebody has
// accepted, and what is only worth knowing, is one line.
func (p Page) hazard(h noon.Hazard) string {
	var b strings.Builder
	b.WriteString("  " + p.gravity(h) + " " + Clean(h.Place()))
	if h.Rule != "" {
		b.WriteString("  " + Clean(h.Rule))
	}
	if h.Phase == noon.DataAlone {
		b.WriteString(", when the release before is gone")
	}
	if h.Gravity == noon.GravityNote {
		b.WriteString(": " + Clean(h.Text))
		if h.Accepted != "" {
			b.WriteString(" (accepted: " + Clean(h.Accepted) + ")")
		}
		return b.String() + "\n"
	}
	b.WriteString("\n")
	const indent = "           "
	line := func(key, text string) {
		if text != "" {
			b.WriteString(indent + key + Clean(text) + "\n")
		}
	}
	line("", h.Statement)
	line("", h.Text)
	for _, l := range h.Locks {
		line("lock: ", fmt.Sprintf("%s on %s, which %s", l.Mode, l.Table, l.Blocks))
	}
	line("time: ", h.Expected)
	line("do: ", h.Advice)
	if h.Instead != "" {
		b.WriteString(indent + "instead:\n")
		for text := range strings.Lines(h.Instead) {
			line("  ", strings.TrimRight(text, "\n"))
		}
	}
	return b.String()
}

func (p Page) gravity(h noon.Hazard) string {
	switch {
	case h.Refuses:
		return p.bad("refused:")
	case h.Gravity == noon.GravityNote:
		return "note:"
	}
	return p.warn("hazard:")
}
