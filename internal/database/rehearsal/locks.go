package rehearsal

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// view is what a session of PostgreSQL has.
type view struct {
	Locks []lock
	Files map[string]string
}

// ours are the relations of the app: those of the server and of noon's journal
// are left out, and so are their indexes.
const ours = `n.nspname not in ('pg_catalog', 'information_schema', 'noon', 'pg_toast') and c.relname not like 'noon\_migration%'`

const lookQuery = `select json_build_object(
  'locks', coalesce((select json_agg(distinct jsonb_build_object('Relation', case when n.nspname = 'public' then c.relname else n.nspname || '.' || c.relname end, 'Mode', l.mode))
    from pg_catalog.pg_locks l join pg_catalog.pg_class c on c.oid = l.relation join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where l.pid = pg_catalog.pg_backend_pid() and l.granted and ` + ours + `), '[]'),
  'files', (select json_object_agg(case when n.nspname = 'public' then c.relname else n.nspname || '.' || c.relname end, pg_catalog.pg_relation_filenode(c.oid)::text)
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' and n.nspname || '.' || c.relname in (`

// look asks on the connection itself, past its tracer.
func look(ctx context.Context, conn *pgx.Conn, list []string) view {
	names := []string{"''"}
	for _, name := range list {
		names = append(names, "'"+strings.ReplaceAll(name, "'", "''")+"'")
	}
	results, err := conn.PgConn().Exec(ctx, lookQuery+strings.Join(names, ", ")+")))").ReadAll()
	var v view
	if err != nil || len(results) != 1 || len(results[0].Rows) != 1 || json.Unmarshal(results[0].Rows[0][0], &v) != nil {
		return view{} // the statement's own connection has failed, and tells why itself
	}
	return v
}

// sampleEvery is how often the locks of a statement are looked at that runs.
const sampleEvery = 20 * time.Millisecond

const sampleQuery = `select l.pid, case when n.nspname = 'public' then c.relname else n.nspname || '.' || c.relname end, l.mode, l.granted
from pg_catalog.pg_locks l join pg_catalog.pg_class c on c.oid = l.relation join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where l.pid = any($1) and l.database = (select oid from pg_catalog.pg_database where datname = current_database()) and ` + ours

// sample looks at the locks of statements that run, until ctx ends.
func (w *watch) sample(ctx context.Context, conn *pgx.Conn) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		list := w.lasting()
		if len(list) == 0 {
			continue
		}
		rows, err := conn.Query(ctx, sampleQuery, list)
		if err != nil {
			return whileAlive(ctx, err)
		}
		locks, err := pgx.CollectRows(rows, pgx.RowToStructByPos[seen])
		if err != nil {
			return whileAlive(ctx, err)
		}
		w.saw(locks)
	}
}

// whileAlive is an error that is not the end of ctx.
func whileAlive(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// seen is a row of pg_locks.
type seen struct {
	PID            int32
	Relation, Mode string
	Granted        bool
}

// lasting are the sessions whose statement runs for longer than a moment.
func (w *watch) lasting() []int32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []int32
	for pid, r := range w.running {
		if time.Since(r.begun) > sampleEvery/2 {
			list = append(list, int32(pid)) //nolint:gosec // it was one
		}
	}
	return list
}

func (w *watch) saw(list []seen) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range list {
		r := w.running[uint32(s.PID)] //nolint:gosec // it was one
		if r == nil {
			continue
		}
		l := lock{s.Relation, s.Mode}
		if !s.Granted {
			r.waits[l] += sampleEvery
			r.seen[l] = true
			continue
		}
		tx := w.open[uint32(s.PID)] //nolint:gosec // it was one
		if tx != nil {
			if _, had := tx.locks[l]; had {
				continue // of a statement before
			}
		}
		r.seen[l] = true
	}
}
