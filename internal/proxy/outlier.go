package proxy

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/noon-deploy/noon"
)

// What noon.Outliers is if nobody has set it.
const (
	usualOutlierRow     = 10
	usualOutlierAbove   = 25
	usualOutlierAnswers = 50
	usualOutlierTime    = 10 * time.Second
	usualOutlierMost    = 50
)

const (
	weighEvery = 100 * time.Millisecond
	// weighOver is how long ago an answer counts a third (1/e).
	weighOver = 10 * time.Second
	// surely is by how many standard errors two parts have to differ. It is
	// looked at ten times a second, for many instances, for months.
	surely = 5
	// forgiven is how long an instance has to behave until the time that it is
	// left out for begins anew.
	forgiven = 10 * time.Minute
)

// outliers finds instances that answer 5xx far more often than the others of
// their service and revision. Only sites are looked at that had such an answer
// lately. One goroutine owns all of it but wanted.
type outliers struct {
	mu     sync.Mutex
	wanted map[*siteState]struct{}

	last time.Time // when it was weighed
}

// leftOut is why an endpoint is left out, and until when.
type leftOut struct {
	until time.Time
	why   string
}

// tally is what an endpoint has answered lately: what is longer ago counts
// less. It is of the goroutine that weighs.
type tally struct {
	answers, bad float64
	seen, worse  int64 // the endpoint's counts as they were last looked at
	since        time.Time

	times int       // that it was left out in a row
	back  time.Time // when it last came back
}

// gave notes how an endpoint has answered.
func (p *Proxy) gave(state *siteState, e *endpoint, status int) {
	if status < http.StatusInternalServerError {
		if e.badRow.Load() != 0 {
			e.badRow.Store(0)
		}
		return
	}
	e.bad.Add(1)
	e.badRow.Add(1)
	if !state.suspect.Swap(true) {
		p.outliers.watch(state)
	}
}

func (o *outliers) watch(state *siteState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.wanted == nil {
		o.wanted = map[*siteState]struct{}{}
	}
	o.wanted[state] = struct{}{}
}

func (o *outliers) sites() []*siteState {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := make([]*siteState, 0, len(o.wanted))
	for state := range o.wanted {
		list = append(list, state)
	}
	return list
}

func (o *outliers) forget(state *siteState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.wanted, state)
	state.suspect.Store(false) // the next such answer has it watched again
}

// weigh looks at the sites that had bad answers.
func (p *Proxy) weigh(now time.Time) {
	o := &p.outliers
	passed := now.Sub(o.last)
	if passed < weighEvery {
		return
	}
	o.last = now
	keep := math.Exp(-float64(passed) / float64(weighOver))
	for _, state := range o.sites() {
		rule, groups := p.siblings(state)
		busy := false
		for _, group := range groups {
			for _, e := range group {
				e.count(now, keep)
				busy = busy || e.tally.bad > 0.1 || e.out.Load() != nil
			}
			p.weighGroup(state, group, rule, now)
		}
		if !busy {
			o.forget(state)
		}
	}
}

// siblings are the endpoints of a site that do the same.
func (p *Proxy) siblings(state *siteState) (noon.Outliers, [][]*endpoint) {
	type work struct {
		service  string
		revision noon.Revision
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	groups := map[work][]*endpoint{}
	for _, r := range state.routing.Endpoints {
		if e := state.endpoints[r.ID]; e != nil {
			w := work{e.Service, e.Revision}
			groups[w] = append(groups[w], e)
		}
	}
	list := make([][]*endpoint, 0, len(groups))
	for _, g := range groups {
		list = append(list, g)
	}
	return withOutlierDefaults(state.routing.Traffic.Outliers), list
}

func withOutlierDefaults(o noon.Outliers) noon.Outliers {
	o.Row = cmp.Or(o.Row, usualOutlierRow)
	o.Above = cmp.Or(o.Above, usualOutlierAbove)
	o.Answers = cmp.Or(o.Answers, usualOutlierAnswers)
	o.Time = cmp.Or(o.Time, usualOutlierTime)
	o.Most = cmp.Or(o.Most, usualOutlierMost)
	return o
}

// count takes over what the endpoint has answered since it was last looked at.
// That it has ended a request without an answer is as bad as any.
func (e *endpoint) count(now time.Time, keep float64) {
	t := &e.tally
	failed := e.failed.Load()
	seen, worse := e.served.Load()+failed, e.bad.Load()+failed
	if now.Sub(t.since) > weighOver { // it was not watched
		t.answers, t.bad = 0, 0
	} else {
		t.answers = t.answers*keep + float64(seen-t.seen)
		t.bad = t.bad*keep + float64(worse-t.worse)
	}
	t.seen, t.worse, t.since = seen, worse, now
}

// weighGroup lets those back whose time is over, and leaves out those that
// stand out, the worst first.
func (p *Proxy) weighGroup(state *siteState, group []*endpoint, rule noon.Outliers, now time.Time) {
	out := 0
	for _, e := range group {
		switch l := e.out.Load(); {
		case l == nil:
		case rule.Off || !now.Before(l.until):
			e.takeBack(now)
			p.log.Info("instance takes requests again", "site", e.site.String(), "instance", e.ID)
		default:
			out++
		}
	}
	if rule.Off {
		return
	}
	most := min(max(len(group)*rule.Most/100, 1), len(group)-1)
	slices.SortStableFunc(group, func(a, b *endpoint) int { return cmp.Compare(b.tally.part(), a.tally.part()) })
	for _, e := range group {
		if out >= most {
			return
		}
		if e.out.Load() != nil {
			continue
		}
		why := standsOut(&e.tally, int(e.badRow.Load()), others(group, e), rule)
		if why == "" {
			continue
		}
		d := e.leaveOut(why, rule.Time, now)
		out++
		state.ejections.Add(1)
		p.log.Warn("instance is left out for a time", "site", e.site.String(), "instance", e.ID, "for", d.String(), "why", why)
	}
}

// others adds up what the other endpoints that take requests have answered.
func others(group []*endpoint, but *endpoint) *tally {
	sum := &tally{}
	for _, e := range group {
		if e != but && e.out.Load() == nil {
			sum.answers += e.tally.answers
			sum.bad += e.tally.bad
		}
	}
	return sum
}

// part is the part of bad answers.
func (t *tally) part() float64 {
	if t.answers < 1 {
		return 0
	}
	return min(t.bad/t.answers, 1)
}

// standsOut tells why an endpoint is to be left out; "" if it is not. What all
// of them do is not the instance's fault, so it is always compared with the
// others.
func standsOut(mine *tally, row int, others *tally, rule noon.Outliers) string {
	if others.answers < max(float64(rule.Row)/4, 1) {
		return "" // nothing to compare it with
	}
	if row >= rule.Row && others.part() < .5 {
		return fmt.Sprintf("%d answers in a row were 5xx; of the others' %.0f %%", row, 100*others.part())
	}
	above := mine.part() - others.part()
	if mine.answers < float64(rule.Answers) || above < float64(rule.Above)/100 {
		return ""
	}
	// The test of two proportions: by chance they differ by so much hardly ever.
	both := (mine.bad + others.bad) / (mine.answers + others.answers)
	if above < surely*math.Sqrt(both*(1-both)*(1/mine.answers+1/others.answers)) {
		return ""
	}
	return fmt.Sprintf("%.0f %% of its answers are 5xx; of the others' %.0f %%", 100*mine.part(), 100*others.part())
}

// leaveOut has an endpoint left out for a time that doubles.
func (e *endpoint) leaveOut(why string, first time.Duration, now time.Time) time.Duration {
	t := &e.tally
	if now.Sub(t.back) > forgiven {
		t.times = 0
	}
	d := first << min(t.times, 5)
	t.times++
	e.out.Store(&leftOut{now.Add(d), why})
	return d
}

// takeBack undoes it: the endpoint takes a growing part again, as a new one.
func (e *endpoint) takeBack(now time.Time) {
	e.tally.answers, e.tally.bad, e.tally.back = 0, 0, now
	e.badRow.Store(0)
	e.begun.Store(e.clock())
	e.out.Store(nil)
}

// outlier is why the endpoint is left out; "" if it is not.
func (e *endpoint) outlier() string {
	if l := e.out.Load(); l != nil {
		return l.why
	}
	return ""
}
