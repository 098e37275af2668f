package migration

import (
	"context"
	"fmt"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// run runs what is left of a section.
func (s *session) run(ctx context.Context, st step) error {
	m, sec := st.migration, st.section
	s.opts.Faults.Point("migration.section.before")
	s.opts.Log.InfoContext(ctx, "running migration", "migration", m.ID(), "section", string(sec.Kind))
	plain := sec.Plain || s.dialect == sqltext.MySQL && sec.Batch == nil
	if err := s.prepare(ctx, s.conn); err != nil {
		return err
	}
	var err error
	switch {
	case sec.Batch != nil:
		err = s.batches(ctx, m, sec)
	case plain:
		err = s.statements(ctx, m, sec)
	default:
		err = s.whole(ctx, m, sec)
	}
	if err != nil {
		return err
	}
	s.see(s.note(m, sec, len(sec.Statements)-1, true))
	return nil
}

func (s *session) note(m Migration, sec Section, i int, finished bool) Progress {
	p := Progress{Migration: m.ID(), Kind: sec.Kind, Statement: i + 1, Statements: len(sec.Statements), Done: finished}
	if !finished {
		p.Text = sec.Statements[i].Text
	}
	return p
}

// whole runs a section and records it in one transaction.
func (s *session) whole(ctx context.Context, m Migration, sec Section) error {
	started := timestamp()
	note := s.note(m, sec, 0, false)
	return s.insist(ctx, note, func() error {
		return s.transaction(ctx, "section", sec.Kind == Data, func() error {
			for i, st := range sec.Statements {
				s.see(s.note(m, sec, i, false))
				s.opts.Faults.Point("migration.statement.before")
				if _, err := s.conn.ExecContext(ctx, st.Text); err != nil {
					return &spot{section: sec, index: i, err: err}
				}
				s.opts.Faults.Point("migration.statement.after")
			}
			if err := s.check(ctx, s.conn); err != nil {
				return err
			}
			return s.finish(ctx, s.fresh(m, sec, started), sec)
		})
	})
}

// fresh is the record of a section that is begun.
func (s *session) fresh(m Migration, sec Section, started string) record {
	return record{
		Number: m.Number, Section: sec.Number, Name: m.Name, Kind: sec.Kind, Checksum: sec.begun(0), State: stopped,
		Who: s.opts.Who, Release: s.opts.Release, Started: started,
	}
}

// finish records in a transaction that a section is done; of one that takes
// back nothing is left then.
func (s *session) finish(ctx context.Context, r record, sec Section) error {
	if !sec.Kind.down() {
		r.State, r.Checksum, r.Statement, r.Seen, r.Finished = done, sec.Checksum, len(sec.Statements), "", timestamp()
		return s.put(ctx, s.conn, r)
	}
	query := `DELETE FROM ` + s.table + ` WHERE number = ?`
	if sec.Kind == DownOfLast {
		query += ` AND kind IN ('contract', 'down contract')`
	}
	_, err := s.conn.ExecContext(ctx, bind(s.dialect, query), r.Number)
	return err
}

// statements runs a section statement by statement, each with a record before
// and after.
func (s *session) statements(ctx context.Context, m Migration, sec Section) error {
	r, begun := s.history[key{m.Number, sec.Number}]
	if !begun {
		r = s.fresh(m, sec, timestamp())
	}
	if err := s.settle(ctx, m, sec, &r); err != nil {
		return err
	}
	// What a session was set to is lost with it.
	for _, st := range sec.Statements[:r.Statement] {
		if st.Words(1)[0].Is("SET", "PRAGMA") {
			if _, err := s.conn.ExecContext(ctx, st.Text); err != nil {
				return err
			}
		}
	}
	for r.Statement < len(sec.Statements) {
		i := r.Statement
		s.see(s.note(m, sec, i, false))
		var err error
		if s.class(sec.Statements[i]) == transactional {
			err = s.recorded(ctx, m, sec, &r)
		} else {
			err = s.journaled(ctx, m, sec, &r)
		}
		if err != nil {
			return err
		}
	}
	return s.transaction(ctx, "section", false, func() error { return s.finish(ctx, r, sec) })
}

// recorded runs a statement in one transaction with its record.
func (s *session) recorded(ctx context.Context, m Migration, sec Section, r *record) error {
	i := r.Statement
	next := *r
	next.Statement, next.State, next.Seen, next.Checksum = i+1, stopped, "", sec.begun(i+1)
	err := s.insist(ctx, s.note(m, sec, i, false), func() error {
		return s.transaction(ctx, "statement", sec.Plain, func() error {
			s.opts.Faults.Point("migration.statement.before")
			if _, err := s.conn.ExecContext(ctx, sec.Statements[i].Text); err != nil {
				return &spot{section: sec, index: i, err: err}
			}
			return s.put(ctx, s.conn, next)
		})
	})
	if err == nil {
		*r = next
	}
	return err
}

// journaled runs a statement that no transaction can hold: it is recorded
// before, with what the database looks like, and after.
func (s *session) journaled(ctx context.Context, m Migration, sec Section, r *record) error {
	i := r.Statement
	st := sec.Statements[i]
	before := *r
	r.State, r.Checksum = running, sec.begun(i+1)
	if s.class(st) == observed {
		seen, err := s.look(ctx, s.conn, st)
		if err != nil {
			return fmt.Errorf("look at what the statement changes: %w", err)
		}
		r.Seen = seen
	}
	if err := s.journal(ctx, *r); err != nil {
		return err
	}
	s.opts.Faults.Point("migration.statement.before")
	err := s.insist(ctx, s.note(m, sec, i, false), func() error {
		err := s.execute(ctx, s.conn, st, sec.Blocking[i] != "")
		if err != nil && !s.explain(err).lost {
			s.clear(ctx, st, r.Seen)
		}
		return err
	})
	if err != nil {
		if s.explain(err).lost || ctx.Err() != nil {
			return &spot{section: sec, index: i, err: err} // the record says that it is not known
		}
		before.State = stopped
		if e := s.journal(ctx, before); e != nil {
			return e
		}
		*r = before
		return &spot{section: sec, index: i, err: err}
	}
	s.opts.Faults.Point("migration.statement.after")
	r.State, r.Statement, r.Seen = stopped, i+1, ""
	return s.journal(ctx, *r)
}

// clear removes what a statement that has failed may have left.
func (s *session) clear(ctx context.Context, st sqltext.Statement, seen string) {
	if s.class(st) != observed {
		return
	}
	if _, err := s.happened(ctx, s.conn, st, seen); err != nil {
		s.opts.Log.WarnContext(ctx, "what a failed statement has left was not cleared away", "err", err)
	}
}

// journal writes a record on its own. Where nothing was done there is none.
func (s *session) journal(ctx context.Context, r record) error {
	err := s.transaction(ctx, "journal", false, func() error {
		if r.State == stopped && r.Statement == 0 {
			return s.remove(ctx, s.conn, key{r.Number, r.Section})
		}
		return s.put(ctx, s.conn, r)
	})
	if err != nil {
		return fmt.Errorf("record the statement: %w", err)
	}
	return nil
}

// settle finds out what became of a statement whose end was not recorded.
func (s *session) settle(ctx context.Context, m Migration, sec Section, r *record) error {
	if r.State != running {
		return nil
	}
	st := sec.Statements[r.Statement]
	happened := false
	switch s.class(st) {
	case repeatable, transactional:
	case observed:
		var err error
		if happened, err = s.happened(ctx, s.conn, st, r.Seen); err != nil {
			return fmt.Errorf("look whether statement %s took effect: %w", sec.at(r.Statement), err)
		}
	case opaque:
		switch s.opts.Resolve[m.Number] {
		case TakeAsDone:
			happened = true
		case RunAgain:
		default:
			return question(m, sec, *r)
		}
	}
	r.State, r.Seen = stopped, ""
	if happened {
		r.Statement++
	}
	r.Checksum = sec.begun(r.Statement)
	return s.journal(ctx, *r)
}

// question is what only a person can answer.
func question(m Migration, sec Section, r record) error {
	return &noon.Error{
		Kind: noon.Conflict, Op: "go on with migration", Subject: fmt.Sprintf("%s (%s)", m.ID(), sec.at(r.Statement)),
		Err: fmt.Errorf("statement %d of section %q was begun by %s, and its end was not seen; the database does not tell whether it took effect: %s",
			r.Statement+1, sec.Kind, r.Who, sec.Statements[r.Statement].Text),
		Hint: fmt.Sprintf("Look. If it did, go on with `noon migration apply --resolve %d=done`, if not with `--resolve %d=again`.", m.Number, m.Number),
	}
}
