package rehearsal

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/noon-deploy/noon/internal/database/mariadb"
	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// What MariaDB and MySQL tell of a change. A statement that defines something
// is a transaction of its own there, so all that is to be known of its locks is
// seen from outside, while it runs.

// sees is told of a statement on MariaDB and MySQL.
func (b *bench) sees(connection int64, text string) func(rows int64, err error) {
	if !changes(text) {
		return func(int64, error) {}
	}
	if u, err := url.Parse(b.address); err == nil { // for people the copy is the store
		text = strings.ReplaceAll(text, quote(b.dialect, strings.TrimPrefix(u.Path, "/"))+".", "")
	}
	r := b.watch.begins(connection, text)
	return func(rows int64, err error) {
		end := time.Now()
		var files map[string]string
		if strings.HasPrefix(text, "ALTER TABLE") && err == nil {
			files = b.files(context.Background()) // the statement's own may have ended with it
		}
		b.watch.ends(connection, r, ending{end, rows, err, files})
	}
}

// ending is how a statement ended.
type ending struct {
	at    time.Time
	rows  int64
	err   error
	files map[string]string // table → file, after it; nil: as before
}

// changes reports whether a statement is about the app's tables: noon's own
// journal, users and views are not.
func changes(text string) bool {
	if !slices.ContainsFunc([]string{"ALTER TABLE ", "CREATE TABLE ", "CREATE TRIGGER ", "DROP TABLE ", "DROP TRIGGER ", "UPDATE "}, func(begin string) bool {
		return strings.HasPrefix(text, begin)
	}) {
		return false
	}
	first := strings.Join(strings.Fields(text)[:min(6, len(strings.Fields(text)))], " ")
	return strings.Contains(first, "TRIGGER") || !strings.Contains(first, "noon_version") && !strings.Contains(first, "noon_role") &&
		!strings.Contains(first, "noon_stage") && !strings.Contains(first, "noon_epoch") && !strings.Contains(first, "noon_try") && !strings.Contains(first, "noon_proof")
}

var numbers = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\b\d+\b`) })

// begins notes that a statement is sent. Batches differ in numbers and texts
// only.
func (w *watch) begins(connection int64, text string) *running {
	shown := squeezed(text)
	if strings.HasPrefix(shown, "UPDATE ") {
		shown = numbers().ReplaceAllString(alike(shown), "…")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &running{said: said{w.phase, shown}, whole: text, begun: time.Now(), waits: map[lock]time.Duration{}, held: map[lock]time.Duration{}}
	for _, name := range w.tables {
		name = strings.TrimPrefix(name, ".")
		if strings.Contains(text, quote(sqltext.MySQL, name)) {
			r.table = name
			break
		}
	}
	w.running[uint32(connection)] = r //nolint:gosec // the server counts connections with 32 bits
	return r
}

// ends notes that it was answered. One that did not get its locks is tried
// again: what counts is how the last try went.
func (w *watch) ends(connection int64, r *running, e ending) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.running, uint32(connection)) //nolint:gosec // the server counts connections with 32 bits
	s := w.statement(r.said)
	took := e.at.Sub(r.begun)
	s.Times, s.Rows, s.Took, s.Longest, s.Error = s.Times+1, s.Rows+e.rows, s.Took+took, max(s.Longest, took), ""
	if e.err != nil {
		s.Error, w.failed = explained(e.err).Error(), r.whole
	}
	for l, held := range r.held {
		add(s, l, held, 0)
	}
	for l, waited := range r.waits {
		add(s, l, 0, waited)
	}
	for name, file := range e.files {
		if before := w.files[name]; before != "" && before != file && !slices.Contains(s.Rewrote, name) {
			s.Rewrote = append(s.Rewrote, name)
		}
	}
	if e.files != nil {
		w.files = e.files
	}
	w.spent += time.Since(e.at)
}

// files are those of the copy's tables, where the server tells: a table that is
// written anew is in a new one.
func (b *bench) files(ctx context.Context) map[string]string {
	if b.dialect != sqltext.MySQL {
		return nil
	}
	all := map[string]string{}
	rows, err := b.db.QueryContext(ctx, "SELECT substring_index(name, '/', -1), space FROM information_schema.innodb_sys_tables WHERE name LIKE concat(database(), '/%')")
	if err != nil {
		return nil // MySQL, or a user without PROCESS
	}
	defer rows.Close()
	for rows.Next() {
		var name, file string
		if rows.Scan(&name, &file) != nil {
			return nil
		}
		all[name] = file
	}
	if rows.Err() != nil {
		return nil
	}
	return all
}

// sources are where a server tells which locks of tables sessions have: the
// question whether it does, and the query of session, table, mode and whether it
// has it.
func sources() [][2]string {
	return [][2]string{
		{
			"SELECT count(*) FROM information_schema.plugins WHERE plugin_name = 'METADATA_LOCK_INFO' AND plugin_status = 'ACTIVE'",
			"SELECT thread_id, table_name, substring(lock_mode, 5), TRUE FROM information_schema.metadata_lock_info WHERE lock_type = 'Table metadata lock' AND table_schema = database() AND thread_id IN (%[1]s)",
		},
		{
			"SELECT count(*) FROM performance_schema.setup_instruments WHERE @@performance_schema AND name = 'wait/lock/metadata/sql/mdl' AND enabled = 'YES'",
			"SELECT t.processlist_id, m.object_name, m.lock_type, m.lock_status = 'GRANTED' FROM performance_schema.metadata_locks m JOIN performance_schema.threads t ON t.thread_id = m.owner_thread_id WHERE m.object_type = 'TABLE' AND m.object_schema = database() AND t.processlist_id IN (%[1]s)",
		},
	}
}

// What every server tells: that a session waits.
const (
	waitQuery = "SELECT id, '', 'metadata lock', FALSE FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata lock%%' AND id IN (%[1]s)"
	rowQuery  = "SELECT trx_mysql_thread_id, '', 'row lock', FALSE FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT' AND trx_mysql_thread_id IN (%[1]s)"
	// rowEvery is how many samples pass until rows are looked at: what InnoDB tells
	// of them is only looked up again when nobody has asked for 100 ms.
	rowEvery = 6
)

// samplingMySQL looks at locks from outside as far as the server tells.
func (b *bench) samplingMySQL(ctx context.Context) (stop func() error, err error) {
	conn, err := b.db.Conn(ctx)
	if err != nil {
		return nil, b.trouble("reach the copy", err)
	}
	query := waitQuery
	for _, s := range sources() {
		var n int
		if conn.QueryRowContext(ctx, s[0]).Scan(&n) == nil && n > 0 {
			query = s[1] + " UNION ALL " + waitQuery
			break
		}
	}
	if query == waitQuery {
		b.note("the server does not tell which locks statements have: INSTALL SONAME 'metadata_lock_info' (MariaDB) or performance_schema with wait/lock/metadata/sql/mdl on the server of the copies shows them")
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- b.watch.sampleMySQL(ctx, conn, query) }()
	return func() error {
		cancel()
		err := <-done
		_ = conn.Close() // nothing was written
		return err
	}, nil
}

// sampleMySQL looks at the locks of statements that run, until ctx ends.
func (w *watch) sampleMySQL(ctx context.Context, conn *sql.Conn, query string) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := w.sampleOnce(ctx, conn, query, sampleEvery)
		if err == nil && n%rowEvery == 0 {
			err = w.sampleOnce(ctx, conn, rowQuery, rowEvery*sampleEvery)
		}
		if err != nil {
			return whileAlive(ctx, err)
		}
	}
}

// sampleOnce asks for the locks of statements that run, each of which is taken
// for as old as the time between two looks.
func (w *watch) sampleOnce(ctx context.Context, conn *sql.Conn, query string, since time.Duration) error {
	var list []string
	for _, id := range w.lasting() {
		list = append(list, strconv.Itoa(int(id)))
	}
	if len(list) == 0 {
		return nil
	}
	rows, err := conn.QueryContext(ctx, fmt.Sprintf(query, strings.Join(list, ", ")))
	if err != nil {
		return err
	}
	defer rows.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	for rows.Next() {
		var id int64
		var table, mode string
		var granted bool
		if err := rows.Scan(&id, &table, &mode, &granted); err != nil {
			return err
		}
		r := w.running[uint32(id)] //nolint:gosec // it was one
		if r == nil {
			continue
		}
		if table == "" {
			table = r.table
		}
		if granted {
			r.held[lock{table, mode}] += since
		} else {
			r.waits[lock{table, mode}] += since
		}
	}
	return rows.Err()
}

// recount has the server look at the tables again before their sizes are read:
// it does so by itself when a tenth of the rows has changed, and later.
func (b *bench) recount(ctx context.Context) {
	for _, name := range b.order {
		_, _ = b.db.ExecContext(ctx, "ANALYZE TABLE "+quote(b.dialect, name)) // a table that is gone has no size
	}
}

// viewed are tables as the users of a step see them: on MariaDB and MySQL a
// release has views of them, in which columns may have other names.
func (b *bench) viewed(ctx context.Context, s Step, list []table) ([]table, error) {
	if b.dialect != sqltext.MySQL || s.Users == nil {
		return list, nil
	}
	u, err := url.Parse(s.Users(Copy{Address: b.address}))
	if err != nil {
		return nil, b.trouble("read the address of users", err)
	}
	at, err := url.Parse(b.address)
	if err != nil {
		return nil, b.trouble("read the address of the copy", err)
	}
	views, err := mariadb.ViewsOf(ctx, b.db, strings.TrimPrefix(at.Path, "/"), u.User.Username())
	if err != nil || views == nil {
		return list, err
	}
	var all []table
	for _, t := range list {
		if i := slices.IndexFunc(views, func(v mariadb.View) bool { return v.Of == t.Name }); i >= 0 {
			all = append(all, t.through(views[i]))
		}
	}
	return all, nil
}

// through is the table as a view shows it.
func (t table) through(v mariadb.View) table {
	names := map[string]string{}
	for _, c := range v.Columns {
		names[c.Of] = c.Name
	}
	seen := t
	seen.view, seen.Columns, seen.Key = v.Name, nil, nil
	for _, c := range t.Columns {
		if name, ok := names[c.Name]; ok {
			c.Name = name
			seen.Columns = append(seen.Columns, c)
		}
	}
	for _, k := range t.Key {
		name, ok := names[k]
		if !ok {
			seen.Key = nil // a row can not be named
			break
		}
		seen.Key = append(seen.Key, name)
	}
	return seen
}
