package tui

import (
	"fmt"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

// progress is what is known of a deployment while it is watched: the newest
// view with all events seen so far, each once, however often the watching had
// to begin again.
type progress struct {
	view   api.DeploymentView
	events []noon.Event
}

// add takes over a view and returns the events that are new in it.
func (g *progress) add(v api.DeploymentView) []noon.Event {
	last := int64(0)
	if n := len(g.events); n > 0 {
		last = g.events[n-1].Seq
	}
	var fresh []noon.Event
	for _, e := range v.Events {
		if e.Seq > last {
			fresh = append(fresh, e)
			last = e.Seq
		}
	}
	g.view = v
	g.events = append(g.events, fresh...)
	return fresh
}

// mark is where a state of the plan is.
type mark string

const (
	markDone   mark = "✓" // was entered and held
	markNow    mark = "●" // the deployment is in it
	markFuture mark = "○" // not yet entered
	markFailed mark = "✗" // did not hold
	markLeft   mark = "↩" // left again on the way back
)

// row is one state of the plan as it is now.
type row struct {
	mark mark
	took time.Duration // 0 and not entered: nothing is shown
	in   bool          // it has been entered
	note string
}

// start is when the deployment began to walk; before that, when it was asked
// for.
func (g *progress) start() time.Time {
	if g.view.Started.IsZero() {
		return g.view.Created
	}
	return g.view.Started
}

// rows tells where every state of the plan is.
func (g *progress) rows(now time.Time) []row {
	d := g.view.Deployment
	entered := g.entered()
	furthest := d.At
	for i := range entered {
		furthest = max(furthest, i)
	}
	rows := make([]row, len(d.Plan.States))
	for i := range rows {
		span, ok := entered[i]
		rows[i] = row{in: ok, mark: g.markOf(i, furthest)}
		if ok {
			rows[i].took = g.end(span, now).Sub(span.from)
		}
		rows[i].note = g.note(i, rows[i].mark)
	}
	return rows
}

// visit is the time that was spent in a state on the way forward.
type visit struct{ from, to time.Time }

// entered finds when each state was entered on the way forward, and left.
func (g *progress) entered() map[int]visit {
	visits := map[int]visit{}
	at := -1
	for _, e := range g.events {
		turned := e.Kind == noon.Moved && statusOf(e) == noon.Returning
		next := e.Kind == noon.Intent && e.Subject == "enter" && e.State > at
		rest := e.Kind == noon.Moved && statusOf(e).Ended()
		if v, ok := visits[at]; ok && v.to.IsZero() && (turned || next || rest) {
			v.to = e.At
			visits[at] = v
		}
		if turned {
			return visits
		}
		if next {
			at = e.State
			visits[at] = visit{from: e.At}
		}
	}
	return visits
}

// statusOf reads the status out of an event of kind Moved: "held: approval …".
func statusOf(e noon.Event) noon.Status {
	for _, s := range noon.Statuses() {
		if rest, ok := strings.CutPrefix(e.Detail, string(s)); ok && (rest == "" || rest[0] == ':') {
			return s
		}
	}
	return noon.Walking
}

func (g *progress) end(v visit, now time.Time) time.Time {
	switch {
	case !v.to.IsZero():
		return v.to
	case !g.view.Ended.IsZero():
		return g.view.Ended
	}
	return now
}

func (g *progress) markOf(i, furthest int) mark {
	d := g.view.Deployment
	switch d.Status {
	case noon.Queued, noon.Superseded, noon.Cancelled:
		return markFuture
	case noon.Succeeded:
		return markDone
	case noon.Returning, noon.Returned:
		switch {
		case i > furthest:
			return markFuture
		case i == furthest && furthest > 0:
			return markFailed
		case i > d.At:
			return markLeft
		case i == d.At && d.Status == noon.Returning:
			return markNow
		}
		return markDone
	case noon.Reverted:
		return markLeft
	default:
		switch {
		case i > d.At:
			return markFuture
		case i == d.At && d.Status != noon.Warm:
			return markNow
		}
		return markDone
	}
}

// note is what stands behind a state: what it waits for, or why it did not
// hold.
func (g *progress) note(i int, m mark) string {
	d := g.view.Deployment
	returning := d.Status == noon.Returning || d.Status == noon.Returned
	switch {
	case m == markFailed && d.Error != nil:
		return Clean(firstLine(d.Error.Error()))
	case m == markNow && d.Waiting != "":
		return "waiting for " + Clean(d.Waiting)
	case m == markNow && returning:
		return "going back"
	case i == d.At && d.Status == noon.Returned && i == 0:
		return "back in it"
	case m == markFuture && d.Status == noon.Warm && d.Plan.States[i].Kind == noon.Contracted:
		return "when " + noon.ReleaseName(d.Plan.From.Release) + " has been warm until " + d.WarmUntil.Format("15:04:05")
	}
	return ""
}

// label is how people call a state of the plan, "" if it has none at i.
func label(plan noon.Plan, i int) string {
	if i < 0 || i >= len(plan.States) {
		return ""
	}
	return plan.Label(i)
}

// Outcome tells in a sentence how a deployment ended, or where it is.
func (p Page) Outcome(d noon.Deployment) string {
	to, from := noon.ReleaseName(d.Plan.To.Release), noon.ReleaseName(d.Plan.From.Release)
	length := ""
	if !d.Started.IsZero() && !d.Ended.IsZero() {
		length = " in " + total(d.Ended.Sub(d.Started))
	}
	switch d.Status {
	case noon.Warm:
		text := fmt.Sprintf("%s %s%s: %s is live in %s", d.Name(), p.good("succeeded"), length, to, d.Site)
		if d.WarmUntil.After(p.Now) {
			text += fmt.Sprintf("; %s stays warm %s, `noon rollback` goes back to it at once", from, p.until(d.WarmUntil))
		}
		return text + "\n"
	case noon.Succeeded:
		return fmt.Sprintf("%s %s%s: %s is live in %s\n", d.Name(), p.good("succeeded"), length, to, d.Site)
	case noon.Returned:
		where := "nothing is live, as before"
		if !d.Plan.From.IsZero() {
			where = from + " is live, as before"
		}
		return fmt.Sprintf("%s %s%s: %s\n", d.Name(), p.bad("went back"), length, where)
	case noon.Superseded, noon.Cancelled:
		return fmt.Sprintf("%s was %s before it began\n", d.Name(), d.Status)
	case noon.Reverted:
		return fmt.Sprintf("%s had succeeded; a rollback has left %s since\n", d.Name(), to)
	default:
		text := fmt.Sprintf("%s is %s", d.Name(), p.statusText(d.Status))
		if state := label(d.Plan, d.At); state != "" && d.Status != noon.Queued {
			text += " in " + state
		}
		return text + "\n"
	}
}
