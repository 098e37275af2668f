package world

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/noon-deploy/noon"
)

// Store is a simulated store that serves the releases it was told to, and
// nobody else. What was done to it survives controllers.
type Store struct {
	Takes time.Duration // for a phase to be reached
	Loses bool          // a way back loses something
	// Refuses makes a phase of a release impossible; nil: everything works.
	Refuses func(noon.Data) error

	mu     sync.Mutex
	epoch  int64
	serves []noon.Revision
	lost   []noon.Revision // what it can not serve again
	broken []string
}

// Reach takes the store to a phase.
func (s *Store) Reach(ctx context.Context, h *Host, task noon.DataTask, progress func(string)) error {
	progress("half of it")
	if task.Phase == noon.DataAdmitted || s.there(task) {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(s.Takes):
	}
	if s.Refuses != nil {
		if err := s.Refuses(task.Data); err != nil {
			return err
		}
	}
	if s.Loses && task.Phase == noon.DataAlone && task.Left.Release > task.Revision.Release && !task.Lossy {
		return &noon.Error{Kind: noon.Conflict, Op: "withdraw", Subject: task.Store, Err: errors.New("it loses 2 rows")}
	}
	progress("all of it")
	up := h.up()
	s.mu.Lock()
	defer s.mu.Unlock()
	if task.Epoch < s.epoch {
		return &noon.Error{Kind: noon.Stale, Op: "change store", Subject: task.Store, Err: errors.New("a newer controller has changed it")}
	}
	s.epoch = task.Epoch
	s.change(task, up)
	return nil
}

func (s *Store) there(task noon.DataTask) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Equal(s.serves, wanted(task))
}

func wanted(task noon.DataTask) []noon.Revision {
	if task.Phase == noon.DataBoth && !task.Left.IsZero() {
		return []noon.Revision{task.Left, task.Revision}
	}
	return []noon.Revision{task.Revision}
}

// change notes what no walker may ever ask for.
func (s *Store) change(task noon.DataTask, up []noon.Revision) {
	serves := wanted(task)
	for _, r := range up {
		if !slices.Contains(serves, r) {
			s.broken = append(s.broken, fmt.Sprintf("%s leaves out %s, which runs", task.Name(), r))
		}
	}
	for _, r := range serves {
		if slices.Contains(s.lost, r) {
			s.broken = append(s.broken, fmt.Sprintf("%s is for %s, which was left behind", task.Name(), r))
		}
	}
	if task.Phase == noon.DataAlone {
		for _, r := range s.serves {
			if r != task.Revision && r.Release < task.Revision.Release {
				s.lost = append(s.lost, r)
			}
		}
	}
	s.serves = serves
}

// Serves reports whether a revision can use the store.
func (s *Store) Serves(r noon.Revision) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.serves, r)
}

// Served lists the revisions that can use the store.
func (s *Store) Served() []noon.Revision {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.serves)
}

// Broken lists what must never be, and was.
func (s *Store) Broken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.broken)
}
