package host

import (
	"context"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/noon-deploy/noon"
)

// lastLines is how much output is kept beside an exit.
const lastLines = 20

// Observe tells what the host and its router see of a site.
func (h *Host) Observe(ctx context.Context, name noon.Site) (noon.Observed, error) {
	o := noon.Observed{Site: name, Host: h.cfg.Name}
	s := h.known(name)
	if s == nil {
		return o, nil
	}
	ctx, stop := context.WithTimeout(ctx, statusLimit)
	defer stop()
	status, err := h.cfg.Router.Status(ctx, name)
	if err == nil {
		s.compare(status)
		o.Shares = map[string]int{}
		for _, share := range status.Shares {
			o.Shares[share.Revision.String()] = share.Points
		}
		o.InFlight = inFlight(status)
	}
	s.observe(&o)
	if o.Problem == nil && err != nil && noon.KindOf(err) != noon.NotFound {
		o.Problem = &noon.Error{Kind: noon.Unavailable, Op: "ask the proxy about", Subject: name.String(), Err: err, Hint: "Is the proxy running? noon doctor says more."}
	}
	return o, nil
}

func inFlight(status noon.RoutingStatus) []noon.InFlight {
	by := map[noon.Revision]*noon.InFlight{}
	var list []noon.InFlight
	for _, e := range status.Endpoints {
		f := by[e.Revision]
		if f == nil {
			f = &noon.InFlight{Revision: e.Revision}
			by[e.Revision] = f
		}
		f.Requests += e.Requests
		f.Streams += e.Streams
	}
	for _, f := range by {
		list = append(list, *f)
	}
	slices.SortFunc(list, func(a, b noon.InFlight) int {
		if a.Revision.Release != b.Revision.Release {
			return a.Revision.Release - b.Revision.Release
		}
		return a.Revision.Config - b.Revision.Config
	})
	return list
}

func (s *site) observe(o *noon.Observed) {
	there := s.host.releases.there()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.desired != nil {
		o.Accepted, o.Routed = s.desired.Desired.Fence, s.router.routed
		for _, r := range s.desired.Desired.Revisions {
			if there[r.Digest] && !slices.Contains(o.Releases, r.Digest) {
				o.Releases = append(o.Releases, r.Digest)
			}
		}
		slices.Sort(o.Releases)
	}
	o.Problem = s.problem()
	now := time.Now()
	o.Halt = s.router.halt.At(now)
	for _, i := range s.sorted() {
		if s.shown(i, now) {
			o.Instances = append(o.Instances, s.describe(i, now))
		}
	}
}

// shown leaves out what has ended and tells nothing about what is: the last
// exit of a slot is shown while it may matter, every other one until it is
// done with.
func (s *site) shown(i *instance, now time.Time) bool {
	if i.live() || !i.status.Released {
		return true
	}
	h := s.history(i.slot())
	if h.last != i.id || s.desired == nil || !slices.Contains(needs(s.desired.Desired), i.slot()) {
		return false
	}
	holder := s.holder(i.slot())
	return holder == nil || !holder.ready || h.failures > 0 && i.exit != nil && now.Sub(i.exit.At) < settledAfter
}

// describe gives the instance in the words of everybody. s.mu is held.
func (s *site) describe(i *instance, now time.Time) noon.Instance {
	h := s.history(i.slot())
	n := noon.Instance{
		ID: i.id, Site: s.name, Revision: i.Revision, Service: i.Service.Name, Index: i.Index, Incarnation: i.Incarnation,
		Phase: i.now(s.awaited(i)), PID: i.status.PID, Since: i.since, Started: i.status.Started, Probe: i.answer(now),
		Exit: i.exit, LastLines: i.lines,
	}
	if i.live() {
		if i.status.Port != 0 {
			n.Address = net.JoinHostPort("127.0.0.1", strconv.Itoa(i.status.Port))
		}
		if last := s.instances[h.last]; last != nil { // what the one before said is why
			if h.loop {
				n.LastLines = last.lines
			}
			if n.Probe == "" && !i.ready && last.exit != nil {
				n.Probe = "of the one before: " + last.exit.Reason
			}
		}
	} else {
		n.PID = 0
	}
	n.CrashLoop = h.loop && (i.live() || h.last == i.id)
	return n
}
