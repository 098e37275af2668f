package manifest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
)

func TestTraffic(t *testing.T) {
	t.Parallel()
	app := parse(t, `
app: shop
services:
  web: {command: ./web, paths: [/]}
  api: {command: ./api, paths: [{prefix: /api, strip: true}, {prefix: /v2}, /v3]}
traffic:
  redirects: [{from: "/old/*", to: "/new/*"}]
  response: {remove: [Server], set: {X-Frame-Options: DENY, X-Number: 1.10}}
  pages: {404: errors/404.html, 5xx: errors/5xx.html}
  limits: {body: 10MiB, in-flight: 5}
  health: {path: /healthz}
segments:
  staff: {addresses: [192.0.2.0/24]}
  beta: {query: {b: []}, cookies: {beta: "1", alpha: [1, 2]}}
environments:
  staging: {traffic: {redirects: [], pages: {503: soon.html}}, segments: {}}
  production: {domains: ["*.example.com"], traffic: {redirects: [{from: /, to: "https://example.com/", status: 308, host: www.example.com}]}}
`)
	api, _ := app.Service("api")
	if diff := cmp.Diff([]string{"/api", "/v2", "/v3"}, api.Paths) + cmp.Diff([]string{"/api"}, api.Strip); diff != "" {
		t.Error(diff)
	}
	common := noon.Traffic{
		Response: noon.HeaderRules{Remove: []string{"Server"}, Set: map[string]string{"X-Frame-Options": "DENY", "X-Number": "1.10"}},
		Limits:   noon.TrafficLimits{Body: 10 << 20, InFlight: 5},
		Health:   &noon.HealthCheck{Path: "/healthz", Interval: 2 * time.Second, Timeout: time.Second, Failures: 3},
	}
	staging, _ := app.Environment("staging")
	if diff := cmp.Diff(common, staging.Traffic) + cmp.Diff(map[string]string{"503": "soon.html"}, staging.Pages); diff != "" {
		t.Error(diff)
	}
	if len(staging.Segments) > 0 {
		t.Errorf("staging has %v", staging.Segments)
	}
	production, _ := app.Environment("production")
	common.Redirects = []noon.Redirect{{From: "/", To: "https://example.com/", Status: 308, Host: "www.example.com"}}
	if diff := cmp.Diff(common, production.Traffic) + cmp.Diff(map[string]string{"404": "errors/404.html", "5xx": "errors/5xx.html"}, production.Pages); diff != "" {
		t.Error(diff)
	}
	want := []noon.Segment{
		{Name: "staff", Addresses: []string{"192.0.2.0/24"}},
		{Name: "beta", Matches: []noon.Match{{In: "cookie", Name: "alpha", Values: []string{"1", "2"}}, {In: "cookie", Name: "beta", Values: []string{"1"}}, {In: "query", Name: "b"}}},
	}
	if diff := cmp.Diff(want, production.Segments); diff != "" {
		t.Error(diff)
	}
}

func TestTrafficMistakes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		input string
		want  []string // part of each message, in the order of the file
	}{
		{"traffic:\n  ☞redirect: []\n", []string{`unknown key "redirect" in traffic`}},
		{"traffic:\n  redirects:\n    - {from: ☞old, to: /new}\n", []string{`"old" does not begin with "/"`}},
		{"traffic:\n  redirects:\n    - ☞from: /old/*\n      to: /new/*/*\n", []string{`holds * twice`}},
		{"traffic:\n  redirects:\n    - ☞{from: /old, to: \"//evil.example\"}\n", []string{"neither a path that begins with one / nor a URL"}},
		{"traffic:\n  redirects:\n    - ☞{from: /old, to: /old}\n", []string{"leads to itself"}},
		{"traffic:\n  redirects:\n    - {from: /old, to: /new, status: ☞306}\n", []string{"306 is no status of a redirect"}},
		{"traffic:\n  redirects:\n    ☞- {from: /old}\n", []string{`traffic.redirects[0] has no "to"`}},
		{"traffic:\n  redirects:\n    - {from: /old, to: /new}\n    - ☞{from: /old, to: /newer}\n", []string{"two redirects from \"/old\"; first in line 3"}},
		{"environments:\n  production:\n    domains: [example.com]\n    traffic: {redirects: [{from: /a, to: /b, host: ☞example.org}]}\n", []string{`"example.org" is not among the domains of production`}},
		{"traffic: {request: {remove: [☞Host]}}\n", []string{"Host says how the message is carried"}},
		{"traffic: {response: {set: {☞X-Forwarded-For: a}}}\n", []string{"X-Forwarded-For is noon's own word"}},
		{"traffic: {response: {set: {A: ☞\"b\\nc\"}}}\n", []string{"holds a line break"}},
		{"traffic: {response: {set: {Abc: b, ☞abc: c}}}\n", []string{`"abc" is set twice: as "Abc" too`}},
		{"traffic: {pages: {☞200: a.html}}\n", []string{`"200" is not a status from 400 to 599`}},
		{"traffic: {pages: {404: ☞../a.html}}\n", []string{"outside of the repository"}},
		{"traffic: {trusted: [☞10.0.0.1/8]}\n", []string{"bits outside of its network"}},
		{"traffic: {trusted: [☞balancer]}\n", []string{`"balancer" is not an address`}},
		{"traffic: {limits: {body: ☞10}}\n", []string{"10\" has no unit"}},
		{"traffic: {limits: {☞queue: 10}}\n", []string{"traffic.limits has queue but no in-flight"}},
		{"traffic: {replay: {budget: ☞200}}\n", []string{"out of range"}},
		{"traffic: {☞health: {interval: 1s}}\n", []string{`traffic.health has no "path"`}},
		{"segments: {☞beta: {}}\n", []string{"segments.beta has nobody"}},
		{"segments: {beta: {cookies: {☞\"a b\": 1}}}\n", []string{`"a b" is not the name of a header`}},
		{"segments: {☞Beta: {cookies: {a: 1}}}\n", []string{"Beta"}},
		{"services: {web: {command: ./web, paths: ☞[{strip: true}]}}\n", []string{`services.web.paths[0] has no "prefix"`}},
		{"services: {web: {command: ./web, paths: [{prefix: /a, ☞stripped: true}]}}\n", []string{`unknown key "stripped"`}},
		{"services: {web: {command: ./web, paths: [/a, ☞{prefix: /a, strip: true}]}}\n", []string{`path "/a" belongs to service "web" already`}},
	} {
		input, places := unmark(whole(tc.input))
		mistakes := mistakesOf(t, input)
		if len(mistakes) != len(tc.want) {
			t.Errorf("%s%d mistakes, want %d: %v", tc.input, len(mistakes), len(tc.want), mistakes[0])
			continue
		}
		for i, m := range mistakes {
			if got := fmt.Sprintf("%d:%d", m.Line, m.Column); got != places[i] || !strings.Contains(m.Message, tc.want[i]) {
				t.Errorf("%sgot %s: %s\nwant %s: %s", tc.input, got, m.Message, places[i], tc.want[i])
			}
		}
	}
}
