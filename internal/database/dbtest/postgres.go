package dbtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// The superuser of every PostgreSQL server that tests start.
const (
	Superuser = "postgres"
	Password  = "only-for-tests"
)

// Postgres starts a PostgreSQL server: UTC, UTF-8, passwords (scram-sha-256)
// for every connection, room for 200 of them. Settings are lines of
// postgresql.conf and win over those of this package. Crashes of the server are
// survived by what was committed; a power cut would not be: fsync is off. It is
// of the version that VersionEnv names, or the newest that is installed.
func Postgres(ctx context.Context, settings ...string) (*Server, error) {
	found, err := findPostgres()
	if err != nil {
		return nil, err
	}
	return start(ctx, postgres{programs: found, settings: settings})
}

// VersionEnv names the version of PostgreSQL, such as 13, that scripts/servers
// has fetched a build of. Such a build has no programs but the server.
const VersionEnv = "NOON_PG_VERSION"

func findPostgres() (programs, error) {
	version := os.Getenv(VersionEnv)
	if version == "" {
		return find("initdb", "/usr/lib/postgresql/*/bin")
	}
	root, err := unpacked()
	if err != nil {
		return programs{}, err
	}
	root = filepath.Join(root, "postgres", version)
	if _, err := os.Stat(filepath.Join(root, "bin", "initdb")); err != nil {
		return programs{}, fmt.Errorf("there is no build of PostgreSQL %s: run NOON_PG_VERSIONS=%s scripts/servers: %w", version, version, err)
	}
	return programs{dir: filepath.Join(root, "bin"), root: root, env: []string{"LD_LIBRARY_PATH=" + filepath.Join(root, "lib")}}, nil
}

type postgres struct {
	programs
	settings []string
}

func (p postgres) data(s *Server) string { return filepath.Join(s.dir, "data") }

func (p postgres) environment() []string {
	return append([]string{"LC_ALL=C", "TZ=UTC", "PATH=/usr/bin:/bin"}, p.env...)
}

func (p postgres) create(ctx context.Context, s *Server) error {
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(Password), 0o644); err != nil { //nolint:gosec // the server's account reads it; it guards nothing
		return fmt.Errorf("write the password: %w", err)
	}
	args := []string{
		"-D", p.data(s), "-U", Superuser, "--pwfile", secret, "-A", "scram-sha-256",
		"-E", "UTF8", "--locale=C", "--no-sync",
	}
	return s.run(ctx, p.environment(), p.path("initdb"), args...)
}

func (p postgres) command(s *Server, port int) (*exec.Cmd, error) {
	settings := slices.Concat([]string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(port), "unix_socket_directories=" + s.dir,
		"max_connections=200", "shared_buffers=128MB", "fsync=off", "full_page_writes=off", "wal_level=logical",
		"max_prepared_transactions=10", "timezone=UTC", "log_timezone=UTC", "jit=off", "log_min_messages=warning",
	}, p.settings)
	args := []string{"-D", p.data(s)}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	cmd := exec.Command(p.path("postgres"), args...) //nolint:noctx // it lives until Kill
	cmd.Env = p.environment()
	return cmd, nil
}

func (p postgres) answers(ctx context.Context, s *Server) error {
	conn, err := pgx.Connect(ctx, s.PostgresURL("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// PostgresURL is the address of a database, for the superuser.
func (s *Server) PostgresURL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(Superuser, Password), Path: "/" + database,
		Host: "127.0.0.1:" + strconv.Itoa(s.port), RawQuery: "sslmode=disable",
	}
	return u.String()
}

// PostgresDatabase makes an empty database of that name for the rest of the
// server's life, and returns its address for the superuser.
func (s *Server) PostgresDatabase(ctx context.Context, name string) (string, error) {
	conn, err := pgx.Connect(ctx, s.PostgresURL("postgres"))
	if err != nil {
		return "", fmt.Errorf("connect to make a database: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing depends on it
	if _, err := conn.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", fmt.Errorf("make database %s: %w", name, err)
	}
	return s.PostgresURL(name), nil
}
