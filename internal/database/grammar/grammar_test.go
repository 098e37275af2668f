package grammar_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/grammar"
	"github.com/noon-deploy/noon/internal/database/lint"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
	"github.com/noon-deploy/noon/internal/database/postgres"
)

// TestMain is also the children that tests start.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case "grammar":
			os.Exit(grammar.Main(os.Stdin, os.Stdout, os.Stderr))
		case "environment":
			fmt.Fprint(os.Stderr, os.Environ())
			os.Exit(3)
		case "endless":
			_, _ = io.Copy(os.Stdout, zeros{}) // until nobody reads, or it is killed
			os.Exit(0)
		case "babble":
			fmt.Fprint(os.Stdout, "this is no JSON")
			os.Exit(0)
		case "silent":
			fmt.Fprint(os.Stdout, "{}")
			os.Exit(0)
		case "nothing":
			os.Exit(0)
		}
	}
	goleak.VerifyTestMain(m)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func child(t *testing.T, mode string, limit time.Duration) *grammar.Child {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return grammar.NewChild(limit, binary, mode)
}

func catalogue() pgcatalog.Catalog {
	return pgcatalog.Catalog{
		Server: pgcatalog.Server{Version: 150018, TimeZone: "UTC"}, Schemas: []string{"public"},
		Tables: []pgcatalog.Table{{
			Name: pgcatalog.Name{Schema: "public", Name: "orders"}, Kind: pgcatalog.Ordinary, Rows: 5_000_000, HeapBytes: 500_000_000,
			Columns:     []pgcatalog.Column{{Number: 1, Name: "id", Type: "bigint", TypeKind: "b", NotNull: true}, {Number: 2, Name: "customer", Type: "text", TypeKind: "b"}, {Number: 3, Name: "note", Type: "text", TypeKind: "b"}},
			Constraints: []pgcatalog.Constraint{{Name: "orders_pkey", Kind: "primary key", Columns: []string{"id"}, Validated: true}},
		}},
	}
}

const sql = `-- noon: expand
CREATE INDEX orders_customer ON orders (customer);
ALTER TABLE orders DROP COLUMN note;
-- noon: contract
ALTER TABLE orders DROP COLUMN customer;
`

func toLint() grammar.Lint {
	c := &lint.Catalog{Catalog: catalogue(), Queries: []lint.Query{
		{Role: "shop", Text: "SELECT note, customer FROM orders WHERE id = $1", Calls: 7}, {Role: "shop", Text: "<insufficient privilege>"},
	}}
	contract := strings.Index(sql, "-- noon: contract")
	return grammar.Lint{
		Scripts: []grammar.Script{{File: "0001_a.sql", SQL: sql}, {File: "0002_b.sql", SQL: "SELECT 1;\nALTER TABEL orders;"}},
		Parts:   []lint.Part{{From: 0, To: contract}, {From: contract, To: len(sql), Alone: true}, {Script: 1, To: 30}},
		Catalog: c,
	}
}

// A child answers what would be answered here, and the memory for it is not
// taken here.
func TestChild(t *testing.T) {
	c := child(t, "grammar", 0)
	var before, between, after runtime.MemStats
	runtime.ReadMemStats(&before)
	found, err := c.Lint(t.Context(), toLint())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, list := range found {
		for _, f := range list {
			got = append(got, fmt.Sprintf("%d %s:%d %s", i, f.File, f.Line, f.Rule))
		}
	}
	want := []string{"0 0001_a.sql:2 create-index", "0 0001_a.sql:3 in-use", "2 0002_b.sql:2 unreadable"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	again := toLint()
	again.Catalog.Queries[0].Calls++
	slices.Reverse(again.Catalog.Queries)
	if diff := cmp.Diff(asJSON(t, found), asJSON(t, remember(t, c, again))); diff != "" {
		t.Errorf("asked again (-first +second):\n%s", diff)
	}
	set, err := change.Read(change.File{Name: "0003.yaml", Data: []byte(`operations:
- split_column: {table: orders, from: customer, to: [{name: first, type: text, nullable: true}, {name: last, type: text, nullable: true}], up: {first: "split_part(customer, ' ', 1)", last: "split_part(customer, ' ', 2)"}, down: "first || ' ' || last"}
`)})
	if err != nil {
		t.Fatal(err)
	}
	base := catalogue()
	ch := grammar.Change{Set: set, Catalog: &base, Target: postgres.Target{App: "shop", Schema: "public", Role: "owner"}}
	plan, err := c.Plan(t.Context(), ch)
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&between)
	here, err := (*grammar.Child)(nil).Plan(t.Context(), ch)
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if diff := cmp.Diff(asJSON(t, here), asJSON(t, plan)); diff != "" || len(plan.Expand) == 0 || plan.Refusal() != nil {
		t.Errorf("%v; the plan of a child differs (-here +child):\n%s", plan.Refusal(), diff)
	}
	const much = 50 << 20 // bytes
	if taken, would := between.TotalAlloc-before.TotalAlloc, after.TotalAlloc-between.TotalAlloc; taken > much || would < much {
		t.Errorf("asking a child allocated %d bytes, reading here %d", taken, would)
	}
}

// remember asks with a context that has ended: only what is known is answered.
func remember(t *testing.T, c *grammar.Child, l grammar.Lint) [][]lint.Finding {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	found, err := c.Lint(ctx, l)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestChildFails(t *testing.T) {
	t.Setenv("DATABASE_PASSWORD", "not for a child")
	for mode, want := range map[string]string{
		"environment": "exit status 3: [GOMEMLIMIT=512MiB",
		"endless":     "it was not done within 1s",
		"babble":      "read its answer: invalid character",
		"silent":      "it gave 0 answers to 3 questions",
	} {
		limit := time.Minute
		if mode == "endless" {
			limit = time.Second
		}
		_, err := child(t, mode, limit).Lint(t.Context(), toLint())
		if noon.KindOf(err) != noon.Failure || !strings.Contains(fmt.Sprint(err), want) || strings.Contains(fmt.Sprint(err), "not for a child") || !strings.Contains(noon.HintOf(err), "Nothing was changed") {
			t.Errorf("%s: %v (%s), want %q", mode, err, noon.HintOf(err), want)
		}
	}
	if _, err := grammar.NewChild(0, "/nothing/there").Plan(t.Context(), grammar.Change{}); noon.KindOf(err) != noon.Failure || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a binary that is not there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := child(t, "grammar", 0).Lint(ctx, toLint()); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any more: %v", err)
	}
}

func TestMainRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "EOF",
		"{}":                      "asks for nothing",
		`{"lint":{"parts":[{}]}}`: "part 0 is of script 0 of 0",
	} {
		var out, complaint bytes.Buffer
		if code := grammar.Main(strings.NewReader(in), &out, &complaint); code != 1 || out.Len() > 0 || !strings.Contains(complaint.String(), want) {
			t.Errorf("%q: exit code %d, %q, %q; want %q", in, code, &out, &complaint, want)
		}
	}
}

// What reads no SQL pays nothing for the grammar: its packages set up next to
// nothing when a process starts. Compiling it allocates some hundred megabytes.
func TestStartIsFree(t *testing.T) {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, "nothing")
	cmd.Env = []string{"GODEBUG=inittrace=1"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^init (\S+) @\S+ ms, \S+ ms clock, (\d+) bytes`)
	traced, total := 0, 0
	for _, m := range line.FindAllStringSubmatch(string(out), -1) {
		traced++
		if strings.Contains(m[1], "wazero") || strings.Contains(m[1], "pgquery") || strings.Contains(m[1], "noon/internal/database") {
			bytes, _ := strconv.Atoi(m[2]) // digits
			t.Logf("%s: %d bytes", m[1], bytes)
			total += bytes
		}
	}
	if traced == 0 || total > 100_000 {
		t.Errorf("of %d packages, those for SQL take %d bytes at the start", traced, total)
	}
}
