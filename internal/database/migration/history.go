package migration

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// state of a section in the history.
type state string

const (
	running state = "running" // a statement was begun, its end was not recorded
	stopped state = "stopped" // between two statements, or two batches
	done    state = "done"
)

// record is one row of the history: how far a section was taken.
type record struct {
	Number    int64 // of the migration
	Section   int   // of the migration
	Name      string
	Kind      Kind
	Checksum  string // of the section if it is done, else of the statements that were begun
	State     state
	Statement int    // statements that are done
	Position  string // the key of the last row of the last batch, as SQL
	Rows      int64  // that batches have changed
	Seen      string // of the database before the statement that runs
	Who       string
	Release   string
	Started   string // RFC 3339, UTC
	Finished  string
}

// key orders records.
type key struct {
	number  int64
	section int
}

func historyTable(d sqltext.Dialect) string {
	if d == sqltext.PostgreSQL {
		return "noon.migration"
	}
	return "noon_migration"
}

// historySchema is one text for every server.
func historySchema(table, options string) string {
	return `CREATE TABLE ` + table + ` (
	number BIGINT NOT NULL,
	section INTEGER NOT NULL,
	name VARCHAR(120) NOT NULL,
	kind VARCHAR(20) NOT NULL,
	checksum VARCHAR(64) NOT NULL,
	state VARCHAR(10) NOT NULL,
	statement INTEGER NOT NULL,
	position TEXT NOT NULL,
	row_count BIGINT NOT NULL,
	seen TEXT NOT NULL,
	who VARCHAR(200) NOT NULL,
	release_name VARCHAR(100) NOT NULL,
	started VARCHAR(40) NOT NULL,
	finished VARCHAR(40) NOT NULL,
	PRIMARY KEY (number, section)
)` + options
}

const historyColumns = `number, section, name, kind, checksum, state, statement, position, row_count, seen, who, release_name, started, finished`

// querier is a connection or a pool.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// bind writes the parameters as the server wants them.
func bind(d sqltext.Dialect, query string) string {
	if d != sqltext.PostgreSQL {
		return query
	}
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}

// hasHistory reports whether anything was ever recorded.
func (d *Database) hasHistory(ctx context.Context, q querier) (bool, error) {
	return d.has(ctx, q, "migration")
}

// has reports whether a table of noon's own is there.
func (d *Database) has(ctx context.Context, q querier, name string) (bool, error) {
	query := `SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = concat('noon_', ?)`
	switch d.dialect {
	case sqltext.PostgreSQL:
		query = `SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'noon' AND c.relname = $1`
	case sqltext.SQLite:
		query = `SELECT count(*) FROM sqlite_master WHERE name = 'noon_' || ?`
	case sqltext.MySQL:
	}
	var n int
	err := q.QueryRowContext(ctx, query, name).Scan(&n)
	return n > 0, err
}

// makeHistory makes the table of the history.
func (d *Database) makeHistory(ctx context.Context, c *sql.Conn) error {
	if err := d.begin(ctx, c, false); err != nil {
		return err
	}
	err := d.makeSchema(ctx, c)
	if err == nil {
		_, err = c.ExecContext(ctx, historySchema(d.table, d.tableOptions()))
	}
	if err == nil {
		_, err = c.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		rollback(ctx, c)
		return err
	}
	return nil
}

// tableOptions end the statement that makes a table of noon's own.
func (d *Database) tableOptions() string {
	if d.dialect == sqltext.MySQL {
		return " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
	}
	return ""
}

// makeSchema makes the schema of the history, asking first: who may not make
// one can be given one.
func (d *Database) makeSchema(ctx context.Context, c *sql.Conn) error {
	if d.dialect != sqltext.PostgreSQL {
		return nil
	}
	var n int
	if err := c.QueryRowContext(ctx, `SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'noon'`).Scan(&n); err != nil || n > 0 {
		return err
	}
	_, err := c.ExecContext(ctx, `CREATE SCHEMA noon`)
	return err
}

// records reads the history.
func (d *Database) records(ctx context.Context, q querier) (map[key]record, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+historyColumns+` FROM `+d.table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[key]record{}
	for rows.Next() {
		var r record
		if err := rows.Scan(&r.Number, &r.Section, &r.Name, &r.Kind, &r.Checksum, &r.State, &r.Statement, &r.Position, &r.Rows, &r.Seen,
			&r.Who, &r.Release, &r.Started, &r.Finished); err != nil {
			return nil, err
		}
		all[key{r.Number, r.Section}] = r
	}
	return all, rows.Err()
}

// put writes a record, in place of the one that may be there.
func (d *Database) put(ctx context.Context, c *sql.Conn, r record) error {
	if err := d.remove(ctx, c, key{r.Number, r.Section}); err != nil {
		return err
	}
	_, err := c.ExecContext(ctx, bind(d.dialect, `INSERT INTO `+d.table+` (`+historyColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
		r.Number, r.Section, r.Name, string(r.Kind), r.Checksum, string(r.State), r.Statement, r.Position, r.Rows, r.Seen, r.Who, r.Release, r.Started, r.Finished)
	return err
}

func (d *Database) remove(ctx context.Context, c *sql.Conn, k key) error {
	_, err := c.ExecContext(ctx, bind(d.dialect, `DELETE FROM `+d.table+` WHERE number = ? AND section = ?`), k.number, k.section)
	return err
}

// rollback ends a transaction without its effects, even when ctx is over. That
// the connection is gone ends it as well.
func rollback(ctx context.Context, c *sql.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, _ = c.ExecContext(ctx, "ROLLBACK")
}

func timestamp() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000000Z") }

func (r record) String() string { return fmt.Sprintf("%04d_%s %s", r.Number, r.Name, r.Kind) }
