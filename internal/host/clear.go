package host

import (
	"context"
	"time"

	"github.com/noon-deploy/noon"
)

// clearing reports whether Clear has taken back what was desired. s.mu is held.
func (s *site) clearing() bool { return s.desired != nil && s.desired.Cleared }

func (s *site) clearingNow() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clearing()
}

// clearEvery is how often Clear looks whether everything is gone.
const clearEvery = 10 * time.Millisecond

// Clear takes back everything that is desired of a site, of all sites for the
// zero one, and returns when nothing of it runs any more. Instances are
// drained as ever, but a router that can not be reached does not hold them up.
// What an older controller says is refused afterwards too.
func (h *Host) Clear(ctx context.Context, name noon.Site) error {
	var sites []*site
	if name == (noon.Site{}) {
		sites = h.allSites()
	} else if s := h.known(name); s != nil {
		sites = append(sites, s)
	}
	for _, s := range sites {
		if err := s.clear(); err != nil {
			return err
		}
	}
	if err := h.stopTasks(ctx, sites); err != nil {
		return err
	}
	tick := time.NewTicker(clearEvery)
	defer tick.Stop()
	for !h.cleared(sites) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return &noon.Error{Kind: noon.Failure, Op: "clear", Subject: h.cfg.Name, Err: context.Cause(ctx), Hint: "Not everything has ended yet; it goes on ending."}
		}
	}
	return nil
}

func (s *site) clear() error {
	s.applying.Lock()
	defer s.applying.Unlock()
	have, _ := s.accepted()
	d := noon.Desired{Site: s.name}
	if have != nil {
		d.Fence = have.Desired.Fence
	}
	if err := s.store(stored{Desired: d, Cleared: true}); err != nil {
		return err
	}
	s.poke()
	return nil
}

func (h *Host) stopTasks(ctx context.Context, sites []*site) error {
	for _, t := range h.tasksOf(sites) {
		if t.status.Step != Ended {
			if err := h.StopTask(ctx, t.labels.Task); err != nil {
				return err
			}
		}
	}
	return nil
}

// cleared reports whether nothing is left running and no port is held.
func (h *Host) cleared(sites []*site) bool {
	for _, t := range h.tasksOf(sites) {
		if t.status.Step != Ended {
			return false
		}
	}
	for _, s := range sites {
		if !s.empty() {
			return false
		}
	}
	return true
}

func (s *site) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.instances {
		if !i.status.Released {
			return false
		}
	}
	return len(s.starting) == 0
}
