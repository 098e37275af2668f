package migration

import (
	"cmp"
	"context"
	"maps"
	"slices"
)

// Standing is where a migration is.
type Standing string

// The standings, beside the names of the phases.
const (
	Pending  Standing = "pending"  // nothing of it was run
	Partial  Standing = "partial"  // it was begun, and has not reached a phase
	Complete Standing = "applied"  // all of it was run
	Changed  Standing = "changed"  // it was run, and its file is another one now
	Gone     Standing = "gone"     // it was run, and there is no file
	Undoing  Standing = "undoing"  // it is being taken back
	Squashed Standing = "squashed" // what it stands for was run
)

// Status is where one migration is.
type Status struct {
	Number   int64    `json:"number"`
	Name     string   `json:"name"`
	Standing Standing `json:"standing"`
	Next     Kind     `json:"next,omitempty"`    // the section that comes next
	At       string   `json:"at,omitempty"`      // file and line of the statement that comes next, when it was begun
	Rows     int64    `json:"rows,omitempty"`    // that batches have changed
	Who      string   `json:"who,omitempty"`     // has run the last section
	Release  string   `json:"release,omitempty"` // for which
	When     string   `json:"when,omitempty"`    // RFC 3339, UTC
	Problem  string   `json:"problem,omitempty"` // why Reach would refuse
}

// Status tells where every migration is. It changes nothing and waits for
// nobody.
func (d *Database) Status(ctx context.Context, set Set) ([]Status, error) {
	history, err := d.known(ctx)
	if err != nil {
		return nil, err
	}
	all := []Status{}
	covered := map[int64]bool{}
	for _, m := range set.Migrations {
		st := m.status(history)
		if adoptable(m, history) == nil {
			st.Standing, st.Next, st.Problem = Squashed, "", ""
			for n := range history {
				if n.number >= m.Replaces.From && n.number <= m.Replaces.To {
					covered[n.number] = true
				}
			}
		}
		all = append(all, st)
	}
	for _, k := range slices.SortedFunc(maps.Keys(history), compareKeys) {
		if _, ok := set.find(k.number); !ok && !covered[k.number] {
			covered[k.number] = true
			r := history[k]
			all = append(all, Status{Number: r.Number, Name: r.Name, Standing: Gone, Who: r.Who, Release: r.Release, When: cmp.Or(r.Finished, r.Started), Problem: gone(r).Error()})
		}
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.Number, b.Number) })
	return all, nil
}

func (m Migration) status(history map[key]record) Status {
	st := Status{Number: m.Number, Name: m.Name, Standing: Complete}
	reached, left := Standing(""), false
	for _, sec := range m.Sections {
		r, begun := history[key{m.Number, sec.Number}]
		if begun {
			st.Who, st.Release, st.When, st.Rows = r.Who, r.Release, cmp.Or(r.Finished, r.Started), st.Rows+r.Rows
			if err := sameFile(m, r); err != nil && st.Problem == "" {
				st.Standing, st.Problem = Changed, err.Error()
			}
			if sec.Kind.down() && st.Problem == "" {
				st.Standing, st.Next = Undoing, sec.Kind
				return st
			}
		}
		switch {
		case sec.Kind.down() || left:
		case r.State == done:
			reached = Standing(sec.Kind.phase())
		default:
			left = true
			st.Next = sec.Kind
			if begun {
				reached = cmp.Or(reached, Partial)
				st.At = sec.at(r.Statement)
			}
		}
	}
	if st.Problem == "" && left {
		st.Standing = cmp.Or(reached, Pending)
	}
	return st
}
