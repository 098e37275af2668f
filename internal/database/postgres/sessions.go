package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
)

// lockKey is the advisory lock of an app's schema: one engine at a time.
func (e *Engine) lockKey() string { return "noon schema " + e.c.App }

// predecessor is how long the server may take to notice that a process which
// had the lock has ended.
const predecessor = 2 * time.Second

// lock takes the engine's lock for as long as the connection lives. It asks
// again and again: a statement that waits in the server is one that the holder's
// index, built beside all statements, waits for in turn.
func (e *Engine) lock(ctx context.Context, conn *pgx.Conn) error {
	if err := e.overtake(ctx, conn); err != nil {
		return err
	}
	for until := time.Now().Add(predecessor); ; {
		var got bool
		if err := conn.QueryRow(ctx, "select pg_try_advisory_lock(hashtextextended($1, 0))", e.lockKey()).Scan(&got); err != nil {
			return explain("take the lock on the schema", e.c.App, err)
		}
		if got {
			return nil
		}
		if !pause(ctx, 50*time.Millisecond) {
			return explain("take the lock on the schema", e.c.App, ctx.Err())
		}
		if !e.c.Wait && time.Now().After(until) {
			break
		}
	}
	return &noon.Error{Kind: noon.Conflict, Op: "change schema", Subject: e.c.App, Err: fmt.Errorf("another migrator has the lock: %s", e.holder(ctx, conn)), Hint: "Wait until it is done. Nothing was changed."}
}

// holder names who has the engine's lock.
func (e *Engine) holder(ctx context.Context, conn *pgx.Conn) string {
	var pid int32
	err := conn.QueryRow(ctx, `select pid from pg_locks where locktype = 'advisory' and granted and objsubid = 1
and database = (select oid from pg_database where datname = current_database())
and (classid::bigint << 32) | objid::bigint = hashtextextended($1, 0)`, e.lockKey()).Scan(&pid)
	if err != nil {
		return "it has ended meanwhile"
	}
	list, err := pgcatalog.Sessions(ctx, conn)
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	for _, s := range list {
		if s.PID == pid {
			return describe(s)
		}
	}
	return fmt.Sprintf("process %d", pid)
}

// describe names a session for people.
func describe(s pgcatalog.Session) string {
	parts := []string{fmt.Sprintf("process %d of %s", s.PID, s.User)}
	if s.Application != "" {
		parts = append(parts, "application "+s.Application)
	}
	if s.Address != "" {
		parts = append(parts, "from "+s.Address)
	}
	if s.State != "" {
		parts = append(parts, s.State)
	}
	if s.Since > 0 {
		parts = append(parts, "for "+s.Since.Round(time.Second).String())
	}
	if s.Query != "" {
		parts = append(parts, "query: "+strings.Join(strings.Fields(s.Query), " "))
	}
	return strings.Join(parts, ", ")
}

func describeAll(list []pgcatalog.Session) string {
	var lines []string
	for _, s := range list[:min(len(list), 10)] {
		lines = append(lines, describe(s))
	}
	if len(list) > 10 {
		lines = append(lines, fmt.Sprintf("and %d more", len(list)-10))
	}
	return strings.Join(lines, "\n")
}

// alone makes sure that nobody uses the version that goes away: the one before,
// or, to withdraw, the new one.
func (r *run) alone(ctx context.Context, db database, withdraw bool) error {
	now, before, err := rolesOf(ctx, db, r.plan.App, r.plan.To)
	if err != nil {
		return explain("read the journal", r.plan.name(), err)
	}
	leaving := before
	switch {
	case withdraw:
		leaving = now
	case len(now) == 0:
		if r.order.Unchecked {
			return nil
		}
		return r.conflict(r.plan.name(), errors.New("no release has a role of its own, so sessions of the old one can not be told from others"), "Make sure that the old release has stopped, and say so. Nothing was changed.")
	case len(before) == 0:
		leaving = append(leaving, r.e.c.Role) // who does not come as a release comes from before noon
	}
	list, err := pgcatalog.Sessions(ctx, db)
	if err != nil {
		return explain("look for sessions", r.plan.name(), err)
	}
	list = slices.DeleteFunc(list, func(s pgcatalog.Session) bool {
		return !slices.Contains(leaving, s.User) || s.Application == r.e.application()
	})
	if len(list) == 0 {
		return nil
	}
	if r.e.c.EndSessions {
		return r.end(ctx, list)
	}
	return r.conflict(r.plan.name(), fmt.Errorf("%d sessions use the version that would go away:\n%s", len(list), describeAll(list)), "Stop the release that they belong to. Nothing was changed.")
}

// end ends sessions and waits until they are gone.
func (r *run) end(ctx context.Context, list []pgcatalog.Session) error {
	for _, s := range list {
		var ended bool
		err := r.conn.QueryRow(ctx, "select case when exists (select from pg_stat_activity where pid = $1) then pg_terminate_backend($1) else true end", s.PID).Scan(&ended)
		if err != nil {
			return explain("end session", describe(s), err)
		}
		r.e.c.Log.WarnContext(ctx, "ended a session that was in the way", "pid", s.PID, "user", s.User, "state", s.State)
	}
	deadline, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, s := range list {
		for {
			var there bool
			if err := r.conn.QueryRow(ctx, "select exists (select from pg_stat_activity where pid = $1)", s.PID).Scan(&there); err != nil {
				return explain("end session", describe(s), err)
			}
			if !there {
				break
			}
			if !pause(deadline, 20*time.Millisecond) {
				return r.conflict(r.plan.name(), fmt.Errorf("a session does not end: %s", describe(s)), "Look at that process. Nothing was changed.")
			}
		}
	}
	return nil
}

// pause waits, and reports whether ctx still lives.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// telling makes a callback that may be nil callable from several goroutines.
func telling(tell func(Progress)) func(Progress) {
	var mu sync.Mutex
	return func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		if tell != nil {
			tell(p)
		}
	}
}
