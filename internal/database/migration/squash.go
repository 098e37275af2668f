package migration

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// Squash writes the migrations up to a number as one, which has that number: a
// new database runs it in place of them, one that has run them all takes it as
// done. It can not be taken back.
func (s Set) Squash(to int64) (string, error) {
	var b strings.Builder
	sections := 0
	var covered []Migration
	for _, m := range s.Migrations {
		if m.Number <= to {
			covered = append(covered, m)
			sections += len(m.forward())
		}
	}
	if len(covered) < 2 || covered[len(covered)-1].Number != to {
		return "", &noon.Error{
			Kind: noon.Invalid, Op: "squash migrations", Subject: fmt.Sprintf("up to %d", to), Err: errors.New("it takes two or more, and the last one has to have that number"),
			Hint: "`noon migration status` lists them.",
		}
	}
	from := covered[0].Number
	if covered[0].Replaces.To > 0 {
		from = covered[0].Replaces.From
	}
	fmt.Fprintf(&b, "-- noon: replaces %d-%d with %d sections\n-- noon: irreversible \"it stands for the migrations %d to %d\"\n", from, to, sections, from, to)
	for _, m := range covered {
		for i, sec := range m.forward() {
			sec.write(&b, s.Dialect, m.ID(), i == 0 && m.Number == covered[0].Number)
		}
	}
	return b.String(), nil
}

// write writes a section with what holds for it.
func (s Section) write(b *strings.Builder, d sqltext.Dialect, id string, first bool) {
	over := ""
	if s.Batch != nil {
		over = fmt.Sprintf(" over %s.%s in %d", s.Batch.Table, s.Batch.Key, s.Batch.Size)
	}
	if !first || s.Kind != Expand || over != "" {
		fmt.Fprintf(b, "\n-- noon: %s%s\n", s.Kind, over)
	}
	if s.Plain {
		b.WriteString("-- noon: no-transaction\n")
	}
	fmt.Fprintf(b, "-- %s, %s\n", id, s.Kind)
	for i, st := range s.Statements {
		if why := s.Blocking[i]; why != "" {
			fmt.Fprintf(b, "-- noon: blocking %q\n", why)
		}
		if d == sqltext.MySQL && strings.Contains(st.Text, ";") {
			end := "$$"
			if strings.Contains(st.Text, end) {
				end = "//"
			}
			fmt.Fprintf(b, "DELIMITER %s\n%s\n%s\nDELIMITER ;\n", end, st.Text, end)
			continue
		}
		b.WriteString(st.Text + "\n;\n")
	}
}

// adoptable says why a database does not have all that a migration stands for;
// nil if it has, and the migration itself was not run.
func adoptable(m Migration, history map[key]record) error {
	if m.Replaces.To == 0 {
		return errors.New("it stands for nothing else")
	}
	found := 0
	for _, r := range history {
		if r.Number < m.Replaces.From || r.Number > m.Replaces.To || r.Number == m.Number && sameFile(m, r) == nil {
			continue
		}
		if r.State != done {
			return fmt.Errorf("%s is not done", r)
		}
		found++
	}
	switch found {
	case m.Replaces.Sections:
		return nil
	case 0:
		return errNothingToAdopt
	}
	return fmt.Errorf("%d of the %d sections that it stands for were run", found, m.Replaces.Sections)
}

var errNothingToAdopt = errors.New("nothing of what it stands for was run")

// adopt records squashed migrations as done where what they stand for is done.
func (s *session) adopt(ctx context.Context, set Set) error {
	for _, m := range set.Migrations {
		err := adoptable(m, s.history)
		if m.Replaces.To == 0 || errors.Is(err, errNothingToAdopt) {
			continue
		}
		if err != nil {
			return &noon.Error{
				Kind: noon.Conflict, Op: "migrate", Subject: m.ID(), Err: fmt.Errorf("it replaces the migrations %d to %d: %w", m.Replaces.From, m.Replaces.To, err),
				Hint: "Apply the rest of them with the files from before they were squashed, to the end, and try again.",
			}
		}
		if err := s.take(ctx, m); err != nil {
			return s.trouble("record squashed migration", m.ID(), err)
		}
	}
	return nil
}

// take puts the records of a squashed migration in place of those it stands
// for.
func (s *session) take(ctx context.Context, m Migration) error {
	return s.transaction(ctx, "squash", false, func() error {
		for k := range s.history {
			if k.number < m.Replaces.From || k.number > m.Replaces.To {
				continue
			}
			if err := s.remove(ctx, s.conn, k); err != nil {
				return err
			}
			delete(s.history, k)
		}
		for _, sec := range m.forward() {
			r := s.fresh(m, sec, timestamp())
			r.State, r.Checksum, r.Statement, r.Finished = done, sec.Checksum, len(sec.Statements), r.Started
			if err := s.put(ctx, s.conn, r); err != nil {
				return err
			}
			s.history[key{m.Number, sec.Number}] = r
		}
		return nil
	})
}
