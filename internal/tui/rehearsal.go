package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
)

// Rehearsals lists rehearsals.
func (p Page) Rehearsals(list []noon.Rehearsal) string {
	if len(list) == 0 {
		return "no rehearsal yet; `noon rehearse` makes one\n"
	}
	rows := [][]string{{"NUMBER", "RELEASE", "STORE", "BEGUN", "TOOK", "ROWS", "RESULT"}}
	for _, r := range list {
		took, copied := "-", "-"
		if r.Report.Copy.Rows > 0 {
			copied = many(r.Report.Copy.Rows)
		}
		if !r.Ended.IsZero() {
			took = Elapsed(r.Ended.Sub(r.Begun))
		}
		result := p.rehearsalStatus(r.Status)
		if r.Problem != nil {
			result += ": " + Clean(firstLine(r.Problem.Error()))
		}
		rows = append(rows, []string{fmt.Sprint(r.ID), noon.ReleaseName(r.Release), r.Store, p.ago(r.Begun), took, copied, result})
	}
	return p.table(rows)
}

func (p Page) rehearsalStatus(s noon.RehearsalStatus) string {
	switch s {
	case noon.RehearsalGood:
		return p.good(string(s))
	case noon.RehearsalFailed:
		return p.bad(string(s))
	case noon.RehearsalStopped, noon.RehearsalInterrupted:
		return p.warn(string(s))
	default:
		return string(s)
	}
}

// many writes a number that may be large.
func many(n int64) string { return grouped(uint64(max(n, 0))) } //nolint:gosec // it is not negative

// Rehearsal shows the report of a rehearsal.
func (p Page) Rehearsal(r noon.Rehearsal) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: rehearsal %d of %s on %s of %s", p.rehearsalStatus(r.Status), r.ID, p.bold(noon.ReleaseName(r.Release)), r.Store, r.Site)
	if r.Status == noon.RehearsalRunning {
		return b.String() + ", " + r.Doing + "\n"
	}
	fmt.Fprintf(&b, ", %s in %s\n", p.ago(r.Begun), Elapsed(r.Ended.Sub(r.Begun)))
	if r.Problem != nil {
		b.WriteString("\n" + p.Problem("", r.Problem))
	}
	for _, part := range []string{p.rehearsedCopy(r.Report.Copy), p.rehearsedPhases(r.Report), p.rehearsedStatements(r.Report), p.rehearsedTables(r.Report)} {
		if part != "" {
			b.WriteString("\n" + part)
		}
	}
	for _, broken := range r.Report.Broken {
		b.WriteString(p.bad("the release before fails: ") + Clean(broken) + "\n")
	}
	for _, note := range r.Report.Notes {
		b.WriteString(p.dim("note: "+Clean(note)) + "\n")
	}
	return b.String()
}

func (p Page) rehearsedCopy(c noon.CopyReport) string {
	if c.Kind == "" {
		return ""
	}
	text := fmt.Sprintf("copy: %s of %s, %s rows, made in %s", c.Kind, Bytes(c.Bytes), many(c.Rows), Elapsed(c.Took))
	if len(c.Masked) > 0 {
		text += "; masked: " + strings.Join(c.Masked, ", ")
	}
	if c.Kept != "" {
		text += "; kept as " + c.Kept
	}
	return text + "\n"
}

func (p Page) rehearsedPhases(r noon.RehearsalReport) string {
	if len(r.Phases) == 0 {
		return ""
	}
	rows := [][]string{{"PHASE", "TOOK", "EXPECTED IN PRODUCTION"}}
	for _, ph := range r.Phases {
		rows = append(rows, []string{string(ph.Phase), brief(ph.Took), "about " + brief(ph.Expected)})
	}
	return p.table(rows)
}

func (p Page) rehearsedStatements(r noon.RehearsalReport) string {
	if len(r.Statements) == 0 {
		return ""
	}
	rows := [][]string{{"PHASE", "TIMES", "TOOK", "ROWS", "ROWS/S", "STRONGEST LOCK", "HELD", "STATEMENT"}}
	for _, s := range r.Statements {
		count, speed := "-", "-"
		if s.Rows > 0 {
			count, speed = many(s.Rows), many(int64(s.PerSecond()))
		}
		lock, held := strongest(s.Locks)
		text := Clean(s.Text)
		if len(s.Rewrote) > 0 {
			text = p.warn("rewrites "+strings.Join(s.Rewrote, ", ")) + ": " + text
		}
		if s.Error != "" {
			text = p.bad("fails: "+Clean(s.Error)) + ": " + text
		}
		rows = append(rows, []string{string(s.Phase), fmt.Sprint(s.Times), brief(s.Took), count, speed, lock, held, text})
	}
	return p.table(rows)
}

// strongest finds the lock that is in the way of most, the longest of those.
func strongest(list []noon.Locked) (name, held string) {
	order := []string{
		"row lock", "metadata lock", "SHARED_UPGRADABLE", "SHARED_NO_WRITE", "SHARED_NO_READ_WRITE", "EXCLUSIVE", // of MariaDB and MySQL
		"RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
	}
	best, longest := -1, time.Duration(0)
	name, held = "-", "-"
	for _, l := range list {
		if i := slices.Index(order, l.Mode); i > best || i >= 0 && i == best && l.Held > longest {
			best, longest = i, l.Held
			name, held = strings.TrimSuffix(l.Mode, "Lock")+" "+l.Relation, brief(l.Held)
		}
	}
	return name, held
}

func (p Page) rehearsedTables(r noon.RehearsalReport) string {
	if len(r.Tables) == 0 {
		return ""
	}
	rows := [][]string{{"TABLE", "ROWS", "SIZE", "AFTER", "READ P99", "MAX", "WRITE P99", "MAX", "LONGEST WHILE"}}
	for _, t := range r.Tables {
		during := t.Writes.During
		if t.Reads.Max > t.Writes.Max {
			during = t.Reads.During
		}
		rows = append(rows, []string{
			t.Name, many(t.Rows), Bytes(t.Before), Bytes(t.After), brief(t.Reads.P99), brief(t.Reads.Max), brief(t.Writes.P99), brief(t.Writes.Max), Clean(during),
		})
	}
	text := p.table(rows)
	if l := r.Load; l.Count > 0 {
		text += fmt.Sprintf("load: %s statements at %d/s, %d failed, p99 %s, longest %s\n", many(int64(l.Count)), l.Rate, l.Failed, brief(l.P99), brief(l.Max))
	}
	return text
}

// brief writes a short duration: "0.8ms", "41ms", "3.2s", "2m05s".
func brief(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	}
	return Elapsed(d)
}
