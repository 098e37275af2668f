package host

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
)

// What is kept of processes that have ended: their output and exit.
const (
	keptEnded = 20 // of each site, and of its tasks as many
	keptFor   = 24 * time.Hour
	tidyEvery = time.Minute
)

// untidy makes tidy look.
func (h *Host) untidy() {
	select {
	case h.mess <- struct{}{}:
	default:
	}
}

// tidy records tasks that have ended and removes what nobody needs any more.
func (h *Host) tidy(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		h.tidyTasks(ctx)
		for _, s := range h.allSites() {
			s.tidy(ctx, time.Now())
		}
		if err := h.releases.sweep(h.uses); err != nil {
			h.cfg.Log.Warn("remove releases", "err", err)
		}
		for _, s := range h.allSites() {
			s.poke() // one may have waited for a release that was looked at
		}
		h.tidyMarkers()
		select {
		case <-h.mess:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// uses reports whether a release is needed, or whether that is not known.
func (h *Host) uses(digest string) bool {
	sites := h.allSites()
	for _, s := range sites {
		if s.uses(digest) {
			return true
		}
	}
	for _, t := range h.tasksOf(sites) {
		if t.status.Step != Ended && t.labels.Digest == digest {
			return true
		}
	}
	return false
}

func (s *site) uses(digest string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return true
	}
	if s.desired != nil && slices.ContainsFunc(s.desired.Desired.Revisions, func(r noon.DesiredRevision) bool { return r.Digest == digest }) {
		return true
	}
	for _, i := range s.instances {
		if i.live() && i.Digest == digest {
			return true
		}
	}
	return false
}

func (h *Host) tidyTasks(ctx context.Context) {
	tasks := map[noon.Site][]task{}
	for _, t := range h.tasksOf(h.allSites()) {
		switch {
		case t.status.Step != Ended:
		case !t.status.Released:
			if err := h.closeTask(ctx, t); err != nil && ctx.Err() == nil {
				h.cfg.Log.Error("close task", "task", t.labels.Task, "err", err)
			}
		default:
			tasks[t.labels.Site] = append(tasks[t.labels.Site], t)
		}
	}
	for _, list := range tasks {
		for _, t := range outdated(list, func(t task) *noon.Exit { return t.status.Exit }, time.Now()) {
			if err := h.cfg.Runner.Remove(ctx, t.status.ID); err != nil {
				h.cfg.Log.Warn("remove ended task", "task", t.labels.Task, "err", err)
				continue
			}
			h.mu.Lock()
			delete(h.tasks, t.labels.Task)
			h.mu.Unlock()
		}
	}
}

// outdated picks those whose remains are not kept.
func outdated[T any](ended []T, exit func(T) *noon.Exit, now time.Time) []T {
	slices.SortFunc(ended, func(a, b T) int { return -cmp.Compare(exit(a).At.UnixNano(), exit(b).At.UnixNano()) })
	for n, e := range ended {
		if n >= keptEnded || now.Sub(exit(e).At) > keptFor {
			return ended[n:]
		}
	}
	return nil
}

// tidy removes the remains of instances. That an incarnation existed is
// remembered first.
func (s *site) tidy(ctx context.Context, now time.Time) {
	old, err := s.outdated(now)
	if err != nil {
		s.host.cfg.Log.Warn("remember incarnations", "site", s.name.String(), "err", err)
		return
	}
	for _, i := range old {
		if err := s.host.cfg.Runner.Remove(ctx, i.id); err != nil {
			s.host.cfg.Log.Warn("remove ended instance", "instance", i.id, "err", err)
			continue
		}
		s.mu.Lock()
		delete(s.instances, i.id)
		s.mu.Unlock()
	}
}

// outdated picks the instances whose remains go, and remembers that they were.
func (s *site) outdated(now time.Time) ([]*instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return nil, nil
	}
	need, live := map[slot]bool{}, map[slot]bool{}
	if s.desired != nil {
		for _, at := range needs(s.desired.Desired) {
			need[at] = true
		}
	}
	var ended []*instance
	for _, i := range s.sorted() {
		at := i.slot()
		live[at] = live[at] || i.live()
		if !i.live() && i.status.Released && (!need[at] || s.history(at).last != i.id) {
			ended = append(ended, i)
		}
	}
	for at := range s.slots {
		if !need[at] && !live[at] {
			delete(s.slots, at)
		}
	}
	old := outdated(ended, func(i *instance) *noon.Exit { return i.status.Exit }, now)
	if len(old) == 0 {
		return nil, nil
	}
	for _, i := range old {
		s.counters[i.slot().String()] = max(s.counters[i.slot().String()], i.Incarnation)
	}
	return old, s.remember()
}

// tidyMarkers removes the ready marks of instances that are no more.
func (h *Host) tidyMarkers() {
	entries, err := os.ReadDir(filepath.Join(h.cfg.Dir, readyDir))
	if err != nil {
		return
	}
	for _, e := range entries {
		key, _, _ := strings.Cut(e.Name(), "_")
		name, err := noon.ParseSiteKey(key)
		if err != nil {
			continue
		}
		if s := h.known(name); s == nil || !s.has(e.Name()) {
			_ = os.Remove(filepath.Join(h.cfg.Dir, readyDir, e.Name()))
		}
	}
}

func (s *site) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.instances[id] != nil
}
