package manifest

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/noon-deploy/noon"
)

const commandAbout = `A text, split at blanks as a shell would, with quotes and backslashes; or a list of arguments.
No shell is run: nothing is expanded, and |, &, ;, <, >, $NAME and backquotes outside of single quotes are refused.
For a shell write [sh, -c, "…"]. A relative program with a slash is a file of the release.`

// commandRule is an argv: a list, or a text that is split as a shell would.
func commandRule() rule[[]string] {
	s := shape{label: "command", example: "./shop web", about: commandAbout, json: map[string]any{"oneOf": []any{
		map[string]any{"type": "string", "minLength": 1},
		map[string]any{"type": "array", "items": map[string]any{"type": "string"}, "minItems": 1},
	}}}
	argument := word(shape{label: "argument", example: "web"}, "", func(text string) (string, error) { return text, nil })
	arguments := list("command", argument)
	arguments.example = s.example
	return rule[[]string]{s, func(d *decoder, v value) ([]string, bool) {
		before := len(d.mistakes)
		var argv []string
		if text, ok := v.text(); ok {
			var err error
			if argv, err = splitCommand(text); err != nil {
				d.wrong(v.at, v.path, subject(v.path)+": "+err.Error(), hintOf(err, useShell))
				return nil, false
			}
		} else if argv, ok = s.arguments(d, v, arguments); !ok {
			return nil, false
		}
		if len(d.mistakes) > before {
			return nil, false
		}
		return argv, d.runnable(v, argv)
	}}
}

func (s shape) arguments(d *decoder, v value, r rule[[]string]) ([]string, bool) {
	if v.what() == "a list" {
		return r.read(d, v)
	}
	d.mistyped(v, s.label, s.example)
	return nil, false
}

// runnable records an argv that no host could start.
func (d *decoder) runnable(v value, argv []string) bool {
	err := startable(argv)
	if err != nil {
		d.wrong(v.at, v.path, subject(v.path)+": "+err.Error(), hintOf(err, `Write what to run, such as "./shop web".`))
	}
	return err == nil
}

func startable(argv []string) error {
	switch {
	case len(argv) == 0 || strings.TrimSpace(argv[0]) == "":
		return &trouble{"the command is empty", ""}
	case strings.ContainsRune(strings.Join(argv, ""), 0):
		return &trouble{"the command holds a zero byte", ""}
	case assignment(argv[0]):
		return &trouble{
			fmt.Sprintf("%s is an assignment, not a program", quote(argv[0])),
			"Set variables under \"env:\" or in the environment, or begin the command with \"env\".",
		}
	case strings.HasPrefix(path.Clean(argv[0]), "../"):
		return &trouble{
			fmt.Sprintf("%s is outside of the release", quote(argv[0])),
			"Name a file of the release (\"./shop\"), an absolute path, or a program on the PATH.",
		}
	}
	return nil
}

func assignment(arg string) bool {
	name, _, ok := strings.Cut(arg, "=")
	return ok && name != "" && !strings.ContainsAny(name, "/.- ")
}

func zoneRule() rule[string] {
	r := wordOf("time zone", "Europe/Berlin", "", `Write an IANA name, such as "Europe/Berlin", or UTC.`, func(text string) error {
		if text != "" && text != "Local" {
			if _, err := time.LoadLocation(text); err == nil {
				return nil
			}
		}
		return fmt.Errorf("%s is not a known time zone", quote(text))
	})
	r.about = `A name of the IANA time zone database, such as "Europe/Berlin", or UTC.`
	return r
}

// scheduleRule is when a job runs.
func scheduleRule() rule[string] {
	const hint = `Write five fields (minute, hour, day, month, weekday), such as "0 3 * * *" for three at night, or "@every 10m".`
	r := wordOf("schedule", `"0 3 * * *"`, "", hint, validSchedule)
	r.about = `Five cron fields (minute, hour, day of the month, month, weekday); @hourly, @daily, @weekly, @monthly, @yearly; or "@every 10m" in whole seconds.`
	return r
}

func validSchedule(text string) error {
	if strings.Contains(text, "TZ=") { // the library accepts it, and panics over half of it
		return &trouble{"a schedule holds no time zone", `Write it under "zone:".`}
	}
	if every, ok := strings.CutPrefix(text, "@every "); ok {
		d, err := time.ParseDuration(every)
		switch {
		case err != nil:
			return fmt.Errorf("%s is not a duration", quote(every))
		case d < time.Second || d%time.Second != 0 || d > maxDuration:
			return &trouble{fmt.Sprintf("every %s is not possible", every), "It is a number of whole seconds, at least 1s."}
		}
		return nil
	}
	schedule, err := cron.ParseStandard(text)
	if err != nil {
		return fmt.Errorf("%s is not a schedule: %w", quote(text), err)
	}
	if schedule.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return &trouble{fmt.Sprintf("%s never comes", quote(text)), "Look at the day and the month: that month does not have such a day."}
	}
	return nil
}

// signals that ask a process to stop.
func signals() []string { return []string{"TERM", "INT", "QUIT", "HUP", "USR1", "USR2"} }

func signalRule() rule[string] {
	r := choice("signal", signals()...)
	texts := r.read
	r.read = func(d *decoder, v value) (string, bool) {
		text, _ := v.text()
		short := strings.TrimPrefix(strings.ToUpper(text), "SIG")
		for _, s := range signals() {
			if s == short && s != text {
				d.wrong(v.at, v.path, fmt.Sprintf("%s: %s is not a known signal", v.path, quote(text)), fmt.Sprintf("Did you mean %q?", s))
				return "", false
			}
		}
		return texts(d, v)
	}
	return r
}

// coexistenceRule knows all four, so that a manifest of a later version gets
// the right answer, and allows those that this version walks.
func coexistenceRule() rule[noon.Coexistence] {
	r := choice("coexistence", noon.Coexistences()...)
	words := r.read
	r.read = func(d *decoder, v value) (noon.Coexistence, bool) {
		got, ok := words(d, v)
		if ok && got != noon.Shared && got != noon.Versioned {
			d.wrong(v.at, v.path, fmt.Sprintf("%s: %q comes with a later version of noon", v.path, got),
				`This version has "shared": both releases use the one store, and its changes are compatible both ways; and "versioned": each has a view of its own.`)
			return "", false
		}
		return got, ok
	}
	return r
}

// hostRule allows the one host that this version knows.
func hostRule() rule[string] {
	r := nameRule()
	r.example = noon.LocalHost
	names := r.read
	r.read = func(d *decoder, v value) (string, bool) {
		got, ok := names(d, v)
		if ok && got != noon.LocalHost {
			d.wrong(v.at, v.path, fmt.Sprintf("%s: other hosts than \"local\" come with a later version of noon", v.path),
				`Write "local", or leave the key out: releases run on the machine of "noon serve".`)
			return "", false
		}
		return got, ok
	}
	return r
}

// clockRule is a time of day, in minutes since midnight.
func clockRule() rule[int] {
	s := shape{label: "time of day", example: `"09:00"`, about: `Hours and minutes, such as "09:00"; the end of the day is "24:00".`, json: map[string]any{"type": "string", "pattern": `^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$`}}
	return word(s, `Write hours and minutes in quotes, such as "09:00"; the end of the day is "24:00".`, func(text string) (int, error) {
		if text == "24:00" {
			return 24 * 60, nil
		}
		t, err := time.Parse("15:04", text)
		if err != nil || len(text) != len("15:04") {
			return 0, fmt.Errorf("%s is not a time of day", quote(text))
		}
		return t.Hour()*60 + t.Minute(), nil
	})
}

// dayRule is a weekday.
func dayRule() rule[time.Weekday] {
	days := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	words := choice("day", days...)
	return rule[time.Weekday]{words.shape, func(d *decoder, v value) (time.Weekday, bool) {
		got, ok := words.read(d, v)
		for i, day := range days {
			if day == got {
				return time.Weekday(i), ok
			}
		}
		return 0, false
	}}
}
