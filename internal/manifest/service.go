package manifest

import (
	"fmt"
	"time"

	"github.com/noon-deploy/noon"
)

func serviceRule() rule[noon.Service] {
	return object("service", []field[noon.Service]{
		key("command", commandRule(), func(s *noon.Service) *[]string { return &s.Command },
			"What to run. Text is split as a shell would, without a shell; a relative program with a slash is a file of the release. It gets PORT and HOST to listen on.").must(),
		key("dir", fileRule("path", "server", false), func(s *noon.Service) *string { return &s.Dir },
			"Working directory inside the release. Without it: the release's root."),
		key("instances", wholeRule(1, 1000), func(s *noon.Service) *int { return &s.Instances },
			"How many copies run in an environment, unless that says otherwise.").or("1"),
		keyed("paths", list("list of URL paths", servicePathRule()), setPaths,
			"URL path prefixes that the service answers; the longest that matches wins. An entry is the prefix alone, or a map. A service without takes no requests."),
		key("env", envRule(), func(s *noon.Service) *map[string]string { return &s.Env },
			"Variables that are the same in every environment."),
		key("ready", probeRule(), func(s *noon.Service) *noon.Probe { return &s.Ready },
			"How a new instance shows that it can work. Without http, tcp and command it is ready once it has run for one interval.").or("{}"),
		key("stop", stopRule(), func(s *noon.Service) *noon.Stop { return &s.Stop },
			"How an instance is asked to end.").or("{}"),
		key("drain", durationRule(0), func(s *noon.Service) *time.Duration { return &s.Drain },
			"How long requests in flight may go on once nothing new is sent.").or("30s"),
		key("user", textRule("user name", "www-data"), func(s *noon.Service) *string { return &s.User },
			"User to run as. Without it: the one that noon runs as."),
		key("limits", limitsRule(), func(s *noon.Service) *noon.Limits { return &s.Limits },
			"Bounds of one instance. What is left out is not limited.").or("{}"),
	})
}

func envRule() rule[map[string]string] {
	return dictionary("variables with values", variableRule(), valueRule())
}

func probeRule() rule[noon.Probe] {
	return object("probe", []field[noon.Probe]{
		key("http", urlPathRule(true), func(p *noon.Probe) *string { return &p.HTTP },
			"Path that is asked with GET; any 2xx answer is ready, a redirect is not."),
		key("tcp", boolRule(), func(p *noon.Probe) *bool { return &p.TCP },
			"The port accepts connections."),
		key("command", commandRule(), func(p *noon.Probe) *[]string { return &p.Command },
			"Run in the release with the instance's variables; exit status 0 is ready."),
		key("interval", durationRule(time.Millisecond), func(p *noon.Probe) *time.Duration { return &p.Interval },
			"Time between two tries.").or("100ms"),
		key("timeout", durationRule(time.Millisecond), func(p *noon.Probe) *time.Duration { return &p.Timeout },
			"How long to wait for readiness in all.").or("30s"),
	}, oneProbe)
}

// oneProbe checks that a probe asks in one way, and often enough.
func oneProbe(d *decoder, v value, p *noon.Probe) {
	var first string
	for _, kind := range []string{"http", "tcp", "command"} {
		at := join(v.path, kind)
		if !d.written(at) || kind == "tcp" && !p.TCP {
			continue
		}
		if first != "" {
			d.wrong(d.marks[at].key, at, fmt.Sprintf("%s has two kinds of probes: %s and %s", v.path, first, kind), "Keep one of http, tcp and command.")
		}
		first = kind
	}
	interval, timeout := join(v.path, "interval"), join(v.path, "timeout")
	if p.Interval > p.Timeout && d.sound(interval, timeout) {
		at := interval
		if !d.written(at) {
			at = timeout
		}
		d.wrong(d.spot(at), at, fmt.Sprintf("%s: the interval of %s is longer than the timeout of %s", v.path, p.Interval, p.Timeout), "Make the interval shorter or the timeout longer.")
	}
}

func stopRule() rule[noon.Stop] {
	return object("stop", []field[noon.Stop]{
		key("signal", signalRule(), func(s *noon.Stop) *string { return &s.Signal },
			"Signal that asks the process to finish its work and end.").or("TERM"),
		key("grace", durationRule(0), func(s *noon.Stop) *time.Duration { return &s.Grace },
			"Time from the signal until the process is killed.").or("10s"),
	})
}

func limitsRule() rule[noon.Limits] {
	return object("limits", []field[noon.Limits]{
		key("memory", sizeRule(), func(l *noon.Limits) *int64 { return &l.Memory },
			"Memory of the process and its children."),
		key("cpus", coresRule(), func(l *noon.Limits) *float64 { return &l.CPUs },
			"Processor cores; 0.5 is half of one."),
		key("processes", wholeRule(1, 4_194_304), func(l *noon.Limits) *int { return &l.Processes },
			"Processes and threads."),
		key("files", wholeRule(1, 1_073_741_816), func(l *noon.Limits) *int { return &l.Files },
			"Open files."),
	})
}

func jobRule() rule[noon.Job] {
	return object("job", []field[noon.Job]{
		key("command", commandRule(), func(j *noon.Job) *[]string { return &j.Command },
			"What to run.").must(),
		key("schedule", scheduleRule(), func(j *noon.Job) *string { return &j.Schedule },
			"When: five cron fields (minute, hour, day, month, weekday), @hourly, @daily, @weekly, @monthly, or \"@every 10m\".").must(),
		key("zone", zoneRule(), func(j *noon.Job) *string { return &j.Zone },
			"IANA time zone of the schedule.").or("UTC"),
		key("timeout", durationRule(time.Millisecond), func(j *noon.Job) *time.Duration { return &j.Timeout },
			"How long one run may take.").or("1h"),
	})
}
