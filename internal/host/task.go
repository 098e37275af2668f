package host

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
)

// taskGrace is how long a task has between SIGTERM and SIGKILL.
const taskGrace = 10 * time.Second

// taskLines is how much of a task's output a TaskStatus holds.
const taskLines = 100

const taskPrefix = "task." // of the ID of the process

// task is a task that is running or not yet forgotten by the runner.
type task struct {
	labels labels
	status Status
}

// taskRecord outlives everything else of a task: its ID is never started
// again.
type taskRecord struct {
	Status  noon.TaskStatus `json:"status"`
	Content string          `json:"content"`
	Site    noon.Site       `json:"site"`
}

// validTask reports whether an id can be that of a task, which becomes the
// name of a directory.
func validTask(id string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	return id != "" && len(id) <= 200 && strings.ContainsRune(letters, rune(id[0])) && strings.Trim(id, letters+"@._-") == ""
}

// StartTask starts a task at most once per ID, for ever. The same task again
// changes nothing; another one of the same ID is a noon.Conflict; a task of an
// older epoch is noon.Stale.
func (h *Host) StartTask(ctx context.Context, t noon.Task) error {
	if err := checkTask(t); err != nil {
		return err
	}
	content, err := digestOf(noon.Task{ID: t.ID, Site: t.Site, Revision: t.Revision, Digest: t.Digest, Command: t.Command, Dir: t.Dir})
	if err != nil {
		return err
	}
	s := h.site(t.Site)
	if done, err := h.admitTask(s, t, content); done || err != nil {
		return err
	}
	defer h.releases.hold(t.Digest)()
	if err := h.releases.unpack(ctx, t.Digest); err != nil {
		return fmt.Errorf("unpack release of task %s: %w", t.ID, err)
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	if done, err := h.admitTask(s, t, content); done || err != nil {
		return err
	}
	if err := s.raise(t.Fence.Epoch); err != nil {
		return err
	}
	return h.orderTask(ctx, t, content)
}

func checkTask(t noon.Task) error {
	invalid := func(format string, args ...any) error {
		return &noon.Error{Kind: noon.Invalid, Op: "start task", Subject: t.ID, Err: fmt.Errorf(format, args...), Hint: "This is a mistake in what sent it; nothing was started."}
	}
	if !validTask(t.ID) {
		return invalid("its ID is not safe as a file name")
	}
	if err := errors.Join(noon.ValidName(t.Site.App), noon.ValidName(t.Site.Environment)); err != nil {
		return invalid("site: %w", err)
	}
	if !validDigest(t.Digest) {
		return invalid("%q is no digest", t.Digest)
	}
	if len(t.Command) == 0 {
		return invalid("its command is empty")
	}
	if t.Dir != "" && !filepath.IsLocal(t.Dir) {
		return invalid("directory %q is not inside the release", t.Dir)
	}
	return nil
}

// admitTask reports whether the task was started before, or why it is refused.
func (h *Host) admitTask(s *site, t noon.Task, content string) (bool, error) {
	_, epoch := s.accepted()
	if t.Fence.Epoch < epoch {
		return false, &noon.Error{Kind: noon.Stale, Op: "start task", Subject: t.ID, Err: fmt.Errorf("epoch %d is older than %d", t.Fence.Epoch, epoch), Hint: "A newer controller has taken over this site."}
	}
	var before string
	if known, ok := h.task(t.ID); ok {
		before = known.labels.Content
	} else {
		var r taskRecord
		found, err := readJSON(h.taskFile(t.ID), &r)
		if err != nil {
			return false, &noon.Error{Kind: noon.Internal, Op: "look up task", Subject: t.ID, Err: err, Hint: "Whether it was started can not be known; it is not started."}
		}
		if !found {
			return false, nil
		}
		before = r.Content
	}
	if before != content {
		return false, &noon.Error{Kind: noon.Conflict, Op: "start task", Subject: t.ID, Err: errors.New("its ID was used for another task"), Hint: "An ID belongs to one task for ever."}
	}
	return true, nil
}

// raise remembers a higher epoch.
func (s *site) raise(epoch int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch <= s.epoch {
		return nil
	}
	before := s.epoch
	s.epoch = epoch
	if err := s.remember(); err != nil {
		s.epoch = before
		return &noon.Error{Kind: noon.Failure, Op: "remember the epoch of", Subject: s.name.String(), Err: err, Hint: "Is the disk of noon's data directory full?"}
	}
	return nil
}

// orderTask gives the task to the runner: from the moment its directory is
// there, it is the record that the task was started.
func (h *Host) orderTask(ctx context.Context, t noon.Task, content string) error {
	l := labels{Site: t.Site, Revision: t.Revision, Digest: t.Digest, Task: t.ID, Content: content}
	packed, err := l.pack()
	if err != nil {
		return err
	}
	env := h.environment(t.Env)
	env["NOON_INSTANCE"] = t.ID
	spec := Spec{
		ID: taskPrefix + t.ID, Labels: packed, Command: t.Command, Root: h.releases.dir(t.Digest), Dir: t.Dir, Env: env,
		Timeout: t.Timeout, Stop: noon.Stop{Signal: "TERM", Grace: taskGrace},
	}
	h.cfg.Faults.Point("host.task.before")
	if err := h.cfg.Runner.Start(ctx, spec); err != nil {
		return err
	}
	h.cfg.Faults.Point("host.task.started")
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.tasks[t.ID]; !ok {
		h.tasks[t.ID] = task{labels: l, status: Status{ID: spec.ID, Labels: packed, Step: Ordered, Ordered: time.Now()}}
	}
	return nil
}

func (h *Host) taskFile(id string) string {
	return filepath.Join(h.cfg.Dir, tasksDir, id+".json")
}

func (h *Host) task(id string) (task, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t, ok := h.tasks[id]
	return t, ok
}

func (h *Host) tasksOf(sites []*site) []task {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []task
	for _, t := range h.tasks {
		if slices.ContainsFunc(sites, func(s *site) bool { return s.name == t.labels.Site }) {
			list = append(list, t)
		}
	}
	return list
}

// taskChanged takes in a report of the runner.
func (h *Host) taskChanged(l labels, s Status) {
	h.site(l.Site)
	h.mu.Lock()
	h.tasks[l.Task] = task{labels: l, status: s}
	h.mu.Unlock()
	if s.Step == Ended {
		h.untidy()
	}
}

// closeTask writes down how a task ended and frees it.
func (h *Host) closeTask(ctx context.Context, t task) error {
	status := h.statusOf(ctx, t)
	if err := writeJSON(h.taskFile(t.labels.Task), taskRecord{Status: status, Content: t.labels.Content, Site: t.labels.Site}); err != nil {
		return fmt.Errorf("record task %s: %w", t.labels.Task, err)
	}
	h.cfg.Faults.Point("host.task.recorded")
	return h.cfg.Runner.Release(ctx, t.status.ID)
}

// TaskStatus tells what is known of a task.
func (h *Host) TaskStatus(ctx context.Context, id string) (noon.TaskStatus, error) {
	if t, ok := h.task(id); ok {
		return h.statusOf(ctx, t), nil
	}
	var r taskRecord
	found := false
	if validTask(id) {
		var err error
		if found, err = readJSON(h.taskFile(id), &r); err != nil {
			return noon.TaskStatus{}, &noon.Error{Kind: noon.Internal, Op: "look up task", Subject: id, Err: err, Hint: "Its record is damaged. It was started."}
		}
	}
	if !found {
		return noon.TaskStatus{}, unknownTask(id)
	}
	return r.Status, nil
}

func unknownTask(id string) error {
	return &noon.Error{Kind: noon.NotFound, Op: "look up task", Subject: id, Err: errors.New("it was never started here")}
}

func (h *Host) statusOf(ctx context.Context, t task) noon.TaskStatus {
	lines, err := tail(ctx, h.cfg.Runner, t.status.ID, taskLines)
	if err != nil {
		h.cfg.Log.Warn("read output of task", "task", t.labels.Task, "err", err)
	}
	return noon.TaskStatus{ID: t.labels.Task, Running: t.status.Step != Ended, Started: t.status.Started, Exit: t.status.Exit, Output: lines}
}

// StopTask asks a task to end; one that has ended is fine.
func (h *Host) StopTask(ctx context.Context, id string) error {
	t, ok := h.task(id)
	if !ok {
		_, err := h.TaskStatus(ctx, id)
		return err
	}
	if t.status.Step == Ended {
		return nil
	}
	return h.cfg.Runner.Stop(ctx, t.status.ID, noon.Stop{Signal: "TERM", Grace: taskGrace})
}
