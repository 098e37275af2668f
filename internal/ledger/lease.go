package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/noon-deploy/noon"
)

// Lease tells who has a site.
type Lease struct {
	Fence    noon.Fence `json:"fence"` // zero: nobody ever had it
	Holder   string     `json:"holder"`
	Acquired time.Time  `json:"acquired"`
}

// Acquire gives a site to holder and returns its epoch. From then on every
// write with an older epoch is refused.
func (l *Ledger) Acquire(ctx context.Context, site noon.Site, holder string) (int64, error) {
	if err := validSite(site); err != nil {
		return 0, explain("acquire", site.String(), err)
	}
	var epoch int64
	err := l.write(ctx, "acquire", func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `INSERT INTO lease (app, environment, epoch, generation, holder, acquired) VALUES ($1, $2, 1, 0, $3, $4)
			ON CONFLICT (app, environment) DO UPDATE SET epoch = lease.epoch + 1, holder = excluded.holder, acquired = excluded.acquired
			RETURNING epoch`, site.App, site.Environment, holder, nanos(l.clock())).Scan(&epoch)
	})
	return epoch, explain("acquire", site.String(), err)
}

// NextGeneration returns the generation of the next snapshot of a site. It
// grows over all epochs.
func (l *Ledger) NextGeneration(ctx context.Context, site noon.Site, epoch int64) (int64, error) {
	var generation int64
	err := l.write(ctx, "generation", func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `UPDATE lease SET generation = generation + 1
			WHERE app = $1 AND environment = $2 AND epoch = $3 RETURNING generation`, site.App, site.Environment, epoch).Scan(&generation)
		if errors.Is(err, sql.ErrNoRows) {
			return stale(epoch)
		}
		return err
	})
	return generation, explain("number a snapshot of", site.String(), err)
}

// Lease returns the newest lease of a site.
func (l *Ledger) Lease(ctx context.Context, site noon.Site) (Lease, error) {
	var lease Lease
	var acquired int64
	err := l.reader.QueryRowContext(ctx, `SELECT epoch, generation, holder, acquired FROM lease WHERE app = $1 AND environment = $2`,
		site.App, site.Environment).Scan(&lease.Fence.Epoch, &lease.Fence.Generation, &lease.Holder, &acquired)
	if errors.Is(err, sql.ErrNoRows) {
		return Lease{}, nil
	}
	lease.Acquired = fromNanos(acquired)
	return lease, explain("read lease of", site.String(), err)
}

// fence refuses the transaction unless epoch is the newest of the site, and
// keeps it so until the commit: the update locks the row.
func fence(ctx context.Context, tx *sql.Tx, site noon.Site, epoch int64) error {
	var same int64
	err := tx.QueryRowContext(ctx, `UPDATE lease SET epoch = epoch WHERE app = $1 AND environment = $2 AND epoch = $3 RETURNING epoch`,
		site.App, site.Environment, epoch).Scan(&same)
	if errors.Is(err, sql.ErrNoRows) {
		return stale(epoch)
	}
	if err != nil {
		return fmt.Errorf("check lease: %w", err)
	}
	return nil
}

func stale(epoch int64) *noon.Error {
	return &noon.Error{
		Kind: noon.Stale, Err: fmt.Errorf("epoch %d is not the newest", epoch),
		Hint: "Another controller has taken over and goes on with the work; this one changes nothing any more.",
	}
}
