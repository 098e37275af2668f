package proxy

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/meter"
)

// traffic compares the counts of now with those at the end of the span. Nothing
// is kept for it while nobody looks.
func (p *Proxy) traffic(ctx context.Context, span time.Duration, own bool) (noon.TrafficSeen, error) {
	before := p.countsBefore()
	begin := time.Now()
	timer := time.NewTimer(span)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.over: // this process is about to end: what it has seen is told
	case <-ctx.Done():
		return noon.TrafficSeen{}, context.Cause(ctx)
	}
	t := noon.TrafficSeen{At: time.Now(), Over: time.Since(begin), Connections: int(p.users.open.n.Load()), Routes: []noon.RouteTraffic{}}
	err := p.withEarlier(ctx, own, func(others []meter.Snapshot) {
		t.Routes = append(t.Routes, p.routesSince(before, others, t.Over)...)
	})
	if err != nil {
		return noon.TrafficSeen{}, err
	}
	statuses, err := p.statuses(ctx, own)
	if err != nil {
		return noon.TrafficSeen{}, err
	}
	t.Services = serviceTraffic(statuses)
	t.Held = p.heldNow()
	return t, nil
}

// moment is what was counted at the beginning of a span.
type moment struct {
	counts []meter.Snapshot
	taken  int // bequests
}

func (p *Proxy) countsBefore() moment {
	p.bequests.mu.RLock()
	defer p.bequests.mu.RUnlock()
	return moment{p.meter.Counts(), len(p.bequests.taken)}
}

// routesSince tells of all series; what was taken over meanwhile was not
// counted within the span. It is called while nothing is taken over.
func (p *Proxy) routesSince(then moment, others []meter.Snapshot, span time.Duration) []noon.RouteTraffic {
	before := map[meter.Key]meter.Snapshot{}
	for _, n := range meter.Union(append([][]meter.Snapshot{then.counts}, p.bequests.taken[then.taken:]...)...) {
		before[n.Key] = n
	}
	more := map[meter.Key]meter.Snapshot{}
	for _, n := range others {
		more[n.Key] = n
	}
	var list []noon.RouteTraffic
	for _, now := range p.meter.Snapshots() {
		earlier, other := before[now.Key], more[now.Key]
		since := now.Since(&earlier)
		now.Add(&other)
		list = append(list, routeTraffic(&now, &since, span))
	}
	return list
}

// routeTraffic tells of one series; all are counts of all time, since those of
// the span.
func routeTraffic(all, since *meter.Snapshot, span time.Duration) noon.RouteTraffic {
	rate := func(n uint64) float64 { return float64(n) / max(span, time.Millisecond).Seconds() }
	k := all.Key
	return noon.RouteTraffic{
		Site: k.Site, Service: k.Service, Route: k.Route, Revision: k.Revision,
		Rate: rate(since.Requests()), ClientErrors: rate(since.Classes[4]), ServerErrors: rate(since.Classes[5]), Failed: rate(since.Failed()),
		P50: since.Quantile(0.5), P99: since.Quantile(0.99), In: rate(since.In), Out: rate(since.Out),
		Requests: all.Requests(), Sessions: all.Distinct(),
	}
}

// serviceTraffic adds up the endpoints of each release of a service.
func serviceTraffic(statuses []noon.RoutingStatus) []noon.ServiceTraffic {
	list := []noon.ServiceTraffic{}
	for _, st := range statuses {
		from := len(list)
		for _, e := range st.Endpoints {
			i := slices.IndexFunc(list[from:], func(s noon.ServiceTraffic) bool { return s.Service == e.Service && s.Revision == e.Revision }) + from
			if i < from {
				i = len(list)
				list = append(list, noon.ServiceTraffic{Site: st.Site, Service: e.Service, Revision: e.Revision, Points: pointsOf(st.Shares, e.Revision)})
			}
			if e.Routed {
				list[i].Instances++
			}
			list[i].Requests += e.Requests
			list[i].Streams += e.Streams
		}
		slices.SortFunc(list[from:], func(a, b noon.ServiceTraffic) int {
			return cmp.Or(cmp.Compare(a.Service, b.Service), compareRevisions(a.Revision, b.Revision))
		})
	}
	return list
}

func pointsOf(shares []noon.Share, r noon.Revision) int {
	for _, s := range shares {
		if s.Revision == r {
			return s.Points
		}
	}
	return 0
}

// heldNow is how many requests wait.
func (p *Proxy) heldNow() int {
	n := p.heldUnknown.Load()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, state := range p.sites {
		n += state.held.Load()
	}
	return int(n)
}
