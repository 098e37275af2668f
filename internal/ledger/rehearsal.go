package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/noon-deploy/noon"
)

// AddRehearsal stores a rehearsal that begins, and numbers it.
func (l *Ledger) AddRehearsal(ctx context.Context, r noon.Rehearsal) (noon.Rehearsal, error) {
	const op = "add rehearsal of"
	if err := validSite(r.Site); err != nil {
		return r, explain(op, r.Site.String(), err)
	}
	err := l.write(ctx, "rehearsal", func(tx *sql.Tx) error {
		n, err := next(ctx, tx, "rehearsal")
		if err != nil {
			return err
		}
		r.ID = n
		value, err := json.Marshal(r)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO rehearsal (id, app, environment, store, digest, status, value) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			r.ID, r.Site.App, r.Site.Environment, r.Store, r.Digest, string(r.Status), string(value))
		return err
	})
	return r, explain(op, r.Site.String(), err)
}

// EndRehearsal stores what came of a rehearsal that is running. One that has
// ended stays as it is.
func (l *Ledger) EndRehearsal(ctx context.Context, r noon.Rehearsal) error {
	err := l.write(ctx, "rehearsal", func(tx *sql.Tx) error { return endRehearsal(ctx, tx, r) })
	return explain("end", fmt.Sprintf("rehearsal %d", r.ID), err)
}

func endRehearsal(ctx context.Context, tx *sql.Tx, r noon.Rehearsal) error {
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	var id int64
	err = tx.QueryRowContext(ctx, `UPDATE rehearsal SET status = $1, value = $2 WHERE id = $3 AND status = $4 RETURNING id`,
		string(r.Status), string(value), r.ID, string(noon.RehearsalRunning)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return &noon.Error{Kind: noon.Conflict, Err: errors.New("it is not running")}
	}
	return err
}

// InterruptRehearsals ends those that were running when a controller went away.
func (l *Ledger) InterruptRehearsals(ctx context.Context) error {
	err := l.write(ctx, "rehearsal", func(tx *sql.Tx) error {
		list, err := collect(ctx, tx, scanRehearsal, `SELECT value FROM rehearsal WHERE status = $1`, string(noon.RehearsalRunning))
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return errUnchanged
		}
		for _, r := range list {
			r.Status, r.Ended = noon.RehearsalInterrupted, l.clock().UTC()
			if err := endRehearsal(ctx, tx, r); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return explain("end", "rehearsals", err)
}

// RehearsalQuery chooses rehearsals. Zero values choose all.
type RehearsalQuery struct {
	Site   noon.Site
	Store  string
	Digest string // of the release
	Limit  int
}

// Rehearsals lists rehearsals, the newest first.
func (l *Ledger) Rehearsals(ctx context.Context, q RehearsalQuery) ([]noon.Rehearsal, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = -1
	}
	list, err := collect(ctx, l.reader, scanRehearsal, `SELECT value FROM rehearsal
		WHERE ($1 = '' OR app = $1) AND ($2 = '' OR environment = $2) AND ($3 = '' OR store = $3) AND ($4 = '' OR digest = $4)
		ORDER BY id DESC LIMIT $5`, q.Site.App, q.Site.Environment, q.Store, q.Digest, limit)
	return list, explain("list rehearsals of", q.Site.String(), err)
}

// Rehearsal returns one rehearsal.
func (l *Ledger) Rehearsal(ctx context.Context, id int64) (noon.Rehearsal, error) {
	list, err := collect(ctx, l.reader, scanRehearsal, `SELECT value FROM rehearsal WHERE id = $1`, id)
	if err == nil && len(list) == 0 {
		err = &noon.Error{Kind: noon.NotFound, Err: errors.New("there is no such rehearsal"), Hint: "`noon rehearse --list` lists them."}
	}
	if err != nil {
		return noon.Rehearsal{}, explain("read", fmt.Sprintf("rehearsal %d", id), err)
	}
	return list[0], nil
}

func scanRehearsal(rows *sql.Rows) (noon.Rehearsal, error) {
	var value string
	if err := rows.Scan(&value); err != nil {
		return noon.Rehearsal{}, err
	}
	var r noon.Rehearsal
	if err := json.Unmarshal([]byte(value), &r); err != nil {
		return r, fmt.Errorf("decode rehearsal: %w", err)
	}
	return r, nil
}
