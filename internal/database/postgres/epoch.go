package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon"
)

// hold takes the engine's lock for something that will be changed, and makes
// sure that noon's own tables are there and that no newer controller is.
func (e *Engine) hold(ctx context.Context, conn *pgx.Conn) error {
	if err := e.writable(ctx, conn); err != nil {
		return err
	}
	if err := e.lock(ctx, conn); err != nil {
		return err
	}
	if err := ensureJournal(ctx, conn); err != nil {
		return err
	}
	return e.fence(ctx, conn)
}

// fence writes down the epoch of the controller that asks, and refuses one that
// is older than what is there.
func (e *Engine) fence(ctx context.Context, db database) error {
	if e.c.Epoch == 0 {
		return nil
	}
	var newest int64
	err := db.QueryRow(ctx, `insert into noon.epoch as e (app, epoch) values ($1, $2)
on conflict (app) do update set epoch = greatest(e.epoch, excluded.epoch) returning epoch`, e.c.App, e.c.Epoch).Scan(&newest)
	if err != nil {
		return explain("write the journal", e.c.App, err)
	}
	if newest > e.c.Epoch {
		return &noon.Error{
			Kind: noon.Stale, Op: "change schema", Subject: e.c.App, Err: fmt.Errorf("the database knows a controller of epoch %d, this one has %d", newest, e.c.Epoch),
			Hint: fmt.Sprintf("Another controller has taken over this site: let it do this. Nothing was changed. If noon was installed anew and counts from one again: DELETE FROM noon.epoch WHERE app = %s.", literal(e.c.App)),
		}
	}
	return nil
}

// overtake ends what controllers before this one still have under way: one that
// was only halted would else hold the lock, and go on when it is woken. Their
// transactions are rolled back; what they had committed is gone on with.
func (e *Engine) overtake(ctx context.Context, conn *pgx.Conn) error {
	there, err := tableThere(ctx, conn, "noon.epoch")
	if err != nil || !there || e.c.Epoch == 0 {
		return err
	}
	if err := e.fence(ctx, conn); err != nil {
		return err
	}
	tag, err := conn.Exec(ctx, `select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and usename = session_user and starts_with(application_name, $1)
and substring(application_name from '[0-9]{1,18}$')::bigint < $2`, "noon "+e.c.App+" epoch ", e.c.Epoch)
	if err != nil {
		return explain("end the sessions of an older controller", e.c.App, err)
	}
	if n := tag.RowsAffected(); n > 0 {
		e.c.Log.WarnContext(ctx, "ended sessions of an older controller", "app", e.c.App, "sessions", n)
	}
	return nil
}
