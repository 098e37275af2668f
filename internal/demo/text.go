package demo

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/noon-deploy/noon"
)

// Paint colours words. The zero value leaves them as they are.
type Paint struct{ Good, Bad, Dim func(string) string }

func apply(paint func(string) string, s string) string {
	if paint == nil || s == "" {
		return s
	}
	return paint(s)
}

// Text draws the report for people.
func (r *Report) Text(p Paint) string {
	var b strings.Builder
	b.WriteString("\n")
	r.headline(&b)
	r.timeline(&b, p)
	r.customers(&b, p)
	r.noon(&b, p)
	r.verdict(&b, p)
	return b.String()
}

func (r *Report) headline(b *strings.Builder) {
	tried := 0
	for _, s := range r.Steps {
		if s.Kind == StepDeploy && s.Outcome == string(noon.Returned) {
			tried++
		}
	}
	fmt.Fprintf(b, "In %.0f seconds, while %s came by, noon deployed %s, rolled back\n", r.Seconds, count(r.Journeys, "customer"), times(r.Deploys-tried))
	turned := ""
	if tried > 0 {
		turned = "turned " + count(int64(tried), "broken release") + " back, "
	}
	fmt.Fprintf(b, "%s, %swas killed %s and upgraded %s.\n\n", times(r.Rollbacks), turned, times(r.Crashes), times(r.Upgrades))
}

// times writes how often something was.
func times(n int) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

// count writes a number with its noun.
func count(n int64, noun string) string {
	if n == 1 {
		return "one " + noun
	}
	return grouped(n) + " " + noun + "s"
}

// barWidth is how many characters the time takes.
const barWidth = 60

// timeline draws which release had the customers when, a row each, and what
// happened meanwhile.
func (r *Report) timeline(b *strings.Builder, p Paint) {
	total := int64(r.Seconds * 1000)
	if total <= 0 || len(r.Live) == 0 {
		return
	}
	at := func(ms int64) int { return int(min(max(ms, 0)*barWidth/total, barWidth-1)) }
	rows := r.rows(at)
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(b, "  %-4s%s\n", name, string(rows[name]))
	}
	if marks := strings.TrimRight(string(r.marks(at)), " "); marks != "" {
		fmt.Fprintf(b, "      %s\n", marks)
	}
	b.WriteString("      " + apply(p.Dim, "█ has the customers   ░ tried, and turned back   ↯ noon killed or upgraded") + "\n\n")
}

// rows gives each release its row.
func (r *Report) rows(at func(int64) int) map[string][]rune {
	rows := map[string][]rune{}
	row := func(name string) []rune {
		if rows[name] == nil {
			rows[name] = []rune(strings.Repeat("·", barWidth))
		}
		return rows[name]
	}
	for i, l := range r.Live {
		until := barWidth
		if i+1 < len(r.Live) {
			until = at(r.Live[i+1].AtMS)
		}
		for c := at(l.AtMS); c < until; c++ {
			row(l.Release)[c] = '█'
		}
	}
	for _, s := range r.Steps {
		if s.Outcome == string(noon.Returned) {
			for c := at(s.AtMS); c <= at(s.AtMS+s.MS); c++ {
				row(s.Release)[c] = '░'
			}
		}
	}
	return rows
}

// marks shows what happened to noon itself.
func (r *Report) marks(at func(int64) int) []rune {
	marks := []rune(strings.Repeat(" ", barWidth))
	for _, s := range r.Steps {
		if s.Disturbed != "" || s.Kind == StepUpgrade {
			marks[at(s.AtMS+s.MS/2)] = '↯'
		}
	}
	return marks
}

func (r *Report) customers(b *strings.Builder, p Paint) {
	b.WriteString("What customers noticed\n")
	for _, l := range []struct {
		lost int64
		what string
		of   string
	}{
		{r.Failed, "requests failed", "of " + grouped(r.Requests)},
		{r.WrongRelease, "answers of a wrong release", perRelease(r.PerRelease)},
		{r.OrdersAcknowledged - r.OrdersStored, "orders lost", "of " + grouped(r.OrdersAcknowledged)},
		{r.OrdersDuplicated + r.OrdersResent + r.OrdersTwice, "orders doubled", "in the shop, on the way or by its worker"},
		{r.OrdersUnhandled, "orders forgotten", "by the worker"},
		{r.StreamsCut, "streams cut", "of " + grouped(r.StreamsOpened) + moved(r.StreamsMoved)},
		{r.UploadsLost, "pictures lost", "of " + grouped(r.Uploads)},
	} {
		paint := p.Good
		if l.lost != 0 {
			paint = p.Bad
		}
		fmt.Fprintf(b, "  %s  %-29s%s\n", apply(paint, fmt.Sprintf("%6s", grouped(l.lost))), l.what, apply(p.Dim, l.of))
	}
	fmt.Fprintf(b, "  %6s  for an answer, as a rule; 99 of 100 came within %s\n\n", waited(r.LatencyMS.P50), waited(r.LatencyMS.P99))
}

func moved(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %s were handed over", grouped(n))
}

func waited(ms float64) string {
	if ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

func perRelease(answers map[string]int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		parts = append(parts, fmt.Sprintf("%s gave %s", name, grouped(answers[name])))
	}
	return strings.Join(parts, ", ")
}

func (r *Report) noon(b *strings.Builder, p Paint) {
	b.WriteString("What it took\n")
	fmt.Fprintf(b, "  %6d ms  from the rollback command to the last answer of the release %s\n", r.RollbackMS.P50, apply(p.Dim, fmt.Sprintf("(at most %d ms)", r.RollbackMS.Max)))
	fmt.Fprintf(b, "  %6d ms  of a deployment were noon's own %s\n", r.DeployOverheadMS, apply(p.Dim, fmt.Sprintf("(at most %d ms)", r.DeployOverheadMax)))
	if len(r.States) == 0 {
		b.WriteString("\n")
		return
	}
	b.WriteString("\nThe first deployment of r2, state by state\n")
	longest := int64(1)
	for _, s := range r.States {
		longest = max(longest, s.MS)
	}
	for _, s := range r.States {
		bar := strings.Repeat("▬", int((s.MS*barWidth/2+longest-1)/longest))
		fmt.Fprintf(b, "  %6d ms  %-13s %s\n", s.MS, s.Name, apply(p.Dim, bar))
	}
	b.WriteString("\n")
}

func (r *Report) verdict(b *strings.Builder, p Paint) {
	losses := r.Losses()
	if len(losses) == 0 {
		b.WriteString(apply(p.Good, "Nothing was lost.") + "\n")
		return
	}
	b.WriteString(apply(p.Bad, "Not as it should be:") + "\n")
	for _, l := range losses {
		fmt.Fprintf(b, "  %s\n", l)
	}
	for _, f := range r.Failures {
		fmt.Fprintf(b, "    %s\n", f)
	}
}

// grouped writes a number for people: 12,345.
func grouped(n int64) string {
	digits := fmt.Sprint(n)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}
