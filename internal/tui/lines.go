package tui

import (
	"fmt"
	"io"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

// patience is how long something is waited for before Lines speaks of it.
const patience = time.Second

// Lines tells of a deployment where there is no terminal: every line is
// written once, with the time since the start. It is for one goroutine.
type Lines struct {
	out io.Writer
	now func() time.Time

	progress progress
	waiting  string    // what is waited for
	since    time.Time // since when
	told     bool      // and has been told
	back     bool      // it is on its way back
}

// NewLines returns a view that appends lines.
func NewLines(out io.Writer, now func() time.Time) *Lines { return &Lines{out: out, now: now} }

// Show writes what is new.
func (l *Lines) Show(v api.DeploymentView) {
	first := l.progress.view.ID == 0
	fresh := l.progress.add(v)
	if first {
		fmt.Fprintf(l.out, "%s  %s %s  %s\n", v.Name(), v.Plan.Kind, v.Site, revisions(v.Plan))
	}
	for _, e := range fresh {
		if text := l.text(e); text != "" {
			l.line(e.At, text)
		}
	}
	if v.Waiting != l.waiting {
		l.waiting, l.since, l.told = v.Waiting, l.now(), false
	}
	l.Tick()
}

// Tick writes what has been waited for long enough to be worth a line.
func (l *Lines) Tick() {
	now := l.now()
	if l.told || l.waiting == "" || l.progress.view.Status.Ended() || now.Sub(l.since) < patience {
		return
	}
	l.told = true
	l.line(now, "waiting for "+Clean(l.waiting))
}

// Note writes text as it is.
func (l *Lines) Note(text string) { fmt.Fprint(l.out, text) }

// Close does nothing: every line is complete.
func (l *Lines) Close() {}

func (l *Lines) line(at time.Time, text string) {
	fmt.Fprintf(l.out, "%8s  %s\n", "+"+Elapsed(at.Sub(l.progress.start())), text)
}

// text says an event in words, "" if it is of no interest here.
func (l *Lines) text(e noon.Event) string {
	state := label(l.progress.view.Plan, e.State)
	detail := Clean(firstLine(e.Detail))
	switch {
	case e.Kind == noon.Moved:
		l.back = l.back || statusOf(e) == noon.Returning
		return detail
	case e.Subject == "enter" && e.Kind == noon.Intent && l.back:
		return "back to " + state
	case e.Subject == "enter" && e.Kind == noon.Intent:
		return state
	case e.Subject == "enter":
		return ""
	case e.Kind == noon.Failed:
		return fmt.Sprintf("%s: %s failed: %s", state, Clean(e.Subject), detail)
	case e.Kind == noon.Intent:
		return fmt.Sprintf("%s: %s", state, Clean(e.Subject))
	case e.Kind == noon.Done:
		return fmt.Sprintf("%s: %s done", state, Clean(e.Subject))
	case detail != "":
		return fmt.Sprintf("%s: %s: %s", state, Clean(e.Subject), detail)
	}
	return fmt.Sprintf("%s: %s", state, Clean(e.Subject))
}
