package mariadb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"
)

const (
	glanceEvery = 50 * time.Millisecond  // between two looks at who uses the server
	lagEvery    = 250 * time.Millisecond // between two looks at replicas
	lagLimit    = 2 * time.Second        // that a replica may take to answer
)

// followers are the replicas of a server, and how far each is behind a backfill.
// The servers do not tell a primary how far its replicas are: what a replica has
// of noon's journal does.
type followers struct {
	list []follower

	mu    sync.Mutex // held by who looks, and as long as the backfill pauses
	asked time.Time
}

// follower is a replica that answers.
type follower struct {
	name string
	db   *sql.DB
}

// mark is when the journal said how many rows were filled.
type mark struct {
	filled int64
	at     time.Time
}

// follow finds the replicas that have told the server where they can be reached
// (report_host), and to which noon's user may connect. Without the right to ask
// for them there are none.
func (e *Engine) follow(ctx context.Context, conn *sql.Conn) *followers {
	all := &followers{}
	query := "SHOW REPLICA HOSTS"
	if !e.maria {
		query = "SHOW REPLICAS"
	}
	var addresses []string
	err := each(ctx, conn, func(v []sql.NullString) error {
		if len(v) > 2 && v[1].String != "" {
			addresses = append(addresses, net.JoinHostPort(v[1].String, v[2].String))
		}
		return nil
	}, query)
	if err != nil {
		return all
	}
	for _, address := range addresses {
		db, err := e.open(ctx, address)
		if err != nil {
			e.c.Log.WarnContext(ctx, "a replica can not be asked how far it is behind", "replica", address, "err", err)
			continue
		}
		all.list = append(all.list, follower{address, db})
	}
	return all
}

// open opens the database of the engine on another server.
func (e *Engine) open(ctx context.Context, address string) (*sql.DB, error) {
	config, err := parse(e.c.URL)
	if err != nil {
		return nil, err
	}
	config.Net, config.Addr, config.Timeout, config.ReadTimeout = "tcp", address, lagLimit, lagLimit
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (f *followers) close() {
	for _, one := range f.list {
		_ = one.db.Close() // nothing was written
	}
}

// gently leaves the server to users, if there are any: one worker has a batch at
// a time, and then there is none for as long as that took.
func (f *filling) gently(ctx context.Context, batch func() error) error {
	f.mu.Lock()
	users := f.users
	f.mu.Unlock()
	if !users {
		return cmp.Or(batch(), context.Cause(ctx))
	}
	f.turn.Lock()
	defer f.turn.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	began := time.Now()
	err := batch()
	if err == nil && !pause(ctx, time.Since(began)) {
		err = context.Cause(ctx)
	}
	return err
}

// glance looks whether others use the server, if nobody has just now.
func (f *filling) glance(ctx context.Context, conn *sql.Conn) error {
	f.mu.Lock()
	recent := time.Since(f.glanced) < glanceEvery
	if !recent {
		f.glanced = time.Now()
	}
	f.mu.Unlock()
	if recent {
		return nil
	}
	waiting, err := waits(ctx, conn)
	if err != nil {
		return err
	}
	users, err := f.used(ctx, conn)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting, f.users = waiting > 0, users
	return err
}

// waits is how many sessions wait for a row. It is a counter: the tables that
// name them are filled anew only when nobody has asked for a while.
func waits(ctx context.Context, conn *sql.Conn) (n int, err error) {
	var name string
	err = conn.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'").Scan(&name, &n)
	return n, err
}

// used reports whether somebody else has used the database just now. Where the
// app has noon's user they can not be told apart.
func (f *filling) used(ctx context.Context, conn *sql.Conn) (used bool, err error) {
	releases := base(f.e.c.Names) + "_"
	err = conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM information_schema.processlist
		WHERE (db = ? OR LEFT(db, ?) = ?) AND user <> 'system user' AND (user <> ? OR ?) AND (command <> 'Sleep' OR time < 2))`,
		f.plan.Database, utf8.RuneCountInString(releases), releases, f.e.login, f.e.login == f.e.c.User).Scan(&used)
	return used, err
}

// throttle waits while a replica does not keep up.
func (f *filling) throttle(ctx context.Context) error {
	f.follows.mu.Lock()
	defer f.follows.mu.Unlock()
	for {
		if time.Since(f.follows.asked) < lagEvery {
			return nil
		}
		behind, lag := f.lag(ctx)
		f.follows.asked = time.Now()
		if lag <= f.e.c.MaxLag {
			return ctx.Err()
		}
		f.mu.Lock()
		filled := f.is.filled
		f.mu.Unlock()
		f.tell(Progress{Phase: Expanded, Stage: f.stage.Name, Filled: filled, Rows: f.b.Rows, Paused: fmt.Sprintf("replica %s is %s behind", behind, lag.Round(time.Second))})
		if !pause(ctx, lagEvery) {
			return ctx.Err()
		}
	}
}

// lag is by how much the slowest replica is behind. One that does not answer is
// not waited for.
func (f *filling) lag(ctx context.Context) (name string, lag time.Duration) {
	least := int64(-1)
	for _, one := range f.follows.list {
		has, err := f.has(ctx, one.db)
		if err != nil {
			continue
		}
		if late := f.late(has); late > lag {
			name, lag = one.name, late
		}
		if least < 0 || has < least {
			least = has
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.marks) > 0 && f.marks[0].filled <= least {
		f.marks = f.marks[1:]
	}
	return name, lag
}

// has is how many rows a replica knows to be filled.
func (f *filling) has(ctx context.Context, db *sql.DB) (filled int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, lagLimit)
	defer cancel()
	err = db.QueryRowContext(ctx, "SELECT filled FROM noon_stage WHERE app = ? AND version = ? AND phase = ? AND name = ?", f.plan.App, f.plan.To, string(Expanded), f.stage.Name).Scan(&filled)
	if errors.Is(err, sql.ErrNoRows) || code(err) == noSuchTable {
		return 0, nil
	}
	return filled, err
}

// late is for how long a replica lacks what the journal says.
func (f *filling) late(has int64) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.marks {
		if m.filled > has {
			return time.Since(m.at)
		}
	}
	return 0
}
