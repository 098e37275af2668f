// Beside runs a command while a PostgreSQL server of its own is there, and
// ends the server with it:
//
//	beside COMMAND ARG ...
//
// An argument {} becomes the address of an empty database, whose role may make
// roles and is no superuser.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon/internal/database/dbtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if exited := (*exec.ExitError)(nil); errors.As(err, &exited) && exited.ExitCode() > 0 {
		os.Exit(exited.ExitCode()) // it has told why
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "beside:", err)
		os.Exit(1)
	}
}

// patience is how long the command may take to end when it is told to.
const patience = 2 * time.Minute

func run(ctx context.Context, args []string) (err error) {
	if len(args) == 0 {
		return errors.New("it needs a command")
	}
	server, err := dbtest.Postgres(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	address, err := database(ctx, server)
	if err != nil {
		return err
	}
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "{}", address)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // one interrupt, not two
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	return cmd.Run()
}

func database(ctx context.Context, server *dbtest.Server) (string, error) {
	const name, role, password = "shop", "shopkeeper", "beans"
	address, err := server.PostgresDatabase(ctx, name)
	if err != nil {
		return "", err
	}
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return "", fmt.Errorf("connect to make a role: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing depends on it
	if _, err := conn.Exec(ctx, "create role "+role+" login createrole password '"+password+"'; alter database "+name+" owner to "+role); err != nil {
		return "", fmt.Errorf("make role %s: %w", role, err)
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("read the address of the database: %w", err)
	}
	u.User = url.UserPassword(role, password)
	return u.String(), nil
}
