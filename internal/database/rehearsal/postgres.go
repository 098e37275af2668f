package rehearsal

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/postgres"
)

// postgresTools is where Debian has programs of PostgreSQL that are not in PATH.
const postgresTools = "/usr/lib/postgresql/*/bin"

// postgresCopy makes copies on a PostgreSQL server.
type postgresCopy struct {
	*run
	name          string // of the copy
	dump, restore string // programs
}

// stem begins the names of the copies of an owner. One that is kept is nobody's
// to remove.
func stem(owner string, kept bool) string {
	sum := sha256.Sum256([]byte(owner))
	word := "noon_rehearsal_"
	if kept {
		word = "noon_kept_"
	}
	return word + hex.EncodeToString(sum[:])[:10] + "_"
}

// fresh is a name for a copy.
func (r *run) fresh() string { return stem(r.Owner, r.Keep) + strings.ToLower(rand.Text()[:8]) }

// server is the address of a database on the server that has the copies.
func (r *run) server(database string) (string, error) {
	u, err := url.Parse(cmp.Or(r.Server, r.Address))
	if err != nil {
		return "", &noon.Error{Kind: noon.Invalid, Op: "read the address of the server for copies", Err: errors.New("it is not a URL"), Hint: "Correct the variable that `rehearsal: at:` names."}
	}
	if database != "" {
		u.Path = "/" + database
	}
	return u.String(), nil
}

func (c *postgresCopy) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	address, err := c.server(database)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return nil, &noon.Error{Kind: noon.Unavailable, Op: "reach the server for copies", Err: explained(err), Hint: "Check that it runs, and the address that `rehearsal: at:` names. Nothing was copied."}
	}
	return conn, nil
}

func (c *postgresCopy) check(ctx context.Context) error {
	conn, err := c.connect(ctx, "")
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // every statement was answered
	if err := c.mayCreate(ctx, conn); err != nil {
		return err
	}
	if err := c.sweep(ctx, conn); err != nil {
		return c.trouble("remove what an earlier rehearsal has left", err)
	}
	if err := c.room(ctx, conn); err != nil {
		return err
	}
	switch c.Copy {
	case noon.CopyTemplate:
		return c.unused(ctx, conn)
	case noon.CopyDump:
		if c.dump, err = tool("pg_dump", postgresTools, "postgresql-client"); err != nil {
			return err
		}
		c.restore, err = tool("pg_restore", postgresTools, "postgresql-client")
	case noon.CopyCommand: // is looked for when it is run
	}
	return err
}

func (c *postgresCopy) mayCreate(ctx context.Context, conn *pgx.Conn) error {
	var may bool
	var user string
	if err := conn.QueryRow(ctx, "select rolsuper or rolcreatedb, rolname from pg_roles where rolname = current_user").Scan(&may, &user); err != nil {
		return c.trouble("look at noon's rights", err)
	}
	if may {
		return nil
	}
	return &noon.Error{
		Kind: noon.Invalid, Op: "copy database", Subject: conn.Config().Host, Err: fmt.Errorf("role %s may not create databases", user),
		Hint: fmt.Sprintf(`As a superuser: ALTER ROLE %s CREATEDB. Or name another server with "rehearsal: {at: VARIABLE}". Nothing was copied.`, quote(c.dialect, user)),
	}
}

// room refuses a copy that the disk has no room for, where that can be seen:
// on a server of this machine that tells its directory.
func (c *postgresCopy) room(ctx context.Context, conn *pgx.Conn) error {
	var dir string
	err := conn.QueryRow(ctx, "select case when pg_has_role('pg_read_all_settings', 'member') then current_setting('data_directory', true) end").Scan(&dir)
	if err != nil || !local(conn.Config().Host) {
		c.note("whether the server has room for the copy could not be seen")
		return nil //nolint:nilerr // the server does not tell
	}
	return c.roomIn(dir)
}

func local(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.") || strings.HasPrefix(host, "/")
}

// roomIn refuses a copy that a directory has no room for. What is copied needs
// room for the rows that are masked, too.
func (r *run) roomIn(dir string) error {
	free, err := space(dir)
	if err != nil {
		r.note("whether there is room for the copy could not be seen")
		return nil //nolint:nilerr // it is the server's directory, and may be closed to noon
	}
	if need := 2 * r.report.Copy.Bytes; free < need {
		return &noon.Error{
			Kind: noon.Conflict, Op: "copy database", Subject: dir, Err: fmt.Errorf("the copy may need %s, and %s are free", amount(need), amount(free)),
			Hint: `Make room, or name another server with "rehearsal: {at: VARIABLE}". Nothing was copied.`,
		}
	}
	return nil
}

// unused names who is connected: then there can be no copy by template.
func (c *postgresCopy) unused(ctx context.Context, conn *pgx.Conn) error {
	source, err := pgx.ParseConfig(c.Address)
	if err != nil {
		return c.trouble("read the address", errors.New("it can not be read"))
	}
	rows, err := conn.Query(ctx, `select format('process %s of %s%s', pid, coalesce(usename, backend_type), coalesce(' (' || nullif(application_name, '') || ')', ''))
from pg_stat_activity where datname = $1 and pid <> pg_backend_pid() order by pid limit 10`, source.Database)
	if err != nil {
		return c.trouble("look for sessions", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(list) == 0 {
		return c.trouble("look for sessions", err)
	}
	return &noon.Error{
		Kind: noon.Conflict, Op: "copy database", Subject: source.Database, Err: errors.New("somebody is connected to it: " + strings.Join(list, ", ")),
		Hint: "A template is copied while nobody is connected. Use `--copy dump`, which works while users write. Nothing was copied.",
	}
}

func (c *postgresCopy) make(ctx context.Context) (string, error) {
	conn, err := c.connect(ctx, c.desk())
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // every statement was answered
	c.name = c.fresh()
	address, err := c.server(c.name)
	if err != nil {
		return "", err
	}
	source, err := pgx.ParseConfig(c.Address)
	if err != nil {
		return "", c.trouble("read the address", errors.New("it can not be read"))
	}
	template := "template0"
	if c.Copy == noon.CopyTemplate {
		template = source.Database
	}
	like, err := c.like(ctx)
	if err != nil {
		return "", c.trouble("look at the database", err)
	}
	if _, err := conn.Exec(ctx, "create database "+quote(c.dialect, c.name)+" template "+quote(c.dialect, template)+like); err != nil {
		return "", c.trouble("make the copy", err)
	}
	switch c.Copy {
	case noon.CopyDump:
		err = c.trouble("copy database", c.piped(ctx, source, address))
	case noon.CopyCommand:
		err = c.filled(ctx, address)
	case noon.CopyTemplate: // the server has filled it
	}
	if err != nil {
		return "", err
	}
	return address, c.settle(ctx)
}

// desk is a database to work from. One that is copied as a template is not.
func (c *postgresCopy) desk() string {
	if c.Copy == noon.CopyTemplate {
		return "postgres"
	}
	return ""
}

// like gives the copy the encoding and order of the source.
func (c *postgresCopy) like(ctx context.Context) (string, error) {
	if c.Copy == noon.CopyTemplate {
		return "", nil
	}
	conn, err := pgx.Connect(ctx, c.Address)
	if err != nil {
		return "", explained(err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // every statement was answered
	var text string
	err = conn.QueryRow(ctx, `select format(' encoding %L lc_collate %L lc_ctype %L', pg_encoding_to_char(encoding), datcollate, datctype)
from pg_database where datname = current_database()`).Scan(&text)
	return text, err
}

// piped sends what pg_dump reads, at one moment, to pg_restore.
func (c *postgresCopy) piped(ctx context.Context, source *pgx.ConnConfig, address string) error {
	to, err := pgx.ParseConfig(address)
	if err != nil {
		return errors.New("the address of the copy can not be read")
	}
	plain := []string{"--no-comments", "--no-publications", "--no-subscriptions", "--no-security-labels"}
	if c.Server != "" { // its roles are others
		plain = append(plain, "--no-owner", "--no-acl")
	}
	from := program{path: c.dump, args: append([]string{"--format=custom", "--compress=0", "--lock-wait-timeout=10s"}, plain...), env: libpq(source, c.Address)}
	into := program{path: c.restore, args: append([]string{"--exit-on-error", "--dbname=" + to.Database}, plain...), env: libpq(to, address)}
	return pipe(ctx, from, into)
}

// libpq gives programs an address without showing its password in the list of
// processes.
func libpq(config *pgx.ConnConfig, address string) []string {
	env := []string{
		"PGHOST=" + config.Host, "PGPORT=" + strconv.Itoa(int(config.Port)), "PGUSER=" + config.User, "PGPASSWORD=" + config.Password,
		"PGDATABASE=" + config.Database, "PGAPPNAME=noon rehearsal", "PGCONNECT_TIMEOUT=10",
	}
	u, err := url.Parse(address)
	if err != nil {
		return env
	}
	for key, variable := range map[string]string{"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY"} {
		if value := u.Query().Get(key); value != "" {
			env = append(env, variable+"="+value)
		}
	}
	return env
}

// settle makes the copy what production is for a planner of queries, and lets
// it forget production's releases.
func (c *postgresCopy) settle(ctx context.Context) error {
	conn, err := c.connect(ctx, c.name)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // every statement was answered
	if err := postgres.Disown(ctx, conn); err != nil {
		return c.trouble("settle the copy", err)
	}
	text := "vacuum analyze"
	if c.Copy == noon.CopyTemplate { // its files are those of production; how many rows they have may not be known
		text = "analyze"
	}
	_, err = conn.Exec(ctx, text)
	return c.trouble("settle the copy", err)
}

func (c *postgresCopy) drop(ctx context.Context) error {
	if c.name == "" {
		return nil
	}
	conn, err := c.connect(ctx, c.desk())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // every statement was answered
	return c.remove(ctx, conn, c.name)
}

// sweep removes what rehearsals of the same owner have left that were killed.
func (c *postgresCopy) sweep(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, "select datname from pg_database where starts_with(datname, $1)", stem(c.Owner, false))
	if err != nil {
		return err
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range left {
		c.Tell("dropping a copy that an earlier rehearsal has left")
		if err := c.remove(ctx, conn, name); err != nil {
			return err
		}
	}
	return nil
}

// remove drops a copy, those who are connected to it, and the roles that were
// made for it.
func (c *postgresCopy) remove(ctx context.Context, conn *pgx.Conn, name string) error {
	var roles []string
	if inside, err := c.connect(ctx, name); err == nil {
		roles, err = postgres.OwnRoles(ctx, inside)
		if err := errors.Join(err, inside.Close(context.WithoutCancel(ctx))); err != nil {
			return err
		}
	}
	var list []string
	for _, role := range roles { // before the database, whose journal names them
		list = append(list, "drop role if exists "+quote(c.dialect, role))
	}
	gone := "drop database if exists " + quote(c.dialect, name)
	if numberOf(conn) >= 13 {
		list = append(list, gone+" with (force)")
	} else {
		list = append(list, "select pg_terminate_backend(pid) from pg_stat_activity where datname = '"+name+"'", gone)
	}
	for _, text := range list {
		if _, err := conn.Exec(ctx, text); err != nil {
			return fmt.Errorf("%w in: %s", err, text)
		}
	}
	return nil
}

// numberOf is the server's major version.
func numberOf(conn *pgx.Conn) int {
	major, _, _ := strings.Cut(conn.PgConn().ParameterStatus("server_version"), ".")
	n, _ := strconv.Atoi(filepath.Base(strings.Fields(major + " ")[0]))
	return n
}
