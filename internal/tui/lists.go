package tui

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

// Releases draws the releases of an app.
func (p Page) Releases(list []api.ListedRelease) string {
	if len(list) == 0 {
		return "no release yet: `noon build` makes one\n"
	}
	rows := [][]string{{"RELEASE", "COMMIT", "ADDED", "SIZE", "WHERE", "TITLE"}}
	for _, r := range list {
		var where []string
		for _, env := range r.Live {
			where = append(where, p.good("live in "+env))
		}
		for _, env := range r.Warm {
			where = append(where, "warm in "+env)
		}
		for _, env := range r.Passed {
			if !slices.Contains(r.Live, env) && !slices.Contains(r.Warm, env) {
				where = append(where, p.dim("passed "+env))
			}
		}
		rows = append(rows, []string{
			r.Name(), ShortCommit(r.Commit, r.Dirty), p.ago(r.Added), Bytes(r.Size),
			cmp.Or(strings.Join(where, ", "), "-"), Clean(r.Title),
		})
	}
	return p.table(rows)
}

// History draws deployments, one a line.
func (p Page) History(list []noon.Deployment) string {
	if len(list) == 0 {
		return "no deployment yet\n"
	}
	rows := [][]string{{"DEPLOYMENT", "SITE", "WHAT", "STATUS", "CREATED", "TOOK", "BY", "WHY"}}
	for _, d := range list {
		rows = append(rows, []string{
			d.Name(), d.Site.String(), fmt.Sprintf("%s %s", d.Plan.Kind, revisions(d.Plan)), p.statusText(d.Status),
			p.ago(d.Created), took(d), cmp.Or(Clean(d.By), "-"), why(d),
		})
	}
	return p.table(rows)
}

func revisions(plan noon.Plan) string {
	if plan.From.IsZero() {
		return plan.To.String()
	}
	return plan.From.String() + " → " + plan.To.String()
}

func took(d noon.Deployment) string {
	if d.Started.IsZero() || d.Ended.IsZero() {
		return "-"
	}
	return total(d.Ended.Sub(d.Started))
}

func why(d noon.Deployment) string {
	if d.Error != nil {
		return Clean(firstLine(d.Error.Error()))
	}
	return cmp.Or(Clean(d.Reason), "-")
}

// Journal draws one deployment with every line of its journal.
func (p Page) Journal(v api.DeploymentView) string {
	var b strings.Builder
	d := v.Deployment
	fmt.Fprintf(&b, "%s  %s %s in %s, %s\n", p.bold(d.Name()), d.Plan.Kind, revisions(d.Plan), d.Site, p.statusText(d.Status))
	line := func(key, text string) {
		if text != "" {
			fmt.Fprintf(&b, "  %-9s %s\n", key, text)
		}
	}
	line("created", d.Created.In(p.Now.Location()).Format(time.RFC3339)+", "+p.ago(d.Created))
	line("by", Clean(d.By))
	line("reason", Clean(d.Reason))
	line("approved", Clean(d.Approved))
	if took(d) != "-" {
		line("took", took(d))
	}
	line("waiting", Clean(d.Waiting))
	if d.Error != nil {
		b.WriteString(p.Problem("  error     ", d.Error))
	}
	if len(v.Events) > 0 {
		b.WriteString("\n" + p.events(v))
	}
	return b.String()
}

func (p Page) events(v api.DeploymentView) string {
	start := v.Created
	if !v.Started.IsZero() && v.Started.Before(start) {
		start = v.Started
	}
	rows := [][]string{{"SEQ", "AFTER", "STATE", "KIND", "SUBJECT", "DETAIL"}}
	for _, e := range v.Events {
		kind := string(e.Kind)
		if e.Kind == noon.Failed {
			kind = p.bad(kind)
		}
		rows = append(rows, []string{
			fmt.Sprint(e.Seq), after(e.At.Sub(start)), cmp.Or(label(v.Plan, e.State), "-"), kind, Clean(e.Subject), Clean(strings.ReplaceAll(e.Detail, "\n", "; ")),
		})
	}
	return p.table(rows)
}

func after(d time.Duration) string { return fmt.Sprintf("%.3fs", max(d, 0).Seconds()) }

// Config draws the configuration of an environment.
func (p Page) Config(site noon.Site, c api.ConfigView) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  configuration %d\n", p.bold(site.String()), c.Version)
	rows := [][]string{{"NAME", "VALUE"}}
	for _, name := range slices.Sorted(maps.Keys(c.Variables)) {
		rows = append(rows, []string{name, Clean(c.Variables[name])})
	}
	for _, name := range c.Secrets {
		rows = append(rows, []string{name, p.dim("(secret)")})
	}
	for _, name := range c.Missing {
		rows = append(rows, []string{name, p.bad("(missing)")})
	}
	if len(rows) > 1 {
		b.WriteString(p.table(rows))
	}
	return b.String()
}

// Findings draws what doctor found.
func (p Page) Findings(list []api.Finding) string {
	var b strings.Builder
	for _, f := range list {
		mark := p.good("✓")
		if !f.OK {
			mark = p.bad("✗")
		}
		b.WriteString(mark + " " + Clean(f.Subject))
		if f.Detail != "" {
			b.WriteString(": " + Clean(f.Detail))
		}
		b.WriteString("\n")
		if f.Hint != "" && !f.OK {
			b.WriteString("  hint: " + Clean(f.Hint) + "\n")
		}
	}
	return b.String()
}

// Log draws one line of output. Without a terminal the text is passed on as it
// is.
func (p Page) Log(l api.LogLine, terminal bool) string {
	text := l.Text
	if terminal {
		text = Clean(text)
	}
	head := fmt.Sprintf("%s %s %s", l.At.In(p.Now.Location()).Format("2006-01-02T15:04:05.000Z07:00"), l.Revision, l.Source)
	if l.Stream == "stderr" {
		return p.dim(head) + p.warn(" ! ") + text + "\n"
	}
	return p.dim(head) + " | " + text + "\n"
}
