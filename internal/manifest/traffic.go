package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/noon-deploy/noon"
)

// treatment is traffic as it is written: pages are named, not there yet.
type treatment struct {
	noon.Traffic
	pages map[string]string
}

func trafficRule() rule[treatment] {
	return object("traffic", []field[treatment]{
		key("redirects", list("list of redirects", redirectRule(), uniqueFrom), func(t *treatment) *[]noon.Redirect { return &t.Redirects },
			"Paths that are answered with a redirect instead of by the app. A whole path comes before a prefix, a longer prefix before a shorter one."),
		key("request", fieldsRule(), func(t *treatment) *noon.HeaderRules { return &t.Request },
			"Changes of the headers that the app is sent."),
		key("response", fieldsRule(), func(t *treatment) *noon.HeaderRules { return &t.Response },
			"Changes of the headers that users are sent."),
		key("pages", dictionary("pages by status", pageRule(), fileRule("file", "errors/404.html", false)), func(t *treatment) *map[string]string { return &t.pages },
			"HTML files of the release that noon's own answers show, by status: \"404\", \"503\", \"5xx\". What the app answers is never replaced."),
		key("trusted", list("list of addresses", addressRule(), unique[string]), func(t *treatment) *[]string { return &t.Trusted },
			"Proxies and load balancers in front of noon, whose X-Forwarded-* and Forwarded headers are believed. Without it: nobody's."),
		key("limits", trafficLimitsRule(), func(t *treatment) *noon.TrafficLimits { return &t.Limits },
			"Bounds of what the site and each of its users may take."),
		key("replay", replayRule(), func(t *treatment) *noon.Replay { return &t.Replay },
			"Which requests may be sent to a second instance after the first has failed. Requests that ask for no change, and those that no instance has received, always are."),
		keyed("health", healthRule(), func(t *treatment, h noon.HealthCheck) { t.Health = &h },
			"Asks every instance again and again; users are sent elsewhere while it does not answer. Without it only requests that fail tell."),
		key("outliers", outliersRule(), func(t *treatment) *noon.Outliers { return &t.Outliers },
			"When an instance is left out for a time because it answers 5xx far more often than the others of its service and release."),
	})
}

func setTraffic(e *noon.Environment, t treatment) {
	for _, take := range trafficParts() {
		take(e, t)
	}
}

// trafficParts says how an environment takes over each key of traffic that it
// does not write itself.
func trafficParts() map[string]func(*noon.Environment, treatment) {
	return map[string]func(*noon.Environment, treatment){
		"redirects": func(e *noon.Environment, t treatment) { e.Traffic.Redirects = t.Redirects },
		"request":   func(e *noon.Environment, t treatment) { e.Traffic.Request = t.Request },
		"response":  func(e *noon.Environment, t treatment) { e.Traffic.Response = t.Response },
		"pages":     func(e *noon.Environment, t treatment) { e.Pages = t.pages },
		"trusted":   func(e *noon.Environment, t treatment) { e.Traffic.Trusted = t.Trusted },
		"limits":    func(e *noon.Environment, t treatment) { e.Traffic.Limits = t.Limits },
		"replay":    func(e *noon.Environment, t treatment) { e.Traffic.Replay = t.Replay },
		"health":    func(e *noon.Environment, t treatment) { e.Traffic.Health = t.Health },
		"outliers":  func(e *noon.Environment, t treatment) { e.Traffic.Outliers = t.Outliers },
	}
}

// standard is what is written for all environments.
type standard struct {
	traffic  treatment
	segments []noon.Segment
}

// inherit gives every environment what it does not say itself.
func (s *standard) inherit(d *decoder, _ value, a *noon.App) {
	for i := range a.Environments {
		e := &a.Environments[i]
		at := join("environments", e.Name)
		for name, take := range trafficParts() {
			if !d.written(join(join(at, "traffic"), name)) {
				take(e, s.traffic)
			}
		}
		if !d.written(join(at, "segments")) {
			e.Segments = s.segments
		}
	}
}

func redirectRule() rule[noon.Redirect] {
	from := urlPathRule(false)
	from.example = "/old/*"
	to := textRule("path or URL", "/new/*")
	return object("redirect", []field[noon.Redirect]{
		key("from", from, func(r *noon.Redirect) *string { return &r.From },
			"Path, or a prefix that ends with \"/*\".").must(),
		key("to", to, func(r *noon.Redirect) *string { return &r.To },
			"Path or URL; \"*\" stands for what the prefix left. The query is kept unless this has one.").must(),
		key("status", redirectStatus(), func(r *noon.Redirect) *int { return &r.Status },
			"301 and 308 are kept by browsers for good, 302, 303 and 307 are asked for anew; 307 and 308 keep the method.").or("307"),
		key("host", domainRule(), func(r *noon.Redirect) *string { return &r.Host },
			"Only for this one of the environment's domains."),
	}, func(d *decoder, v value, r *noon.Redirect) {
		if r.From == "" || r.To == "" || r.Status == 0 {
			return // that is told already
		}
		if err := noon.ValidRedirect(*r); err != nil {
			d.wrong(v.at, v.path, v.path+": "+err.Error(), `Write "from: /old/*" and "to: /new/*", or a whole path and where it leads.`)
		}
	})
}

func redirectStatus() rule[int] {
	r := wholeRule(300, 399)
	numbers := r.read
	enum := make([]any, 0, len(noon.RedirectStatuses()))
	for _, s := range noon.RedirectStatuses() {
		enum = append(enum, s)
	}
	r.json = map[string]any{"enum": enum}
	r.label, r.example = "redirect status", "308"
	r.read = func(d *decoder, v value) (int, bool) {
		n, ok := numbers(d, v)
		if ok && !slices.Contains(noon.RedirectStatuses(), n) {
			d.wrong(v.at, v.path, fmt.Sprintf("%s: %d is no status of a redirect", v.path, n), "Write 301, 302, 303, 307 or 308.")
			return 0, false
		}
		return n, ok
	}
	return r
}

// uniqueFrom refuses two redirects from one place.
func uniqueFrom(d *decoder, v value, all []noon.Redirect) {
	type place struct{ host, from string }
	first := map[place]int{}
	for i, r := range all {
		p := fmt.Sprintf("%s[%d]", v.path, i)
		at := place{r.Host, r.From}
		if n, ok := first[at]; ok && r.From != "" {
			m := d.marks[fmt.Sprintf("%s[%d]", v.path, n)]
			d.wrong(d.spot(p), p, fmt.Sprintf("there are two redirects from %s; first in line %d", quote(r.From), m.at.line), "Keep one of the two.")
			continue
		}
		first[at] = i
	}
}

func fieldsRule() rule[noon.HeaderRules] {
	return object("header rules", []field[noon.HeaderRules]{
		key("remove", list("list of headers", fieldRule(), unique[string]), func(h *noon.HeaderRules) *[]string { return &h.Remove },
			"Headers that are not passed on."),
		key("set", dictionary("headers with values", fieldRule(), fieldValueRule()), func(h *noon.HeaderRules) *map[string]string { return &h.Set },
			"Headers with the value they get, in place of those that are there."),
	}, func(d *decoder, v value, h *noon.HeaderRules) {
		seen := map[string]string{}
		for _, name := range slices.Sorted(maps.Keys(h.Set)) {
			lower := strings.ToLower(name)
			if other, ok := seen[lower]; ok {
				p := join(join(v.path, "set"), name)
				d.wrong(d.marks[p].key, p, fmt.Sprintf("%s is set twice: as %s too", quote(name), quote(other)), "Header names are the same in capitals: keep one of the two.")
			}
			seen[lower] = name
		}
	})
}
