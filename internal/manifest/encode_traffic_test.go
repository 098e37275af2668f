package manifest_test

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/noon-deploy/noon"
)

func pathList(s noon.Service) []any {
	var out []any
	for _, p := range s.Paths {
		if slices.Contains(s.Strip, p) {
			out = append(out, tree{{"prefix", text(p)}, {"strip", "true"}})
		} else {
			out = append(out, text(p))
		}
	}
	return out
}

func bytesText(n int64) string {
	if n == 0 {
		return text("")
	}
	return text(fmt.Sprintf("%dB", n))
}

func durationText(d time.Duration) string {
	if d == 0 {
		return text("")
	}
	return text(d.String())
}

func trafficTree(e noon.Environment, shuffle func(tree) tree) tree {
	t := e.Traffic
	var redirects []any
	for _, r := range t.Redirects {
		redirects = append(redirects, shuffle(append(without(tree{{"host", text(r.Host)}}),
			pair{"from", text(r.From)}, pair{"to", text(r.To)}, pair{"status", strconv.Itoa(r.Status)})))
	}
	limits := without(tree{
		{"body", bytesText(t.Limits.Body)},
		{"in-flight", strconv.Itoa(t.Limits.InFlight)},
		{"queue", strconv.Itoa(t.Limits.Queue)},
		{"queue-time", durationText(t.Limits.QueueTime)},
		{"per-address", strconv.Itoa(t.Limits.PerAddress)},
		{"first-byte", durationText(t.Limits.FirstByte)},
		{"idle", durationText(t.Limits.Idle)},
		{"total", durationText(t.Limits.Total)},
		{"goodbye", durationText(t.Limits.Goodbye)},
	})
	replay := without(tree{
		{"paths", texts(t.Replay.Paths)},
		{"keyed", strconv.FormatBool(t.Replay.Keyed)},
		{"memory", bytesText(t.Replay.Memory)},
		{"spool", bytesText(t.Replay.Spool)},
		{"budget", strconv.Itoa(t.Replay.Budget)},
		{"after", durationText(t.Replay.After)},
	})
	outliers := without(tree{
		{"off", strconv.FormatBool(t.Outliers.Off)},
		{"row", strconv.Itoa(t.Outliers.Row)},
		{"above", strconv.Itoa(t.Outliers.Above)},
		{"answers", strconv.Itoa(t.Outliers.Answers)},
		{"time", durationText(t.Outliers.Time)},
		{"most", strconv.Itoa(t.Outliers.Most)},
	})
	out := without(tree{
		{"redirects", redirects},
		{"request", shuffle(fieldTree(t.Request, shuffle))},
		{"response", shuffle(fieldTree(t.Response, shuffle))},
		{"pages", shuffle(dict(e.Pages, quoted))},
		{"trusted", texts(t.Trusted)},
		{"limits", shuffle(limits)},
		{"replay", shuffle(replay)},
		{"outliers", shuffle(outliers)},
	})
	if h := t.Health; h != nil {
		out = append(out, pair{"health", shuffle(tree{
			{"path", text(h.Path)},
			{"interval", text(h.Interval.String())},
			{"timeout", text(h.Timeout.String())},
			{"failures", strconv.Itoa(h.Failures)},
		})})
	}
	return out
}

func fieldTree(h noon.HeaderRules, shuffle func(tree) tree) tree {
	return without(tree{{"remove", texts(h.Remove)}, {"set", shuffle(dict(h.Set, quoted))}})
}

func segmentTree(all []noon.Segment, shuffle func(tree) tree) tree {
	var out tree
	for _, s := range all {
		parts := map[string]tree{}
		for _, m := range s.Matches {
			var values any = texts(m.Values)
			if len(m.Values) == 0 {
				values = []any{}
			} else if len(m.Values) == 1 {
				values = text(m.Values[0])
			}
			parts[m.In] = append(parts[m.In], pair{m.Name, values})
		}
		out = append(out, pair{s.Name, shuffle(without(tree{
			{"cookies", parts["cookie"]},
			{"headers", parts["header"]},
			{"query", parts["query"]},
			{"addresses", texts(s.Addresses)},
		}))})
	}
	return out
}
