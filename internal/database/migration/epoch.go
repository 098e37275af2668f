package migration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/noon-deploy/noon"
)

// epochs is the table of the newest controllers: who has migrated last of those
// that share a name, and in which session of the server.
func (d *Database) epochs() string { return d.table + "_epoch" }

// newest is the epoch of the newest controller of this one's name that has
// migrated, and its session; 0 if there was none.
func (d *Database) newest(ctx context.Context, c *sql.Conn) (epoch, session int64, err error) {
	query := bind(d.dialect, `SELECT epoch, session FROM `+d.epochs()+` WHERE controller = ?`)
	err = c.QueryRowContext(ctx, query, d.opts.Controller).Scan(&epoch, &session)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return epoch, session, err
}

// fence writes down the epoch of the controller that asks, and refuses one that
// is older than another. It is called under the lock of migrators.
func (s *session) fence(ctx context.Context) error {
	if s.opts.Epoch == 0 {
		return nil
	}
	there, err := s.has(ctx, s.conn, "migration_epoch")
	if err == nil && !there {
		_, err = s.conn.ExecContext(ctx, `CREATE TABLE `+s.epochs()+` (controller VARCHAR(100) NOT NULL PRIMARY KEY, epoch BIGINT NOT NULL, session BIGINT NOT NULL)`+s.tableOptions())
	}
	if err != nil {
		return fmt.Errorf("make table %s: %w", s.epochs(), err)
	}
	epoch, _, err := s.newest(ctx, s.conn)
	if err != nil {
		return fmt.Errorf("read table %s: %w", s.epochs(), err)
	}
	if epoch > s.opts.Epoch {
		return s.stale(epoch)
	}
	query, args := `UPDATE `+s.epochs()+` SET epoch = ?, session = ? WHERE controller = ?`, []any{s.opts.Epoch, s.id, s.opts.Controller}
	if epoch == 0 {
		query = `INSERT INTO ` + s.epochs() + ` (epoch, session, controller) VALUES (?, ?, ?)`
	}
	if _, err := s.conn.ExecContext(ctx, bind(s.dialect, query), args...); err != nil {
		return fmt.Errorf("write table %s: %w", s.epochs(), err)
	}
	return nil
}

// overtake ends the session of an older controller that has the lock: one that
// was only halted would else keep it, and go on when it is woken. What it has
// done is recorded, and gone on with. Other holders are waited for.
func (d *Database) overtake(ctx context.Context, c *sql.Conn, h holder) error {
	if d.opts.Epoch == 0 || h.session == 0 {
		return nil
	}
	there, err := d.has(ctx, c, "migration_epoch")
	if err != nil || !there {
		return err
	}
	epoch, session, err := d.newest(ctx, c)
	switch {
	case err != nil:
		return fmt.Errorf("read table %s: %w", d.epochs(), err)
	case epoch > d.opts.Epoch:
		return d.stale(epoch)
	case epoch == d.opts.Epoch || session != h.session:
		return nil
	}
	d.opts.Log.WarnContext(ctx, "ends the session of an older controller", "session", h.session, "epoch", epoch)
	return d.end(ctx, d.db, Blocker{Session: h.session})
}

func (d *Database) stale(epoch int64) error {
	return &noon.Error{
		Kind: noon.Stale, Op: "migrate", Subject: d.name, Err: fmt.Errorf("the database knows a controller of epoch %d, this one has %d", epoch, d.opts.Epoch),
		Hint: fmt.Sprintf("Another controller has taken over this site: let it do this. Nothing was changed. If noon was installed anew and counts from one again: DELETE FROM %s WHERE controller = '%s'.", d.epochs(), d.opts.Controller),
	}
}
