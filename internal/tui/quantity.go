package tui

import (
	"fmt"
	"strings"
	"time"
)

// Bytes writes a size: "812 B", "8.1 MB".
func Bytes(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value := float64(n)
	for _, name := range []string{"kB", "MB", "GB"} {
		value /= unit
		if value < unit-0.05 {
			return fmt.Sprintf("%.1f %s", value, name)
		}
	}
	return fmt.Sprintf("%.1f TB", value/unit)
}

// Count writes a number with its noun: "1 file", "12 files".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Elapsed writes how long something took: "0.4s", "12.0s", "3m07s", "2h05m".
func Elapsed(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Truncate(100*time.Millisecond).Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

// total is Elapsed for what has ended: a rollback is told in milliseconds.
func total(d time.Duration) string {
	if d >= 0 && d < time.Second {
		return fmt.Sprintf("%dms", d.Milliseconds())
	}
	return Elapsed(d)
}

// Length writes a duration as a person would type it: "10m", "1h30m", "5s".
func Length(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// span writes a rough distance in time: "now", "12s", "5m", "3h", "2d".
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

// ago writes when something was: "5m ago".
func (p Page) ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	if s := span(p.Now.Sub(t)); s != "now" {
		return s + " ago"
	}
	return "now"
}

// until writes when something will be: "in 5m (15:04)".
func (p Page) until(t time.Time) string {
	s := span(t.Sub(p.Now))
	if s == "now" {
		return "now"
	}
	return "for " + s + ", until " + clock(t, p.Now)
}

// clock writes a time of day, with the day where it is not today's.
func clock(t, now time.Time) string {
	t = t.In(now.Location())
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04")
	}
	return t.Format("Mon 2 Jan 15:04")
}
