package lint_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon/internal/database/lint"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

var update = flag.Bool("update", false, "write the golden files and the reference anew")

func of(table string) pgcatalog.Name { return pgcatalog.Name{Schema: "public", Name: table} }

// shop is the catalogue of a shop with many orders.
func shop() *lint.Catalog {
	customers := of("customers")
	return &lint.Catalog{Catalog: pgcatalog.Catalog{
		Server: pgcatalog.Server{Version: 150018, TimeZone: "UTC"}, Schemas: []string{"public"},
		Tables: []pgcatalog.Table{
			{
				Name: of("customers"), Kind: pgcatalog.Ordinary, Rows: 200_000, HeapBytes: 20_000_000,
				Columns:     []pgcatalog.Column{{Number: 1, Name: "id", Type: "bigint", NotNull: true}, {Number: 2, Name: "email", Type: "text"}},
				Constraints: []pgcatalog.Constraint{{Name: "customers_pkey", Kind: "primary key", Columns: []string{"id"}, Validated: true}},
			},
			{
				Name: of("orders"), Kind: pgcatalog.Ordinary, Rows: 5_000_000, HeapBytes: 1_500_000_000,
				Columns: []pgcatalog.Column{
					{Number: 1, Name: "id", Type: "bigint", NotNull: true},
					{Number: 2, Name: "customer", Type: "bigint"},
					{Number: 3, Name: "code", Type: "character varying(20)"},
					{Number: 4, Name: "placed", Type: "timestamp without time zone"},
				},
				Constraints: []pgcatalog.Constraint{
					{Name: "orders_pkey", Kind: "primary key", Columns: []string{"id"}, Validated: true},
					{Name: "orders_customer", Kind: "foreign key", Columns: []string{"customer"}, References: &customers, ReferencesAre: []string{"id"}, Validated: true},
				},
				Indexes: []pgcatalog.Index{{Name: "orders_code", Columns: []string{"code"}, Keys: 1, Valid: true, Method: "btree"}},
			},
			{Name: of("settings"), Kind: pgcatalog.Ordinary, Rows: 12, HeapBytes: 8192, Columns: []pgcatalog.Column{{Number: 1, Name: "name", Type: "text"}}},
		},
	}}
}

func rulesOf(findings []lint.Finding) string {
	var rules []string
	for _, f := range findings {
		rules = append(rules, f.Rule)
	}
	slices.Sort(rules)
	return strings.Join(rules, " ")
}

func parsed(t *testing.T, sql string) []sqlparse.Statement {
	t.Helper()
	list, err := lint.Parse(sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return list
}

func TestScripts(t *testing.T) {
	const timeout = "SET lock_timeout = '200ms';\n"
	for _, test := range []struct{ why, sql, want string }{
		{"tiny tables", timeout + "ALTER TABLE settings ADD COLUMN v uuid DEFAULT gen_random_uuid(); CREATE INDEX ON settings (name); UPDATE settings SET name = ''", ""},
		{"a table of its own", timeout + "CREATE TABLE n (id int); CREATE INDEX ON n (id); ALTER TABLE n ALTER COLUMN id TYPE bigint; UPDATE n SET id = 1; DROP TABLE n", ""},
		{"no timeout", "ALTER TABLE orders ADD COLUMN x int", "no-lock-timeout"},
		{"a timeout of 0", "SET lock_timeout = 0; ALTER TABLE orders ADD COLUMN x int", "no-lock-timeout"},
		{"noon sets it", "-- noon: expand\nALTER TABLE orders ADD COLUMN x int", ""},
		{"validated at once", "-- noon: expand\nALTER TABLE orders ADD CONSTRAINT c CHECK (id > 0) NOT VALID; ALTER TABLE orders VALIDATE CONSTRAINT c", "validate-with-lock"},
		{"validated later", "-- noon: expand\nALTER TABLE orders ADD CONSTRAINT c CHECK (id > 0) NOT VALID;\n-- noon: expand\nALTER TABLE orders VALIDATE CONSTRAINT c", ""},
		{"proven not null", "-- noon: expand\nALTER TABLE orders ADD CONSTRAINT c CHECK (code IS NOT NULL) NOT VALID;\n-- noon: expand\nALTER TABLE orders VALIDATE CONSTRAINT c;\n-- noon: expand\nALTER TABLE orders ALTER code SET NOT NULL", ""},
		{"CONCURRENTLY inside", timeout + "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON orders (code)", "concurrently-in-transaction"},
		{"CONCURRENTLY outside", "-- noon: expand\n-- noon: no-transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON orders (code)", ""},
		{"BEGIN inside", "-- noon: expand\nBEGIN; SELECT 1; COMMIT", "nested-transaction"},
		{"COMMIT alone", "SELECT 1; COMMIT", "nested-transaction"},
		{"open", "BEGIN; SELECT 1", "uncommitted"},
		{"two tables", timeout + "ALTER TABLE orders ADD COLUMN x int; ALTER TABLE customers ADD COLUMN x int", "several-locks"},
		{"opposite order", "-- noon: expand\nALTER TABLE orders ADD COLUMN x int; ALTER TABLE settings ADD COLUMN x int;\n-- noon: expand\nALTER TABLE settings ADD COLUMN y int; ALTER TABLE orders ADD COLUMN y int", "lock-order"},
		{"an enum's value at once", timeout + "ALTER TYPE st ADD VALUE 'new' BEFORE 'old'; UPDATE settings SET name = 'new'", "enum-in-transaction"},
		{"a long name", timeout + "ALTER TABLE orders ADD COLUMN " + strings.Repeat("x", 64) + " int", "long-name"},
		{"contract", "-- noon: contract\nALTER TABLE orders DROP COLUMN code", ""},
		{"expand", "-- noon: expand\nALTER TABLE orders DROP COLUMN code", "drop-column"},
		{"down", "-- noon: expand\nALTER TABLE orders ADD COLUMN x int;\n-- noon: down\nALTER TABLE orders DROP COLUMN x", ""},
		{"accepted", "-- noon: expand\n-- noon: blocking \"at night\"\nCREATE INDEX i ON orders (code)", "create-index"},
		{"the other table", timeout + "DROP TABLE orders", "drop-foreign-key drop-table"},
		{"after a rename", timeout + "ALTER TABLE orders RENAME TO o; ALTER TABLE o ADD CHECK (id > 0)", "add-check rename-table"},
		{"SQL made in a block", "DO $$ BEGIN EXECUTE 'DROP TABLE ' || 'orders'; END $$", "opaque"},
		{"a block", timeout + "DO $$ BEGIN CREATE INDEX i ON orders (code); END $$", "create-index"},
		{"a batch", "-- noon: data over orders.id in 1000\nUPDATE orders SET code = '' WHERE id >= :low AND id < :high", ""},
		{"a few rows", timeout + "DELETE FROM orders WHERE id IN (1, 2)", ""},
		{"many rows", timeout + "DELETE FROM orders WHERE code LIKE 'x%'", "change-many-rows"},
	} {
		findings := lint.Check(parsed(t, test.sql), shop(), lint.Options{})
		if got := rulesOf(findings); got != test.want {
			t.Errorf("%s: found by %q, want %q\n%s", test.why, got, test.want, test.sql)
		}
		for _, f := range findings {
			if f.Accepted != "" && (f.Accepted != "at night" || f.Severity != lint.Note) {
				t.Errorf("%s: %+v", test.why, f)
			}
		}
	}
}

// Without a catalogue the worst is assumed and said.
func TestUnknown(t *testing.T) {
	findings := lint.Check(parse(t, "-- noon: expand\nALTER TABLE x ALTER COLUMN y TYPE text; ALTER TABLE x ADD COLUMN z int"), nil, lint.Options{})
	if rulesOf(findings) != "change-type-rewrite" || !strings.Contains(findings[0].Hazard, "assumed") || findings[0].Expected != nil || findings[0].Rows != -1 {
		t.Errorf("findings are %+v", findings)
	}
	scripts := []lint.Script{{File: "1.sql", Statements: parse(t, "-- noon: expand\nCREATE TABLE x (id int)")}, {File: "2.sql", Statements: parse(t, "-- noon: expand\nCREATE INDEX ON x (id)")}}
	if got := rulesOf(lint.CheckAll(scripts, nil, lint.Options{})); got != "create-index" {
		t.Errorf("a table of an earlier file: %q", got)
	}
	if got := rulesOf(lint.CheckAll(scripts, shop(), lint.Options{})); got != "" {
		t.Errorf("a table that the catalogue does not have yet: %q", got)
	}
}

func TestUses(t *testing.T) {
	c := shop()
	c.Queries = []lint.Query{
		{Role: "r41", Text: "SELECT o.code, email FROM orders o JOIN customers ON customers.id = o.customer WHERE placed > $1", Calls: 12},
		{Role: "r41", Text: "INSERT INTO settings VALUES ($1)", Calls: 1},
		{Role: "r41", Text: "ALTER TABLE orders DROP COLUMN placed", Calls: 1},
		{Role: "r41", Text: "SELECT something truncat", Calls: 1},
		{Role: "r41", Text: "SELECT FROM (", Calls: 1},
	}
	uses, unread := lint.UsesOfQueries(c)
	var got []string
	for _, u := range uses {
		got = append(got, strings.TrimSuffix(u.Table+"."+u.Column, "."))
	}
	slices.Sort(got)
	want := []string{"customers", "customers.email", "customers.id", "orders", "orders.code", "orders.customer", "orders.placed", "settings", "settings.*"}
	if diff := cmp.Diff(want, got); diff != "" || unread != 1 {
		t.Errorf("uses differ, %d unread:\n%s", unread, diff)
	}
	for sql, want := range map[string]string{
		"ALTER TABLE orders DROP COLUMN code":             "in-use",
		"ALTER TABLE orders DROP COLUMN id":               "",
		"ALTER TABLE settings DROP COLUMN name":           "in-use",
		"ALTER TABLE orders RENAME COLUMN placed TO at":   "in-use",
		"ALTER TABLE customers RENAME TO people":          "in-use",
		"DROP TABLE settings":                             "in-use",
		"ALTER TABLE customers DROP COLUMN IF EXISTS nix": "",
	} {
		if got := rulesOf(lint.Check(parse(t, "-- noon: contract\n"+sql), c, lint.Options{Uses: uses})); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
}

// What is written is written as before; --fix gives what the second golden file
// says, and what it gives has no error.
func TestGolden(t *testing.T) {
	sql, err := os.ReadFile("testdata/orders.sql")
	if err != nil {
		t.Fatal(err)
	}
	statements := parse(t, string(sql))
	findings := lint.Check(statements, shop(), lint.Options{File: "migrations/0042_orders.sql"})
	golden(t, "orders.txt", lint.Text(findings))
	golden(t, "orders.github", lint.GitHub(findings))
	text, err := json.MarshalIndent(findings, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "orders.json", string(text)+"\n")
	log, err := lint.SARIF(findings, "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "orders.sarif", string(log))
	sarifShape(t, log)
	fixed, n := lint.Fixed(string(sql), statements, findings)
	golden(t, "orders.fixed.sql", fixed)
	if n == 0 {
		t.Error("nothing was fixed")
	}
	list := parsed(t, fixed)
	for _, f := range lint.Check(list, shop(), lint.Options{}) {
		if f.Severity == lint.Error && f.Fix != nil {
			t.Errorf("after --fix there is still %s in %s", f.Rule, f.Statement)
		}
	}
	bare := "UPDATE orders SET code = ''; ALTER TABLE orders ADD COLUMN n int" // the last one moves to the front
	if text, n := lint.Fixed(bare, parsed(t, bare), lint.Check(parsed(t, bare), shop(), lint.Options{})); n != 1 || len(parsed(t, text)) != 2 {
		t.Errorf("%s is fixed to %s", bare, text)
	}
	again, n := lint.Fixed(fixed, list, lint.Check(list, shop(), lint.Options{}))
	if n != 0 || again != fixed {
		t.Errorf("fixing again changes %d statements", n)
	}
}

// sarifShape checks what SARIF 2.1.0 asks of a log (section 3.13 and below).
func sarifShape(t *testing.T, log []byte) {
	t.Helper()
	var l struct {
		Schema  string `json:"$schema"`
		Version string `json:"version"`
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string `json:"name"`
					Rules []struct {
						ID    string `json:"id"`
						Short struct {
							Text string `json:"text"`
						} `json:"shortDescription"`
					} `json:"rules"`
				} `json:"driver"`
			} `json:"tool"`
			Results []struct {
				RuleID    string `json:"ruleId"`
				RuleIndex int    `json:"ruleIndex"`
				Level     string `json:"level"`
				Message   struct {
					Text string `json:"text"`
				} `json:"message"`
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct {
							URI string `json:"uri"`
						} `json:"artifactLocation"`
						Region struct {
							StartLine int `json:"startLine"`
							EndLine   int `json:"endLine"`
						} `json:"region"`
					} `json:"physicalLocation"`
				} `json:"locations"`
			} `json:"results"`
		} `json:"runs"`
	}
	if err := json.Unmarshal(log, &l); err != nil {
		t.Fatal(err)
	}
	if l.Version != "2.1.0" || l.Schema == "" || len(l.Runs) != 1 || l.Runs[0].Tool.Driver.Name != "noon" {
		t.Fatalf("the log is %+v", l)
	}
	rules := l.Runs[0].Tool.Driver.Rules
	for _, r := range l.Runs[0].Results {
		if r.RuleIndex >= len(rules) || rules[r.RuleIndex].ID != r.RuleID || rules[r.RuleIndex].Short.Text == "" || r.Message.Text == "" {
			t.Errorf("the result %+v has no rule or message", r)
		}
		if !slices.Contains([]string{"none", "note", "warning", "error"}, r.Level) {
			t.Errorf("level %q", r.Level)
		}
		if len(r.Locations) != 1 || r.Locations[0].PhysicalLocation.ArtifactLocation.URI == "" || r.Locations[0].PhysicalLocation.Region.StartLine < 1 || r.Locations[0].PhysicalLocation.Region.EndLine < r.Locations[0].PhysicalLocation.Region.StartLine {
			t.Errorf("the place is %+v", r.Locations)
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (go test -update writes it):\n%s", path, diff)
	}
}

// The reference of the hazards is made of the rules, and every rule can find
// something.
func TestReference(t *testing.T) {
	golden(t, "../../../../docs/reference/hazards.md", lint.Reference())
	seen := map[string]bool{}
	for _, r := range lint.Rules() {
		if seen[r.ID] || r.Title == "" || r.Why == "" || r.Advice == "" {
			t.Errorf("the rule %+v is not complete or there twice", r)
		}
		seen[r.ID] = true
	}
}

// FuzzCheck: whatever can be parsed can be linted, with and without a
// catalogue, and what is fixed can be parsed.
func FuzzCheck(f *testing.F) {
	for _, file := range []string{"testdata/orders.sql", "testdata/setup.sql", "testdata/corpus.txt"} {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			text, _, _ := strings.Cut(line, " => ")
			f.Add(text)
		}
	}
	if _, err := lint.Parse(""); err != nil { // compiles the grammar, which takes a worker longer than it may take for an input
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		statements, err := lint.Parse(sql)
		if err != nil {
			return
		}
		for _, c := range []*lint.Catalog{nil, shop()} {
			findings := lint.Check(statements, c, lint.Options{Tiny: 1})
			lint.Text(findings)
			fixed, n := lint.Fixed(sql, statements, findings)
			if _, err := lint.Parse(fixed); err != nil && n > 0 {
				t.Fatalf("%q is fixed to %q: %v", sql, fixed, err)
			}
		}
	})
}
