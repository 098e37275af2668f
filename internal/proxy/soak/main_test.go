package soak_test

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// What makes the test binary something else, and how much it does.
const (
	envProxy    = "NOON_SOAK_PROXY"    // a proxyConfig: it is a proxy
	envInstance = "NOON_SOAK_INSTANCE" // an instanceConfig: it is an instance
	envPart     = "NOON_SOAK"          // the part of the full numbers that is run, "1" is all; short without
	envPeers    = "NOON_SOAK_PEERS"    // not empty: also run what other proxies can do
	envTable    = "NOON_SOAK_TABLE"    // file to which the table is appended
)

func TestMain(m *testing.M) {
	for name, run := range map[string]func(string) error{envProxy: runProxy, envInstance: runInstance} {
		if value := os.Getenv(name); value != "" {
			if err := run(value); err != nil {
				fmt.Fprintln(os.Stderr, name, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	raiseFiles()
	goleak.VerifyTestMain(m)
}

// raiseFiles allows as many open files as the system lets it; children
// inherit it.
func raiseFiles() {
	want := syscall.Rlimit{Cur: 65536, Max: 65536}
	var now syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now) != nil || now.Cur >= want.Cur {
		return
	}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want) != nil {
		now.Cur = now.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &now) // as it was, then
	}
}

// openFiles is how many files each process may open.
func openFiles() int {
	var now syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now) != nil {
		return 1024
	}
	return int(min(now.Cur, 1<<20)) //nolint:gosec // bounded
}

// scale is how much of everything is done.
type scale struct {
	full     bool
	rate     float64       // requests per second
	pause    time.Duration // between two switches and the like
	slow     time.Duration // a request that takes its time
	download time.Duration
	upload   time.Duration // a slow one
	drain    time.Duration // limit of a drain
	linger   time.Duration // of a proxy that was replaced
	streams  int           // WebSockets, and event streams, at any time
	events   int           // switches, upgrades, crashes of instances
	kills    int
	idem     int // idempotent requests while an instance is dead
	sockets  int
	goodbye  time.Duration
	hold     time.Duration
	clients  int // that misbehave
	abuse    time.Duration
}

// parallel has short scenarios run beside each other: they mostly wait.
func parallel(t *testing.T, s scale) {
	t.Helper()
	if !s.full {
		t.Parallel()
	}
}

// size reads the scale from the environment.
func size(t *testing.T) scale {
	t.Helper()
	value := os.Getenv(envPart)
	if value == "" {
		return scale{
			rate: 60, pause: 300 * time.Millisecond, slow: 300 * time.Millisecond, download: time.Second,
			upload: time.Second / 2, drain: 5 * time.Second, linger: time.Minute, streams: 6, events: 6, kills: 3, idem: 200,
			sockets: 200, goodbye: 2 * time.Second, hold: 2 * time.Second, clients: 40, abuse: 4 * time.Second,
		}
	}
	part, err := strconv.ParseFloat(value, 64)
	if err != nil || part <= 0 || part > 1 {
		t.Fatalf("%s=%q: want a part of 1, such as 0.1", envPart, value)
	}
	of := func(n int) int { return max(int(part*float64(n)), 2) }
	return scale{
		full: true, rate: 500, pause: 700 * time.Millisecond, slow: 2 * time.Second, download: 10 * time.Second,
		upload: 3 * time.Second, drain: 20 * time.Second, linger: time.Minute, streams: 20, events: of(100), kills: of(50), idem: 1000,
		sockets: of(10000), goodbye: 10 * time.Second, hold: 5 * time.Second, clients: of(150), abuse: 30 * time.Second,
	}
}
