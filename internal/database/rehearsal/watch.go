package rehearsal

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
)

// watch sees the statements of a change. On PostgreSQL it is their tracer: at
// the end of each statement it asks on the same connection which locks the
// transaction has and which files its tables, so that nothing that lives as
// long as the transaction is missed. What is gone by then, such as the locks of
// an index that is built concurrently, is sampled from outside; see sample.
type watch struct {
	mu      sync.Mutex
	phase   noon.DataPhase
	tables  []string          // schema.name of those whose files are compared
	files   map[string]string // of them, as committed
	all     map[said]*noon.RehearsedStatement
	order   []said
	open    map[uint32]*transaction // by process of the server
	running map[uint32]*running
	told    *running      // of a server without a tracer
	spent   time.Duration // by looking, in this phase
	failed  string        // the last statement that failed, as it was sent
}

// said is a statement of a phase.
type said struct {
	phase noon.DataPhase
	text  string
}

// transaction is one that has not ended.
type transaction struct {
	locks map[lock]held
	files map[string]string // table → file, as it has them
	spent time.Duration     // by looking
}

// lock is what a session can have of a relation.
type lock struct{ Relation, Mode string }

// held tells since when, and because of which statement.
type held struct {
	since time.Time
	spent time.Duration // by looking, until then
	by    said
}

// running is a statement that has not ended.
type running struct {
	said
	whole string // as it was sent
	begun time.Time
	seen  map[lock]bool
	waits map[lock]time.Duration
	held  map[lock]time.Duration // as far as it was seen; of servers without a tracer in the transaction
	table string                 // that it names
}

func newWatch() *watch {
	return &watch{all: map[said]*noon.RehearsedStatement{}, open: map[uint32]*transaction{}, running: map[uint32]*running{}}
}

// enter begins a phase.
func (w *watch) enter(phase noon.DataPhase, list []table) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.phase, w.tables, w.files, w.spent = phase, nil, map[string]string{}, 0
	for _, t := range list {
		w.tables = append(w.tables, t.Schema+"."+t.Name)
		w.files[t.shown()] = t.File
	}
}

// doing is what the change does at this moment, "" if nothing.
func (w *watch) doing() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var oldest *running
	for _, r := range w.running {
		if oldest == nil || r.begun.Before(oldest.begun) {
			oldest = r
		}
	}
	if oldest == nil {
		oldest = w.told
	}
	if oldest == nil {
		return ""
	}
	return oldest.text
}

// known is how many runs of a statement are looked at closely: batches are all
// alike.
const known = 5

type traced struct{}

// TraceQueryStart is told by a connection before a statement.
func (w *watch) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &running{said: said{w.phase, alike(squeezed(data.SQL))}, begun: time.Now(), whole: data.SQL, seen: map[lock]bool{}, waits: map[lock]time.Duration{}}
	w.running[conn.PgConn().PID()] = r
	return context.WithValue(ctx, traced{}, r)
}

// TraceQueryEnd is told by a connection after a statement.
func (w *watch) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	r, ok := ctx.Value(traced{}).(*running)
	if !ok {
		return
	}
	end := time.Now()
	pid, status := conn.PgConn().PID(), conn.PgConn().TxStatus()
	var now view
	if w.isNew(r.said) && data.Err == nil && status != 'E' && !conn.PgConn().IsBusy() {
		now = look(ctx, conn, w.tables)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	spent := time.Since(end)
	w.spent += spent
	delete(w.running, pid)
	s := w.statement(r.said)
	s.Times++
	s.Took += end.Sub(r.begun)
	s.Longest = max(s.Longest, end.Sub(r.begun))
	if !data.CommandTag.Select() {
		s.Rows += data.CommandTag.RowsAffected()
	}
	if data.Err != nil && ctx.Err() == nil {
		s.Error, w.failed = explained(data.Err).Error(), r.whole
	}
	for l := range r.seen {
		add(s, l, end.Sub(r.begun), r.waits[l])
	}
	if w.open[pid] == nil {
		w.open[pid] = &transaction{locks: map[lock]held{}, files: maps.Clone(w.files)}
	}
	w.within(w.open[pid], r, now)
	if status == 'I' {
		w.over(pid, end, data.CommandTag.String() != "ROLLBACK")
	} else {
		w.open[pid].spent += spent
	}
}

// TraceBatchStart is told by a connection before several statements that are
// sent at once.
func (w *watch) TraceBatchStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	text := ""
	if data.Batch.Len() > 0 {
		text = data.Batch.QueuedQueries[0].SQL
	}
	return w.TraceQueryStart(ctx, conn, pgx.TraceQueryStartData{SQL: text})
}

// TraceBatchQuery is told of each of them. The time they take is the first
// one's: the others are noon's record of it.
func (w *watch) TraceBatchQuery(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, ok := ctx.Value(traced{}).(*running)
	if ok && r.text == alike(squeezed(data.SQL)) && data.Err == nil {
		w.statement(r.said).Rows += data.CommandTag.RowsAffected()
	}
}

// TraceBatchEnd is told by a connection when all of them have ended.
func (w *watch) TraceBatchEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchEndData) {
	w.TraceQueryEnd(ctx, conn, pgx.TraceQueryEndData{Err: data.Err})
}

// isNew reports whether a statement is worth a look.
func (w *watch) isNew(s said) bool {
	if isHarmless(s.text) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.all[s]
	return seen == nil || seen.Times < known
}

// harmless are the statements that lock no table of the app's against anybody.
func harmless() []string {
	return []string{"SELECT", "SET", "RESET", "SHOW", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "GRANT", "DEALLOCATE"}
}

// failure is the last statement that failed, "" if none did.
func (w *watch) failure() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// isHarmless reports whether a statement begins like one that is.
func isHarmless(text string) bool {
	verb, _, _ := strings.Cut(text, " ")
	return slices.Contains(harmless(), strings.ToUpper(strings.TrimRight(verb, ";")))
}

// looking is how long the phase has been held up by looking.
func (w *watch) looking() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.spent
}

// statement is the record of a statement. w.mu is held.
func (w *watch) statement(s said) *noon.RehearsedStatement {
	if w.all[s] == nil {
		w.all[s] = &noon.RehearsedStatement{Phase: s.phase, Text: s.text}
		w.order = append(w.order, s)
	}
	return w.all[s]
}

// within notes what a transaction has got by a statement.
func (w *watch) within(tx *transaction, r *running, now view) {
	for _, l := range now.Locks {
		if _, had := tx.locks[l]; !had {
			tx.locks[l] = held{r.begun, tx.spent, r.said}
		}
	}
	for name, file := range now.Files {
		if before := tx.files[name]; before != "" && before != file {
			s := w.statement(r.said)
			if !slices.Contains(s.Rewrote, name) {
				s.Rewrote = append(s.Rewrote, name)
			}
		}
	}
	if now.Files != nil {
		tx.files = now.Files
	}
}

// over ends the transaction of a session.
func (w *watch) over(pid uint32, end time.Time, committed bool) {
	tx := w.open[pid]
	delete(w.open, pid)
	if committed {
		w.files = tx.files
	}
	for l, h := range tx.locks {
		add(w.statement(h.by), l, end.Sub(h.since)-(tx.spent-h.spent), 0)
	}
}

// add notes a lock of a statement, the longest of several.
func add(s *noon.RehearsedStatement, l lock, took, waited time.Duration) {
	i := slices.IndexFunc(s.Locks, func(o noon.Locked) bool { return o.Relation == l.Relation && o.Mode == l.Mode })
	if i < 0 {
		s.Locks = append(s.Locks, noon.Locked{Relation: l.Relation, Mode: l.Mode})
		i = len(s.Locks) - 1
	}
	s.Locks[i].Held = max(s.Locks[i].Held, took)
	s.Locks[i].Waited = max(s.Locks[i].Waited, waited)
}

// says is told of the statements of servers that have no tracer: one ends when
// the next begins.
func (w *watch) says(p migration.Progress) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if p.Waiting != "" {
		return
	}
	text := alike(squeezed(p.Text))
	if w.told != nil && w.told.text == text && !p.Done {
		if p.Rows > 0 {
			w.statement(w.told.said).Rows = p.Rows
		}
		return
	}
	w.finish(now)
	if !p.Done && text != "" {
		w.told = &running{said: said{w.phase, text}, begun: now}
		w.statement(w.told.said).Rows = p.Rows
	}
}

// finish ends the statement that was told last. w.mu is held.
func (w *watch) finish(now time.Time) {
	if w.told == nil {
		return
	}
	s, took := w.statement(w.told.said), now.Sub(w.told.begun)
	s.Times++
	s.Took, s.Longest = s.Took+took, max(s.Longest, took)
	w.told = nil
}

// ended ends the statement that was told last, with the error of its step.
func (w *watch) ended(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told != nil && err != nil {
		w.statement(w.told.said).Error = explained(err).Error()
	}
	w.finish(time.Now())
}

// weak are the locks that who only reads takes, too, or, on MariaDB and MySQL,
// who writes rows.
func weak(l noon.Locked) bool {
	return slices.Contains([]string{"AccessShareLock", "RowShareLock", "INTENTION_EXCLUSIVE", "SHARED", "SHARED_HIGH_PRIO", "SHARED_READ", "SHARED_WRITE"}, l.Mode)
}

// statements are those that changed or locked something of the app's, in the
// order in which they were first seen.
func (w *watch) statements(traced bool) []noon.RehearsedStatement {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []noon.RehearsedStatement
	for _, key := range w.order {
		s := *w.all[key]
		strong := slices.ContainsFunc(s.Locks, func(l noon.Locked) bool { return !weak(l) })
		if traced && isHarmless(s.Text) && s.Error == "" {
			continue
		}
		if traced && !strong && len(s.Rewrote) == 0 && s.Error == "" && (s.Rows == 0 || journal(s.Text)) {
			continue
		}
		s.Locks = slices.DeleteFunc(s.Locks, weak)
		slices.SortFunc(s.Locks, func(a, b noon.Locked) int {
			return strings.Compare(a.Relation+" "+a.Mode, b.Relation+" "+b.Mode)
		})
		list = append(list, s)
	}
	return list
}

// journal reports whether a statement is noon's record of what it does.
func journal(text string) bool {
	return strings.Contains(text, " noon.") || strings.Contains(text, `"noon".`) || strings.Contains(text, "noon_migration")
}

// longestText is how much of a statement is reported, in bytes.
const longestText = 400

// alike gives the statements of batches, which differ in values only, the same
// text. Other statements keep theirs.
func alike(text string) string {
	verb, _, _ := strings.Cut(text, " ")
	if !slices.Contains([]string{"UPDATE", "INSERT", "DELETE", "WITH", "MERGE"}, strings.ToUpper(verb)) {
		return text
	}
	var b strings.Builder
	for inside, part := range alternately(text) {
		if inside {
			part = "'…'"
		}
		b.WriteString(part)
	}
	return b.String()
}

// alternately gives what is outside of quotes and what is inside of them.
func alternately(text string) iter.Seq2[bool, string] {
	return func(yield func(bool, string) bool) {
		inside := false
		for part := range strings.SplitSeq(text, "'") {
			if !yield(inside, part) {
				return
			}
			inside = !inside
		}
	}
}

// squeezed writes a statement in one line.
func squeezed(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > longestText {
		text = strings.ToValidUTF8(text[:longestText], "") + "…"
	}
	return text
}
