package rehearsal_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/noon-deploy/noon/internal/database/dbtest"
)

// TestMain is also the process that a test kills.
func TestMain(m *testing.M) {
	if address := os.Getenv(childAddress); address != "" {
		os.Exit(child(context.Background(), address))
	}
	if err := findTools(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	for _, s := range started() {
		if err := s.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// findTools has programs found that scripts/servers has unpacked.
func findTools() error {
	unpacked, err := filepath.Abs(filepath.Join("..", "..", "..", ".cache", "servers", "usr", "bin"))
	if err != nil {
		return err
	}
	return os.Setenv("PATH", os.Getenv("PATH")+string(os.PathListSeparator)+unpacked)
}

// fleet is the servers that the tests of this package share.
type fleet struct {
	mu      sync.Mutex
	servers map[string]*dbtest.Server
	names   atomic.Int64
}

var shared = sync.OnceValue(func() *fleet { return &fleet{servers: map[string]*dbtest.Server{}} })

func started() []*dbtest.Server {
	f := shared()
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []*dbtest.Server
	for _, s := range f.servers {
		all = append(all, s)
	}
	return all
}

// server starts a server of a kind when it is first asked for.
func server(tb testing.TB, kind string) *dbtest.Server {
	tb.Helper()
	f := shared()
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.servers[kind]; s != nil {
		return s
	}
	var s *dbtest.Server
	var err error
	switch kind {
	case "mysql":
		s, err = dbtest.MariaDB(context.Background())
	case tellsLocks:
		s, err = dbtest.MariaDB(context.Background(), "performance-schema=on", "performance-schema-instrument=wait/lock/metadata/sql/mdl=ON")
	default:
		s, err = dbtest.Postgres(context.Background())
	}
	if err != nil {
		tb.Fatal(err)
	}
	f.servers[kind] = s
	return s
}
