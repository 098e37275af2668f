package host

import (
	"context"
	"maps"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/noon-deploy/noon"
)

// look is one look at a site: what it decides, and what is to be done about it
// outside the lock.
type look struct {
	s    *site
	now  time.Time
	next time.Time // when to look again, at the latest
	do   []func(context.Context)
}

// at asks for another look.
func (l *look) at(t time.Time) {
	if l.next.IsZero() || t.Before(l.next) {
		l.next = t
	}
}

// ripe reports whether something that went wrong may be tried again.
func (l *look) ripe(what string) bool {
	r, ok := l.s.retries[what]
	if ok && r.after.After(l.now) {
		l.at(r.after)
		return false
	}
	return true
}

// pass compares what is with what shall be and takes every next step.
func (s *site) pass(ctx context.Context, wg *sync.WaitGroup, now time.Time) time.Time {
	s.mu.Lock()
	l := &look{s: s, now: now}
	if s.desired != nil && s.broken == nil {
		l.forget()
		l.exits()
		l.fill()
		shares, exact := l.shares()
		l.judge(shares, exact)
		l.ready()
		l.route(shares, exact)
		l.leave()
		l.free()
		for _, i := range s.instances {
			s.enter(i, now)
		}
	}
	s.mu.Unlock()
	for _, do := range l.do {
		wg.Go(func() { do(ctx) })
	}
	return l.next
}

// forget drops what went wrong with something that is not desired any more.
func (l *look) forget() {
	s, current := l.s, map[string]bool{}
	for _, r := range s.desired.Desired.Revisions {
		current["unpack "+r.Digest] = true
	}
	for _, at := range needs(s.desired.Desired) {
		current["start "+at.String()], current["order "+at.String()] = true, true
	}
	for what := range s.problems {
		kind, _, _ := strings.Cut(what, " ")
		if (kind == "unpack" || kind == "start" || kind == "order") && !current[what] {
			s.worked(what)
		}
	}
}

// exits takes in the exits that are new.
func (l *look) exits() {
	for _, i := range l.s.instances {
		if i.live() || i.seen || i.closing {
			continue
		}
		i.closing = true
		l.do = append(l.do, func(ctx context.Context) { l.s.close(ctx, i) })
	}
}

// close reads the last lines of an instance that has ended and takes its exit
// in.
func (s *site) close(ctx context.Context, i *instance) {
	lines, err := tail(ctx, s.host.cfg.Runner, i.id, lastLines)
	if err != nil {
		s.host.cfg.Log.Warn("read last lines", "instance", i.id, "err", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i.lines, i.seen = lines, true
	asked := i.status.Stopping && i.late == ""
	exit := *i.status.Exit
	if i.late != "" {
		exit.Reason = i.late + ": " + exit.Reason
	}
	i.exit = &exit
	what := "start " + i.slot().String()
	if i.status.Problem != nil && !asked {
		s.problems[what] = i.status.Problem
	}
	if !asked {
		s.takeExit(i, time.Now())
		s.host.cfg.Log.Warn("instance exited", "instance", i.id, "reason", exit.Reason)
	}
	s.poke()
}

// fill starts what is missing.
func (l *look) fill() {
	for _, r := range l.s.desired.Desired.Revisions {
		unpacked := l.unpack(r.Digest)
		for _, service := range r.Instances {
			for index := range service.Count {
				if at := (slot{r.Revision, service.Service.Name, index}); unpacked {
					l.start(at, r, service.Service)
				}
			}
		}
	}
}

// unpack reports whether the release is there, and sees to it.
func (l *look) unpack(digest string) bool {
	what := "unpack " + digest
	ready, busy := l.s.host.releases.state(digest)
	if ready {
		l.s.worked(what)
		return true
	}
	if busy || !l.ripe(what) {
		return false
	}
	l.do = append(l.do, func(ctx context.Context) {
		if err := l.s.host.releases.unpack(ctx, digest); err != nil && ctx.Err() == nil {
			l.s.failed(what, err, 10*time.Second)
		}
		l.s.poke()
	})
	return false
}

// start starts the next incarnation of a slot that is empty.
func (l *look) start(at slot, r noon.DesiredRevision, service noon.Service) {
	s, h := l.s, l.s.history(at)
	if holder := s.holder(at); holder != nil {
		settled := holder.status.Started.Add(settledAfter)
		if holder.ready && h.failures > 0 && holder.status.Step == Running {
			if l.now.After(settled) {
				h.settle()
			} else {
				l.at(settled)
			}
		}
		return
	}
	if s.starting[at] || s.unseen(at) {
		return
	}
	if h.next.After(l.now) {
		l.at(h.next)
		return
	}
	what := "order " + at.String()
	if !l.ripe(what) {
		return
	}
	s.starting[at] = true
	spec, err := s.spec(at, r, service, s.nextIncarnation(at))
	l.do = append(l.do, func(ctx context.Context) {
		if err == nil {
			s.host.cfg.Faults.Point("host.start.before")
			err = s.host.cfg.Runner.Start(ctx, spec)
			s.host.cfg.Faults.Point("host.start.after")
		}
		s.ordered(at, what, spec, err)
	})
}

// unseen reports whether an exit in the slot is still being taken in, which
// decides when the next may start.
func (s *site) unseen(at slot) bool {
	for _, i := range s.instances {
		if i.slot() == at && !i.live() && !i.seen {
			return true
		}
	}
	return false
}

func (s *site) nextIncarnation(at slot) int {
	highest := s.counters[at.String()]
	for _, i := range s.instances {
		if i.slot() == at {
			highest = max(highest, i.Incarnation)
		}
	}
	return highest + 1
}

// ordered takes the instance in before the runner has reported it, so that it
// is not ordered again.
func (s *site) ordered(at slot, what string, spec Spec, err error) {
	if err != nil {
		s.failed(what, err, 10*time.Second)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.starting, at)
	if err == nil {
		s.worked(what)
		if _, known := s.instances[spec.ID]; !known {
			if l, perr := parseLabels(spec.Labels); perr == nil {
				i := s.found(l, Status{ID: spec.ID, Labels: spec.Labels, Step: Ordered, Ordered: time.Now()})
				s.enter(i, time.Now())
			}
		}
	}
	s.poke()
}

// spec says how an instance is run.
func (s *site) spec(at slot, r noon.DesiredRevision, service noon.Service, incarnation int) (Spec, error) {
	id := instanceID(s.name, at, incarnation)
	packed, err := labels{
		Site: s.name, Revision: r.Revision, Digest: r.Digest, Service: service, Index: at.Index, Incarnation: incarnation,
	}.pack()
	env := s.host.environment(r.Env)
	maps.Copy(env, service.Env)
	env["NOON_INSTANCE"] = id
	return Spec{
		ID: id, Labels: packed, Command: service.Command, Root: s.host.releases.dir(r.Digest), Dir: service.Dir,
		Env: env, User: service.User, Limits: service.Limits, Port: true, Stop: service.Stop,
	}, err
}

// environment is what every process gets: little of the host part's own, and
// what the controller has resolved.
func (h *Host) environment(resolved map[string]string) map[string]string {
	env := map[string]string{}
	for _, name := range []string{"PATH", "HOME", "TZ", "LANG"} {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = value
		}
	}
	maps.Copy(env, resolved)
	env["NOON_HOST"] = h.cfg.Name
	return env
}

// shares gives the shares to route by.
func (l *look) shares() ([]noon.Share, bool) {
	return settleShares(target(l.s.desired.Desired), l.s.router.shares, l.serves)
}

// serves reports whether every routed service of a revision has an instance
// that users may be sent to.
func (l *look) serves(r noon.Revision) bool {
	up := map[string]bool{}
	for _, i := range l.s.instances {
		if i.Revision == r && i.Service.Routed() && i.up() && !i.leaving {
			up[i.Service.Name] = true
		}
	}
	need, desired := routedOf(l.s.desired.Desired, r)
	if desired && len(need) == 0 {
		return true // workers only: there is nobody to send
	}
	for _, name := range need {
		if !up[name] {
			return false
		}
	}
	return len(up) > 0
}

// routedOf lists the routed services of a revision, and reports whether it
// shall run at all.
func routedOf(d noon.Desired, r noon.Revision) (routed []string, runs bool) {
	for _, rev := range d.Revisions {
		if rev.Revision != r {
			continue
		}
		for _, service := range rev.Instances {
			runs = true
			if service.Service.Routed() && service.Count > 0 {
				routed = append(routed, service.Service.Name)
			}
		}
	}
	return routed, runs
}

// judge decides which instances are not wanted any more.
func (l *look) judge(shares []noon.Share, exact bool) {
	s := l.s
	need := map[slot]bool{}
	for _, at := range needs(s.desired.Desired) {
		need[at] = true
	}
	keep := map[noon.Revision]bool{}
	for _, share := range shares {
		keep[share.Revision] = !exact // they hold the users until others can
	}
	for _, i := range s.instances {
		if !i.live() || i.leaving {
			continue
		}
		wanted := need[i.slot()] && s.holder(i.slot()) == i || keep[i.Revision]
		if !wanted && i.Service.Routed() && !s.router.known {
			continue // who holds the users is not known yet
		}
		i.draining = !wanted
	}
}

// free releases what has ended and is not routed any more.
func (l *look) free() {
	for _, i := range l.s.instances {
		if i.live() || !i.seen || i.freeing || i.status.Released || l.s.router.routes(i) || !l.ripe("release "+i.id) {
			continue
		}
		i.freeing = true
		l.do = append(l.do, func(ctx context.Context) {
			err := l.s.host.cfg.Runner.Release(ctx, i.id)
			if err != nil && ctx.Err() == nil {
				l.s.failed("release "+i.id, err, 10*time.Second)
			}
			l.s.mu.Lock()
			defer l.s.mu.Unlock()
			i.freeing = false
			if err == nil {
				i.status.Released = true
				l.s.worked("release " + i.id)
			}
			l.s.poke()
			l.s.host.untidy()
		})
	}
}
