package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
)

// Traffic draws what was answered within a span, and what is in flight.
func (p Page) Traffic(t noon.TrafficSeen) string {
	total, failed := 0.0, 0.0
	for _, r := range t.Routes {
		total, failed = total+r.Rate, failed+r.ServerErrors
	}
	head := fmt.Sprintf("%s requests/s over %s, %s open", p.bold(rate(total)), Length(t.Over.Round(100*time.Millisecond)), Count(t.Connections, "connection"))
	if failed > 0 {
		head += ", " + p.bad(rate(failed)+" answered 5xx/s")
	}
	if t.Held > 0 {
		head += ", " + p.warn(strconv.Itoa(t.Held)+" waiting for an instance")
	}
	var b strings.Builder
	b.WriteString(p.fit(head) + "\n")
	for _, site := range trafficSites(t) {
		name := site.String()
		if site == (noon.Site{}) {
			name = "for no site"
		}
		b.WriteString("\n" + p.bold(name) + "\n" + p.table(p.trafficRows(t, site)))
	}
	if len(t.Routes)+len(t.Services) == 0 {
		b.WriteString("nothing is routed yet\n")
	}
	return b.String()
}

func trafficSites(t noon.TrafficSeen) []noon.Site {
	var sites []noon.Site
	for _, r := range t.Routes {
		sites = append(sites, r.Site)
	}
	for _, s := range t.Services {
		sites = append(sites, s.Site)
	}
	slices.SortFunc(sites, func(a, b noon.Site) int { return cmp.Compare(a.Key(), b.Key()) })
	return slices.Compact(sites)
}

// trafficRows has a row for each path and release. What is in flight is known
// of a service's release, so it stands in the first of its rows.
func (p Page) trafficRows(t noon.TrafficSeen, site noon.Site) [][]string {
	rows := [][]string{{"SERVICE", "PATH", "REVISION", "SHARE", "REQ/S", "4XX/S", "5XX/S", "P50", "P99", "OUT/S", "SESSIONS", "IN FLIGHT", "STREAMS"}}
	routes := slices.DeleteFunc(slices.Clone(t.Routes), func(r noon.RouteTraffic) bool { return r.Site != site })
	for _, s := range t.Services {
		if s.Site == site && !slices.ContainsFunc(routes, func(r noon.RouteTraffic) bool { return r.Service == s.Service && r.Revision == s.Revision }) {
			routes = append(routes, noon.RouteTraffic{Site: site, Service: s.Service, Revision: s.Revision})
		}
	}
	slices.SortFunc(routes, func(a, b noon.RouteTraffic) int {
		return cmp.Or(
			cmp.Compare(a.Service, b.Service), cmp.Compare(b.Revision.Release, a.Revision.Release),
			cmp.Compare(b.Revision.Config, a.Revision.Config), cmp.Compare(a.Route, b.Route),
		)
	})
	for i, r := range routes {
		share, flight, streams := "", "", ""
		if i == 0 || routes[i-1].Service != r.Service || routes[i-1].Revision != r.Revision {
			share, flight, streams = p.serviceCells(t.Services, r)
		}
		revision := "-"
		if !r.Revision.IsZero() {
			revision = r.Revision.String()
		}
		rows = append(rows, []string{
			cmp.Or(Clean(r.Service), "-"), cmp.Or(Clean(r.Route), "-"), revision, share,
			rate(r.Rate), p.errors(r.ClientErrors, p.warn), p.errors(r.ServerErrors, p.bad),
			latency(r.P50), latency(r.P99), Bytes(int64(r.Out)), grouped(r.Sessions), flight, streams,
		})
	}
	return rows
}

func (p Page) serviceCells(services []noon.ServiceTraffic, r noon.RouteTraffic) (share, flight, streams string) {
	for _, s := range services {
		if s.Site == r.Site && s.Service == r.Service && s.Revision == r.Revision {
			return percent(s.Points), strconv.Itoa(s.Requests), strconv.Itoa(s.Streams)
		}
	}
	return "-", "-", "-"
}

func (p Page) errors(perSecond float64, paint func(string) string) string {
	if perSecond == 0 {
		return "-"
	}
	return paint(rate(perSecond))
}

// percent writes a share of PointsWhole: "95 %", "0.01 %".
func percent(points int) string {
	return strconv.FormatFloat(float64(points)*100/noon.PointsWhole, 'f', -1, 64) + " %"
}

// rate writes a number per second with what matters of it: "0.5", "12", "1,204".
func rate(perSecond float64) string {
	switch {
	case perSecond == 0:
		return "0"
	case perSecond < 0.1:
		return "<0.1"
	case perSecond < 10:
		return fmt.Sprintf("%.1f", perSecond)
	}
	return grouped(uint64(perSecond + 0.5))
}

// latency writes how long an answer took: "-", "0.3ms", "45ms", "1.2s".
func latency(d time.Duration) string {
	switch {
	case d <= 0:
		return "-"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return Elapsed(d)
}

// grouped writes a number in groups of three.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Routed draws what the proxy routes where, and why.
func (p Page) Routed(sites []noon.Routed) string {
	if len(sites) == 0 {
		return "nothing is routed\n"
	}
	parts := make([]string, len(sites))
	for i, s := range sites {
		parts[i] = p.routed(s)
	}
	return strings.Join(parts, "\n")
}

func (p Page) routed(s noon.Routed) string {
	var b strings.Builder
	line := func(key, text string) { b.WriteString(p.fit(fmt.Sprintf("  %-9s %s", key, text)) + "\n") }
	b.WriteString(p.bold(s.Site.String()) + "\n")
	if s.Removed {
		line("state", p.dim("removed; its fence is kept, so that nobody older brings it back"))
	} else {
		line("domains", cmp.Or(Clean(strings.Join(s.Domains, ", ")), "any that no other app names"))
		for _, path := range s.Paths {
			line("path", pathText(path))
		}
		line("releases", p.shares(s))
		for _, segment := range s.Segments {
			line("segment", segmentText(segment))
		}
	}
	if s.Closed != nil {
		line("closed", p.bad("by "+Clean(s.Closed.By))+": every user gets a page")
	}
	if s.Hold != nil {
		line("hold", p.warn(fmt.Sprintf("new requests wait, %s at most, up to %d of them", Length(s.Hold.Limit), s.Hold.Most)))
	}
	if s.Held > 0 {
		line("waiting", p.warn(Count(s.Held, "request")+" for an instance"))
	}
	because := fmt.Sprintf("generation %d of controller epoch %d, update %d", s.Fence.Generation, s.Fence.Epoch, s.Sequence)
	if !s.Since.IsZero() {
		because += ", since " + clock(s.Since, p.Now) + " (" + p.ago(s.Since) + ")"
	}
	line("because", because)
	for _, problem := range s.Problems {
		line("problem", p.bad(Clean(problem)))
	}
	if len(s.Endpoints) > 0 {
		b.WriteString("\n" + p.table(p.endpointRows(s.Endpoints)))
	}
	return b.String()
}

func pathText(path noon.Path) string {
	text := Clean(path.Prefix) + " → " + Clean(path.Service)
	if path.Strip {
		text += ", which sees the path without it"
	}
	if path.Revision != nil {
		text += ", of " + path.Revision.String() + " only"
	}
	return text
}

func segmentText(s noon.RoutedSegment) string {
	var who []string
	if s.Visitors > 0 {
		who = append(who, Count(s.Visitors, "visitor"))
	}
	if s.Addresses > 0 {
		who = append(who, "addresses ("+strconv.Itoa(s.Addresses)+")")
	}
	who = append(who, s.Matches...)
	return Clean(s.Name) + " → " + s.Revision.String() + ": " + cmp.Or(Clean(strings.Join(who, ", ")), "nobody")
}

func (p Page) shares(s noon.Routed) string {
	var parts []string
	for _, share := range s.Shares {
		parts = append(parts, p.good(share.Revision.String())+" "+percent(share.Points))
	}
	for _, r := range s.Previews {
		parts = append(parts, r.String()+" by preview")
	}
	if len(parts) == 0 {
		return p.dim("none is live")
	}
	return strings.Join(parts, ", ")
}

func (p Page) endpointRows(list []noon.RoutedEndpoint) [][]string {
	rows := [][]string{{"SERVICE", "REVISION", "ADDRESS", "STATE", "IN FLIGHT", "STREAMS", "SERVED", "FAILED", "DRAIN", "INSTANCE"}}
	for _, e := range list {
		state := p.good("routed")
		switch {
		case !e.Routed:
			state = p.warn("finishing")
		case e.Avoided:
			state = p.bad("avoided")
		case e.Sick != "":
			state = p.bad("sick")
		case e.Outlier != "":
			state = p.bad("left out")
		}
		failed := strconv.FormatInt(e.Failed, 10)
		if e.Failed > 0 {
			failed = p.bad(failed)
		}
		rows = append(rows, []string{
			Clean(e.Service), e.Revision.String(), cmp.Or(Clean(e.Address), "-"), state,
			strconv.Itoa(e.Requests), strconv.Itoa(e.Streams), grouped(uint64(max(e.Served, 0))), failed, Length(e.Drain), Clean(e.ID),
		})
	}
	return rows
}
