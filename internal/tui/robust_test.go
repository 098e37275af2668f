package tui_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"
	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/tui"
)

// anyView is what a controller of any version might say of a deployment.
func anyView(t *rapid.T, plan noon.Plan) api.DeploymentView {
	plan.States = plan.States[:rapid.IntRange(0, len(plan.States)).Draw(t, "states")]
	v := api.DeploymentView{Deployment: noon.Deployment{
		ID: 7, Site: plan.Site, Plan: plan, Status: rapid.SampledFrom(noon.Statuses()).Draw(t, "status"),
		At: rapid.IntRange(-1, 9).Draw(t, "at"), Waiting: rapid.String().Draw(t, "waiting"),
	}}
	if rapid.Bool().Draw(t, "failed") {
		v.Error = &noon.Error{Op: rapid.String().Draw(t, "op")}
	}
	if rapid.Bool().Draw(t, "ended") {
		v.Ended = noonTime
	}
	for i := range rapid.IntRange(0, 12).Draw(t, "events") {
		v.Events = append(v.Events, noon.Event{
			Seq:     int64(rapid.IntRange(0, 20).Draw(t, "seq")),
			At:      noonTime.Add(time.Duration(i) * time.Second),
			Kind:    rapid.SampledFrom([]noon.EventKind{noon.Intent, noon.Done, noon.Failed, noon.Seen, noon.Moved, "new"}).Draw(t, "kind"),
			State:   rapid.IntRange(-1, 9).Draw(t, "state"),
			Subject: rapid.SampledFrom([]string{"enter", "status", "migrate db", "\x1b[2J"}).Draw(t, "subject"),
			Detail:  rapid.SampledFrom([]string{"", "held: approval", "returning", "returned", "one\ntwo", "\x07"}).Draw(t, "detail"),
		})
	}
	return v
}

// Whatever a controller says, the views stand it: no panic, no line that is
// too wide, nothing that the terminal would act on, nothing said twice.
func TestAnyDeploymentCanBeShown(t *testing.T) {
	t.Parallel()
	plan := second(t)
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(1, 90).Draw(t, "width")
		now := func() time.Time { return noonTime }
		live := tui.NewLive(io.Discard, false, func() int { return width }, now)
		var told strings.Builder
		lines := tui.NewLines(&told, now)
		for range rapid.IntRange(1, 3).Draw(t, "views") {
			v := anyView(t, plan)
			live.Show(v)
			for _, line := range live.Frame(width) {
				if lipgloss.Width(line) > width || strings.ContainsAny(line, "\x1b\x07\n") {
					t.Fatalf("%q on %d columns", line, width)
				}
			}
			lines.Show(v)
			length := told.Len()
			lines.Show(v)
			if told.Len() != length {
				t.Fatalf("said twice: %s", told.String()[length:])
			}
			p := page(width)
			text := p.Outcome(v.Deployment) + p.Journal(v) +
				p.Status([]api.SiteStatus{{Site: v.Site, Deployment: &v.Deployment, Live: "r2.c1", Warm: []string{"r1.c1"}}})
			if strings.ContainsAny(text+told.String(), "\x1b\x07") {
				t.Fatalf("not clean: %q", text)
			}
		}
		live.Close()
	})
}
