package rehearsal

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/mariadb"
	"github.com/noon-deploy/noon/internal/database/migration"
)

// mysqlCopy makes copies on a MariaDB or MySQL server.
type mysqlCopy struct {
	*run
	name         string
	dump, client string // programs
}

func (c *mysqlCopy) connect(ctx context.Context) (*sql.DB, error) {
	return migration.Connect(ctx, cmp.Or(c.Server, c.Address))
}

func (c *mysqlCopy) check(ctx context.Context) error {
	db, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // every statement was answered
	if c.Copy == noon.CopyTemplate {
		return &noon.Error{
			Kind: noon.Invalid, Op: "copy database", Err: errors.New("only PostgreSQL has templates"),
			Hint: "Use `--copy dump`, or a command of your own. Nothing was copied.",
		}
	}
	if err := c.settled(ctx); err != nil {
		return err
	}
	if err := c.sweep(ctx, db); err != nil {
		return c.trouble("remove what an earlier rehearsal has left", err)
	}
	c.note("whether the server has room for the copy could not be seen")
	if c.Copy == noon.CopyCommand {
		return nil
	}
	if c.dump, err = eitherTool("mariadb-dump", "mysqldump"); err != nil {
		return err
	}
	c.client, err = eitherTool("mariadb", "mysql")
	return err
}

// eitherTool finds a program by its name of MariaDB, or that of MySQL.
func eitherTool(name, other string) (string, error) {
	path, err := tool(name, "/usr/bin", "mariadb-client")
	if err == nil {
		return path, nil
	}
	if path, e := tool(other, "/usr/bin", "mariadb-client"); e == nil {
		return path, nil
	}
	return "", err
}

func (c *mysqlCopy) sweep(ctx context.Context, db *sql.DB) error {
	pattern := strings.ReplaceAll(stem(c.Owner, false), "_", `\_`) + "%"
	rows, err := db.QueryContext(ctx, "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE '"+pattern+"'")
	if err != nil {
		return err
	}
	defer rows.Close()
	var left []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		left = append(left, name)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, name := range left {
		c.Tell("dropping a copy that an earlier rehearsal has left")
		if err := c.remove(ctx, db, name); err != nil {
			return err
		}
	}
	return nil
}

// settled refuses a store whose schema is on its way from one version to
// another.
func (c *mysqlCopy) settled(ctx context.Context) error {
	db, err := migration.Connect(ctx, c.Address)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // it was only read
	return c.trouble("look at the journal", mariadb.Settled(ctx, db, c.Owner))
}

// remove drops a copy, and before it, since its journal names them, the users
// of releases and their databases of views that were made for it.
func (c *mysqlCopy) remove(ctx context.Context, db *sql.DB, name string) error {
	address, err := c.server(name)
	if err != nil {
		return err
	}
	var list []string
	if inside, err := migration.Connect(ctx, address); err == nil {
		names, err := mariadb.OwnNames(ctx, inside, name)
		if err := errors.Join(err, inside.Close()); err != nil {
			return err
		}
		for _, one := range names {
			list = append(list, "DROP USER IF EXISTS "+literal(c.dialect, one)+"@'%'", "DROP DATABASE IF EXISTS "+quote(c.dialect, one))
		}
	}
	for _, text := range append(list, "DROP DATABASE IF EXISTS "+quote(c.dialect, name)) {
		if _, err := db.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("%w in: %s", err, text)
		}
	}
	return nil
}

func (c *mysqlCopy) make(ctx context.Context) (string, error) {
	db, err := c.connect(ctx)
	if err != nil {
		return "", err
	}
	defer db.Close() //nolint:errcheck // every statement was answered
	c.name = c.fresh()
	address, err := c.server(c.name)
	if err != nil {
		return "", err
	}
	if _, err := db.ExecContext(ctx, "CREATE DATABASE "+quote(c.dialect, c.name)); err != nil {
		return "", &noon.Error{
			Kind: noon.Invalid, Op: "make the copy", Err: explained(err),
			Hint: "The user in the address needs, as an administrator gives it: GRANT ALL ON `noon\\_%`.* TO the user WITH GRANT OPTION. Nothing was copied.",
		}
	}
	if c.Copy == noon.CopyCommand {
		if err := c.filled(ctx, address); err != nil {
			return "", err
		}
		return address, c.settle(ctx, address)
	}
	from, err := c.program(c.dump, c.Address, "--single-transaction", "--quick", "--routines", "--triggers", "--skip-comments")
	if err != nil {
		return "", err
	}
	into, err := c.program(c.client, address)
	if err != nil {
		return "", err
	}
	if err := pipe(ctx, from, into); err != nil {
		return "", c.trouble("copy database", err)
	}
	return address, c.settle(ctx, address)
}

// program gives a program an address. The password is in its environment, not
// in the list of processes.
func (c *mysqlCopy) program(path, address string, args ...string) (program, error) {
	u, err := url.Parse(address)
	if err != nil {
		return program{}, c.trouble("read the address", errors.New("it is not a URL"))
	}
	password, _ := u.User.Password()
	if socket := u.Query().Get("socket"); socket != "" {
		args = append(args, "--socket="+socket)
	} else {
		args = append(args, "--protocol=tcp", "--host="+u.Hostname(), "--port="+cmp.Or(u.Port(), "3306"))
	}
	args = append(args, "--user="+u.User.Username(), strings.TrimPrefix(u.Path, "/"))
	return program{path: path, args: args, env: []string{"MYSQL_PWD=" + password}}, nil
}

// settle lets the copy forget production's releases, and has the server count
// its rows, which it estimates only once it has looked.
func (c *mysqlCopy) settle(ctx context.Context, address string) error {
	db, err := migration.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // every statement was answered
	if err := errors.Join(mariadb.Settled(ctx, db, c.Owner), mariadb.Disown(ctx, db)); err != nil {
		return c.trouble("settle the copy", err)
	}
	for _, t := range c.source {
		var name, op, kind, text string
		if err := db.QueryRowContext(ctx, "ANALYZE TABLE "+t.quoted(c.dialect)).Scan(&name, &op, &kind, &text); err != nil {
			return c.trouble("settle the copy", err)
		}
	}
	return nil
}

func (c *mysqlCopy) drop(ctx context.Context) error {
	if c.name == "" {
		return nil
	}
	db, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // every statement was answered
	return c.remove(ctx, db, c.name)
}
