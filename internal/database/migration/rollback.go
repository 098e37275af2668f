package migration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/noon-deploy/noon"
)

// Allow is what going back may do.
type Allow struct {
	// Loss lets scripts run that take back what a directive or Computed calls
	// irreversible: what they can not bring back is lost.
	Loss bool
	// Computed finds sections that lose something although nobody has declared
	// it; nil finds none.
	Computed func(Section) (why string, lossy bool)
}

// Rollback takes back every migration above a number, the last one first, as
// far as each was taken. Before anything is changed it refuses what can not be
// taken back. Calling it again after a failure or a crash goes on.
func (d *Database) Rollback(ctx context.Context, set Set, to int64, allow Allow, see func(Progress)) error {
	if err := d.sameDialect(set); err != nil {
		return err
	}
	return d.work(ctx, "roll back", see, func(ctx context.Context, s *session) error {
		steps, err := s.back(set, to, allow)
		if err != nil {
			return err
		}
		for _, st := range steps {
			if err := s.run(ctx, st); err != nil {
				return s.explained(st.migration, st.section, err)
			}
		}
		return nil
	})
}

// back are the sections to run, after everything that speaks against them.
func (s *session) back(set Set, to int64, allow Allow) ([]step, error) {
	var steps []step
	var reasons []Reason
	for _, m := range slices.Backward(set.Migrations) {
		found := s.found(m)
		if m.Number <= to || found == nil {
			continue
		}
		if err := errors.Join(m.whole(to), s.halfDone(m, found)); err != nil {
			return nil, err
		}
		reasons = append(reasons, m.against(found, allow)...)
		if sec, ok := m.section(DownOfLast); ok && (found[Contract] || found[DownOfLast]) {
			steps = append(steps, step{m, sec})
		}
		if sec, ok := m.section(Down); ok {
			steps = append(steps, step{m, sec})
		}
	}
	if len(reasons) > 0 {
		return nil, irreversible(to, reasons)
	}
	return steps, s.known(set, to)
}

// whole refuses to go back into the middle of what was squashed.
func (m Migration) whole(to int64) error {
	if m.Replaces.To == 0 || to < m.Replaces.From {
		return nil
	}
	return &noon.Error{
		Kind: noon.Invalid, Op: "roll back", Subject: m.ID(), Err: fmt.Errorf("it stands for the migrations %d to %d as one", m.Replaces.From, m.Replaces.To),
		Hint: fmt.Sprintf("Go back to %d, or to before %d.", m.Number, m.Replaces.From),
	}
}

// known refuses what has no file any more.
func (s *session) known(set Set, to int64) error {
	for _, k := range slices.SortedFunc(maps.Keys(s.history), compareKeys) {
		if _, ok := set.find(k.number); !ok && k.number > to {
			return gone(s.history[k])
		}
	}
	return nil
}

// found are the kinds of sections of a migration that were begun, nil if none.
func (s *session) found(m Migration) map[Kind]bool {
	var found map[Kind]bool
	for k, r := range s.history {
		if k.number == m.Number {
			if found == nil {
				found = map[Kind]bool{}
			}
			found[r.Kind] = true
		}
	}
	return found
}

// against are the reasons that hold for what was begun.
func (m Migration) against(found map[Kind]bool, allow Allow) []Reason {
	return slices.DeleteFunc(m.irreversible(allow.Computed), func(r Reason) bool {
		reached := found[r.Kind] || r.Kind == Expand && r.Missing && found[Data]
		return !reached || found[Down] || found[DownOfLast] && r.Kind == Contract || allow.Loss && !r.Missing
	})
}

func irreversible(to int64, reasons []Reason) error {
	all := make([]string, len(reasons))
	missing := false
	for i, r := range reasons {
		all[i] = r.String()
		missing = missing || r.Missing
	}
	e := &noon.Error{
		Kind: noon.Conflict, Op: "roll back", Subject: fmt.Sprintf("to %d", to), Err: errors.New(strings.Join(all, "; ")),
		Hint: "Nothing was changed. To run the scripts all the same and lose that, use --lossy.",
	}
	if missing {
		e.Kind, e.Hint = noon.Invalid, "Nothing was changed. Write what takes it back (`-- noon: down`, or NNNN_name.down.sql), or a new migration that goes on from here."
	}
	return e
}

// halfDone refuses a section of which only some statements were run: what
// takes it back expects them all.
func (s *session) halfDone(m Migration, found map[Kind]bool) error {
	if found[Down] || found[DownOfLast] {
		return nil // it is being taken back
	}
	for _, sec := range m.forward() {
		r, begun := s.history[key{m.Number, sec.Number}]
		if !begun || r.State == done || sec.Batch != nil {
			continue
		}
		return &noon.Error{
			Kind: noon.Conflict, Op: "roll back", Subject: fmt.Sprintf("%s (%s)", m.ID(), sec.at(r.Statement)),
			Err:  fmt.Errorf("section %q is half done: %d of %d statements", sec.Kind, r.Statement, len(sec.Statements)),
			Hint: "Make the rest of it work first (statements that were not run may be changed) with `noon migration apply`; then it can be taken back.",
		}
	}
	return nil
}
