package tui

import (
	"fmt"
	"io"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

// What a terminal is told.
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	clearBelow = "\x1b[J"
)

// Live draws a deployment on a terminal, a line for each state of its plan,
// and redraws them in place. It is for one goroutine; who calls Tick decides
// how often it is redrawn.
type Live struct {
	out   io.Writer
	color bool
	width func() int
	now   func() time.Time

	progress progress
	drawn    []string // lines on the terminal now
	open     bool     // the cursor is hidden
	tame     bool     // the cursor is left alone
}

// NewLive returns a view that draws on a terminal of a width that may change.
func NewLive(out io.Writer, color bool, width func() int, now func() time.Time) *Live {
	return &Live{out: out, color: color, width: width, now: now}
}

// Show takes over what is new.
func (l *Live) Show(v api.DeploymentView) {
	l.progress.add(v)
	l.Tick()
}

// Tick redraws what has changed with time.
func (l *Live) Tick() {
	if l.progress.view.ID == 0 {
		return
	}
	width := l.width()
	lines := l.Frame(width)
	if strings.Join(lines, "\n") == strings.Join(l.drawn, "\n") {
		return
	}
	var b strings.Builder
	if !l.open && !l.tame {
		b.WriteString(hideCursor)
		l.open = true
	}
	b.WriteString(l.rewind(width) + clearBelow)
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	l.drawn = lines
	io.WriteString(l.out, b.String()) //nolint:errcheck // a terminal that is gone is noticed by the signal it sends
}

func (l *Live) rewind(width int) string { return rewind(l.drawn, width) }

// rewind moves the cursor to the first of the lines drawn. A terminal that has
// become narrower has wrapped the lines that no longer fit.
func rewind(drawn []string, width int) string {
	rows := 0
	for _, line := range drawn {
		rows++
		if w := lipgloss.Width(line); width > 0 && w > width {
			rows += (w - 1) / width
		}
	}
	if rows == 0 {
		return ""
	}
	return fmt.Sprintf("\r\x1b[%dA", rows)
}

// Note writes text above what is redrawn, which then goes on below it. From
// here on the cursor is left alone, so that the process may end at any moment.
func (l *Live) Note(text string) {
	l.Close()
	l.tame = true
	io.WriteString(l.out, l.rewind(l.width())+clearBelow+text) //nolint:errcheck // as in Tick
	l.drawn = nil
	l.Tick()
}

// Close gives the cursor back. The last lines drawn stay.
func (l *Live) Close() {
	if l.open {
		io.WriteString(l.out, showCursor) //nolint:errcheck // as in Tick
		l.open = false
	}
}

// Frame gives the lines of the view, none wider than width; 0 is no limit.
func (l *Live) Frame(width int) []string {
	d := l.progress.view.Deployment
	now := l.now()
	p := Page{Color: l.color, Width: width, Now: now}
	head := fmt.Sprintf("%s  %s %s  %s", p.bold(d.Name()), d.Plan.Kind, d.Site, revisions(d.Plan))
	if d.Status == noon.Queued {
		head += "  " + p.warn("queued")
		if d.Waiting != "" {
			head += ", waiting for " + Clean(d.Waiting)
		}
	}
	lines := []string{p.fit(head)}
	names := 0
	for i := range d.Plan.States {
		names = max(names, lipgloss.Width(d.Plan.Label(i)))
	}
	for i, r := range l.progress.rows(now) {
		took := ""
		if r.in {
			took = Elapsed(r.took)
		}
		line := fmt.Sprintf("%s %-*s  %6s  %s", p.mark(r.mark), names, d.Plan.Label(i), took, p.noteText(r))
		lines = append(lines, p.fit(strings.TrimRight(line, " ")))
	}
	return lines
}

func (p Page) mark(m mark) string {
	switch m {
	case markDone:
		return p.good(string(m))
	case markFailed:
		return p.bad(string(m))
	case markNow:
		return p.bold(string(m))
	case markLeft:
		return p.warn(string(m))
	default:
		return p.dim(string(m))
	}
}

func (p Page) noteText(r row) string {
	switch r.mark {
	case markFailed:
		return p.bad(r.note)
	case markFuture:
		return p.dim(r.note)
	default:
		return r.note
	}
}
