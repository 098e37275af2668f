package host

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/noon-deploy/noon"
)

// Filter picks lines of output. The zero Filter picks no earlier line of any
// process.
type Filter struct {
	Service  string        `json:"service,omitempty"`
	Instance string        `json:"instance,omitempty"`
	Task     string        `json:"task,omitempty"`
	Revision noon.Revision `json:"revision"`
	Lines    int           `json:"lines"` // earlier lines, over all; negative: every one there is
}

// LogLine is one line that an instance or a task wrote.
type LogLine struct {
	At       time.Time     `json:"at"`
	Revision noon.Revision `json:"revision"`
	Service  string        `json:"service,omitempty"`
	Instance string        `json:"instance,omitempty"`
	Task     string        `json:"task,omitempty"`
	Text     string        `json:"text"`
}

// picks reports whether the filter is for what a process wrote.
func (f Filter) picks(l labels, id string) bool {
	switch {
	case f.Task != "" && l.Task != f.Task,
		f.Service != "" && (l.Task != "" || l.Service.Name != f.Service),
		f.Instance != "" && id != f.Instance,
		!f.Revision.IsZero() && l.Revision != f.Revision:
		return false
	}
	return true
}

// source is a process that lines come from.
type source struct {
	labels labels
	id     string
	live   bool
	from   From
}

func (s source) line(l Line) LogLine {
	line := LogLine{At: l.At, Revision: s.labels.Revision, Service: s.labels.Service.Name, Task: s.labels.Task, Text: l.Text}
	if line.Task == "" {
		line.Instance = s.id
	}
	return line
}

// Logs gives the last lines of the processes that the filter picks, in the
// order of their times, and with follow what they and later ones write until
// ctx ends. emit is never called twice at once.
func (h *Host) Logs(ctx context.Context, name noon.Site, f Filter, follow bool, emit func(LogLine) error) error {
	sources := h.sources(name, f)
	if err := h.earlier(ctx, f, sources, emit); err != nil {
		return err
	}
	if !follow {
		return nil
	}
	return h.follow(ctx, name, f, sources, emit)
}

func (h *Host) sources(name noon.Site, f Filter) []*source {
	s := h.known(name)
	if s == nil {
		return nil
	}
	var list []*source
	s.mu.Lock()
	for _, i := range s.sorted() {
		if f.picks(i.labels, i.id) {
			list = append(list, &source{labels: i.labels, id: i.id, live: i.live(), from: From{Lines: -1}})
		}
	}
	s.mu.Unlock()
	for _, t := range h.tasksOf([]*site{s}) {
		if f.picks(t.labels, t.labels.Task) {
			list = append(list, &source{labels: t.labels, id: t.status.ID, live: t.status.Step != Ended, from: From{Lines: -1}})
		}
	}
	return list
}

// earlier gives what was written before, and sets the sources behind it.
func (h *Host) earlier(ctx context.Context, f Filter, sources []*source, emit func(LogLine) error) error {
	var lines []LogLine
	for _, s := range sources {
		want := f.Lines
		if want == 0 {
			want = 1 // to know where the output ends
		}
		err := h.cfg.Runner.Output(ctx, s.id, From{Lines: want}, false, func(l Line) error {
			lines = append(lines, s.line(l))
			s.from = From{Offset: l.Next}
			return nil
		})
		if err != nil && noon.KindOf(err) != noon.NotFound { // removed meanwhile
			return err
		}
	}
	if len(sources) == 0 && f.Task != "" {
		lines = h.recorded(f.Task)
	}
	slices.SortStableFunc(lines, func(a, b LogLine) int { return a.At.Compare(b.At) })
	if f.Lines >= 0 {
		lines = lines[max(0, len(lines)-f.Lines):]
	}
	for _, l := range lines {
		if err := emit(l); err != nil {
			return err
		}
	}
	return nil
}

// recorded gives what is kept of a task whose process was removed.
func (h *Host) recorded(id string) []LogLine {
	var r taskRecord
	if found, err := readJSON(h.taskFile(id), &r); !validTask(id) || err != nil || !found {
		return nil
	}
	var lines []LogLine
	for _, text := range r.Status.Output {
		lines = append(lines, LogLine{At: r.Status.Started, Task: id, Text: text})
	}
	return lines
}

// sourcesEvery is how often a follower looks for new processes.
const sourcesEvery = 100 * time.Millisecond

func (h *Host) follow(ctx context.Context, name noon.Site, f Filter, sources []*source, emit func(LogLine) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop(nil)
	var one sync.Mutex
	seen := map[string]bool{}
	tick := time.NewTicker(sourcesEvery)
	defer tick.Stop()
	for {
		for _, s := range sources {
			if seen[s.id] {
				continue
			}
			seen[s.id] = true
			wg.Go(func() {
				err := h.cfg.Runner.Output(ctx, s.id, s.from, true, func(l Line) error {
					one.Lock()
					defer one.Unlock()
					return emit(s.line(l))
				})
				if err != nil && noon.KindOf(err) != noon.NotFound {
					stop(err)
				}
			})
		}
		select {
		case <-tick.C:
			sources = h.sources(name, f)
		case <-ctx.Done():
			if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			return nil
		}
	}
}

// tail gives the last lines of an output.
func tail(ctx context.Context, r Remains, id string, n int) ([]string, error) {
	var lines []string
	err := r.Output(ctx, id, From{Lines: n}, false, func(l Line) error {
		lines = append(lines, l.Text)
		return nil
	})
	return lines, err
}
