package host

import (
	"context"
	"time"
)

// leave sees off the instances that are not wanted: nothing new is sent to
// them, what they are at ends, then they are stopped.
func (l *look) leave() {
	for _, i := range l.s.instances {
		if !i.draining || i.leaving || !i.live() || i.status.Stopping || l.s.router.routes(i) || !l.ripe("stop "+i.id) {
			continue
		}
		i.leaving = true
		l.do = append(l.do, func(ctx context.Context) { l.s.seeOff(ctx, i) })
	}
}

// seeOff drains and stops an instance that is not routed any more.
func (s *site) seeOff(ctx context.Context, i *instance) {
	what := "stop " + i.id
	if i.Service.Routed() && i.ready {
		limit := i.Service.Drain
		asked, stop := context.WithTimeout(ctx, limit+routeLimit)
		err := s.host.cfg.Router.Drain(asked, s.name, []string{i.id}, limit)
		stop()
		if ctx.Err() != nil {
			return
		}
		if err != nil && !s.clearingNow() {
			// It is not routed, so that it gets nothing new. Whether it has
			// something in flight is not known: look again.
			s.mu.Lock()
			i.leaving = false
			s.mu.Unlock()
			s.failed(what, err, time.Second)
			return
		}
	}
	s.host.cfg.Faults.Point("host.stop.before")
	err := s.host.cfg.Runner.Stop(ctx, i.id, i.Service.Stop)
	s.host.cfg.Faults.Point("host.stop.after")
	if err != nil && ctx.Err() == nil {
		s.mu.Lock()
		i.leaving = false
		s.mu.Unlock()
		s.failed(what, err, 10*time.Second)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worked(what)
}
