package migration

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// mariadb is a MariaDB server, 10.6 or later, or a MySQL server, 8.0 or later:
// those whose statements either happen or do not.
type mariadb struct {
	opts     Options
	user     string
	database string
}

func openMySQL(address string, opts Options) (*Database, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("it is no URL: %w", hideURL(err))
	}
	config, err := MySQLConfig(u)
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(connections)
	m := mariadb{opts: opts, user: config.User, database: config.DBName}
	return &Database{
		db: db, name: withoutPassword(u), dialect: sqltext.MySQL, table: historyTable(sqltext.MySQL), opts: opts,
		server: server{m, m, m, m},
	}, nil
}

// MySQLConfig reads mysql://USER:PASSWORD@HOST:PORT/DATABASE with ?tls= (true,
// skip-verify, preferred) and ?socket=PATH.
func MySQLConfig(u *url.URL) (*mysql.Config, error) {
	config := mysql.NewConfig()
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.DBName = strings.TrimPrefix(u.Path, "/")
	if config.DBName == "" {
		return nil, errors.New("it names no database")
	}
	config.Net, config.Addr = "tcp", u.Host
	if u.Port() == "" {
		config.Addr = u.Hostname() + ":3306"
	}
	for name, values := range u.Query() {
		switch name {
		case "tls":
			config.TLSConfig = values[0]
		case "socket":
			config.Net, config.Addr = "unix", values[0]
		default:
			return nil, fmt.Errorf("it has the parameter %q; known are tls and socket", name)
		}
	}
	config.InterpolateParams, config.Timeout = true, connectLimit
	config.Logger = silence{} // what it would say comes as an error too
	return config, nil
}

type silence struct{}

func (silence) Print(...any) {}

// prepare sets back what files of migrations use to set.
func (m mariadb) prepare(ctx context.Context, c *sql.Conn) error {
	seconds := max(1, int((m.opts.LockTimeout+time.Second-1)/time.Second)) // the servers count in seconds
	_, err := c.ExecContext(ctx, fmt.Sprintf(`SET SESSION foreign_key_checks = DEFAULT, unique_checks = DEFAULT, sql_mode = DEFAULT, time_zone = DEFAULT,
		autocommit = 1, lock_wait_timeout = %d, innodb_lock_wait_timeout = %d`, seconds, seconds))
	return err
}

// lockName is that of the lock of migrators; locks are the server's, and have
// at most 64 letters.
func (m mariadb) lockName() string {
	sum := sha256.Sum256([]byte(m.database))
	return "noon.migration." + hex.EncodeToString(sum[:8])
}

func (m mariadb) lock(ctx context.Context, c *sql.Conn) (func() error, *holder, error) {
	var got sql.NullInt64
	if err := c.QueryRowContext(ctx, `SELECT GET_LOCK(?, 0)`, m.lockName()).Scan(&got); err != nil {
		return nil, nil, fmt.Errorf("take the lock of migrations: %w", err)
	}
	if got.Int64 == 1 {
		return func() error {
			_, err := c.ExecContext(context.WithoutCancel(ctx), `DO RELEASE_LOCK(?)`, m.lockName())
			if err != nil && m.explain(err).lost {
				return nil // it went with the connection
			}
			return err
		}, nil, nil
	}
	var id sql.NullInt64
	if err := c.QueryRowContext(ctx, `SELECT IS_USED_LOCK(?)`, m.lockName()).Scan(&id); err != nil {
		return nil, nil, fmt.Errorf("ask who holds the lock of migrations: %w", err)
	}
	if !id.Valid {
		return nil, &holder{who: "a session that has just ended"}, nil
	}
	h := holder{session: id.Int64, who: fmt.Sprintf("connection %d of the server", id.Int64)}
	var user, host string
	var seconds int64
	err := c.QueryRowContext(ctx, `SELECT user, host, time FROM information_schema.processlist WHERE id = ?`, id.Int64).Scan(&user, &host, &seconds)
	if err == nil { // others are shown only to who has the privilege PROCESS
		since := time.Now().UTC().Add(-time.Duration(seconds) * time.Second).Format("2006-01-02 15:04:05 UTC")
		h.who += fmt.Sprintf(" (user %s from %s), busy since %s", user, host, since)
	}
	return nil, &h, nil
}

func (m mariadb) begin(ctx context.Context, c *sql.Conn, _ bool) error {
	_, err := c.ExecContext(ctx, `START TRANSACTION`)
	return err
}

func (m mariadb) check(context.Context, *sql.Conn) error { return nil } // constraints never wait for the commit here

func (m mariadb) number(ctx context.Context, c *sql.Conn) (n int64, err error) {
	err = c.QueryRowContext(ctx, `SELECT CONNECTION_ID()`).Scan(&n)
	return n, err
}

// waiting counts all that wait for rows: who waits for whom is not told in the
// same way by MariaDB and MySQL.
func (m mariadb) waiting(ctx context.Context, c *sql.Conn, session int64) (n int, err error) {
	err = c.QueryRowContext(ctx, `SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT' AND trx_mysql_thread_id <> ?`, session).Scan(&n)
	return n, err
}

// lag is not known by a primary of MariaDB or MySQL: see Options.Lag.
func (m mariadb) lag(context.Context, *sql.Conn) (time.Duration, string, error) { return 0, "", nil }

func mysqlEngine(ctx context.Context, c *sql.Conn, table string) (string, error) {
	schema, name, two := strings.Cut(strings.ReplaceAll(table, "`", ""), ".")
	var engine sql.NullString
	query, args := `SELECT engine FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?`, []any{schema}
	if two {
		query, args = `SELECT engine FROM information_schema.tables WHERE table_schema = ? AND table_name = ?`, []any{schema, name}
	}
	err := c.QueryRowContext(ctx, query, args...).Scan(&engine)
	if errors.Is(err, sql.ErrNoRows) {
		err = errors.New("there is no such table")
	}
	return engine.String, err
}

// class is by what the statement begins with.
func (m mariadb) class(st sqltext.Statement) class {
	words := st.Words(8)
	switch first := words[0]; {
	case first.Is("INSERT", "UPDATE", "DELETE", "REPLACE", "SELECT", "WITH", "DO", "VALUES"):
		return transactional
	case first.Is("SET", "ANALYZE", "OPTIMIZE", "CHECK", "FLUSH", "GRANT", "REVOKE", "SHOW"):
		return repeatable
	case !first.Is("CREATE", "ALTER", "DROP", "RENAME"),
		st.Has("TRUNCATE", "EXCHANGE", "DISCARD", "IMPORT"), st.Begins("CREATE", "OR", "REPLACE", "TABLE"):
		return opaque // rows go or come, which no definition shows
	}
	defines := slices.ContainsFunc(words[1:], func(t sqltext.Token) bool {
		return t.Is("TABLE", "TABLES", "INDEX", "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "SEQUENCE")
	})
	if !defines || len(words) > 1 && words[1].Is("USER", "ROLE", "DATABASE", "SCHEMA", "SERVER", "TEMPORARY") {
		return opaque
	}
	return observed
}

// look gives a checksum of all definitions of the database: a statement that
// defines something happens as a whole or not at all, so that an equal one
// says that it did not happen.
func (m mariadb) look(ctx context.Context, c *sql.Conn, _ sqltext.Statement) (string, error) {
	sum := sha256.New()
	for _, query := range definitions() {
		rows, err := c.QueryContext(ctx, query)
		if err != nil {
			return "", err
		}
		err = eachRow(rows, func(values []sql.NullString) {
			for _, v := range values {
				fmt.Fprintf(sum, "%t%d:%s", v.Valid, len(v.String), v.String)
			}
			fmt.Fprintln(sum)
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// definitions are queries for everything but noon's own table, in an order
// that does not change.
func definitions() []string {
	const here = ` WHERE %[1]s_schema = DATABASE() AND %[2]s <> 'noon_migration' ORDER BY `
	query := func(columns, table, schema, name, order string) string {
		return "SELECT " + columns + " FROM information_schema." + table + fmt.Sprintf(here, schema, name) + order
	}
	return []string{
		query("table_name, table_type, engine, row_format, table_collation, create_options, table_comment", "tables", "table", "table_name", "1"),
		query("table_name, ordinal_position, column_name, column_type, is_nullable, column_default, extra, collation_name, column_comment, generation_expression", "columns", "table", "table_name", "1, 2"),
		query("table_name, index_name, seq_in_index, column_name, non_unique, sub_part, index_type, index_comment", "statistics", "table", "table_name", "1, 2, 3"),
		query("table_name, constraint_name, constraint_type", "table_constraints", "constraint", "table_name", "1, 2"),
		query("table_name, constraint_name, referenced_table_name, update_rule, delete_rule", "referential_constraints", "constraint", "table_name", "1, 2"),
		query("constraint_name, check_clause", "check_constraints", "constraint", "constraint_name", "1, 2"),
		query("table_name, view_definition, security_type, definer", "views", "table", "table_name", "1"),
		query("trigger_name, event_object_table, action_timing, event_manipulation, action_order, action_statement", "triggers", "trigger", "trigger_name", "1"),
		query("routine_name, routine_type, routine_definition, sql_data_access, routine_comment", "routines", "routine", "routine_name", "1, 2"),
		query("event_name, event_definition, interval_value, interval_field, status, event_comment", "events", "event", "event_name", "1"),
		query("table_name, partition_name, partition_method, partition_expression, partition_description", "partitions", "table", "table_name", "1, 2"),
	}
}

func eachRow(rows *sql.Rows, see func([]sql.NullString)) error {
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		see(values)
	}
	return rows.Err()
}

func (m mariadb) happened(ctx context.Context, c *sql.Conn, st sqltext.Statement, seen string) (bool, error) {
	now, err := m.look(ctx, c, st)
	return now != seen, err
}

func (m mariadb) blockers(ctx context.Context, db *sql.DB, session int64) ([]Blocker, error) {
	waits, err := m.waits(ctx, db, session)
	if err != nil || !waits {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, `SELECT p.id, concat(p.user, ' from ', p.host), p.command, coalesce(p.info, ''), coalesce(t.trx_query, ''), timestampdiff(SECOND, t.trx_started, now())
		FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
		WHERE p.id <> ? AND t.trx_state <> 'LOCK WAIT' ORDER BY t.trx_started LIMIT 5`, session)
	if err != nil {
		return nil, err
	}
	var all []Blocker
	err = eachRow(rows, func(v []sql.NullString) {
		id, _ := strconv.ParseInt(v[0].String, 10, 64)
		seconds, _ := strconv.ParseInt(v[5].String, 10, 64)
		b := Blocker{Session: id, User: v[1].String, State: "running", Query: v[3].String + v[4].String, Since: time.Duration(seconds) * time.Second}
		if v[2].String == "Sleep" {
			b.State = "idle in transaction"
		}
		all = append(all, b)
	})
	return all, err
}

// waits reports whether noon's own session waits for a lock of a table or a
// row: only then somebody is in its way.
func (m mariadb) waits(ctx context.Context, db *sql.DB, session int64) (bool, error) {
	var state, trx sql.NullString
	err := db.QueryRowContext(ctx, `SELECT p.state, (SELECT t.trx_state FROM information_schema.innodb_trx t WHERE t.trx_mysql_thread_id = p.id LIMIT 1)
		FROM information_schema.processlist p WHERE p.id = ?`, session).Scan(&state, &trx)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return strings.Contains(state.String, "metadata lock") || trx.String == "LOCK WAIT", err
}

func (m mariadb) end(ctx context.Context, db *sql.DB, b Blocker) error {
	_, err := db.ExecContext(ctx, fmt.Sprintf(`KILL CONNECTION %d`, b.Session))
	return err
}
