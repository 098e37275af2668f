package rehearsal_test

import (
	"strings"
	"testing"

	"github.com/noon-deploy/noon"
)

// TestEveryServer: a change that works is measured, and nothing of it is left.
func TestEveryServer(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, kind)
			w.rows(2000)
			w.files["0001_title.sql"] = "-- noon: expand\nALTER TABLE customers ADD COLUMN title varchar(20);\n" +
				"-- noon: data over customers.id in 500\nUPDATE customers SET title = 'X' WHERE id BETWEEN :low AND :high;\n" +
				"-- noon: contract\nALTER TABLE customers DROP COLUMN age;\n"
			before := w.everything()
			report := w.good()
			w.same(before)
			if len(report.Phases) != 2 || report.Phases[0].Phase != noon.DataBoth || report.Phases[1].Phase != noon.DataAlone || report.Phases[0].Took <= 0 {
				t.Errorf("the phases are %+v", report.Phases)
			}
			if len(report.Tables) != 1 || report.Tables[0].Name != "customers" || report.Tables[0].Reads.Count == 0 || report.Tables[0].Writes.Count == 0 {
				t.Errorf("the tables are %+v", report.Tables)
			}
			filled := statement(t, report, "UPDATE customers SET title")
			if filled.Rows != 2000 || filled.PerSecond() <= 0 {
				t.Errorf("the backfill is %+v", filled)
			}
			statement(t, report, "DROP COLUMN age")
		})
	}
}

// statement finds a statement of a report.
func statement(t *testing.T, report noon.RehearsalReport, part string) noon.RehearsedStatement {
	t.Helper()
	for _, s := range report.Statements {
		if strings.Contains(s.Text, part) {
			return s
		}
	}
	t.Fatalf("no statement has %q: %+v", part, report.Statements)
	return noon.RehearsedStatement{}
}
