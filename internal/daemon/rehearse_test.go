package daemon

import (
	"strings"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/rehearsal"
)

// rehearse tries what m brings after left, as the controller does.
func (s *shopDB) rehearse(m, left *migrated) (noon.RehearsalReport, error) {
	s.t.Helper()
	r := rehearsed{Rehearsal: noon.Rehearsal{Site: m.site, Store: m.Name}, m: *m, left: left}
	report, verdict, err := rehearsal.Run(s.t.Context(), s.d.rehearsal(r, func(string) {}))
	if err != nil {
		s.t.Fatalf("%v\nhint: %s", err, noon.HintOf(err))
	}
	return report, verdict
}

// server is everything that a rehearsal must leave alone.
func (s *shopDB) server() string {
	s.t.Helper()
	var all []string
	for _, query := range []string{
		"select string_agg(datname, ' ' order by datname) from pg_database",
		"select string_agg(rolname, ' ' order by rolname) from pg_roles",
		"select string_agg(format('%s.%s.%s %s', table_schema, table_name, column_name, data_type), '; ' order by table_schema, table_name, column_name) from information_schema.columns where table_schema not in ('pg_catalog', 'information_schema')",
		"select coalesce(string_agg(c::text, '; ' order by id), '') from orders c",
		"select string_agg(r::text, '; ' order by name) from noon.role r",
		"select string_agg(format('%s %s %s', app, version, state), '; ' order by version) from noon.version r",
	} {
		text, err := s.try(s.super, query)
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, text)
	}
	return strings.Join(all, "\n")
}

// TestRehearseVersioned: what a versioned release brings is tried on a copy on
// the same server, with roles of the copy's own, and fails there on a row that
// it names.
func TestRehearseVersioned(t *testing.T) {
	t.Parallel()
	s := newShopDB(t)
	s.exec(s.super, "alter role owner createdb")
	s.files["0001_init.yaml"] = `operations:
- create_table: {name: orders, columns: [{name: id, type: bigint, pk: true}, {name: customer, type: text, nullable: false}, {name: age, type: text, nullable: true}]}`
	r1 := s.release(1)
	s.must(noon.DataAlone, r1, nil)
	s.says(r1, "insert into orders select i, 'Name ' || i, (i % 90)::text from generate_series(1, 3000) i; select count(*) from orders", "3000")
	before := s.server()

	s.files["0002_age.yaml"] = `operations:
- alter_column: {table: orders, column: age, type: integer, up: age::integer, down: age::text}
- rename_column: {table: orders, from: customer, to: buyer}`
	r2 := s.release(2)
	report, verdict := s.rehearse(r2, r1)
	if verdict != nil {
		t.Fatalf("the change failed: %v", verdict)
	}
	if after := s.server(); after != before {
		t.Errorf("the server was\n%s\nand is\n%s", before, after)
	}
	if len(report.Phases) != 2 || len(report.Tables) != 1 || report.Tables[0].Writes.Count == 0 || report.Copy.Rows < 3000 {
		t.Errorf("the report is %+v", report)
	}
	if filled := filling(report); filled.Rows < 100 {
		t.Errorf("the backfill is %+v", filled)
	}

	s.says(r1, "update orders set age = 'old' where id = 77; select age from orders where id = 77", "old")
	before = s.server()
	_, verdict = s.rehearse(r2, r1)
	if verdict == nil || !strings.Contains(verdict.Error(), "77") {
		t.Errorf("a value that is no number: %v", verdict)
	}
	if after := s.server(); after != before {
		t.Errorf("the server was\n%s\nand is\n%s", before, after)
	}
}

// filling is the statement that changed most rows.
func filling(r noon.RehearsalReport) noon.RehearsedStatement {
	var most noon.RehearsedStatement
	for _, s := range r.Statements {
		if s.Rows > most.Rows {
			most = s
		}
	}
	return most
}

func TestJudged(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	good := noon.Rehearsal{Status: noon.RehearsalGood, Ended: now.Add(-14 * time.Minute)}
	good.Report.Copy.Rows = 1_000_000
	if j := judged(good, noon.Store{}, now); j.Failed || j.Old || j.Because != "rehearsed 14m ago on 1,000,000 rows" {
		t.Errorf("a good one is %+v", j)
	}
	if j := judged(good, noon.Store{Rehearsal: noon.Rehearsing{MaxAge: 10 * time.Minute}}, now); !j.Old {
		t.Errorf("an old one is %+v", j)
	}
	failed := good
	failed.Status, failed.Problem = noon.RehearsalFailed, &noon.Error{Op: "change schema", Err: errStopped}
	if j := judged(failed, noon.Store{}, now); !j.Failed || !strings.Contains(j.Because, "change schema") {
		t.Errorf("a failed one is %+v", j)
	}
}
