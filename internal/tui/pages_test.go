package tui_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"
	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/tui"
)

func ago(d time.Duration) time.Time { return noonTime.Add(-d) }

// sites are an environment in the middle of a deployment, one that is warm and
// one that is broken.
func sites(t *testing.T) []api.SiteStatus {
	t.Helper()
	plan := second(t)
	under := noon.Deployment{ID: 7, Site: production, Plan: plan, Status: noon.Walking, At: plan.Index(noon.Staged), Created: ago(time.Minute), Started: ago(time.Minute), Waiting: "instances of r2 to be ready"}
	warm := noon.Deployment{ID: 6, Site: noon.Site{App: "shop", Environment: "staging"}, Plan: plan, Status: noon.Warm, At: plan.Index(noon.Switched), Started: ago(7 * time.Minute), Ended: ago(5 * time.Minute), WarmUntil: noonTime.Add(5 * time.Minute)}
	gone := noon.Deployment{ID: 5, Plan: plan, Status: noon.Returned, Error: &noon.Error{Kind: noon.Failure, Op: "smoke check", Subject: "home", Err: errors.New("it answered 500\nand more")}}
	web := func(r noon.Revision, index, incarnation int, phase noon.Phase) noon.Instance {
		return noon.Instance{Site: production, Revision: r, Service: "web", Index: index, Incarnation: incarnation, Phase: phase, PID: 4000 + index, Address: "127.0.0.1:41234", Started: ago(3 * time.Hour)}
	}
	crashing := web(r2, 0, 4, noon.Waiting)
	crashing.PID, crashing.Address, crashing.CrashLoop = 0, "", true
	crashing.Exit = &noon.Exit{Code: 1, Reason: "exit status 1", Known: true, At: ago(4 * time.Second)}
	crashing.LastLines = []string{"panic: no such table: prices", "goroutine 1 [running]:\x1b]0;title\a"}
	starting := web(r2, 1, 1, noon.Starting)
	starting.Started, starting.Probe = ago(2*time.Second), "GET /healthz: 503"
	before := web(r2, 0, 3, noon.Exited)
	before.Exit = &noon.Exit{Code: 1, Reason: "exit status 1", Known: true, At: ago(9 * time.Second)}
	return []api.SiteStatus{
		{
			Site: production, Live: "r1.c1", State: "S4 staged", Deployment: &under, Queued: []string{"d8"},
			Addresses: []string{"127.0.0.1:8080"}, Preview: "/.noon/preview/abc",
			Hosts: []noon.Observed{{Site: production, Host: "local", Instances: []noon.Instance{web(r1, 0, 1, noon.Ready), web(r1, 1, 2, noon.Ready), before, crashing, starting}}},
		},
		{Site: warm.Site, Live: "r2.c1", Warm: []string{"r1.c1"}, State: "S6 switched", Deployment: &warm},
		{
			Site: noon.Site{App: "mail", Environment: "test"}, State: "S0 settled", Deployment: &gone,
			Problem: &noon.Error{Kind: noon.Unavailable, Op: "reach host", Subject: "local", Err: errors.New("no answer"), Hint: "Start it."},
			Hosts:   []noon.Observed{{Host: "local", Problem: &noon.Error{Kind: noon.Failure, Op: "unpack", Subject: "r9", Err: errors.New("no space left on device"), Hint: "Free some."}}},
		},
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	golden(t, "status.txt", page(0).Status(sites(t)))
	golden(t, "status-narrow.txt", page(40).Status(sites(t)))
	golden(t, "ps.txt", page(0).Instances(sites(t)))
	golden(t, "empty.txt", page(0).Status(nil)+page(0).Instances(nil)+page(0).Releases(nil)+page(0).History(nil))
	colour := page(60)
	colour.Color = true
	golden(t, "status-colour.txt", colour.Status(sites(t)))
}

func TestLists(t *testing.T) {
	t.Parallel()
	older := noon.Release{App: "shop", Number: 1, Commit: "0123456789abcdef", Dirty: true, Title: "価格を表示する", Size: 812, Added: ago(72 * time.Hour)}
	added := newest
	added.Added = ago(5 * time.Minute)
	releases := []api.ListedRelease{
		{Release: added, Live: []string{"staging"}, Passed: []string{"staging"}},
		{Release: older, Live: []string{"production"}, Warm: []string{"staging"}, Passed: []string{"staging", "production", "test"}},
	}
	golden(t, "releases.txt", page(0).Releases(releases))
	golden(t, "history.txt", page(0).History(deployments(t)))
	golden(t, "config.txt", page(0).Config(production, api.ConfigView{Version: 3, Variables: map[string]string{"DATA_DIR": "/var/lib/shop", "A": "b\nc"}, Secrets: []string{"SESSION_KEY"}, Missing: []string{"TOKEN"}}))
	golden(t, "findings.txt", page(0).Findings([]api.Finding{
		{Subject: "git", OK: true, Detail: "2.43.0"},
		{Subject: "disk", Detail: "97 % of /var/lib/noon is used", Hint: "Free some."},
		{Subject: "clock", OK: true},
	}))
}

func deployments(t *testing.T) []noon.Deployment {
	t.Helper()
	return []noon.Deployment{
		{ID: 3, Site: production, Plan: back(t), Status: noon.Walking, Created: ago(time.Second), Started: ago(time.Second), By: "ada", Reason: "prices are wrong"},
		{ID: 2, Site: production, Plan: second(t), Status: noon.Returned, Created: ago(2 * time.Hour), Started: ago(2 * time.Hour), Ended: ago(2*time.Hour - 187*time.Second), Error: &noon.Error{Kind: noon.Failure, Op: "smoke check", Subject: "home", Err: errors.New("it answered 500")}},
		{ID: 1, Site: production, Plan: first(t), Status: noon.Succeeded, Created: ago(50 * time.Hour), Started: ago(50 * time.Hour), Ended: ago(50*time.Hour - 140*time.Millisecond), By: "ada"},
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	line := api.LogLine{At: noonTime, Source: "web.0", Revision: "r2.c1", Stream: "stderr", Text: "\x1b[31mred\x1b[0m"}
	got := page(0).Log(line, false) + page(0).Log(line, true)
	line.Stream = "stdout"
	golden(t, "log.txt", got+page(0).Log(line, true))
}

func TestQuantities(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"0 B": tui.Bytes(0), "999 B": tui.Bytes(999), "1.0 kB": tui.Bytes(1000), "8.1 MB": tui.Bytes(8_123_456),
		"1.0 GB": tui.Bytes(999_999_999), "5.0 TB": tui.Bytes(5e12),
		"0.0s": tui.Elapsed(-time.Second), "0.9s": tui.Elapsed(999 * time.Millisecond), "59.9s": tui.Elapsed(59999 * time.Millisecond),
		"3m07s": tui.Elapsed(187 * time.Second), "2h05m": tui.Elapsed(125 * time.Minute), "3d": tui.Elapsed(73 * time.Hour),
		"10m": tui.Length(10 * time.Minute), "1h30m": tui.Length(90 * time.Minute), "2h": tui.Length(2 * time.Hour), "1m5s": tui.Length(65 * time.Second),
		"1 file": tui.Count(1, "file"), "0 files": tui.Count(0, "file"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Nothing that comes from elsewhere makes a page wider than its terminal, or
// reaches the terminal as a command.
func TestPagesFitAndAreClean(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		width := rapid.IntRange(1, 120).Draw(t, "width")
		p := page(width)
		out := p.Releases([]api.ListedRelease{{Release: noon.Release{Number: 1, Title: text, Commit: "abc"}}}) +
			p.History([]noon.Deployment{{ID: 1, By: text, Reason: text, Plan: noon.Plan{Kind: noon.PlanDeploy, To: r1}}})
		for line := range strings.Lines(out) {
			line = strings.TrimSuffix(line, "\n")
			if w := lipgloss.Width(line); w > width {
				t.Fatalf("line of %d columns on a page of %d: %q", w, width, line)
			}
			if strings.ContainsFunc(line, func(r rune) bool { return r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 }) {
				t.Fatalf("control character in %q", line)
			}
		}
	})
}

func FuzzClean(f *testing.F) {
	for _, seed := range []string{"", "plain", "a\tb", "\x1b[2J", "\u202eevil", "\xff", "日本"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		clean := tui.Clean(s)
		if strings.ContainsAny(clean, "\x00\x07\x08\x1b\r\n\u202e\u2066") {
			t.Errorf("%q became %q", s, clean)
		}
		if tui.Clean(clean) != clean {
			t.Errorf("cleaning %q twice changes it", s)
		}
	})
}
