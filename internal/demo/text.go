package demo

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Text draws the report for people.
func (r *Report) Text() string {
	var b strings.Builder
	b.WriteString("\n")
	r.headline(&b)
	r.timeline(&b)
	r.customers(&b)
	r.noon(&b)
	r.verdict(&b)
	return b.String()
}

func (r *Report) headline(b *strings.Builder) {
	fmt.Fprintf(b, "In %.0f seconds, while %s customers came by, noon\n", r.Seconds, grouped(r.Journeys))
	tried := 0
	for _, s := range r.Steps {
		if s.Kind == StepDeploy && s.Outcome == "returned" {
			tried++
		}
	}
	fmt.Fprintf(b, "deployed %d times, rolled back %d times, turned %d broken releases back,\n", r.Deploys-tried, r.Rollbacks, tried)
	fmt.Fprintf(b, "was killed %d times and was itself upgraded %d times.\n\n", r.Crashes, r.Upgrades)
}

// barWidth is how many characters the time takes.
const barWidth = 60

// timeline draws which release had the customers when, a row each, and what
// happened meanwhile.
func (r *Report) timeline(b *strings.Builder) {
	total := int64(r.Seconds * 1000)
	if total <= 0 || len(r.Live) == 0 {
		return
	}
	at := func(ms int64) int { return int(min(max(ms, 0)*barWidth/total, barWidth-1)) }
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
	marks := []rune(strings.Repeat(" ", barWidth))
	for _, s := range r.Steps {
		switch {
		case s.Outcome == "returned":
			for c := at(s.AtMS); c <= at(s.AtMS+s.MS); c++ {
				row(s.Release)[c] = '░'
			}
		case s.Disturbed != "":
			marks[at(s.AtMS+s.MS/2)] = '↯'
		}
	}
	for _, s := range r.Steps {
		if s.Kind == StepUpgrade {
			marks[at(s.AtMS)] = '↯'
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(b, "  %-4s%s\n", name, string(rows[name]))
	}
	fmt.Fprintf(b, "      %s\n", strings.TrimRight(string(marks), " "))
	b.WriteString("      █ has the customers   ░ tried, and turned back   ↯ noon killed or upgraded\n\n")
}

func (r *Report) customers(b *strings.Builder) {
	b.WriteString("What customers noticed\n")
	for _, l := range []struct {
		lost int64
		what string
		of   string
	}{
		{r.Failed, "failed requests", "of " + grouped(r.Requests)},
		{r.WrongRelease, "answers of a release that was not to answer", perRelease(r.PerRelease)},
		{r.OrdersAcknowledged - r.OrdersStored, "orders lost", "of " + grouped(r.OrdersAcknowledged)},
		{r.OrdersDuplicated + r.OrdersResent + r.OrdersTwice, "orders doubled", "by noon, the shop or its worker"},
		{r.OrdersUnhandled, "orders forgotten by the worker", ""},
		{r.StreamsCut, "streams cut", fmt.Sprintf("of %s, %s moved on to the next release", grouped(r.StreamsOpened), grouped(r.StreamsMoved))},
		{r.UploadsLost, "pictures lost", "of " + grouped(r.Uploads)},
	} {
		fmt.Fprintf(b, "  %6s  %-44s%s\n", grouped(l.lost), l.what, l.of)
	}
	fmt.Fprintf(b, "  they waited %s for an answer (median), at most %s\n\n", waited(r.LatencyMS.P50), waited(r.LatencyMS.Max))
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

func (r *Report) noon(b *strings.Builder) {
	b.WriteString("What it took\n")
	fmt.Fprintf(b, "  %6d ms  from the command to roll back to the last answer of the release (median; at most %d ms)\n", r.RollbackMS.P50, r.RollbackMS.Max)
	fmt.Fprintf(b, "  %6d ms  noon's own part of a deployment (median; at most %d ms)\n", r.DeployOverheadMS, r.DeployOverheadMax)
	var states []string
	for _, s := range r.States {
		states = append(states, fmt.Sprintf("%s %d ms", s.Name, s.MS))
	}
	fmt.Fprintf(b, "  the first deployment of r2: %s\n\n", strings.Join(states, ", "))
}

func (r *Report) verdict(b *strings.Builder) {
	losses := r.Losses()
	if len(losses) == 0 {
		b.WriteString("Nothing was lost.\n")
		return
	}
	b.WriteString("NOT as it should be:\n")
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
