package rehearsal

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

const (
	workers     = 4                     // connections that carry the load
	victimPause = 10 * time.Millisecond // between two statements of a victim
	manyKeys    = 1000                  // of a table, that users work with
	patience    = 30 * time.Second      // for what users have begun when they shall stop
)

// deed is one thing that a user does: in a transaction that is taken back, if
// it would leave something.
type deed struct {
	text string
	undo bool
}

func (d deed) do(ctx context.Context, c *sql.Conn) error {
	if !d.undo {
		_, err := c.ExecContext(ctx, d.text)
		return err
	}
	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, d.text)
	return errors.Join(err, tx.Rollback())
}

// what a habit is.
const (
	reading   = "read of"
	writing   = "update of"
	inserting = "insert into"
	given     = ""
)

// habit makes deeds of one kind.
type habit struct {
	what  string
	table table // of one that was learned
	next  func() deed
}

func (h habit) String() string {
	if h.what == given {
		return squeezed(h.next().text)
	}
	return h.what + " " + h.table.shown()
}

// users are those who work with the copy during one step.
type users struct {
	*run
	db     *sql.DB
	before bool // of the release before: nothing may break
	watch  *watch

	ready  chan struct{} // closed when they are at work
	habits []habit       // that worked before the step

	mu     sync.Mutex
	tooks  []time.Duration // of the load, from when it was due
	failed int
	why    string // the first of those
	report map[string]*noon.RehearsedTable
}

// learn finds what users can do with the tables that the change names. What
// does not work before the change begins is left out.
func (u *users) learn(ctx context.Context, list []table) error {
	conn, err := u.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // every statement was answered
	for _, t := range list {
		keys, err := u.keys(ctx, conn, t)
		if err != nil {
			return fmt.Errorf("read keys of %s: %w", t.shown(), err)
		}
		if len(keys) == 0 {
			continue
		}
		for _, h := range []habit{{reading, t, u.read(t, keys)}, {writing, t, u.write(t, keys)}, {inserting, t, u.insert(t, keys)}} {
			if h.next != nil && h.next().do(ctx, conn) == nil {
				u.habits = append(u.habits, h)
			}
		}
	}
	if u.Users == "" {
		return nil
	}
	return u.given()
}

// load is what is done at a set rate: what the user wrote, or what was learned,
// of which half is to look.
func (u *users) load() []habit {
	var list []habit
	for _, h := range u.habits {
		if (h.what == given) == (u.Users != "") {
			list = append(list, h)
		}
		if h.what == reading && u.Users == "" {
			list = append(list, h)
		}
	}
	return list
}

// keys are conditions that each choose one row.
func (u *users) keys(ctx context.Context, conn *sql.Conn, t table) ([]string, error) {
	if len(t.Key) == 0 {
		return nil, nil
	}
	var columns, order []string
	for _, k := range t.Key {
		name := quote(u.dialect, k)
		if u.dialect == sqltext.PostgreSQL {
			name += "::text"
		}
		columns, order = append(columns, name), append(order, quote(u.dialect, k))
	}
	from := t.quoted(u.dialect)
	if u.dialect == sqltext.PostgreSQL && t.Rows > 100*manyKeys {
		from += fmt.Sprintf(" tablesample system (%g)", 200*float64(manyKeys)/float64(t.Rows))
	}
	rows, err := conn.QueryContext(ctx, fmt.Sprintf("SELECT %s FROM %s LIMIT %d", strings.Join(columns, ", "), from, manyKeys))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		values := make([]sql.RawBytes, len(t.Key))
		into := make([]any, len(values))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		var conditions []string
		for i, v := range values {
			conditions = append(conditions, order[i]+" = "+u.value(v))
		}
		list = append(list, strings.Join(conditions, " AND "))
	}
	return list, rows.Err()
}

func (u *users) value(v []byte) string {
	if u.dialect == sqltext.MySQL && !utf8.Valid(v) {
		return fmt.Sprintf("x'%x'", v)
	}
	return literal(u.dialect, string(v))
}

func (u *users) read(t table, keys []string) func() deed {
	from := "SELECT * FROM " + t.quoted(u.dialect) + " WHERE "
	return func() deed { return deed{text: from + keys[rand.IntN(len(keys))]} } //nolint:gosec // any row will do
}

// write sets a column to what it is.
func (u *users) write(t table, keys []string) func() deed {
	free := t.free()
	if len(free) == 0 {
		return nil
	}
	column := quote(u.dialect, free[0])
	text := "UPDATE " + t.quoted(u.dialect) + " SET " + column + " = " + column + " WHERE "
	return func() deed { return deed{text: text + keys[rand.IntN(len(keys))]} } //nolint:gosec // any row will do
}

// insert adds a row like one that is there, where the server gives it a key of
// its own, and takes it back.
func (u *users) insert(t table, keys []string) func() deed {
	var columns []string
	for _, c := range t.Columns {
		if slices.Contains(t.Key, c.Name) && !c.Given && !c.Fixed && u.dialect != sqltext.SQLite {
			return nil
		}
		if !c.Given && !c.Fixed && !slices.Contains(t.Key, c.Name) {
			columns = append(columns, quote(u.dialect, c.Name))
		}
	}
	if len(columns) == 0 {
		return nil
	}
	names, name := strings.Join(columns, ", "), t.quoted(u.dialect)
	text := "INSERT INTO " + name + " (" + names + ") SELECT " + names + " FROM " + name + " WHERE "
	return func() deed { return deed{text + keys[rand.IntN(len(keys))], true} } //nolint:gosec // any row will do
}

// given takes over the statements that the user wrote.
func (u *users) given() error {
	all, err := sqltext.Split(u.dialect, u.Users)
	if err != nil {
		return &noon.Error{Kind: noon.Invalid, Op: "read the load of the rehearsal", Err: err, Hint: "Correct the file that `rehearsal: load:` names."}
	}
	for _, st := range all {
		if st.Text != "" {
			u.habits = append(u.habits, habit{next: func() deed { return deed{text: st.Text} }})
		}
	}
	return nil
}

// due is a deed and when it is due.
type due struct {
	habit
	at time.Time
}

// work has users work until ctx ends, and returns when each has ended what it
// had begun.
func (u *users) work(ctx context.Context, list []table) error {
	err := u.learn(ctx, list)
	if err != nil {
		close(u.ready)
		return err
	}
	var all sync.WaitGroup
	queue := make(chan due, 64*u.Rate)
	all.Go(func() { u.pace(ctx, u.load(), queue) })
	for range workers {
		all.Go(func() { u.worker(ctx, queue) })
	}
	var begun sync.WaitGroup // the change is to meet them at work
	for _, h := range u.habits {
		if h.what == reading || h.what == writing {
			begun.Add(1)
			all.Go(func() { u.victim(ctx, h, sync.OnceFunc(begun.Done)) })
		}
	}
	begun.Wait()
	close(u.ready)
	all.Wait()
	return nil
}

// still tries everything once more that worked before the step, and tells what
// does not.
func (u *users) still(ctx context.Context) (broken []string, err error) {
	conn, err := u.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // every statement was answered
	for _, h := range u.habits {
		if err := h.next().do(ctx, conn); err != nil {
			broken = append(broken, h.String()+": "+explained(err).Error())
		}
	}
	return broken, nil
}

// pace hands out deeds at a set rate, however long they take: who comes does
// not know that others wait.
func (u *users) pace(ctx context.Context, load []habit, queue chan<- due) {
	defer close(queue)
	if len(load) == 0 {
		return
	}
	tick := time.NewTicker(time.Second / time.Duration(u.Rate))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case at := <-tick.C:
			select {
			case queue <- due{load[n%len(load)], at}:
			default: // nobody waits for so long
			}
		}
	}
}

func (u *users) worker(ctx context.Context, queue <-chan due) {
	conn, err := u.db.Conn(ctx)
	if err != nil {
		return // who watches has seen the server go, too
	}
	defer conn.Close() //nolint:errcheck // every statement was answered
	for d := range queue {
		if ctx.Err() != nil {
			return
		}
		_, err := u.once(ctx, conn, d.habit)
		u.note(time.Since(d.at), d.habit, err)
	}
}

// once does one deed. What is begun is ended, so that no error is only because
// of the end of the rehearsal.
func (u *users) once(ctx context.Context, conn *sql.Conn, h habit) (time.Duration, error) {
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	begun := time.Now()
	err := h.next().do(whole, conn)
	return time.Since(begun), err
}

// note notes how a deed of the load went. Those who come after the release
// before know by other means than habits what has another name now.
func (u *users) note(took time.Duration, h habit, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil && !u.before && undefined(err) {
		return
	}
	u.tooks = append(u.tooks, took)
	if err != nil {
		u.failed++
		u.why = cmp.Or(u.why, h.String()+": "+explained(err).Error())
	}
}

// victim does the same again and again, and notes the longest wait.
func (u *users) victim(ctx context.Context, h habit, begun func()) {
	defer begun()
	conn, err := u.db.Conn(ctx)
	if err != nil {
		return // who watches has seen the server go, too
	}
	defer conn.Close() //nolint:errcheck // every statement was answered
	var tooks []time.Duration
	var v noon.Victim
	for ctx.Err() == nil {
		doing := u.watch.doing()
		took, err := u.once(ctx, conn, h)
		begun()
		if err == nil {
			tooks = append(tooks, took)
		}
		if took > v.Max && err == nil {
			v.Max, v.During = took, cmp.Or(doing, u.watch.doing())
		}
		if !pause(ctx, victimPause) {
			break
		}
	}
	v.Count, v.P99 = len(tooks), p99(tooks)
	u.mu.Lock()
	defer u.mu.Unlock()
	t := u.report[h.table.shown()]
	if h.what == reading {
		t.Reads = worse(t.Reads, v)
	} else {
		t.Writes = worse(t.Writes, v)
	}
}

// worse puts the victims of two steps together. The 99th percentile of both is
// not known, and at most the higher one.
func worse(a, b noon.Victim) noon.Victim {
	if b.Max > a.Max {
		a.Max, a.During = b.Max, b.During
	}
	a.Count, a.P99 = a.Count+b.Count, max(a.P99, b.P99)
	return a
}

func p99(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return 0
	}
	list = slices.Sorted(slices.Values(list))
	return list[(len(list)-1)*99/100]
}

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

// crowd opens the copy as users do.
func (r *run) crowd(ctx context.Context, address string, s Step, w *watch, report map[string]*noon.RehearsedTable) (*users, error) {
	if s.Users != nil {
		address = s.Users(Copy{Address: address})
	}
	db, err := migration.Connect(ctx, address)
	if err != nil {
		return nil, err
	}
	return &users{run: r, db: db, before: s.Before, watch: w, ready: make(chan struct{}), report: report}, nil
}
