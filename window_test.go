package noon_test

import (
	"slices"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the tests, whatever the machine has

	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
)

func zone(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, name string,
) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatalf("zone %s: %v", name, err)
	}
	return loc
}

// inside is what a person with a clock on the wall would say.
func inside(w noon.Window, t time.Time) bool {
	minute := t.Hour()*60 + t.Minute()
	return (len(w.Days) == 0 || slices.Contains(w.Days, t.Weekday())) && minute >= w.From && minute < w.To
}

func TestWindowOpens(t *testing.T) {
	t.Parallel()
	work := []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday}
	office := noon.Window{Days: work, From: 9 * 60, To: 16 * 60}
	for _, c := range []struct {
		name, zone string
		window     noon.Window
		at, want   string
	}{
		{"inside", "Europe/Berlin", office, "2026-11-18T12:00:00+01:00", "2026-11-18T12:00:00+01:00"},
		{"the first instant is inside", "Europe/Berlin", office, "2026-11-18T09:00:00+01:00", "2026-11-18T09:00:00+01:00"},
		{"the last instant is not", "Europe/Berlin", office, "2026-11-18T16:00:00+01:00", "2026-11-19T09:00:00+01:00"},
		{"in the morning", "Europe/Berlin", office, "2026-11-18T08:59:59+01:00", "2026-11-18T09:00:00+01:00"},
		{"over the weekend", "Europe/Berlin", office, "2026-11-19T17:00:00+01:00", "2026-11-23T09:00:00+01:00"},
		{"the day is the zone's", "Pacific/Auckland", office, "2026-11-15T20:30:00Z", "2026-11-15T20:30:00Z"},
		{"one day a week, just over", "UTC", noon.Window{Days: []time.Weekday{time.Monday}, From: 60, To: 120}, "2026-11-16T02:00:00Z", "2026-11-23T01:00:00Z"},
		{"to midnight", "UTC", noon.Window{From: 23 * 60, To: 24 * 60}, "2026-11-16T23:59:59Z", "2026-11-16T23:59:59Z"},
		{"all day, every day", "UTC", noon.Window{From: 0, To: 24 * 60}, "2026-11-16T00:00:00Z", "2026-11-16T00:00:00Z"},
		{"a day of 23 hours", "Europe/Berlin", noon.Window{From: 9 * 60, To: 10 * 60}, "2026-03-29T00:30:00+01:00", "2026-03-29T09:00:00+02:00"},
		{"a day of 25 hours", "Europe/Berlin", noon.Window{From: 9 * 60, To: 10 * 60}, "2026-10-25T00:30:00+02:00", "2026-10-25T09:00:00+01:00"},
		{"put forward over the start", "Europe/Berlin", noon.Window{From: 2*60 + 30, To: 5 * 60}, "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"},
		{"put forward over the whole window", "Europe/Berlin", noon.Window{From: 2*60 + 10, To: 2*60 + 50}, "2026-03-29T01:00:00+01:00", "2026-03-30T02:10:00+02:00"},
		{"and it is weekly", "Europe/Berlin", noon.Window{Days: []time.Weekday{time.Sunday}, From: 2*60 + 10, To: 2*60 + 50}, "2026-03-28T01:00:00+01:00", "2026-04-05T02:10:00+02:00"},
		{"twice in one night", "Europe/Berlin", noon.Window{From: 2*60 + 10, To: 2*60 + 50}, "2026-10-25T02:55:00+02:00", "2026-10-25T02:10:00+01:00"},
		{"midnight is skipped", "America/Sao_Paulo", noon.Window{Days: []time.Weekday{time.Sunday}, From: 0, To: 120}, "2018-11-03T12:00:00-03:00", "2018-11-04T01:00:00-02:00"},
		{"a whole day is skipped", "Pacific/Apia", noon.Window{Days: []time.Weekday{time.Friday}, From: 0, To: 60}, "2011-12-29T12:00:00-10:00", "2012-01-06T00:00:00+14:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			at, err := time.Parse(time.RFC3339, c.at)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.window.Opens(at, zone(t, c.zone)).Format(time.RFC3339); !sameInstant(t, got, c.want) {
				t.Errorf("opens %s, want %s", got, c.want)
			}
		})
	}
}

func sameInstant(t *testing.T, a, b string) bool {
	t.Helper()
	x, err := time.Parse(time.RFC3339, a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := time.Parse(time.RFC3339, b)
	if err != nil {
		t.Fatal(err)
	}
	return x.Equal(y)
}

// Whatever the window, the zone and the time: the result is not before t, it
// is inside, and no minute between is. Half of the times are close to a change
// of the clock.
func TestWindowOpensFirst(t *testing.T) {
	t.Parallel()
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "Pacific/Apia"}
	rapid.Check(t, func(t *rapid.T) {
		loc := zone(t, rapid.SampledFrom(zones).Draw(t, "zone"))
		days := rapid.SliceOfDistinct(rapid.Custom(func(t *rapid.T) time.Weekday {
			return time.Weekday(rapid.IntRange(0, 6).Draw(t, "day"))
		}), rapid.ID[time.Weekday]).Draw(t, "days")
		from := rapid.IntRange(0, 1439).Draw(t, "from")
		w := noon.Window{Days: days, From: from, To: rapid.IntRange(from+1, 1440).Draw(t, "to")}
		// 2008 to 2028, to the second.
		at := time.Unix(rapid.Int64Range(1_200_000_000, 1_850_000_000).Draw(t, "at"), 0).In(loc)
		if _, end := at.ZoneBounds(); !end.IsZero() && rapid.Bool().Draw(t, "near a change") {
			at = end.Add(time.Duration(rapid.IntRange(-90_000, 10_000).Draw(t, "seconds from it")) * time.Second)
		}
		got := w.Opens(at, loc)
		if got.Before(at) || !inside(w, got.In(loc)) {
			t.Fatalf("%+v at %s opens %s", w, at, got.In(loc))
		}
		// Clocks change and windows begin at whole minutes.
		for m := at; m.Before(got); m = m.Truncate(time.Minute).Add(time.Minute) {
			if inside(w, m.In(loc)) {
				t.Fatalf("%+v at %s opens %s, but %s is inside", w, at, got.In(loc), m.In(loc))
			}
		}
	})
}
