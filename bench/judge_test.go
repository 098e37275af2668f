//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func of(name string, cpu ...float64) *series {
	s := &series{name: name}
	for _, v := range cpu {
		s.samples = append(s.samples, sample{values: map[metric]float64{cpuTime: v, p99: v}})
	}
	return s
}

func caseOf(t *testing.T, id string) testCase {
	t.Helper()
	for _, c := range cases() {
		if c.id == id {
			return c
		}
	}
	t.Fatalf("there is no case %s", id)
	return testCase{}
}

func TestRatioIsTakenWithinARound(t *testing.T) {
	// The machine was three times as slow in the second round.
	got, ok := ratio(of(noonOne, 8, 24, 8), of(haproxy, 10, 30, 10), cpuTime)
	if !ok || got != .8 {
		t.Errorf("the ratio is %v, %v", got, ok)
	}
	if _, ok := ratio(of(noonOne, 8), of(haproxy), cpuTime); ok {
		t.Error("there is a ratio to a peer without rounds")
	}
}

func TestVerdicts(t *testing.T) {
	get := caseOf(t, "get")
	for name, tt := range map[string]struct {
		peers []*series
		want  []string
	}{
		"below both":     {[]*series{of(noonOne, 8), of(haproxy, 10)}, []string{pass, pass}},
		"between":        {[]*series{of(noonOne, 11), of(haproxy, 10)}, []string{pass, miss}},
		"above both":     {[]*series{of(noonOne, 40), of(haproxy, 10)}, []string{miss, miss}},
		"no haproxy":     {[]*series{of(noonOne, 40)}, []string{"not judged: haproxy was not measured", "not judged: haproxy was not measured"}},
		"noon left out":  {[]*series{{name: noonOne, absent: "it ended"}, of(haproxy, 10)}, []string{"not judged: it ended", "not judged: it ended"}},
		"noon not asked": {[]*series{of(haproxy, 10)}, []string{"not judged: noon was not asked for", "not judged: noon was not asked for"}},
	} {
		got := outcome{testCase: get, peers: tt.peers}.verdicts()
		for i, want := range tt.want {
			if got[i].Result != want {
				t.Errorf("%s: %s is %q, not %q", name, got[i].Name, got[i].Result, want)
			}
		}
	}
	failed := of(noonOne, 8)
	failed.samples[0].errors = 1
	if v := (outcome{testCase: get, peers: []*series{failed, of(haproxy, 10)}}).verdicts(); v[0].Result == pass {
		t.Error("noon passes although requests failed")
	}
}

func TestTooFewSnapshotsAreNoPass(t *testing.T) {
	routes := caseOf(t, "routes")
	for got, want := range map[float64]string{100: pass, 50: "not judged: only 50 of 100 snapshots/s were acknowledged"} {
		subject := of(routes.subject(), 10)
		subject.samples[0].values[snapshots] = got
		if v := (outcome{testCase: routes, peers: []*series{of(noonOne, 10), subject}}).verdicts(); v[0].Result != want {
			t.Errorf("with %v snapshots a second the verdict is %q", got, v[0].Result)
		}
	}
}

func TestBarsReferToWhatIsMeasured(t *testing.T) {
	for _, c := range cases() {
		if len(c.bars) == 0 || (c.run == nil) == (c.held == nil) {
			t.Errorf("%s has %d bars, and must either serve or hold", c.id, len(c.bars))
		}
		known := map[string]bool{"": true, haproxy: true, caddy: true}
		for _, v := range c.variants {
			known[v.name] = true
		}
		for _, b := range c.bars {
			if !known[b.against] {
				t.Errorf("%s: a bar is against %s, which does not take part", c.id, b.against)
			}
		}
	}
}

func TestAddedP99(t *testing.T) {
	peers := []*series{of(noonOne, 3, 4), of(direct, 1, 3)}
	addP99(peers)
	for i, want := range []float64{2, 1} {
		if got := peers[0].samples[i].values[addedP99]; got != want {
			t.Errorf("round %d adds %v, not %v", i, got, want)
		}
	}
}

func TestReports(t *testing.T) {
	out := outcome{testCase: caseOf(t, "get"), peers: []*series{of(noonOne, 8), of(haproxy, 10), {name: caddy, absent: "it is not installed"}}}
	for _, asJSON := range []bool{false, true} {
		var b bytes.Buffer
		r := newReport(&b, options{json: asJSON, rounds: 1, seconds: 1})
		for _, step := range []func() error{r.begin, func() error { return r.add(out) }, r.end} {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{"noon", "haproxy", "PASS", "it is not installed"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("the report (JSON: %v) lacks %q:\n%s", asJSON, want, b.String())
			}
		}
		if asJSON && !json.Valid(b.Bytes()) {
			t.Errorf("this is no JSON:\n%s", b.String())
		}
	}
}

func TestOptions(t *testing.T) {
	for _, bad := range [][]string{{"--case", "none"}, {"--peers", "noon,apache"}, {"--rounds", "0"}, {"--seconds", "-1"}, {"left"}} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
	o, err := parse([]string{"--case", "get,post", "--peers", "noon,direct", "--case", ""})
	if err != nil || !chosen(o.cases, "get") || !chosen(o.peers, "noon") || chosen(o.peers, "caddy") {
		t.Errorf("%+v, %v", o, err)
	}
}
