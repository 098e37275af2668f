package process_test

import (
	"context"
	"log/slog"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/noon-deploy/noon/internal/host"
	"github.com/noon-deploy/noon/internal/host/process"
	"github.com/noon-deploy/noon/internal/host/runnertest"
)

// TestMain makes the test binary keeper, child and app as well.
func TestMain(m *testing.M) {
	if code, ok := runnertest.App(os.Args[1:]); ok {
		os.Exit(code)
	}
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "keeper":
			os.Exit(process.KeeperMain(context.Background(), os.Args[2:]))
		case "exec-instance":
			os.Exit(process.ExecMain(os.Args[2:]))
		}
	}
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, dir string) host.Runner {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, err := process.Open(process.Config{Dir: dir, Keeper: []string{self, "keeper"}, Exec: []string{self, "exec-instance"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return host.Runner{Lives: r, Remains: r}
}

func TestConform(t *testing.T) {
	t.Parallel()
	runnertest.Conform(t, open)
}
