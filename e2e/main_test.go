package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// What the tests drive, built once by TestMain.
var (
	noonBinary  string // with the race detector if the tests have it
	plainBinary string // without it, for tests that are about time or have PostgreSQL's grammar read, which takes a minute each time with it
	appBinary   string
)

func TestMain(m *testing.M) {
	flag.Parse()
	if runtime.GOOS != "linux" {
		fmt.Println("e2e: hosts of noon are Linux machines; this one is not, so that nothing was tested")
		os.Exit(0)
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "e2e-bin-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	noonBinary, appBinary = filepath.Join(dir, "noon"), filepath.Join(dir, "app")
	plainBinary = noonBinary
	if raceDetector {
		plainBinary += "-plain"
		if err := goTool("build", "-race", "-o", noonBinary, "../cmd/noon"); err != nil {
			return 1, err
		}
	}
	if err := goTool("build", "-o", plainBinary, "../cmd/noon"); err != nil {
		return 1, err
	}
	if err := goTool("build", "-trimpath", "-ldflags=-s -w", "-o", appBinary, "./testdata/app"); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func goTool(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %q: %w", args, err)
	}
	return nil
}

// eventually looks again and again until see finds nothing to complain of.
func eventually(tb testing.TB, limit time.Duration, what string, see func() error) {
	tb.Helper()
	if err := wait(tb.Context(), limit, see); err != nil {
		tb.Fatalf("%s: not within %s: %v", what, limit, err)
	}
}

// wait is eventually for those who want to go on.
func wait(ctx context.Context, limit time.Duration, see func() error) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(limit)
	for {
		err := see()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		}
	}
}
