package dbtest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// root is the user of every MariaDB server that tests start; its password is
// Password.
const root = "root"

// MariaDB starts a MariaDB server: UTC, utf8mb4, strict, passwords for every
// connection. Settings are options of the server without their dashes
// ("read-only=1") and win over those of this package. Crashes of the server
// are survived by what was committed; a power cut would not be: nothing is
// synced.
func MariaDB(ctx context.Context, settings ...string) (*Server, error) {
	found, err := find("mariadbd", "/usr/sbin")
	if err != nil {
		return nil, err
	}
	return start(ctx, mariadb{programs: found, settings: settings})
}

type mariadb struct {
	programs
	settings []string
}

func (m mariadb) data(s *Server) string { return filepath.Join(s.dir, "data") }

func (m mariadb) environment() []string {
	return append([]string{"LC_ALL=C", "TZ=UTC", "PATH=" + m.bin() + ":/usr/bin:/bin"}, m.env...)
}

// base is where the server's own files are.
func (m mariadb) base() string { return filepath.Join(m.root, "/usr") }

func (m mariadb) bin() string { return filepath.Join(m.base(), "bin") }

// create makes the system tables, and what every start runs: it gives root
// its password.
func (m mariadb) create(ctx context.Context, s *Server) error {
	args := []string{
		"--no-defaults", "--basedir=" + m.base(), "--datadir=" + m.data(s), "--auth-root-authentication-method=normal",
		"--skip-test-db", "--cross-bootstrap", "--innodb-flush-log-at-trx-commit=0",
	}
	if err := s.run(ctx, m.environment(), filepath.Join(m.bin(), "mariadb-install-db"), args...); err != nil {
		return err
	}
	first := filepath.Join(s.dir, "first.sql")
	text := fmt.Sprintf("CREATE OR REPLACE USER '%s'@'127.0.0.1' IDENTIFIED BY '%s';\nGRANT ALL ON *.* TO '%s'@'127.0.0.1' WITH GRANT OPTION;\n", root, Password, root)
	if err := os.WriteFile(first, []byte(text), 0o644); err != nil { //nolint:gosec // the server's account reads it; it guards nothing
		return fmt.Errorf("write the first statements: %w", err)
	}
	return nil
}

func (m mariadb) command(s *Server, port int) (*exec.Cmd, error) {
	settings := slices.Concat([]string{
		"basedir=" + m.base(), "datadir=" + m.data(s), "socket=" + filepath.Join(s.dir, "socket"), "pid-file=" + filepath.Join(s.dir, "pid"),
		"tmpdir=" + s.dir, // a server that starts removes what it finds there
		"bind-address=127.0.0.1", "port=" + strconv.Itoa(port), "skip-name-resolve", "default-time-zone=+00:00",
		"character-set-server=utf8mb4", "innodb-flush-log-at-trx-commit=2", "innodb-buffer-pool-size=64M", "innodb-log-file-size=32M",
		"max-connections=200", "log-warnings=1", "performance-schema=off", "init-file=" + filepath.Join(s.dir, "first.sql"),
	}, m.settings)
	args := []string{"--no-defaults"}
	for _, setting := range settings {
		args = append(args, "--"+setting)
	}
	cmd := exec.Command(m.path("mariadbd"), args...) //nolint:noctx // it lives until Kill
	cmd.Env = m.environment()
	return cmd, nil
}

func (m mariadb) answers(ctx context.Context, s *Server) error {
	db, err := s.openMariaDB("")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // nothing was written
	return db.PingContext(ctx)
}

func (s *Server) openMariaDB(database string) (*sql.DB, error) {
	config := mysql.NewConfig()
	config.User, config.Passwd, config.DBName = root, Password, database
	config.Net, config.Addr, config.Logger = "tcp", "127.0.0.1:"+strconv.Itoa(s.port), silence{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// silence is for a driver that prints what it returns as an error too.
type silence struct{}

func (silence) Print(...any) {}

// MariaDBURL is the address of a database, for root.
func (s *Server) MariaDBURL(database string) string {
	return fmt.Sprintf("mariadb://%s:%s@127.0.0.1:%d/%s", root, Password, s.port, database)
}

// MariaDBDatabase makes an empty database of that name for the rest of the
// server's life, and returns its address for root.
func (s *Server) MariaDBDatabase(ctx context.Context, name string) (string, error) {
	db, err := s.openMariaDB("")
	if err != nil {
		return "", err
	}
	defer func() { _ = db.Close() }() // nothing depends on it
	if _, err := db.ExecContext(ctx, "CREATE DATABASE `"+strings.ReplaceAll(name, "`", "``")+"`"); err != nil {
		return "", fmt.Errorf("make database %s: %w", name, err)
	}
	return s.MariaDBURL(name), nil
}
