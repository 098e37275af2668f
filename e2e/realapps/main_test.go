package realapps

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const choice = "NOON_REALAPPS" // the apps to run, "pocketbase,openfga,vendure"

var (
	noonBinary string   // built once by TestMain
	cacheDir   string   // what was fetched and built of the apps, for the next time
	goCaches   []string // variables that keep the caches of Go where they are
)

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "realapps:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if os.Getenv(choice) == "" {
		return m.Run(), nil // every test skips itself
	}
	dir, err := os.MkdirTemp("", "realapps-bin-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if cacheDir, err = filepath.Abs("../../.cache"); err != nil {
		return 1, err
	}
	if err := os.MkdirAll(filepath.Join(cacheDir, "realapps"), 0o755); err != nil { //nolint:gosec // nothing secret is in it
		return 1, err
	}
	noonBinary = filepath.Join(dir, "noon")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "build", "-o", noonBinary, "../../cmd/noon").CombinedOutput()
	if err != nil {
		return 1, fmt.Errorf("build noon: %w: %s", err, out)
	}
	if goCaches, err = goEnv(ctx, "GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE"); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// goEnv asks Go for variables.
func goEnv(ctx context.Context, names ...string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	var env []string
	for i, value := range strings.Split(strings.TrimSuffix(string(out), "\n"), "\n") {
		env = append(env, names[i]+"="+value)
	}
	return env, nil
}

// chosen skips a test whose app was not asked for.
func chosen(t *testing.T, app string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("hosts of noon are Linux machines")
	}
	if !slices.Contains(strings.Split(os.Getenv(choice), ","), app) {
		t.Skipf("%s does not name %s: make realapps runs it", choice, app)
	}
}

// eventually looks again and again until see finds nothing to complain of.
func eventually(t *testing.T, limit time.Duration, what string, see func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := see()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %s: %v", what, limit, err)
		}
	}
}
