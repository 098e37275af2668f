package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/noon-deploy/noon"
)

// appRule is the table of noon.yaml.
func appRule() rule[noon.App] {
	all := &standard{}
	return object("app", []field[noon.App]{
		key("app", nameRule(), func(a *noon.App) *string { return &a.Name },
			"Name of the app. It appears in every command and message.").must(),
		key("build", buildRule(), func(a *noon.App) *noon.Build { return &a.Build },
			"How a clean checkout of one commit becomes the files of a release.").or("{}"),
		keyed("services", named("services by name", serviceRule(), func(s *noon.Service) *string { return &s.Name }),
			func(a *noon.App, all []noon.Service) {
				a.Services = sorted(all, func(s noon.Service) string { return s.Name })
			},
			"The long-running processes of the app, by name.").must(),
		keyed("jobs", named("jobs by name", jobRule(), func(j *noon.Job) *string { return &j.Name }),
			func(a *noon.App, all []noon.Job) { a.Jobs = sorted(all, func(j noon.Job) string { return j.Name }) },
			"Commands that run on a schedule, by name. One run at a time, by one release."),
		keyed("stores", named("stores by name", storeRule(), func(s *noon.Store) *string { return &s.Name }),
			func(a *noon.App, all []noon.Store) {
				a.Stores = sorted(all, func(s noon.Store) string { return s.Name })
			},
			"Everything stateful in which two releases meet, by name: databases, caches, queues, files."),
		key("variables", list("list of variables", variableRule(), unique[string]), func(a *noon.App) *[]string { return &a.Variables },
			"Names of variables that a release needs. Every environment has to have a value for each before anything moves."),
		key("secrets", list("list of variables", variableRule(), unique[string]), func(a *noon.App) *[]string { return &a.Secrets },
			"Names of secrets that a release needs. Their values are never shown and never in this file; they are set per environment."),
		keyed("hooks", hooksRule(), func(a *noon.App, all []noon.Hook) { a.Hooks = all },
			"Commands of the app that run at moments of a deployment."),
		key("smoke", list("list of requests", smokeRule()), func(a *noon.App) *[]noon.Smoke { return &a.Smoke },
			"Requests that a new release has to answer as expected before any user is sent to it."),
		key("bake", durationRule(0), func(a *noon.App) *time.Duration { return &a.Bake },
			"How long the new release has to hold after the switch before the deployment counts as done.").or("0s"),
		key("keep", wholeRule(1, 1000), func(a *noon.App) *int { return &a.Keep },
			"How many releases are kept besides those in use.").or("5"),
		keyed("traffic", trafficRule(), func(_ *noon.App, t treatment) { all.traffic = t },
			"How requests are treated in every environment. One that has a key of its own below \"traffic\" does without that of here."),
		keyed("segments", segmentsRule(), func(_ *noon.App, segments []noon.Segment) { all.segments = segments },
			"Named parts of the users, in every environment that has none of its own."),
		key("environments", named("environments by name", environmentRule(), func(e *noon.Environment) *string { return &e.Name }),
			func(a *noon.App) *[]noon.Environment { return &a.Environments },
			"Where releases run, by name. The order is the one in which they are shown.").must(),
	}, append(appChecks(), all.inherit)...)
}

func buildRule() rule[noon.Build] {
	return object("build", []field[noon.Build]{
		key("command", commandRule(), func(b *noon.Build) *[]string { return &b.Command },
			"Run in the checkout. Without it the files are taken as they are."),
		key("files", list("list of paths", fileRule("path", "static", true)), func(b *noon.Build) *[]string { return &b.Files },
			"What belongs to the release: paths and patterns in the checkout, directories whole. noon.yaml always does. Without it: everything."),
		key("timeout", durationRule(time.Millisecond), func(b *noon.Build) *time.Duration { return &b.Timeout },
			"How long the command may run.").or("10m"),
	})
}

func sorted[T any](all []T, name func(T) string) []T {
	slices.SortStableFunc(all, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
	return all
}

// unique refuses an item that is already in its list.
func unique[T comparable](d *decoder, v value, all []T) {
	for i, item := range all {
		p := fmt.Sprintf("%s[%d]", v.path, i)
		if first := slices.Index(all, item); first < i && d.sound(p) {
			m := d.marks[fmt.Sprintf("%s[%d]", v.path, first)]
			d.wrong(d.spot(p), p, fmt.Sprintf("%s is listed twice; first in line %d", subject(p), m.at.line), "Keep one of the two.")
		}
	}
}
