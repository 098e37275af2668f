//go:build linux

package main

import (
	"fmt"
	"slices"
)

// verdict is what one bar says of noon.
type verdict struct {
	Name    string  `json:"name"`
	Of      metric  `json:"of"`
	Most    float64 `json:"most"`
	Against string  `json:"against,omitempty"`
	Value   float64 `json:"value"`
	Result  string  `json:"result"` // PASS, MISS, or why there is none
}

// String is the line below the table.
func (v verdict) String() string {
	limit := fmt.Sprintf("%s ≤ %g", v.Of, v.Most)
	value := fmt.Sprintf("%.2f", v.Value)
	if v.Against != "" {
		limit = fmt.Sprintf("%s ≤ %g × %s", v.Of, v.Most, v.Against)
		value += " ×"
	}
	if v.Result != pass && v.Result != miss {
		return fmt.Sprintf("%s (%s): %s", v.Name, limit, v.Result)
	}
	return fmt.Sprintf("%s (%s): %s, %s", v.Name, limit, v.Result, value)
}

// A bar is text, no exit status: what a machine that others use shows once is
// not what a change is refused for.
const (
	pass = "PASS"
	miss = "MISS"
)

// verdicts holds noon against the bars of the case.
func (o outcome) verdicts() []verdict {
	all := []verdict{}
	for _, b := range o.bars {
		v := verdict{Name: b.name, Of: b.of, Most: b.most, Against: b.against}
		v.Value, v.Result = o.judge(b)
		all = append(all, v)
	}
	return all
}

func (o outcome) judge(b bar) (value float64, result string) {
	subject := o.find(o.subject())
	if subject == nil {
		return 0, "not judged: noon was not asked for"
	}
	value, ok := subject.median(b.of)
	if !ok {
		if subject.absent != "" {
			return 0, "not judged: " + subject.absent
		}
		return 0, "not judged: this machine does not tell"
	}
	if b.against != "" {
		against := o.find(b.against)
		if against == nil || len(against.samples) == 0 {
			return 0, "not judged: " + b.against + " was not measured"
		}
		if value, ok = ratio(subject, against, b.of); !ok {
			return 0, "not judged: " + b.against + " has no figure above 0"
		}
	}
	if wanted := o.wantedSnapshots(); wanted > 0 {
		if got, _ := subject.median(snapshots); got < .9*wanted {
			return value, fmt.Sprintf("not judged: only %.0f of %.0f snapshots/s were acknowledged", got, wanted)
		}
	}
	if subject.errors() > 0 {
		return value, "not judged: requests failed"
	}
	if value <= b.most {
		return value, pass
	}
	return value, miss
}

// wantedSnapshots is how many a second noon was to be given meanwhile.
func (o outcome) wantedSnapshots() float64 {
	for _, v := range o.variants {
		if v.name == o.subject() {
			return v.snapshots
		}
	}
	return 0
}

func (o outcome) find(name string) *series {
	for _, s := range o.peers {
		if s.name == name {
			return s
		}
	}
	return nil
}

// ratio is the median of the ratios within each round: what the machine did
// meanwhile met both.
func ratio(a, b *series, m metric) (float64, bool) {
	var all []float64
	for i := range min(len(a.samples), len(b.samples)) {
		x, y := a.samples[i].values[m], b.samples[i].values[m]
		if y > 0 {
			all = append(all, x/y)
		}
	}
	return median(all)
}

func (s *series) median(m metric) (float64, bool) {
	var all []float64
	for _, sample := range s.samples {
		if v, ok := sample.values[m]; ok {
			all = append(all, v)
		}
	}
	return median(all)
}

func median(all []float64) (float64, bool) {
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2, true
}

func (s *series) errors() int {
	n := 0
	for _, sample := range s.samples {
		n += sample.errors
	}
	return n
}

// summary is what is told of a peer.
func (s *series) summary(o outcome) jsonPeer {
	p := jsonPeer{Name: s.name, LeftOut: s.absent, Errors: s.errors(), Median: map[metric]float64{}}
	for _, sample := range s.samples {
		p.Rounds = append(p.Rounds, sample.values)
		if sample.note != "" {
			p.Note = sample.note
		}
		for m := range sample.values {
			p.Median[m], _ = s.median(m)
		}
	}
	of := cpuTime
	if o.held != nil {
		of = memoryEach
	}
	if reference := o.find(o.ratio); reference != nil {
		p.Ratio, _ = ratio(s, reference, of)
	}
	return p
}

// addP99 tells how much later than from the origin itself the slowest answers
// come, round by round.
func addP99(peers []*series) {
	bare := outcome{peers: peers}.find(direct)
	if bare == nil {
		return
	}
	for _, s := range peers {
		for i := range min(len(s.samples), len(bare.samples)) {
			if s != bare {
				s.samples[i].values[addedP99] = s.samples[i].values[p99] - bare.samples[i].values[p99]
			}
		}
	}
}
