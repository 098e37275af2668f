package soak_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// row is a line of the table of results.
type row struct {
	scenario string
	book     *book
	before   vitals
	after    vitals
	note     string
}

// tell logs the row and appends it to the table, if there is one.
func (w row) tell(t *testing.T) {
	t.Helper()
	b := w.book
	all, races, refused := b.failed(every), b.failed(as(errRace)), b.failed(as(errRefused))
	ws, sse := b.streams["ws"], b.streams["sse"]
	line := fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d / %d | %d / %d | %s / %s / %s | %d → %d | %d → %d | %s |",
		w.scenario, b.requests, len(all), len(races), len(refused), len(b.wrong),
		ws.moved, len(ws.cut), sse.moved, len(sse.cut),
		ms(b.quantile(0.5)), ms(b.quantile(0.99)), ms(b.quantile(1)),
		w.before.Goroutines, w.after.Goroutines, w.before.Files, w.after.Files, w.note)
	t.Logf("\n%s\n%s", tableHead(), line)
	appendTable(t, line)
}

func tableHead() string {
	columns := []string{
		"scenario", "requests", "failed", "of them race", "refused", "wrong release", "WebSockets moved / cut",
		"event streams moved / cut", "p50 / p99 / worst ms", "goroutines", "files", "notes",
	}
	return "| " + strings.Join(columns, " | ") + " |\n|" + strings.Repeat("---|", len(columns))
}

func ms(d time.Duration) string { return fmt.Sprintf("%.0f", float64(d)/float64(time.Millisecond)) }

// appendTable writes a line to the file of NOON_SOAK_TABLE.
func appendTable(t *testing.T, line string) {
	t.Helper()
	path := os.Getenv(envTable)
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() == 0 {
		line = tableHead() + "\n" + line
	}
	if _, err := fmt.Fprintln(f, line); err != nil {
		t.Fatal(err)
	}
}
