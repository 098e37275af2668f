package tui

import (
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

// Plan draws every state that a deployment would pass through.
func (p Page) Plan(v api.Preview) string {
	var b strings.Builder
	b.WriteString(p.planHead(v))
	for i, st := range v.Plan.States {
		b.WriteString("\n" + p.bold(v.Plan.Label(i)) + "\n")
		b.WriteString(p.state(st))
	}
	if len(v.Plan.Failure) > 0 {
		b.WriteString("\n" + p.bold("if it goes back") + "\n")
		for _, f := range v.Plan.Failure {
			b.WriteString("  run      " + factText(f) + "\n")
		}
	}
	b.WriteString(p.planNotes(v))
	return b.String()
}

// Summary draws what a person must know before saying yes.
func (p Page) Summary(v api.Preview) string {
	var b strings.Builder
	b.WriteString(p.planHead(v))
	kinds := make([]string, len(v.Plan.States))
	for i, st := range v.Plan.States {
		kinds[i] = string(st.Kind)
	}
	b.WriteString("  states   " + strings.Join(kinds, " → ") + "\n")
	for _, st := range v.Plan.States {
		for _, n := range st.Enter {
			if n.Gate != nil && n.Gate.Kind != noon.GateWarm {
				b.WriteString("  waits    " + gateText(*n.Gate) + ", before " + st.Kind.Label() + "\n")
			}
		}
	}
	b.WriteString(p.planNotes(v))
	return b.String()
}

func (p Page) planHead(v api.Preview) string {
	plan := v.Plan
	verb := "deploy"
	if plan.Kind == noon.PlanRollback {
		verb = "roll back to"
	}
	line := fmt.Sprintf("%s %s in %s", verb, p.bold(plan.To.String()), p.bold(plan.Site.String()))
	if plan.From.IsZero() {
		line += ", the first release there"
	} else {
		line += ", where " + plan.From.String() + " is live"
	}
	line += "\n"
	if v.Release.Digest != "" {
		line += "  release  " + p.releaseText(v.Release) + "\n"
	}
	return line
}

func (p Page) releaseText(r noon.Release) string {
	text := fmt.Sprintf("%s  %s  %s", r.Name(), ShortDigest(r.Digest), ShortCommit(r.Commit, r.Dirty))
	if r.Title != "" {
		text += "  " + Clean(r.Title)
	}
	return text
}

func (p Page) planNotes(v api.Preview) string {
	var b strings.Builder
	for _, st := range v.Plan.States {
		for _, what := range st.Irreversible {
			b.WriteString(p.warn("  not undone by going back, from "+st.Kind.Label()+" on: ") + Clean(what) + "\n")
		}
	}
	for _, h := range v.Plan.Hazards {
		b.WriteString(p.hazard(h))
	}
	for _, w := range v.Plan.Warnings {
		b.WriteString(p.warn("  warning: ") + Clean(w) + "\n")
	}
	for _, m := range v.Missing {
		b.WriteString(p.bad("  missing: ") + Clean(m) + " is declared and not set\n")
	}
	for _, d := range v.Behind {
		b.WriteString(p.warn("  queued:  ") + "behind " + d + "\n")
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n" + b.String()
}

// state draws one state: what it changes, who meets whom in it, what must hold
// before it is entered and left.
func (p Page) state(st noon.State) string {
	var b strings.Builder
	line := func(key, text string) { fmt.Fprintf(&b, "  %-8s %s\n", key, text) }
	for _, n := range st.Enter {
		line("first", needText(n))
	}
	for _, c := range st.Changes {
		if !isNeed(c, st.Enter) {
			line("change", Clean(c))
		}
	}
	if len(st.Changes) == 0 && st.Kind == noon.Settled {
		line("now", presencesText(st))
	}
	for _, c := range st.Contacts {
		line("contact", fmt.Sprintf("%s meets %s: %s, %s", Clean(c.A), Clean(c.B), p.evidence(c.Evidence), Clean(c.Because)))
	}
	for _, n := range st.Leave {
		line("then", needText(n))
	}
	for _, what := range st.Irreversible {
		line("for good", p.warn(Clean(what)))
	}
	if b.Len() == 0 {
		return p.dim("  nothing is needed") + "\n"
	}
	return b.String()
}

// isNeed reports whether a change tells of a command that is shown already.
func isNeed(change string, needs []noon.Need) bool {
	return slices.ContainsFunc(needs, func(n noon.Need) bool {
		return n.Fact != nil && strings.HasPrefix(change, n.Fact.Name+": ")
	})
}

func (p Page) evidence(e noon.Evidence) string {
	switch e {
	case noon.Proven:
		return p.good(string(e))
	case noon.Broken:
		return p.bad(string(e))
	case noon.Unproven:
		return p.warn(string(e))
	default:
		return string(e)
	}
}

func presencesText(st noon.State) string {
	if len(st.Presences) == 0 {
		return "nothing is there"
	}
	parts := make([]string, 0, len(st.Presences))
	for _, pr := range st.Presences {
		switch {
		case pr.Share > 0:
			parts = append(parts, fmt.Sprintf("%s has %s of the requests", pr.Revision, share(pr.Share)))
		case pr.Up():
			parts = append(parts, pr.Revision.String()+" is warm")
		default:
			parts = append(parts, pr.Revision.String()+" is unpacked")
		}
	}
	return strings.Join(parts, "; ")
}

// share writes points of noon.PointsWhole: "100 %", "0.05 %".
func share(points int) string {
	if points%100 == 0 {
		return fmt.Sprintf("%d %%", points/100)
	}
	return strings.TrimRight(fmt.Sprintf("%d.%02d", points/100, points%100), "0") + " %"
}

func needText(n noon.Need) string {
	switch {
	case n.Gate != nil:
		return gateText(*n.Gate)
	case n.Fact != nil:
		return factText(*n.Fact)
	case n.Data != nil:
		return dataText(*n.Data)
	case n.Check != nil:
		return checkText(*n.Check)
	}
	return n.Name()
}

func factText(f noon.Fact) string {
	text := Clean(fmt.Sprintf("%s: %s", f.Name, strings.Join(f.Command.Command, " ")))
	if f.Timeout > 0 {
		text += ", at most " + Length(f.Timeout)
	}
	if !f.Idempotent {
		text += ", never twice"
	}
	return text
}

func dataText(d noon.Data) string {
	release := noon.ReleaseName(d.Revision.Release)
	text := d.Name()
	switch d.Phase {
	case noon.DataAdmitted:
		text += ": " + release + " may use it, as it is"
	case noon.DataBoth:
		text += ": then it serves both releases"
	case noon.DataAlone:
		text += ": then it serves " + release + " alone"
	}
	return Clean(text)
}

func checkText(c noon.Check) string {
	switch c.Kind {
	case noon.CheckReady:
		return "every instance is ready, within " + Length(c.For)
	case noon.CheckSmoke:
		if c.Smoke != nil {
			return fmt.Sprintf("%s: %s %s answers %d", c.Name(), c.Smoke.Method, Clean(c.Smoke.Path), c.Smoke.Expect.Status)
		}
	case noon.CheckQuiet:
		return "no scheduled job runs, within " + Length(c.For)
	case noon.CheckDrain:
		return "requests in flight on the release before have ended, at most " + Length(c.For)
	case noon.CheckBake:
		return "it holds for " + Length(c.For)
	}
	return c.Name()
}

func gateText(g noon.Gate) string {
	switch g.Kind {
	case noon.GateApproval:
		return "somebody approves (noon approve)"
	case noon.GateWindow:
		if g.Window != nil {
			return windowText(*g.Window)
		}
	case noon.GateRehearsal:
		return "its change of " + g.Store + " has worked on a copy (noon rehearse), or somebody approves"
	case noon.GateWarm:
		if g.For == 0 {
			return "the release before is kept for no time"
		}
		return "the release before has been warm for " + Length(g.For)
	}
	return string(g.Kind)
}

func windowText(w noon.Window) string {
	days := "every day"
	if len(w.Days) > 0 {
		names := make([]string, len(w.Days))
		for i, d := range w.Days {
			names[i] = d.String()[:3]
		}
		days = strings.Join(names, ", ")
	}
	return fmt.Sprintf("the time is %s %02d:%02d to %02d:%02d (%s)", days, w.From/60, w.From%60, w.To/60, w.To%60, w.Zone)
}

// ShortDigest gives the start of a digest: "sha256:0123456789ab".
func ShortDigest(digest string) string { return cut(digest, len("sha256:")+12) }

// ShortCommit gives the start of a git object name, marked when the files were
// not all committed.
func ShortCommit(commit string, dirty bool) string {
	short := cut(commit, 12)
	if dirty {
		short += "+dirty"
	}
	return short
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
