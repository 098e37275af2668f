package e2e

import (
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// goEnvironment is what makes Go find what it has downloaded and built before,
// though its home is another one.
func goEnvironment(t *testing.T) []string {
	t.Helper()
	var env []string
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS"} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		out, err := exec.CommandContext(ctx, "go", "env", name).Output()
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		env = append(env, name+"="+strings.TrimSpace(string(out)))
	}
	return env
}

// The demo proves itself: its exit code and its report say that nothing was
// lost, with either shop.
func TestDemo(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]func(*testing.T) []string{
		"file": func(*testing.T) []string { return []string{"--seconds", "10"} },
		"database": func(t *testing.T) []string {
			_, address, _ := shopDatabase(t)
			return []string{"--seconds", "1", "--postgres", address}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			r := m.cliWith("", goEnvironment(t), append([]string{"demo", "--json"}, args(t)...)...)
			if r.code != 0 {
				t.Fatalf("noon demo: %s", r)
			}
			nothingLost(t, r.stdout)
			for _, p := range m.processes() {
				t.Errorf("%v still runs", p)
			}
		})
	}
}

// nothingLost reads the report of a demo.
func nothingLost(t *testing.T, text string) {
	t.Helper()
	var report map[string]any
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		t.Fatalf("noon demo: %v in %s", err, text)
	}
	for _, field := range []string{"failed", "wrong_release", "orders_duplicated", "uploads_lost"} {
		if report[field] != 0.0 {
			t.Errorf("%s is %v", field, report[field])
		}
	}
	if report["orders_acknowledged"] != report["orders_stored"] || report["orders_stored"] == 0.0 {
		t.Errorf("%v orders were acknowledged, %v stored", report["orders_acknowledged"], report["orders_stored"])
	}
	for _, field := range []string{"requests", "deploys", "rollbacks", "crashes"} {
		if n, ok := report[field].(float64); !ok || n < 1 {
			t.Errorf("%s is %v", field, report[field])
		}
	}
}
