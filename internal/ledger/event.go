package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/noon-deploy/noon"
)

// Append adds to the journals of deployments, all events or none, if epoch is
// still the newest of each one's site.
func (l *Ledger) Append(ctx context.Context, epoch int64, events ...noon.Event) error {
	if len(events) == 0 {
		return nil
	}
	err := l.write(ctx, "append", func(tx *sql.Tx) error {
		fenced := map[int64]bool{}
		for _, e := range events {
			if fenced[e.Deployment] {
				continue
			}
			d, err := lockDeployment(ctx, tx, e.Deployment)
			if err != nil {
				return err
			}
			if err := fence(ctx, tx, d.Site, epoch); err != nil {
				return err
			}
			fenced[e.Deployment] = true
		}
		return l.appendEvents(ctx, tx, 0, epoch, events)
	})
	return explain("append to", "the journal", err)
}

// appendEvents inserts events with the next numbers. deployment is who all of
// them must belong to, or 0.
func (l *Ledger) appendEvents(ctx context.Context, tx *sql.Tx, deployment, epoch int64, events []noon.Event) error {
	for _, e := range events {
		if e.Deployment == 0 {
			e.Deployment = deployment
		}
		if deployment != 0 && e.Deployment != deployment {
			return &noon.Error{Kind: noon.Internal, Err: fmt.Errorf("an event belongs to d%d", e.Deployment)}
		}
		var err error
		if e.Seq, err = next(ctx, tx, "event"); err != nil {
			return err
		}
		e.Epoch = epoch
		if e.At.IsZero() {
			e.At = l.clock()
		}
		e.At = e.At.UTC()
		value, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO event (seq, deployment, epoch, value) VALUES ($1, $2, $3, $4)`, e.Seq, e.Deployment, epoch, string(value)); err != nil {
			return fmt.Errorf("insert event: %w", err)
		}
	}
	return nil
}

// Events returns the journal of a deployment after an event's number, in
// order. Numbers grow in the order of commits: a reader that goes on from the
// last number it saw misses none.
func (l *Ledger) Events(ctx context.Context, deployment, after int64) ([]noon.Event, error) {
	events, err := collect(ctx, l.reader, scanEvent, `SELECT value FROM event WHERE deployment = $1 AND seq > $2 ORDER BY seq`, deployment, after)
	return events, explain("read journal of", noon.Deployment{ID: deployment}.Name(), err)
}

func scanEvent(rows *sql.Rows) (noon.Event, error) {
	var value string
	if err := rows.Scan(&value); err != nil {
		return noon.Event{}, err
	}
	var e noon.Event
	if err := json.Unmarshal([]byte(value), &e); err != nil {
		return noon.Event{}, fmt.Errorf("decode event: %w", err)
	}
	return e, nil
}
