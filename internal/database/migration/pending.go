package migration

import "context"

// Rest is a section that was not run, or not to its end.
type Rest struct {
	Migration Migration
	Section   Section
	Done      int // statements of it that were run
}

// Pending lists what Reach has left to do when it is called with one phase after
// the other, in the order in which it does it. It changes nothing and waits for
// nobody.
func (d *Database) Pending(ctx context.Context, set Set, phases ...Phase) ([]Rest, error) {
	if err := d.sameDialect(set); err != nil {
		return nil, err
	}
	history, err := d.known(ctx)
	if err != nil {
		return nil, err
	}
	var list []Rest
	listed := map[key]bool{}
	for _, phase := range phases {
		for _, st := range pending(set, history, phase) {
			k := key{st.migration.Number, st.section.Number}
			if listed[k] || adoptable(st.migration, history) == nil { // what it stands for was run
				continue
			}
			listed[k] = true
			list = append(list, Rest{st.migration, st.section, history[k].Statement})
		}
	}
	return list, nil
}

// known is the history as it is, empty where there is none yet.
func (d *Database) known(ctx context.Context) (map[key]record, error) {
	history := map[key]record{}
	there, err := d.hasHistory(ctx, d.db)
	if err == nil && there {
		history, err = d.records(ctx, d.db)
	}
	return history, d.trouble("read the history of", d.name, err)
}

// Span is where the statements that are left stand in the section's file:
// bytes before the first and before the end of the last.
func (r Rest) Span() (from, to int) {
	left := r.Section.Statements[min(r.Done, len(r.Section.Statements)-1):]
	last := left[len(left)-1]
	return left[0].Offset, last.Offset + len(last.Text)
}
