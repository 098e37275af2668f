package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/noon-deploy/noon"
)

// Halt returns what people have asked for that keeps users from a site.
func (l *Ledger) Halt(ctx context.Context, site noon.Site) (noon.Halt, error) {
	halt, err := readHalt(ctx, l.reader, site)
	return halt, explain("read what halts", site.String(), err)
}

func readHalt(ctx context.Context, q queryer, site noon.Site) (noon.Halt, error) {
	found, err := collect(ctx, q, scanHalt, `SELECT value FROM halt WHERE app = $1 AND environment = $2`, site.App, site.Environment)
	if err != nil || len(found) == 0 {
		return noon.Halt{}, err
	}
	return found[0], nil
}

func scanHalt(rows *sql.Rows) (noon.Halt, error) {
	var value string
	if err := rows.Scan(&value); err != nil {
		return noon.Halt{}, err
	}
	var h noon.Halt
	if err := json.Unmarshal([]byte(value), &h); err != nil {
		return noon.Halt{}, fmt.Errorf("decode halt: %w", err)
	}
	return h, nil
}

// SetHalt lets a person change what keeps users from a site, and notes it in
// the journal of a deployment of that site, both or neither. change is given
// what is asked for now, without a hold that has ended by itself; its error is
// returned and nothing is written. No epoch is needed: whoever has the site
// finds out.
func (l *Ledger) SetHalt(ctx context.Context, site noon.Site, event noon.Event, change func(noon.Halt) (noon.Halt, error)) (noon.Halt, error) {
	const op = "change what halts"
	if err := validSite(site); err != nil {
		return noon.Halt{}, explain(op, site.String(), err)
	}
	var halt noon.Halt
	err := l.write(ctx, "halt", func(tx *sql.Tx) error {
		d, err := lockDeployment(ctx, tx, event.Deployment)
		if err != nil {
			return err
		}
		if d.Site != site {
			return &noon.Error{Kind: noon.Internal, Err: fmt.Errorf("%s is not of this site", d.Name())}
		}
		before, err := readHalt(ctx, tx, site)
		if err != nil {
			return err
		}
		if halt, err = change(before.At(l.clock())); err != nil {
			return err
		}
		value, err := json.Marshal(halt)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO halt (app, environment, value) VALUES ($1, $2, $3)
			ON CONFLICT (app, environment) DO UPDATE SET value = excluded.value`, site.App, site.Environment, string(value)); err != nil {
			return fmt.Errorf("store halt: %w", err)
		}
		return l.note(ctx, tx, site, event)
	})
	return halt, explain(op, site.String(), err)
}

// Note appends to the journal of a deployment what was seen of something that
// is not a part of its walk.
func (l *Ledger) Note(ctx context.Context, site noon.Site, event noon.Event) error {
	err := l.write(ctx, "note", func(tx *sql.Tx) error {
		if _, err := lockDeployment(ctx, tx, event.Deployment); err != nil {
			return err
		}
		return l.note(ctx, tx, site, event)
	})
	return explain("append to", "the journal", err)
}

// note appends an event under the newest epoch of the site.
func (l *Ledger) note(ctx context.Context, tx *sql.Tx, site noon.Site, event noon.Event) error {
	var epoch int64
	err := tx.QueryRowContext(ctx, `SELECT epoch FROM lease WHERE app = $1 AND environment = $2`, site.App, site.Environment).Scan(&epoch)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read lease: %w", err)
	}
	return l.appendEvents(ctx, tx, event.Deployment, epoch, []noon.Event{event})
}
