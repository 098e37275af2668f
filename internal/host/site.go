package host

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/noon-deploy/noon"
)

// site is what the host knows and does of one site. Everything slow is done by
// goroutines that its run owns; pass looks at the whole and starts them.
type site struct {
	host *Host
	name noon.Site
	wake chan struct{}

	applying sync.Mutex // one Apply at a time

	mu        sync.Mutex
	desired   *stored     // nil: nothing was ever asked for, nothing is done
	broken    *noon.Error // what is desired can not be read: nothing is done
	epoch     int64       // highest of Apply and StartTask
	counters  map[string]int
	instances map[string]*instance
	slots     map[slot]*history
	starting  map[slot]bool
	router    routing
	problems  map[string]*noon.Error // by what they are of
	retries   map[string]retry
}

// retry says when something that went wrong is tried again.
type retry struct {
	after time.Time
	wait  time.Duration
}

// marks is the file of what must not be forgotten of a site.
type marks struct {
	Epoch        int64          `json:"epoch"`
	Incarnations map[string]int `json:"incarnations,omitempty"` // slot → the highest that was removed
}

func openSite(h *Host, name noon.Site) *site {
	s := &site{
		host: h, name: name, wake: make(chan struct{}, 1), counters: map[string]int{}, instances: map[string]*instance{},
		slots: map[slot]*history{}, starting: map[slot]bool{}, problems: map[string]*noon.Error{}, retries: map[string]retry{},
	}
	var m marks
	var d stored
	_, err := readJSON(s.file(stateDir), &m)
	var found bool
	if err == nil {
		found, err = readJSON(s.file(desiredDir), &d)
	}
	if err != nil {
		s.broken = &noon.Error{
			Kind: noon.Internal, Op: "read what is desired of", Subject: name.String(), Err: err,
			Hint: "Its instances go on as they are. The next deployment or rollback writes the file anew.",
		}
		return s
	}
	s.epoch = m.Epoch
	if m.Incarnations != nil {
		s.counters = m.Incarnations
	}
	if found {
		s.desired, s.epoch = &d, max(s.epoch, d.Desired.Fence.Epoch)
	}
	return s
}

// remember stores what must not be forgotten. s.mu is held.
func (s *site) remember() error {
	return writeJSON(s.file(stateDir), marks{Epoch: s.epoch, Incarnations: s.counters})
}

// poke makes the site be looked at.
func (s *site) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run looks at the site whenever something happened or a time has come.
func (s *site) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { s.watchRouter(ctx) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.wake:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		next := s.pass(ctx, &wg, time.Now())
		if next.IsZero() {
			timer.Stop()
			continue
		}
		timer.Reset(max(time.Millisecond, time.Until(next)))
	}
}

// changed takes in what the runner reports of an instance.
func (s *site) changed(l labels, status Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.instances[status.ID]
	if !ok {
		i = s.found(l, status)
	}
	i.status = status
	s.enter(i, time.Now())
	s.poke()
}

// found takes in an instance that was not known, which may be one of an
// earlier host part. s.mu is held.
func (s *site) found(l labels, status Status) *instance {
	i := &instance{labels: l, id: status.ID, status: status}
	if _, err := os.Stat(s.readyFile(status.ID)); err == nil {
		i.ready = true
	}
	s.instances[status.ID] = i
	if status.Released { // seen before: what is left is its place in the history
		i.seen, i.exit = true, status.Exit
		if status.Exit != nil && !status.Stopping {
			s.takeExit(i, time.Now())
		}
	}
	return i
}

// takeExit puts an exit nobody asked for into the history of its slot. s.mu is
// held.
func (s *site) takeExit(i *instance, now time.Time) {
	at := now
	if exit := i.status.Exit.At; exit.Before(now) {
		at = exit
	}
	up := time.Duration(0)
	if !i.status.Started.IsZero() {
		up = max(0, at.Sub(i.status.Started))
	}
	s.history(i.slot()).exited(i.id, at, up, i.ready)
}

func (s *site) history(at slot) *history {
	h, ok := s.slots[at]
	if !ok {
		h = &history{}
		s.slots[at] = h
	}
	return h
}

func (s *site) readyFile(id string) string {
	return filepath.Join(s.host.cfg.Dir, readyDir, id)
}

// enter notes when the instance came into its phase. s.mu is held.
func (s *site) enter(i *instance, now time.Time) {
	if phase := i.now(s.awaited(i)); phase != i.phase {
		i.phase, i.since = phase, now.UTC()
	}
}

// awaited reports whether a next incarnation is to follow this one. s.mu is
// held.
func (s *site) awaited(i *instance) bool {
	if i.live() || s.history(i.slot()).last != i.id || s.desired == nil {
		return false
	}
	if s.holder(i.slot()) != nil {
		return false
	}
	return slices.Contains(needs(s.desired.Desired), i.slot())
}

// holder gives the instance that fills a slot, the newest if there are
// several. s.mu is held.
func (s *site) holder(at slot) *instance {
	var holder *instance
	for _, i := range s.instances {
		if i.slot() == at && i.holds() && (holder == nil || i.Incarnation > holder.Incarnation) {
			holder = i
		}
	}
	return holder
}

// needs lists the slots that shall be filled.
func needs(d noon.Desired) []slot {
	var slots []slot
	for _, r := range d.Revisions {
		for _, service := range r.Instances {
			for index := range service.Count {
				slots = append(slots, slot{r.Revision, service.Service.Name, index})
			}
		}
	}
	return slots
}

// sorted gives the instances in the order of their IDs. s.mu is held.
func (s *site) sorted() []*instance {
	list := make([]*instance, 0, len(s.instances))
	for _, i := range s.instances {
		list = append(list, i)
	}
	slices.SortFunc(list, func(a, b *instance) int { return strings.Compare(a.id, b.id) })
	return list
}

// failed notes what went wrong with something and when it is tried again.
func (s *site) failed(what string, err error, longest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.retries[what]
	r.wait = min(longest, max(50*time.Millisecond, r.wait*2))
	r.after = time.Now().Add(r.wait)
	s.retries[what] = r
	e := noon.AsError(err)
	if s.problems[what] == nil {
		s.host.cfg.Log.Error("site is hindered", "site", s.name.String(), "what", what, "err", err)
	}
	s.problems[what] = e
	s.poke()
}

// worked forgets what went wrong. s.mu is held.
func (s *site) worked(what string) {
	delete(s.problems, what)
	delete(s.retries, what)
}

// problem gives the one that comes first by name. s.mu is held.
func (s *site) problem() *noon.Error {
	if s.broken != nil {
		return s.broken
	}
	names := make([]string, 0, len(s.problems))
	for name := range s.problems {
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil
	}
	return s.problems[slices.Min(names)]
}
