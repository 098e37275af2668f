package migration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/noon-deploy/noon"
)

// Progress is what is being done.
type Progress struct {
	Migration  string // its ID
	Kind       Kind
	Statement  int    // that is run, from 1
	Statements int    // of the section
	Text       string // of the statement
	Rows       int64  // that batches have changed
	Total      int64  // rows of the table, as the server estimates; 0 if it does not
	Waiting    string // for what, "" if nothing is waited for
	Warning    string // what somebody should know, told once
	Done       bool   // the section is done
}

// session is one call's work: it holds the lock of migrators and the one
// connection on which everything is done, so that losing the one is losing the
// other.
type session struct {
	*Database
	conn    *sql.Conn
	id      int64 // the server's number for the connection
	history map[key]record
	see     func(Progress)
	blind   bool // it was told that replicas can not be seen
}

// work takes the lock, reads the history and does something. op is for errors.
func (d *Database) work(ctx context.Context, op string, see func(Progress), do func(context.Context, *session) error) (err error) {
	if see == nil {
		see = func(Progress) {}
	}
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return d.trouble(op, d.name, err)
	}
	defer func() { _ = conn.Close() }() // what it held the server lets go
	unlock, err := d.patientLock(ctx, conn, see)
	if err != nil {
		return d.trouble(op, d.name, err)
	}
	defer func() {
		if e := unlock(); e != nil && err == nil {
			err = d.trouble(op, d.name, e)
		}
	}()
	s := &session{Database: d, conn: conn, see: see}
	if err := s.load(ctx); err != nil {
		return d.trouble(op, d.name, err)
	}
	if err := s.fence(ctx); err != nil {
		return d.trouble(op, d.name, err)
	}
	return do(ctx, s)
}

// patientLock waits a little: a noon that was killed may still have a
// statement under way.
func (d *Database) patientLock(ctx context.Context, conn *sql.Conn, see func(Progress)) (func() error, error) {
	limit := time.Now().Add(d.opts.Patience)
	for {
		unlock, h, err := d.lock(ctx, conn)
		if err != nil || h == nil {
			return unlock, err
		}
		if err := d.overtake(ctx, conn, *h); err != nil {
			return nil, err
		}
		if time.Now().After(limit) {
			return nil, &noon.Error{
				Kind: noon.Conflict, Op: "take the lock of migrations of", Subject: d.name,
				Err:  fmt.Errorf("%s holds it", h.who),
				Hint: "Another noon is migrating this database. Wait for it; it lets go when it ends or dies.",
			}
		}
		see(Progress{Waiting: "for the lock of migrations: " + h.who + " holds it"})
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// load reads the history, and makes it first if it is not there.
func (s *session) load(ctx context.Context) error {
	there, err := s.hasHistory(ctx, s.conn)
	if err != nil {
		return fmt.Errorf("look for the history: %w", err)
	}
	if !there {
		if err := s.makeHistory(ctx, s.conn); err != nil {
			return fmt.Errorf("make the history (table %s): %w", s.table, err)
		}
	}
	if s.id, err = s.number(ctx, s.conn); err != nil {
		return fmt.Errorf("ask for the number of the session: %w", err)
	}
	s.history, err = s.records(ctx, s.conn)
	if err != nil {
		return fmt.Errorf("read the history (table %s): %w", s.table, err)
	}
	return nil
}

// transaction runs do in a transaction of its own.
func (s *session) transaction(ctx context.Context, point string, unlimited bool, do func() error) error {
	if err := s.begin(ctx, s.conn, unlimited); err != nil {
		return err
	}
	if err := do(); err != nil {
		rollback(ctx, s.conn)
		return err
	}
	s.opts.Faults.Point("migration." + point + ".commit")
	if _, err := s.conn.ExecContext(ctx, "COMMIT"); err != nil {
		rollback(ctx, s.conn)
		return err
	}
	s.opts.Faults.Point("migration." + point + ".after")
	return nil
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// spot is an error at a statement of a file.
type spot struct {
	section Section
	index   int
	err     error
}

func (e *spot) Error() string { return e.err.Error() }
func (e *spot) Unwrap() error { return e.err }

// explained is an error of a section for people: where, why, and what to do.
func (s *session) explained(m Migration, sec Section, err error) error {
	if err == nil {
		return nil
	}
	at, placed := errors.AsType[*spot](err)
	if e, ok := errors.AsType[*noon.Error](err); ok {
		if !placed {
			return err
		}
		return &noon.Error{Kind: e.Kind, Op: "run migration", Subject: m.at(at), Err: err, Hint: e.Hint}
	}
	p := s.explain(err)
	subject := m.ID() + " " + string(sec.Kind)
	if placed {
		subject = fmt.Sprintf("%s (%s:%d)", m.ID(), at.section.File, p.lineOf(at.section.Statements[at.index]))
	}
	if p.lost {
		p.hint = "Try again when the database can be reached: what was done is recorded, and the rest is done then."
	}
	return &noon.Error{Kind: p.kind, Op: "run migration", Subject: subject, Err: err, Hint: p.hint}
}

// at is the place of a statement with its migration.
func (m Migration) at(s *spot) string { return fmt.Sprintf("%s (%s)", m.ID(), s.section.at(s.index)) }
