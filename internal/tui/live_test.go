package tui_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/tui"
)

// film is a deployment as a controller tells of it, with a clock of its own.
type film struct {
	v   api.DeploymentView
	now time.Time
	seq int64
}

func newFilm(plan noon.Plan) *film {
	return &film{now: noonTime, v: api.DeploymentView{Deployment: noon.Deployment{
		ID: 7, Site: plan.Site, Plan: plan, Status: noon.Queued, Created: noonTime, Waiting: "d6 to end",
	}}}
}

func (f *film) pass(d time.Duration) { f.now = f.now.Add(d) }

func (f *film) event(kind noon.EventKind, subject, detail string) {
	f.seq++
	f.v.Events = append(f.v.Events, noon.Event{Seq: f.seq, Deployment: 7, At: f.now, Kind: kind, State: f.v.At, Subject: subject, Detail: detail})
}

func (f *film) move(to noon.Status, detail string) {
	f.v.Move(to)
	if f.v.Started.IsZero() {
		f.v.Started = f.now
	}
	if to.Ended() {
		f.v.Ended = f.now
	}
	f.event(noon.Moved, "status", strings.TrimSuffix(string(to)+": "+detail, ": "))
}

func (f *film) enter(i int) {
	f.v.At, f.v.Waiting = i, ""
	f.event(noon.Intent, "enter", f.v.Plan.Label(i))
	f.event(noon.Done, "enter", f.v.Plan.Label(i))
}

// take plays a deployment and shows each scene.
func take(t *testing.T, plan noon.Plan, show func(name string, f *film)) {
	t.Helper()
	f := newFilm(plan)
	show("queued", f)
	f.pass(time.Second)
	f.move(noon.Walking, "")
	for i, st := range plan.States {
		if st.Kind == noon.Staged {
			break
		}
		f.enter(i)
		f.pass(400 * time.Millisecond)
	}
	show("preparing", f)
	staged := plan.Index(noon.Staged)
	f.event(noon.Intent, "migrate db", "task")
	f.pass(200 * time.Millisecond)
	f.event(noon.Done, "migrate db", "2 migrations\nall well")
	f.enter(staged)
	f.v.Waiting = "instances of r2 to be ready"
	f.pass(1250 * time.Millisecond)
	show("staged", f)
}

func takeForward(t *testing.T, plan noon.Plan, show func(name string, f *film)) {
	t.Helper()
	take(t, plan, func(name string, f *film) {
		show(name, f)
		if name != "staged" {
			return
		}
		f.event(noon.Seen, "check smoke home", "holds")
		f.v.Waiting = "approval to enter S6 switched (noon approve d7)"
		f.move(noon.Held, f.v.Waiting)
		f.pass(65 * time.Second)
		show("held", f)
		f.move(noon.Walking, "approval: open")
		f.enter(plan.Index(noon.Switched))
		f.pass(3 * time.Second)
		f.v.WarmUntil = f.now.Add(10 * time.Minute)
		f.move(noon.Warm, "until later")
		f.pass(time.Second)
		show("warm", f)
		f.v.At = len(plan.States) - 1
		f.v.Move(noon.Succeeded)
		show("succeeded", f)
	})
}

func takeBack(t *testing.T, plan noon.Plan, show func(name string, f *film)) {
	t.Helper()
	take(t, plan, func(name string, f *film) {
		if name != "staged" {
			return
		}
		f.v.Error = &noon.Error{Kind: noon.Failure, Op: "smoke check", Subject: "home", Err: errors.New("it answered 500, not 200")}
		f.event(noon.Failed, "check smoke home", f.v.Error.Error())
		f.v.Waiting = ""
		f.move(noon.Returning, f.v.Error.Error())
		f.pass(100 * time.Millisecond)
		show("returning", f)
		f.enter(1)
		f.pass(100 * time.Millisecond)
		show("further", f)
		f.enter(0)
		f.pass(100 * time.Millisecond)
		f.move(noon.Returned, "")
		f.pass(time.Hour)
		show("returned", f)
	})
}

func TestFrames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		width int
		color bool
		play  func(*testing.T, noon.Plan, func(string, *film))
	}{
		{"forward", 0, false, takeForward},
		{"back", 0, false, takeBack},
		{"narrow", 40, false, takeForward},
		{"colour", 60, true, takeBack},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var text strings.Builder
			now := noonTime
			live := tui.NewLive(&bytes.Buffer{}, c.color, func() int { return c.width }, func() time.Time { return now })
			c.play(t, second(t), func(name string, f *film) {
				now = f.now
				live.Show(f.v)
				fmt.Fprintf(&text, "-- %s --\n", name)
				for _, line := range live.Frame(c.width) {
					text.WriteString(line + "\n")
					if w := lipgloss.Width(line); c.width > 0 && w > c.width {
						t.Errorf("line of %d columns in %d: %q", w, c.width, line)
					}
				}
				page := tui.Page{Color: c.color, Now: now}
				text.WriteString("> " + page.Outcome(f.v.Deployment))
			})
			golden(t, "frames-"+c.name+".txt", text.String())
		})
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(*testing.T, noon.Plan, func(string, *film)){"forward": takeForward, "back": takeBack} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			now := noonTime
			lines := tui.NewLines(&out, func() time.Time { return now })
			play(t, second(t), func(_ string, f *film) {
				now = f.now
				lines.Show(f.v)
				now = now.Add(2 * time.Second)
				lines.Tick()
				lines.Tick()
				lines.Show(f.v) // as after the watching began again: nothing is said twice
			})
			lines.Note("a note\n")
			lines.Close()
			golden(t, "lines-"+name+".txt", out.String())
		})
	}
}

func TestJournal(t *testing.T) {
	t.Parallel()
	takeBack(t, second(t), func(name string, f *film) {
		if name != "returned" {
			return
		}
		f.v.By, f.v.Reason, f.v.Approved = "ada", "new prices", "bob"
		p := tui.Page{Now: f.now}
		golden(t, "journal.txt", p.Journal(f.v))
	})
}

// screen is a small terminal: it understands what Live says to one.
type screen struct {
	lines  []string
	row    int
	hidden bool
	width  int
}

func (s *screen) Write(data []byte) (int, error) {
	text := string(data)
	for text != "" {
		switch {
		case strings.HasPrefix(text, "\x1b[?25l"):
			s.hidden, text = true, text[6:]
		case strings.HasPrefix(text, "\x1b[?25h"):
			s.hidden, text = false, text[6:]
		case strings.HasPrefix(text, "\x1b[J"):
			s.lines, text = s.lines[:s.row], text[3:]
		case strings.HasPrefix(text, "\r\x1b["):
			var up int
			if _, err := fmt.Sscanf(text[3:], "%dA", &up); err != nil {
				return 0, fmt.Errorf("not understood: %q", text)
			}
			s.row -= up
			_, text, _ = strings.Cut(text[3:], "A")
		default:
			line, rest, ok := strings.Cut(text, "\n")
			if !ok || strings.Contains(line, "\x1b") {
				return 0, fmt.Errorf("not understood: %q", text)
			}
			for _, part := range wrap(line, s.width) {
				s.lines = append(s.lines[:s.row], part)
				s.row++
			}
			text = rest
		}
	}
	return len(data), nil
}

// resize wraps what is on the screen again, as terminals do.
func (s *screen) resize(width int) {
	old := s.lines
	s.lines, s.width = nil, width
	for _, line := range old {
		s.lines = append(s.lines, wrap(line, width)...)
	}
	s.row = len(s.lines)
}

func wrap(line string, width int) []string {
	runes := []rune(line)
	var parts []string
	for len(runes) > width {
		parts, runes = append(parts, string(runes[:width])), runes[width:]
	}
	return append(parts, string(runes))
}

func TestLiveRedrawsInPlace(t *testing.T) {
	t.Parallel()
	s := &screen{width: 100, lines: []string{"$ noon deploy"}, row: 1}
	now := noonTime
	live := tui.NewLive(s, false, func() int { return s.width }, func() time.Time { return now })
	live.Tick() // nothing is known yet: nothing is drawn
	if s.hidden || len(s.lines) != 1 {
		t.Fatalf("an empty view drew %q", s.lines)
	}
	takeForward(t, second(t), func(name string, f *film) {
		now = f.now
		live.Show(f.v)
		if name == "staged" {
			s.resize(30)
			now = now.Add(time.Second)
			live.Tick()
		}
		if name == "held" {
			live.Note("noon: a note\n")
			if s.hidden {
				t.Error("the cursor is hidden after a note")
			}
		}
		want := live.Frame(s.width)
		if got := s.lines[len(s.lines)-len(want):]; !equal(got, want) {
			t.Errorf("%s: on the screen is\n%s\nnot\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if s.lines[0] != "$ noon deploy" {
			t.Errorf("%s: what was above is gone: %q", name, s.lines)
		}
	})
	live.Close()
	if s.hidden {
		t.Error("the cursor is hidden at the end")
	}
	if want := 1 + 1 + len(live.Frame(0)); len(s.lines) != want {
		t.Errorf("%d lines are on the screen, want %d: the prompt, the note, one frame\n%s", len(s.lines), want, strings.Join(s.lines, "\n"))
	}
}

// A frame that is as it was is not written again.
func TestLiveIsCalm(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := noonTime
	live := tui.NewLive(&out, false, func() int { return 80 }, func() time.Time { return now })
	takeBack(t, second(t), func(name string, f *film) {
		now = f.now
		live.Show(f.v)
		if name != "returned" {
			return
		}
		before := out.Len()
		for range 100 {
			now = now.Add(time.Second)
			live.Tick()
		}
		if out.Len() != before {
			t.Errorf("%d bytes were written though nothing changed", out.Len()-before)
		}
	})
}

func equal(a, b []string) bool { return strings.Join(a, "\n") == strings.Join(b, "\n") }
