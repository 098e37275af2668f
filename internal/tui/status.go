package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

// Status draws what environments are now.
func (p Page) Status(sites []api.SiteStatus) string {
	if len(sites) == 0 {
		return "nothing has been deployed yet\n"
	}
	parts := make([]string, len(sites))
	for i, s := range sites {
		parts[i] = p.site(s)
	}
	return strings.Join(parts, "\n")
}

func (p Page) site(s api.SiteStatus) string {
	var b strings.Builder
	line := func(key, text string) { b.WriteString(p.fit(fmt.Sprintf("  %-10s %s", key, text)) + "\n") }
	b.WriteString(p.bold(s.Site.String()) + "  " + s.State + "\n")
	line("live", p.live(s))
	for _, w := range s.Warm {
		line("warm", w+p.warmUntil(s.Deployment))
	}
	if d := s.Deployment; d != nil {
		key := "deployment"
		if d.Status.Ended() {
			key = "last"
		}
		line(key, p.deploymentText(*d))
	}
	if h := s.Halt.Hold; h != nil {
		line("held", p.warn("new requests wait")+" "+p.until(h.Until)+byWhom(h.By)+"; `noon resume` lets them go on")
	}
	if c := s.Halt.Closed; c != nil {
		line("closed", p.bad("everybody gets a page")+byWhom(c.By)+"; `noon open` lets users in")
	}
	if len(s.Queued) > 0 {
		line("queued", strings.Join(s.Queued, ", "))
	}
	if len(s.Addresses) > 0 {
		line("listens", strings.Join(s.Addresses, ", "))
	}
	if s.Preview != "" {
		line("preview", s.Preview)
	}
	b.WriteString(p.hostProblems(s))
	if table := p.instances(s); table != "" {
		b.WriteString("\n" + table)
	}
	return b.String()
}

func byWhom(name string) string {
	if name == "" {
		return ""
	}
	return ", asked for by " + Clean(name)
}

func (p Page) live(s api.SiteStatus) string {
	if s.Live == "" {
		return p.dim("nothing")
	}
	text := p.good(s.Live)
	if d := s.Deployment; d != nil && d.Plan.To.String() == s.Live && !d.Ended.IsZero() {
		text += " since " + clock(d.Ended, p.Now) + " (" + p.ago(d.Ended) + ")"
	}
	return text
}

func (p Page) warmUntil(d *noon.Deployment) string {
	if d == nil || d.Status != noon.Warm || d.WarmUntil.IsZero() {
		return ""
	}
	return " " + p.until(d.WarmUntil) + "; `noon rollback` goes back to it at once"
}

func (p Page) deploymentText(d noon.Deployment) string {
	text := fmt.Sprintf("%s %s %s, %s", d.Name(), d.Plan.Kind, d.Plan.To, p.statusText(d.Status))
	if state := label(d.Plan, d.At); state != "" && !d.Status.Ended() && d.Status != noon.Queued {
		text += " in " + state
	}
	switch {
	case d.Waiting != "":
		text += ", waiting for " + Clean(d.Waiting)
	case d.Error != nil:
		text += ": " + Clean(firstLine(d.Error.Error()))
	}
	return text
}

func (p Page) statusText(s noon.Status) string {
	switch s {
	case noon.Succeeded, noon.Warm:
		return p.good(string(s))
	case noon.Returned, noon.Returning:
		return p.bad(string(s))
	case noon.Held, noon.Paused:
		return p.warn(string(s))
	default:
		return string(s)
	}
}

func (p Page) hostProblems(s api.SiteStatus) string {
	var b strings.Builder
	if s.Problem != nil {
		b.WriteString(p.Problem("  ", s.Problem))
	}
	for _, h := range s.Hosts {
		if h.Problem != nil {
			b.WriteString(p.Problem("  on "+h.Host+": ", h.Problem))
		}
	}
	return b.String()
}

// Problem draws an error with its hint.
func (p Page) Problem(before string, e *noon.Error) string {
	text := before + p.bad(CleanLines(e.Error())) + "\n"
	if hint := noon.HintOf(e); hint != "" {
		text += "  hint: " + strings.ReplaceAll(CleanLines(hint), "\n", "\n  ") + "\n"
	}
	return text
}

// Instances draws every instance of some environments.
func (p Page) Instances(sites []api.SiteStatus) string {
	var parts []string
	for _, s := range sites {
		if table := p.instances(s); table != "" {
			parts = append(parts, p.bold(s.Site.String())+"\n"+table)
		}
	}
	if len(parts) == 0 {
		return "no instance runs\n"
	}
	return strings.Join(parts, "\n")
}

// instances draws the instances of a site; of those that have exited only the
// newest at each place, since the others are history. How the one before ended
// is told of the one that runs in its place.
func (p Page) instances(s api.SiteStatus) string {
	rows := [][]string{{"INSTANCE", "HOST", "REVISION", "PHASE", "UP", "STARTS", "PID", "ADDRESS", "LAST EXIT"}}
	var notes strings.Builder
	for _, h := range s.Hosts {
		for _, i := range newest(h.Instances) {
			rows = append(rows, p.instance(h.Host, i))
			notes.WriteString(p.crash(i))
		}
	}
	if len(rows) == 1 {
		return ""
	}
	return p.table(rows) + notes.String()
}

func (p Page) instance(host string, i noon.Instance) []string {
	phase := string(i.Phase)
	switch {
	case i.CrashLoop:
		phase = p.bad("crash loop")
	case i.Phase == noon.Ready:
		phase = p.good(phase)
	case i.Phase != noon.Exited:
		phase = p.warn(phase)
	}
	up := "-"
	if i.Phase != noon.Exited && i.Phase != noon.Waiting && !i.Started.IsZero() {
		up = span(max(p.Now.Sub(i.Started), time.Second))
	}
	pid := "-"
	if i.PID > 0 {
		pid = strconv.Itoa(i.PID)
	}
	exit := "-"
	if i.Exit != nil {
		exit = Clean(i.Exit.Reason) + ", " + p.ago(i.Exit.At)
	}
	return []string{
		fmt.Sprintf("%s.%d", i.Service, i.Index), host, i.Revision.String(), phase, up,
		strconv.Itoa(i.Incarnation), pid, cmp.Or(i.Address, "-"), exit,
	}
}

func (p Page) crash(i noon.Instance) string {
	if !i.CrashLoop && i.Probe == "" {
		return ""
	}
	var b strings.Builder
	name := fmt.Sprintf("%s.%d of %s", i.Service, i.Index, i.Revision)
	if i.Probe != "" && i.Phase == noon.Starting {
		b.WriteString(p.fit("  "+name+" is not ready: "+Clean(i.Probe)) + "\n")
	}
	if i.CrashLoop {
		b.WriteString(p.bad("  "+name+" keeps exiting") + "\n")
		for _, line := range i.LastLines {
			b.WriteString(p.fit("    | "+Clean(line)) + "\n")
		}
	}
	return b.String()
}

func newest(list []noon.Instance) []noon.Instance {
	type place struct {
		revision noon.Revision
		service  string
		index    int
	}
	latest := map[place]int{}
	for _, i := range list {
		at := place{i.Revision, i.Service, i.Index}
		latest[at] = max(latest[at], i.Incarnation)
	}
	var out []noon.Instance
	for _, i := range list {
		if i.Phase != noon.Exited || latest[place{i.Revision, i.Service, i.Index}] == i.Incarnation {
			out = append(out, i)
		}
	}
	for n := range out {
		if out[n].Exit == nil {
			out[n].Exit = exitBefore(list, out[n])
		}
	}
	slices.SortStableFunc(out, func(a, b noon.Instance) int {
		return cmp.Or(
			cmp.Compare(b.Revision.Release, a.Revision.Release), cmp.Compare(b.Revision.Config, a.Revision.Config),
			cmp.Compare(a.Service, b.Service), cmp.Compare(a.Index, b.Index), cmp.Compare(a.Incarnation, b.Incarnation),
		)
	})
	return out
}

// exitBefore is how the incarnation before this one ended, nil if that is not
// known any more.
func exitBefore(list []noon.Instance, i noon.Instance) *noon.Exit {
	var exit *noon.Exit
	newest := 0
	for _, o := range list {
		same := o.Revision == i.Revision && o.Service == i.Service && o.Index == i.Index
		if same && o.Exit != nil && o.Incarnation < i.Incarnation && o.Incarnation > newest {
			exit, newest = o.Exit, o.Incarnation
		}
	}
	return exit
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
