package mariadb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/noon-deploy/noon"
)

// newest is the epoch of the newest controller that has changed something, 0
// if there was none.
func (e *Engine) newest(ctx context.Context, s session) (int64, error) {
	there, err := e.journaled(ctx, s)
	if err != nil || !there {
		return 0, err
	}
	var epoch int64
	err = s.QueryRowContext(ctx, "SELECT epoch FROM noon_epoch WHERE app = ?", e.c.App).Scan(&epoch)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return epoch, explain("read the journal", e.c.App, err)
}

// fence writes down the epoch of the controller that asks, and refuses one that
// is older than another. It is called under the engine's lock.
func (e *Engine) fence(ctx context.Context, conn *sql.Conn) error {
	if e.c.Epoch == 0 {
		return nil
	}
	newest, err := e.newest(ctx, conn)
	if err != nil {
		return err
	}
	if newest > e.c.Epoch {
		return &noon.Error{
			Kind: noon.Stale, Op: "change schema", Subject: e.c.App, Err: fmt.Errorf("the database knows a controller of epoch %d, this one has %d", newest, e.c.Epoch),
			Hint: fmt.Sprintf("Another controller has taken over this site: let it do this. Nothing was changed. If noon was installed anew and counts from one again: DELETE FROM noon_epoch WHERE app = %s.", literal(e.c.App)),
		}
	}
	_, err = conn.ExecContext(ctx, "INSERT INTO noon_epoch (app, epoch) VALUES (?, ?) ON DUPLICATE KEY UPDATE epoch = VALUES(epoch)", e.c.App, e.c.Epoch)
	return explain("write the journal", e.c.App, err)
}

// overtake ends the session of a controller before this one that has the lock:
// one that was only halted would else keep it, and go on when it is woken. What
// it has done is gone on with.
func (e *Engine) overtake(ctx context.Context, conn *sql.Conn, lock string) error {
	newest, err := e.newest(ctx, conn)
	if err != nil || newest == 0 || newest >= e.c.Epoch {
		return err
	}
	var holder sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT IS_USED_LOCK(?)", lock).Scan(&holder); err != nil || !holder.Valid {
		return err
	}
	_, err = conn.ExecContext(ctx, fmt.Sprintf("KILL CONNECTION %d", holder.Int64))
	if code(err) == noSuchThread {
		return nil // it has ended meanwhile
	}
	return err
}
