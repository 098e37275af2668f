package migration

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/noon-deploy/noon"
)

// step is a section that has to be run.
type step struct {
	migration Migration
	section   Section
}

// Reach brings every migration of the set to a phase: expanded and migrated
// phase by phase, so that two releases can work with all of them; contracted
// migration by migration, as if each had been a release. Calling it again
// after a failure or a crash goes on; when nothing is left it changes nothing.
// An applied file that has changed or is gone is refused. see may be nil.
func (d *Database) Reach(ctx context.Context, set Set, phase Phase, see func(Progress)) error {
	if !slices.Contains(Phases(), phase) {
		return &noon.Error{Kind: noon.Invalid, Op: "migrate to", Subject: string(phase), Err: errors.New("there is no such phase")}
	}
	if err := d.sameDialect(set); err != nil {
		return err
	}
	return d.work(ctx, "migrate", see, func(ctx context.Context, s *session) error {
		if err := s.adopt(ctx, set); err != nil {
			return err
		}
		if err := verify(set, s.history, d.opts.OutOfOrder); err != nil {
			return err
		}
		for _, st := range pending(set, s.history, phase) {
			if err := s.run(ctx, st); err != nil {
				return s.explained(st.migration, st.section, err)
			}
		}
		return nil
	})
}

func (d *Database) sameDialect(set Set) error {
	if set.Dialect == d.dialect {
		return nil
	}
	return &noon.Error{
		Kind: noon.Invalid, Op: "migrate", Subject: d.name,
		Err: fmt.Errorf("the migrations were read as those of %s, the database is %s", set.Dialect, d.dialect),
	}
}

// pending are the sections that are left, in the order in which they are run.
func pending(set Set, history map[key]record, phase Phase) []step {
	var all []step
	for _, m := range set.Migrations {
		for _, sec := range m.forward() {
			reached := sec.Kind.phase()
			if m.Replaces.To > 0 {
				reached = Expanded // nobody uses a database that these are run on
			}
			if slices.Index(Phases(), reached) <= slices.Index(Phases(), phase) && history[key{m.Number, sec.Number}].State != done {
				all = append(all, step{m, sec})
			}
		}
	}
	if phase == Contracted {
		return all
	}
	slices.SortStableFunc(all, func(a, b step) int { return cmp.Compare(a.rank(), b.rank()) })
	return all
}

func (s step) rank() int {
	if s.migration.Replaces.To > 0 {
		return 0
	}
	return slices.Index(Phases(), s.section.Kind.phase())
}

// verify compares the history with the files.
func verify(set Set, history map[key]record, outOfOrder bool) error {
	for _, k := range slices.SortedFunc(maps.Keys(history), compareKeys) {
		r := history[k]
		if r.Kind.down() {
			return &noon.Error{
				Kind: noon.Conflict, Op: "migrate", Subject: r.String(),
				Err:  fmt.Errorf("it is being taken back: %d of its statements are done", r.Statement),
				Hint: fmt.Sprintf("Go on with it first: `noon migration rollback --to %d`.", r.Number-1),
			}
		}
		m, ok := set.find(r.Number)
		if !ok {
			return gone(r)
		}
		if err := sameFile(m, r); err != nil {
			return err
		}
	}
	return inOrder(set, history, outOfOrder)
}

func compareKeys(a, b key) int {
	return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.section, b.section))
}

func gone(r record) error {
	return &noon.Error{
		Kind: noon.Conflict, Op: "migrate", Subject: r.String(),
		Err:  fmt.Errorf("it was applied (checksum %.12s, %s by %s), but no file has number %d", r.Checksum, cmp.Or(r.Finished, r.Started), r.Who, r.Number),
		Hint: "Bring its file back from version control. If the release that has it shall go, take it back first, with the files of that release: `noon migration rollback`.",
	}
}

// sameFile refuses a section that is not what was applied.
func sameFile(m Migration, r record) error {
	if r.Section > len(m.Sections) || m.Sections[r.Section-1].Kind != r.Kind {
		return changed(m.ID(), m.File, r, "the file has no such section any more", "")
	}
	sec := m.Sections[r.Section-1]
	now := sec.Checksum
	if r.State != done {
		now = sec.begun(r.begun())
	}
	if now != r.Checksum {
		return changed(m.ID(), sec.File, r, "the file has changed since", now)
	}
	return nil
}

// begun is how many statements may no longer change.
func (r record) begun() int {
	if r.State == running || r.Position != "" {
		return r.Statement + 1
	}
	return r.Statement
}

func changed(id, file string, r record, what, now string) error {
	err := fmt.Errorf("%s was applied %s by %s, %s: applied %.12s", r.Kind, cmp.Or(r.Finished, r.Started), r.Who, what, r.Checksum)
	if now != "" {
		err = fmt.Errorf("%w, now %.12s", err, now)
	}
	return &noon.Error{
		Kind: noon.Conflict, Op: "migrate", Subject: fmt.Sprintf("%s (%s)", id, file), Err: err,
		Hint: "Bring the file back as it was (`git log -p` shows when it changed), and put the change into a new migration.",
	}
}

// inOrder refuses what would run before something that was run.
func inOrder(set Set, history map[key]record, allowed bool) error {
	last := int64(0)
	begun := map[int64]int{} // the highest section of a number
	for k := range history {
		last = max(last, k.number)
		begun[k.number] = max(begun[k.number], k.section)
	}
	for _, m := range set.Migrations {
		high, any := begun[m.Number]
		if !any && m.Number < last && !allowed {
			return &noon.Error{
				Kind: noon.Conflict, Op: "migrate", Subject: m.ID(),
				Err:  fmt.Errorf("number %d was applied before it", last),
				Hint: "Give it a number above that, or, if it does not matter in which order they are run, use --out-of-order.",
			}
		}
		for n := range high {
			if _, was := history[key{m.Number, n + 1}]; any && !was {
				sec := m.Sections[n]
				return changed(m.ID(), sec.File, history[key{m.Number, high}], fmt.Sprintf("and section %q of line %d was not there then", sec.Kind, sec.Line), "")
			}
		}
	}
	return nil
}
