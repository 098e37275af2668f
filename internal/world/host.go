// Package world is a simulated machine and ledger in which deployments are
// walked by the thousand. It behaves as the real ones do where a walker can
// tell: fences, readiness of incarnations, drains, tasks that run once. Time
// is the clock's, so that inside testing/synctest a day takes no time.
package world

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/noon-deploy/noon"
)

// Behavior is how the instances and tasks of a release behave.
type Behavior struct {
	ReadyAfter time.Duration // from the start of an instance
	NeverReady bool
	CrashLoop  bool
	Broken     bool          // can not be unpacked
	DrainTakes time.Duration // how long its requests in flight last after it lost its share
	TaskTakes  time.Duration
	TaskFails  bool // tasks end with exit code 1
	TaskLost   bool // the outcome of the first task is never known
}

// Host is a simulated host with its proxy.
type Host struct {
	Name      string
	Behaviors map[int]Behavior // by release number
	MustServe func() bool      // whether somebody has to serve users; nil: no
	Store     *Store           // that every instance uses; nil: none

	mu        sync.Mutex
	desired   noon.Desired
	instances map[string]*instance
	tasks     map[string]*task
	lostShare map[noon.Revision]time.Time
	down      bool
	broken    []string // what must never be, and was
}

type instance struct {
	revision noon.Revision
	service  string
	index    int
	started  time.Time
}

type task struct {
	release int
	ends    time.Time
	exit    noon.Exit
}

// NewHost returns a machine on which nothing runs.
func NewHost(name string, behaviors map[int]Behavior) *Host {
	return &Host{
		Name: name, Behaviors: behaviors, instances: map[string]*instance{}, tasks: map[string]*task{},
		lostShare: map[noon.Revision]time.Time{},
	}
}

// SetDown makes the host unreachable, or reachable again.
func (h *Host) SetDown(down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = down
}

// Broken lists what must never be, and was.
func (h *Host) Broken() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.broken)
}

// Tasks lists the IDs of tasks that were started.
func (h *Host) Tasks() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.tasks))
}

// Desired returns what the host was last told.
func (h *Host) Desired() noon.Desired {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.desired
}

func (h *Host) reachable() error {
	if h.down {
		return &noon.Error{Kind: noon.Unavailable, Op: "reach host", Subject: h.Name, Err: errors.New("it is down")}
	}
	return nil
}

// Apply takes a newer snapshot and refuses an older one.
func (h *Host) Apply(_ context.Context, d noon.Desired) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.reachable(); err != nil {
		return err
	}
	if d.Fence.Compare(h.desired.Fence) < 0 {
		return &noon.Error{Kind: noon.Stale, Op: "apply", Subject: h.Name, Err: fmt.Errorf("fence %s is older than %s", d.Fence, h.desired.Fence)}
	}
	h.inspect(d)
	for _, r := range h.desired.Revisions {
		if r.Share > 0 {
			h.lostShare[r.Revision] = time.Now()
		}
	}
	h.desired = d
	h.makeSo()
	return nil
}

// up lists the revisions that have an instance.
func (h *Host) up() []noon.Revision {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := map[noon.Revision]bool{}
	var list []noon.Revision
	for _, i := range h.instances {
		if !seen[i.revision] {
			seen[i.revision] = true
			list = append(list, i.revision)
		}
	}
	return list
}

// inspect notes a snapshot that no walker may ever ask for.
func (h *Host) inspect(d noon.Desired) {
	total := 0
	for _, r := range d.Revisions {
		total += r.Share
		if h.Store != nil && len(r.Instances) > 0 && !h.Store.Serves(r.Revision) {
			h.broken = append(h.broken, fmt.Sprintf("%s is up in %s and its store does not serve it", r.Revision, d.Fence))
		}
		if r.Share > 0 && !h.servable(r) {
			h.broken = append(h.broken, fmt.Sprintf("%s gets users in %s without an instance that was ready", r.Revision, d.Fence))
		}
	}
	if total != 0 && total != noon.PointsWhole {
		h.broken = append(h.broken, fmt.Sprintf("shares of %s add up to %d", d.Fence, total))
	}
	if total == 0 && h.MustServe != nil && h.MustServe() {
		h.broken = append(h.broken, fmt.Sprintf("nobody serves users in %s", d.Fence))
	}
}

func (h *Host) servable(r noon.DesiredRevision) bool {
	for _, i := range h.instances {
		if i.revision == r.Revision && h.phase(i) == noon.Ready {
			return true
		}
	}
	return live(h.desired) == r.Revision
}

func live(d noon.Desired) noon.Revision {
	for _, r := range d.Revisions {
		if r.Share > 0 {
			return r.Revision
		}
	}
	return noon.Revision{}
}

func (h *Host) makeSo() {
	want := map[string]bool{}
	for _, r := range h.desired.Revisions {
		for _, s := range r.Instances {
			for n := range s.Count {
				id := fmt.Sprintf("%s/%s/%d", r.Revision, s.Service.Name, n)
				want[id] = true
				if h.instances[id] == nil {
					h.instances[id] = &instance{revision: r.Revision, service: s.Service.Name, index: n, started: time.Now()}
				}
			}
		}
	}
	maps.DeleteFunc(h.instances, func(id string, _ *instance) bool { return !want[id] })
}

func (h *Host) phase(i *instance) noon.Phase {
	b := h.Behaviors[i.revision.Release]
	if b.NeverReady || b.CrashLoop || time.Since(i.started) < b.ReadyAfter {
		return noon.Starting
	}
	return noon.Ready
}

// Observe tells what there is.
func (h *Host) Observe(_ context.Context, site noon.Site) (noon.Observed, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.reachable(); err != nil {
		return noon.Observed{}, err
	}
	o := noon.Observed{Site: site, Host: h.Name, Accepted: h.desired.Fence, Routed: h.desired.Fence}
	for _, r := range h.desired.Revisions {
		b := h.Behaviors[r.Revision.Release]
		if b.Broken {
			o.Problem = &noon.Error{Kind: noon.Failure, Op: "unpack", Subject: r.Digest, Err: errors.New("a file was altered"), Hint: "Build it again."}
			continue
		}
		o.Releases = append(o.Releases, r.Digest)
		if r.Share == 0 && time.Since(h.lostShare[r.Revision]) < b.DrainTakes {
			o.InFlight = append(o.InFlight, noon.InFlight{Revision: r.Revision, Requests: 1})
		}
	}
	for id, i := range h.instances {
		o.Instances = append(o.Instances, noon.Instance{
			ID: id, Site: site, Revision: i.revision, Service: i.service, Index: i.index, Phase: h.phase(i), Started: i.started,
			CrashLoop: h.Behaviors[i.revision.Release].CrashLoop,
		})
	}
	slices.SortFunc(o.Instances, func(a, b noon.Instance) int { return cmp.Compare(a.ID, b.ID) })
	return o, nil
}

// StartTask starts an ID once.
func (h *Host) StartTask(_ context.Context, t noon.Task) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.reachable(); err != nil {
		return err
	}
	if t.Fence.Epoch < h.desired.Fence.Epoch {
		return &noon.Error{Kind: noon.Stale, Op: "start task", Subject: t.ID, Err: errors.New("older epoch")}
	}
	if h.tasks[t.ID] != nil {
		return nil
	}
	b := h.Behaviors[t.Revision.Release]
	exit := noon.Exit{Known: true, Reason: "exit status 0"}
	switch {
	case b.TaskLost && !h.knows(t.Revision.Release):
		exit = noon.Exit{Code: -1, Reason: "nobody saw its end"}
	case b.TaskFails:
		exit = noon.Exit{Known: true, Code: 1, Reason: "exit status 1"}
	}
	h.tasks[t.ID] = &task{release: t.Revision.Release, ends: time.Now().Add(b.TaskTakes), exit: exit}
	return nil
}

func (h *Host) knows(release int) bool {
	for _, t := range h.tasks {
		if t.release == release {
			return true
		}
	}
	return false
}

// TaskStatus tells how a task is.
func (h *Host) TaskStatus(_ context.Context, id string) (noon.TaskStatus, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.reachable(); err != nil {
		return noon.TaskStatus{}, err
	}
	t := h.tasks[id]
	if t == nil {
		return noon.TaskStatus{}, &noon.Error{Kind: noon.NotFound, Op: "find task", Subject: id, Err: errors.New("it was never started")}
	}
	if time.Now().Before(t.ends) {
		return noon.TaskStatus{ID: id, Running: true}, nil
	}
	exit := t.exit
	exit.At = t.ends
	return noon.TaskStatus{ID: id, Exit: &exit}, nil
}
