// Command rehearse tries the new PocketBase on a copy of the data before it
// touches the data itself: the one that serves now and the new one run side by
// side on the copy, and a user goes through either. It fails if one of them
// would have noticed.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

const before, after = "bin/pocketbase-before", "bin/pocketbase"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := rehearse(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "rehearsal:", err)
		os.Exit(1)
	}
}

func rehearse(ctx context.Context) (err error) {
	if _, err := os.Stat(before); errors.Is(err, os.ErrNotExist) {
		fmt.Fprintln(os.Stdout, "the first version: there is nothing that it replaces")
		return nil
	}
	dir, err := os.MkdirTemp("", "rehearsal-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := copyData(os.Getenv("DATA_DIR"), dir); err != nil {
		return fmt.Errorf("copy the data: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var running []*exec.Cmd
	defer func() {
		cancel()
		for _, cmd := range running {
			_ = cmd.Wait() // it was told to end
		}
	}()
	serve := func(program string) (string, error) {
		cmd, url, err := start(ctx, program, dir)
		if err == nil {
			running = append(running, cmd)
			err = healthy(ctx, url)
		}
		if err != nil {
			err = fmt.Errorf("start %s on a copy of the data: %w", program, err)
		}
		return url, err
	}
	old, err := serve(before)
	if err != nil {
		return err
	}
	if err := journey(ctx, old); err != nil {
		return fmt.Errorf("users of the old version, before anything: %w", err)
	}
	if err := migrate(ctx, dir); err != nil {
		return err
	}
	fresh, err := serve(after)
	if err != nil {
		return err
	}
	if err := journey(ctx, fresh); err != nil {
		return fmt.Errorf("users of the new version: %w", err)
	}
	if err := journey(ctx, old); err != nil {
		return fmt.Errorf("users of the old version, once the data are the new one's: %w", err)
	}
	fmt.Fprintln(os.Stdout, "on a copy of the data both versions served their users, one beside the other")
	return nil
}

// start runs a version on the copy, until ctx ends.
func start(ctx context.Context, program, dir string) (*exec.Cmd, string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	address := l.Addr().String()
	l.Close()
	cmd := exec.CommandContext(ctx, program, "serve", "--http", address, "--dir", dir, "--migrationsDir", "migrations", "--automigrate=false", "--hooksWatch=false")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd, "http://" + address, cmd.Start()
}

func healthy(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/health", nil)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("it does not answer")
		}
	}
}

func journey(ctx context.Context, url string) error {
	return run(ctx, "SITE_URL="+url, "bin/journey")
}

func migrate(ctx context.Context, dir string) error { return run(ctx, "DATA_DIR="+dir, "./migrate") }

func run(ctx context.Context, env, program string) error {
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), env)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, bytes.TrimSpace(out))
	}
	return nil
}
