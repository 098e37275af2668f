package dbtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// PgBouncer starts a pooler in front of a PostgreSQL server, in transaction
// mode, that lets in whom the server would: it asks the server for the password
// of each user. Settings are lines of pgbouncer.ini and win over those of this
// package. Its address is told by PostgresURL; that of its console is the one of
// the database "pgbouncer".
func PgBouncer(ctx context.Context, behind *Server, settings ...string) (*Server, error) {
	found, err := find("pgbouncer", "/usr/sbin")
	if err != nil {
		return nil, err
	}
	return start(ctx, pgbouncer{programs: found, behind: behind.port, settings: settings})
}

type pgbouncer struct {
	programs
	behind   int
	settings []string
}

// create writes down the password of who asks for the others.
func (p pgbouncer) create(_ context.Context, s *Server) error {
	text := strconv.Quote(Superuser) + " " + strconv.Quote(Password) + "\n"
	if err := os.WriteFile(filepath.Join(s.dir, "users"), []byte(text), 0o644); err != nil { //nolint:gosec // the pooler's account reads it; it guards nothing
		return fmt.Errorf("write the pooler's password: %w", err)
	}
	return nil
}

func (p pgbouncer) command(s *Server, port int) (*exec.Cmd, error) {
	lines := slices.Concat([]string{
		"[databases]", fmt.Sprintf("* = host=127.0.0.1 port=%d", p.behind),
		"[pgbouncer]", "listen_addr=127.0.0.1", "listen_port=" + strconv.Itoa(port), "unix_socket_dir=", "pool_mode=transaction",
		"auth_type=scram-sha-256", "auth_file=" + filepath.Join(s.dir, "users"), "auth_user=" + Superuser,
		"auth_query=select usename, passwd from pg_shadow where usename = $1", "admin_users=" + Superuser, "log_connections=0", "log_disconnections=0",
	}, p.settings)
	file := filepath.Join(s.dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil { //nolint:gosec // the pooler's account reads it; it guards nothing
		return nil, fmt.Errorf("write the pooler's settings: %w", err)
	}
	cmd := exec.Command(p.path("pgbouncer"), file) //nolint:noctx // it lives until Kill
	cmd.Env = append([]string{"LC_ALL=C", "TZ=UTC"}, p.env...)
	return cmd, nil
}

// answers asks the console: the server behind is another one's matter.
func (p pgbouncer) answers(ctx context.Context, s *Server) error {
	_, err := s.Console(ctx, "show version")
	return err
}

// Console runs a command of a pooler's console and returns its answer, a line
// for each row, columns apart by |.
func (s *Server) Console(ctx context.Context, command string) (string, error) {
	conn, err := pgconn.Connect(ctx, s.PostgresURL("pgbouncer"))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing depends on it
	results, err := conn.Exec(ctx, command).ReadAll()
	if err != nil {
		return "", fmt.Errorf("tell the pooler %q: %w", command, err)
	}
	var lines []string
	for _, result := range results {
		for _, row := range result.Rows {
			lines = append(lines, string(bytes.Join(row, []byte("|"))))
		}
	}
	return strings.Join(lines, "\n"), nil
}
