package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// adapt makes spans such that one takes about as long as it may.
func (f *filling) adapt(took time.Duration, filled int64) {
	f.mu.Lock()
	switch {
	case took > f.e.c.BatchTime:
		f.limit = max(f.limit/2, smallest)
	case took < f.e.c.BatchTime/2:
		f.limit = min(f.limit*2, f.e.c.Batch)
	}
	f.filled += filled
	p := Progress{Phase: Expanded, Stage: f.stage, Filled: f.filled, Rows: f.b.Rows}
	f.mu.Unlock()
	f.tell(p)
}

// gently leaves the server to users, if there are any: one worker has a batch at
// a time, and then there is none for as long as that took. A worker computes
// without a break, and whoever commits beside it waits until what it has logged
// is written too.
func (f *filling) gently(ctx context.Context, batch func() error) error {
	f.mu.Lock()
	users := f.users
	f.mu.Unlock()
	if !users {
		return batch()
	}
	f.turn.Lock()
	defer f.turn.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	began := time.Now()
	err := batch()
	if err == nil && !pause(ctx, time.Since(began)) {
		err = ctx.Err()
	}
	return err
}

// throttle waits while the server or its replicas do not keep up, and finds
// out whether there are users. A session that noon may not look at is nobody's:
// those of the app are.
func (f *filling) throttle(ctx context.Context, conn *pgx.Conn) error {
	for {
		var waiting int
		var lag float64
		var users bool
		err := conn.QueryRow(ctx, `select (select count(*) from pg_locks where not granted),
coalesce((select max(extract(epoch from replay_lag)) from pg_stat_replication), 0)::float8,
exists (select from pg_stat_activity where datname = current_database() and backend_type = 'client backend'
  and application_name not like 'noon %' and (state = 'active' or state_change > clock_timestamp() - interval '2 seconds'))`).Scan(&waiting, &lag, &users)
		if code(err) == queryCanceled && ctx.Err() == nil {
			return nil // asked in vain, this time
		}
		if err != nil {
			return err
		}
		f.mu.Lock()
		f.users = users
		f.mu.Unlock()
		var why string
		switch {
		case lag > f.e.c.MaxLag.Seconds():
			why = fmt.Sprintf("a replica is %.0f s behind", lag)
		case waiting > 10:
			why = fmt.Sprintf("%d sessions wait for locks", waiting)
		default:
			return nil
		}
		f.tell(Progress{Phase: Expanded, Stage: f.stage, Filled: f.filled, Rows: f.b.Rows, Paused: why})
		f.mu.Lock() // nobody takes a span meanwhile
		alive := pause(ctx, 500*time.Millisecond)
		f.mu.Unlock()
		if !alive {
			return ctx.Err()
		}
	}
}
