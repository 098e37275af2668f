package manifest

import (
	"fmt"
	"time"

	"github.com/noon-deploy/noon"
)

func environmentRule() rule[noon.Environment] {
	after := nameRule()
	after.example = "staging"
	return object("environment", []field[noon.Environment]{
		key("after", after, func(e *noon.Environment) *string { return &e.After },
			"Environment that a release must have passed before it comes here."),
		key("hosts", list("list of hosts", hostRule(), unique[string], notEmpty), func(e *noon.Environment) *[]string { return &e.Hosts },
			"Hosts that run the environment. \"local\" is the machine of \"noon serve\"; others come with a later version.").or("[local]"),
		key("domains", list("list of domains", domainRule(), unique[string]), func(e *noon.Environment) *[]string { return &e.Domains },
			"Host names whose requests the environment answers, \"*.example.com\" too. Without it: any."),
		keyed("tls", tlsRule(), func(e *noon.Environment, t noon.TLS) { e.TLS = &t },
			"How it is served over TLS. Without it: plain HTTP."),
		keyed("traffic", trafficRule(), setTraffic,
			"How the requests of the environment are treated. Keys that it does not have are those of the whole file's \"traffic\"."),
		key("segments", segmentsRule(), func(e *noon.Environment) *[]noon.Segment { return &e.Segments },
			"Named parts of the users; a deployment can send one to a new release first. Without it: those of the whole file."),
		key("variables", envRule(), func(e *noon.Environment) *map[string]string { return &e.Variables },
			"Values of variables. They are part of the release and are shown; keep secrets out."),
		key("instances", dictionary("services with numbers", serviceName(), wholeRule(1, 1000)), func(e *noon.Environment) *map[string]int { return &e.Instances },
			"Numbers of instances, by service, where they differ from the service's own."),
		key("approval", boolRule(), func(e *noon.Environment) *bool { return &e.Approval },
			"A person has to approve before users are sent to a new release.").or("false"),
		keyed("window", windowRule(), func(e *noon.Environment, w noon.Window) { e.Window = &w },
			"Time of the week in which users may be sent to a new release. Without it: any time."),
		key("warm", durationRule(0), func(e *noon.Environment) *time.Duration { return &e.Warm },
			"How long the release before stays up after a switch, ready to go back to in a moment.").or("10m"),
	}, checkTLS)
}

func serviceName() rule[string] {
	r := nameRule()
	r.label = "service"
	return r
}

func notEmpty[T any](d *decoder, v value, all []T) {
	if len(all) == 0 {
		d.wrong(v.at, v.path, fmt.Sprintf("%s is empty", v.path), "Add one, or remove the key.")
	}
}

func windowRule() rule[noon.Window] {
	return object("window", []field[noon.Window]{
		key("days", list("list of days", dayRule(), unique[time.Weekday], notEmpty), func(w *noon.Window) *[]time.Weekday { return &w.Days },
			"Days of the week: mon, tue, wed, thu, fri, sat, sun. Without it: every day."),
		key("from", clockRule(), func(w *noon.Window) *int { return &w.From },
			"Beginning, as time of day.").or(`"00:00"`),
		key("to", clockRule(), func(w *noon.Window) *int { return &w.To },
			"End, as time of day, after the beginning.").or(`"24:00"`),
		key("zone", zoneRule(), func(w *noon.Window) *string { return &w.Zone },
			"IANA time zone of from and to.").or("UTC"),
	}, func(d *decoder, v value, w *noon.Window) {
		from, to := join(v.path, "from"), join(v.path, "to")
		if w.From < w.To || !d.sound(from, to) {
			return
		}
		at := to
		if !d.written(at) {
			at = from
		}
		d.wrong(d.spot(at), at, fmt.Sprintf("%s ends before it begins", v.path),
			"Write a \"to\" that is later than \"from\" on the same day; a window does not go past midnight.")
	})
}
