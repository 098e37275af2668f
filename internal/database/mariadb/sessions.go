package mariadb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
)

// Blocker is a session that is in the way.
type Blocker struct {
	ID    int64         `json:"id"` // of the connection
	User  string        `json:"user"`
	Host  string        `json:"host"`
	State string        `json:"state"`
	Since time.Duration `json:"since"`
	Query string        `json:"query,omitempty"`
}

// String describes it for people.
func (b Blocker) String() string {
	s := fmt.Sprintf("connection %d of %s from %s, %s for %s", b.ID, b.User, b.Host, b.State, b.Since)
	if b.Query != "" {
		s += ", query: " + strings.Join(strings.Fields(b.Query), " ")
	}
	return s
}

func describeAll(list []Blocker) string {
	var text strings.Builder
	for _, b := range list[:min(len(list), 10)] {
		text.WriteString("\n" + b.String())
	}
	if len(list) > 10 {
		fmt.Fprintf(&text, "\nand %d more", len(list)-10)
	}
	return text.String()
}

// predecessor is how long the server may take to notice that a process which
// had the lock has ended.
const predecessor = 2 * time.Second

// lock takes the engine's lock for as long as the session lives. What the
// session of a process that was killed still does, it does under the lock.
func (e *Engine) lock(ctx context.Context, conn *sql.Conn) error {
	name := "noon.schema." + digest(e.database+"\x00"+e.c.App)
	for until := time.Now().Add(predecessor); ; {
		var got sql.NullBool
		if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, 0)", name).Scan(&got); err != nil {
			return explain("take the lock on the schema", e.c.App, err)
		}
		if got.Bool {
			return nil
		}
		if !pause(ctx, 50*time.Millisecond) {
			return explain("take the lock on the schema", e.c.App, ctx.Err())
		}
		if !e.c.Wait && time.Now().After(until) {
			break
		}
	}
	var id sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT IS_USED_LOCK(?)", name).Scan(&id); err != nil {
		return explain("ask who has the lock on the schema", e.c.App, err)
	}
	return &noon.Error{Kind: noon.Conflict, Op: "change schema", Subject: e.c.App, Err: fmt.Errorf("another migrator has the lock: connection %d", id.Int64), Hint: "Wait until it is done. Nothing was changed."}
}

// alone makes sure that nobody uses the version that goes away: the one before,
// or, to withdraw, the new one.
func (r *run) alone(ctx context.Context, withdraw bool) error {
	roles, err := r.e.roles(ctx, r.conn)
	if err != nil {
		return err
	}
	var now, before []string
	for _, one := range roles {
		if one.Version >= r.plan.To {
			now = append(now, one.Name)
		} else {
			before = append(before, one.Name)
		}
	}
	leaving := before
	switch {
	case withdraw:
		leaving = now
	case len(now) == 0:
		if r.order.Unchecked {
			return nil
		}
		return r.conflict(r.plan.name(), errors.New("no release has a user of its own, so sessions of the old one can not be told from others"), "Make sure that the old release has stopped, and say so. Nothing was changed.")
	case len(before) == 0 || r.e.c.User != r.e.login:
		leaving = append(leaving, r.e.c.User) // who does not come as a release comes from before noon
	}
	list, err := r.e.staying(ctx, r.conn, leaving, r.id)
	if err != nil || len(list) == 0 {
		return err
	}
	return r.conflict(r.plan.name(), fmt.Errorf("%d sessions use the version that would go away:%s", len(list), describeAll(list)), "Stop the release that they belong to. Nothing was changed.")
}

// staying are the sessions of users, but for one, that do not end: the server
// may take a moment to notice that a process has ended.
func (e *Engine) staying(ctx context.Context, s session, users []string, but int64) ([]Blocker, error) {
	for until := time.Now().Add(predecessor); ; {
		list, err := e.sessions(ctx, s, users)
		if err != nil {
			return nil, err
		}
		list = slices.DeleteFunc(list, func(b Blocker) bool { return b.ID == but })
		if len(list) == 0 || time.Now().After(until) || !pause(ctx, 50*time.Millisecond) {
			return list, ctx.Err()
		}
	}
}

// sessions are those of users.
func (e *Engine) sessions(ctx context.Context, s session, users []string) ([]Blocker, error) {
	if len(users) == 0 {
		return nil, nil
	}
	args := make([]any, len(users))
	for i, u := range users {
		args[i] = u
	}
	list, err := processes(ctx, s, "SELECT id, user, host, command, time, coalesce(info, '') FROM information_schema.processlist WHERE user IN (?"+strings.Repeat(", ?", len(users)-1)+") ORDER BY id", args...)
	return list, explain("look for sessions", e.c.App, err)
}

func processes(ctx context.Context, s queries, query string, args ...any) ([]Blocker, error) {
	var list []Blocker
	err := each(ctx, s, func(v []sql.NullString) error {
		b := Blocker{User: v[1].String, Host: v[2].String, State: strings.ToLower(v[3].String), Query: v[5].String}
		var seconds int64
		if _, err := fmt.Sscan(v[0].String+" "+v[4].String, &b.ID, &seconds); err != nil {
			return err
		}
		b.Since = time.Duration(seconds) * time.Second
		list = append(list, b)
		return nil
	}, query, args...)
	return list, err
}

// blockers are sessions with the oldest transactions: who has a lock of a table
// is not told by all servers.
func (r *run) blockers(ctx context.Context) []Blocker {
	list, err := processes(ctx, r.db, `SELECT p.id, p.user, p.host, if(p.command = 'Sleep', 'idle in transaction', p.command), timestampdiff(SECOND, t.trx_started, now()), coalesce(p.info, '')
		FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id WHERE p.id <> ? ORDER BY t.trx_started LIMIT 5`, r.id)
	if err != nil {
		return nil // it only explains
	}
	return list
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
