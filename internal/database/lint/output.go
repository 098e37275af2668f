package lint

import (
	"fmt"
	"strconv"
	"strings"
)

// Text writes findings for people.
func Text(findings []Finding) string {
	var b strings.Builder
	for i, f := range findings {
		if i > 0 {
			b.WriteString("\n")
		}
		f.text(&b)
	}
	return b.String()
}

func (f Finding) text(b *strings.Builder) {
	fmt.Fprintf(b, "%s  %s  %s\n", f.place(), f.Severity, f.Rule)
	fmt.Fprintf(b, "  %s\n", short(f.Statement, 160))
	fmt.Fprintf(b, "  %s\n", f.Hazard)
	for _, l := range f.Locks {
		fmt.Fprintf(b, "  lock: %s on %s, which %s\n", l.Mode, l.Table, l.Mode.Blocks())
	}
	if w := f.Time(); w != "" {
		fmt.Fprintf(b, "  time: %s\n", w)
	}
	if f.Accepted != "" {
		fmt.Fprintf(b, "  accepted: %s\n", f.Accepted)
		return
	}
	fmt.Fprintf(b, "  do: %s\n", f.Advice)
	if f.Fix != nil {
		b.WriteString("  instead:\n")
		for line := range strings.Lines(Sections(f.Fix)) {
			b.WriteString("    " + line)
		}
	}
}

// place is file:line.
func (f Finding) place() string {
	if f.File == "" {
		return "line " + strconv.Itoa(f.Line)
	}
	return f.File + ":" + strconv.Itoa(f.Line)
}

// Time says how much is read or written and how long that takes, "" if it is
// nothing.
func (f Finding) Time() string {
	switch {
	case f.Work == Nothing:
		return ""
	case f.Expected == nil:
		return fmt.Sprintf("%s of a table whose size is not known", f.Work)
	default:
		return fmt.Sprintf("%s of about %s rows: %s (%s)", f.Work, thousands(f.Rows), f.Expected, f.Expected.Source)
	}
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Message is a finding in one line.
func (f Finding) Message() string {
	parts := []string{f.Hazard + "."}
	for _, l := range f.Locks {
		parts = append(parts, fmt.Sprintf("%s on %s.", l.Mode, l.Table))
	}
	if w := f.Time(); w != "" {
		parts = append(parts, w+".")
	}
	return strings.Join(append(parts, f.Advice), " ")
}

// GitHub writes findings as workflow commands, which GitHub shows beside the
// lines of a change (docs.github.com, "Workflow commands").
func GitHub(findings []Finding) string {
	var b strings.Builder
	for _, f := range findings {
		command := map[Severity]string{Error: "error", Warning: "warning", Note: "notice"}[f.Severity]
		fmt.Fprintf(&b, "::%s file=%s,line=%d,title=%s::%s\n", command, property(f.File), f.Line, property(f.Rule), data(f.Message()))
	}
	return b.String()
}

// data escapes the text of a workflow command.
func data(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

// property escapes a value among the properties of a workflow command.
func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}
