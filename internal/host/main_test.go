package host_test

import (
	"context"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/noon-deploy/noon/internal/host/process"
	"github.com/noon-deploy/noon/internal/host/runnertest"
)

// TestMain makes the test binary all the processes that noon consists of.
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
		case "host":
			os.Exit(hostMain(os.Args[2:]))
		}
	}
	goleak.VerifyTestMain(m)
}
