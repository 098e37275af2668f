package manifest

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
)

func fieldRule() rule[string] {
	return wordOf("header that may change", "X-Frame-Options", "", "Leave it out: noon writes the headers that carry a message and that say where it is from.", noon.ValidField)
}

func fieldValueRule() rule[string] {
	text := valueRule()
	values := text.read
	text.example = "DENY"
	text.read = func(d *decoder, v value) (string, bool) {
		got, ok := values(d, v)
		if !ok {
			return "", false
		}
		if err := noon.ValidFieldValue(got); err != nil {
			d.wrong(v.at, v.path, v.path+": "+err.Error(), "Write the value in one line, without blanks around it.")
			return "", false
		}
		return got, true
	}
	return text
}

func pageRule() rule[string] {
	r := wordOf("status", `"404"`, "^[45]([0-9][0-9]|xx)$", `Write a status such as "404", or "5xx" for all that begin with 5.`, noon.ValidPage)
	r.about = `A status from 400 to 599, or "4xx" and "5xx" for all that have no page of their own.`
	return r
}

// addressRule is an address or a network.
func addressRule() rule[string] {
	const hint = `Write an address or a network, such as "192.0.2.7", "10.0.0.0/8" or "2001:db8::/32".`
	r := wordOf("address", "10.0.0.0/8", "", hint, func(text string) error {
		if !strings.Contains(text, "/") {
			if a, err := netip.ParseAddr(text); err != nil || a.Zone() != "" {
				return fmt.Errorf("%s is not an address", quote(text))
			}
			return nil
		}
		p, err := netip.ParsePrefix(text)
		switch {
		case err != nil || p.Addr().Is4In6():
			return fmt.Errorf("%s is not a network", quote(text))
		case p != p.Masked():
			return &trouble{fmt.Sprintf("%s has bits outside of its network", quote(text)), fmt.Sprintf("Write %q.", p.Masked())}
		}
		return nil
	})
	r.about = `An IPv4 or IPv6 address, or a network: "192.0.2.7", "10.0.0.0/8", "2001:db8::/32".`
	return r
}

func trafficLimitsRule() rule[noon.TrafficLimits] {
	const most = 1_000_000
	return object("traffic limits", []field[noon.TrafficLimits]{
		key("body", sizeRule(), func(l *noon.TrafficLimits) *int64 { return &l.Body },
			"Body of a request; larger ones are answered with 413. Without it: not limited."),
		key("in-flight", wholeRule(1, most), func(l *noon.TrafficLimits) *int { return &l.InFlight },
			"Requests of the site at the same time; others wait. Without it: not limited."),
		key("queue", wholeRule(1, most), func(l *noon.TrafficLimits) *int { return &l.Queue },
			"Requests that wait for one of these to end; more are answered with 503. Without it: 100."),
		key("queue-time", durationRule(time.Millisecond), func(l *noon.TrafficLimits) *time.Duration { return &l.QueueTime },
			"How long they wait until they are answered with 503. Without it: 5s."),
		key("per-address", wholeRule(1, most), func(l *noon.TrafficLimits) *int { return &l.PerAddress },
			"Requests of one address at the same time; more are answered with 429. Without it: not limited."),
		key("first-byte", durationRule(time.Millisecond), func(l *noon.TrafficLimits) *time.Duration { return &l.FirstByte },
			"How long an instance may take until its answer begins, streams apart. Without it: 1m."),
		key("idle", durationRule(time.Millisecond), func(l *noon.TrafficLimits) *time.Duration { return &l.Idle },
			"How long nothing of an answer that has begun may come, streams apart. Without it: not limited."),
		key("total", durationRule(time.Millisecond), func(l *noon.TrafficLimits) *time.Duration { return &l.Total },
			"How long a request and its answer may take, streams apart. Without it: not limited."),
		key("goodbye", durationRule(time.Millisecond), func(l *noon.TrafficLimits) *time.Duration { return &l.Goodbye },
			"Time over which the WebSockets of a release that users were taken from are told to leave, one after the other. Without it: 10s."),
	}, func(d *decoder, v value, l *noon.TrafficLimits) {
		for name, set := range map[string]bool{"queue": l.Queue > 0, "queue-time": l.QueueTime > 0} {
			if at := join(v.path, name); set && !d.written(join(v.path, "in-flight")) {
				d.wrong(d.marks[at].key, at, fmt.Sprintf("%s has %s but no in-flight", v.path, name), "Say how many requests may be under way at once, or remove "+name+": nothing waits.")
			}
		}
	})
}

func replayRule() rule[noon.Replay] {
	return object("replay", []field[noon.Replay]{
		key("paths", list("list of URL paths", prefixRule(), unique[string]), func(r *noon.Replay) *[]string { return &r.Paths },
			"Prefixes at which every method may be sent twice."),
		key("keyed", boolRule(), func(r *noon.Replay) *bool { return &r.Keyed },
			"So may requests that have an Idempotency-Key header.").or("false"),
		key("memory", sizeRule(), func(r *noon.Replay) *int64 { return &r.Memory },
			"How much of a body is kept in memory for it. Without it: 64KiB."),
		key("spool", sizeRule(), func(r *noon.Replay) *int64 { return &r.Spool },
			"How much of a body is kept on disk, behind that. Without it: nothing."),
		key("budget", wholeRule(1, 100), func(r *noon.Replay) *int { return &r.Budget },
			"Second tries, in percent of the requests. Without it: 20."),
		key("after", durationRule(time.Millisecond), func(r *noon.Replay) *time.Duration { return &r.After },
			"How long an instance is waited for that answers nobody, while others do, until the request is sent to one of them. Without it: 5s."),
	})
}

func healthRule() rule[noon.HealthCheck] {
	return object("health check", []field[noon.HealthCheck]{
		key("path", urlPathRule(true), func(h *noon.HealthCheck) *string { return &h.Path },
			"Path that is asked with GET; any 2xx answer is good.").must(),
		key("interval", durationRule(100*time.Millisecond), func(h *noon.HealthCheck) *time.Duration { return &h.Interval },
			"Time between two questions.").or("2s"),
		key("timeout", durationRule(time.Millisecond), func(h *noon.HealthCheck) *time.Duration { return &h.Timeout },
			"How long an answer may take.").or("1s"),
		key("failures", wholeRule(1, 100), func(h *noon.HealthCheck) *int { return &h.Failures },
			"Failures in a row until users are sent elsewhere. The last instances that are left go on.").or("3"),
	})
}

func outliersRule() rule[noon.Outliers] {
	return object("outliers", []field[noon.Outliers]{
		key("off", boolRule(), func(o *noon.Outliers) *bool { return &o.Off },
			"Nobody is left out for what it answers.").or("false"),
		key("row", wholeRule(1, 10_000), func(o *noon.Outliers) *int { return &o.Row },
			"Answers in a row that are 5xx, while most of the others' are not. Without it: 10."),
		key("above", wholeRule(1, 100), func(o *noon.Outliers) *int { return &o.Above },
			"Or percentage points by which its part of 5xx is above the others', if that is no chance. Without it: 25."),
		key("answers", wholeRule(1, 1_000_000), func(o *noon.Outliers) *int { return &o.Answers },
			"Answers of about the last ten seconds that it takes until the part counts. Without it: 50."),
		key("time", durationRule(time.Second), func(o *noon.Outliers) *time.Duration { return &o.Time },
			"How long it is left out the first time; each that follows within ten minutes takes twice as long, up to 32 times this. Without it: 10s."),
		key("most", wholeRule(1, 100), func(o *noon.Outliers) *int { return &o.Most },
			"Instances that are left out at a time, in percent. One may always be, the last one never. Without it: 50."),
	})
}
