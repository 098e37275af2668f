package rehearsal_test

import (
	"bytes"
	"context"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
	"github.com/noon-deploy/noon/internal/database/rehearsal"
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

// TestFailsOnOneRow: a change that only one customer's data are in the way of
// fails on the copy, and the row is named.
func TestFailsOnOneRow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ wrong, change string }{
		"type":        {"UPDATE customers SET age = 'old' WHERE id = 77", "ALTER TABLE customers ALTER COLUMN age TYPE integer USING age::integer"},
		"not null":    {"UPDATE customers SET mail = NULL WHERE id = 77", "ALTER TABLE customers ALTER COLUMN mail SET NOT NULL"},
		"unique":      {"UPDATE customers SET mail = 'mail77@example.org' WHERE id = 5", "CREATE UNIQUE INDEX ON customers (mail)"},
		"check":       {"UPDATE customers SET name = '' WHERE id = 77", "ALTER TABLE customers ADD CONSTRAINT named CHECK (name <> '')"},
		"foreign key": {"DELETE FROM customers WHERE id = 77; CREATE TABLE orders (id int PRIMARY KEY, customer int); INSERT INTO orders VALUES (1, 77)", "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers (id)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "postgres")
			w.rows(200)
			w.exec(c.wrong)
			w.files["0001_change.sql"] = "-- noon: contract\n" + c.change + ";\n"
			before := w.everything()
			report, verdict, err := w.rehearse(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if verdict == nil || !strings.Contains(verdict.Error(), "77") || noon.HintOf(verdict) == "" {
				t.Errorf("the verdict is %v (%s)", verdict, noon.HintOf(verdict))
			}
			if s := report.Statements; len(s) == 0 || s[len(s)-1].Error == "" {
				t.Errorf("no statement has the error: %+v", s)
			}
			w.same(before)
		})
	}
}

// TestLocks: the report has the locks that PostgreSQL's documentation has for
// these statements, and tells which of them write a table anew.
func TestLocks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "postgres")
	w.rows(5000)
	w.files["0001_change.sql"] = `-- noon: expand
ALTER TABLE customers ADD COLUMN title text;
CREATE INDEX customers_mail ON customers (mail);
-- noon: expand
-- noon: no-transaction
CREATE INDEX CONCURRENTLY customers_name ON customers (name);
-- noon: contract
ALTER TABLE customers ALTER COLUMN age TYPE integer USING age::integer;
`
	report := w.good()
	for part, want := range map[string]string{"ADD COLUMN": "AccessExclusiveLock", "customers_mail": "ShareLock", "ALTER COLUMN age": "AccessExclusiveLock"} {
		if s := statement(t, report, part); !locked(s, "customers", want) {
			t.Errorf("%s: %+v", part, s)
		}
	}
	if s := statement(t, report, "ADD COLUMN"); len(s.Rewrote) > 0 {
		t.Errorf("a column without a default rewrites %v", s.Rewrote)
	}
	if s := statement(t, report, "ALTER COLUMN age"); len(s.Rewrote) != 1 || s.Rewrote[0] != "customers" {
		t.Errorf("a new type rewrites %v", s.Rewrote)
	}
}

func locked(s noon.RehearsedStatement, relation, mode string) bool {
	for _, l := range s.Locks {
		if l.Relation == relation && l.Mode == mode && l.Held > 0 {
			return true
		}
	}
	return false
}

// TestBreaksTheReleaseBefore: what the release before can not do any more after
// the expansion is a failure, although the change itself works.
func TestBreaksTheReleaseBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "postgres")
	w.rows(100)
	w.files["0001_change.sql"] = "-- noon: expand\nALTER TABLE customers RENAME COLUMN name TO full_name;\n"
	report, verdict, err := w.rehearse(t.Context())
	if err != nil || verdict == nil || len(report.Broken) == 0 || !strings.Contains(verdict.Error(), "name") {
		t.Errorf("verdict %v, error %v, broken %q", verdict, err, report.Broken)
	}
}

// TestMask: a value that is masked is nowhere on the copy, and what names no
// column is refused before anything is copied.
func TestMask(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"postgres", "sqlite"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, kind)
			w.rows(500)
			if kind == "postgres" { // what a trigger would carry elsewhere
				w.exec("CREATE TABLE audit (id serial PRIMARY KEY, what text)",
					"CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit (what) VALUES (OLD.mail); RETURN NEW; END $$",
					"CREATE TRIGGER note BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION note()")
			}
			w.order.Mask = map[string]string{"customers.mail": "'x' || id", "customers.name": "'nobody'"}
			looked := false
			w.order.Steps = []rehearsal.Step{{Phase: noon.DataAdmitted, Quiet: true, Run: func(ctx context.Context, c rehearsal.Copy) error {
				looked = true
				return unseen(ctx, t, kind, c.Address, "example.org")
			}}}
			w.files["0001_change.sql"] = "ALTER TABLE customers ADD COLUMN title varchar(20);"
			if report := w.good(); !looked || len(report.Copy.Masked) != 2 {
				t.Errorf("masked %v, looked %v", report.Copy.Masked, looked)
			}
			for _, rule := range []string{"customers.nothing", "nobody.mail", "mail"} {
				w.order.Mask = map[string]string{rule: "NULL"}
				before := w.everything()
				_, _, err := w.rehearse(t.Context())
				if noon.KindOf(err) != noon.Invalid || !strings.Contains(err.Error(), rule) {
					t.Errorf("%s: %v", rule, err)
				}
				w.same(before)
			}
		})
	}
}

// unseen fails if a text is in any value of a copy, or in what the server knows
// about its values.
func unseen(ctx context.Context, t *testing.T, kind, address, text string) error {
	t.Helper()
	if kind == "sqlite" {
		path, _, _ := strings.Cut(strings.TrimPrefix(address, "sqlite:"), "?")
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if bytes.Contains(data, []byte(text)) {
			t.Errorf("the file has %q in it", text)
		}
		return nil
	}
	db, err := migration.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // it was only read
	var n int
	err = db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM customers c WHERE c::text LIKE '%`+text+`%') + (SELECT count(*) FROM audit)
		+ (SELECT count(*) FROM pg_stats WHERE most_common_vals::text LIKE '%`+text+`%' OR histogram_bounds::text LIKE '%`+text+`%')`).Scan(&n)
	if n > 0 {
		t.Errorf("%q is %d times on the copy", text, n)
	}
	return err
}

// TestRefused: what can not work is said before anything is copied.
func TestRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "postgres")
	w.rows(10)
	w.files["0001_change.sql"] = "ALTER TABLE customers ADD COLUMN title varchar(20);"
	w.exec("DROP ROLE IF EXISTS plain", "CREATE ROLE plain LOGIN PASSWORD 'p'", "GRANT ALL ON ALL TABLES IN SCHEMA public TO plain")
	before := w.everything()
	w.order.Copy = noon.CopyTemplate
	_, _, err := w.rehearse(t.Context())
	if noon.KindOf(err) != noon.Conflict || !strings.Contains(err.Error(), "process") {
		t.Errorf("a template while this test is connected: %v", err)
	}
	w.order.Copy = noon.CopyDump
	super := w.order.Address
	u, err := url.Parse(super)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("plain", "p")
	w.order.Address = u.String()
	_, _, err = w.rehearse(t.Context())
	if noon.KindOf(err) != noon.Invalid || !strings.Contains(noon.HintOf(err), `ALTER ROLE "plain" CREATEDB`) {
		t.Errorf("without a right: %v (%s)", err, noon.HintOf(err))
	}
	w.order.Address = super
	w.order.Copy, w.order.Command = noon.CopyCommand, []string{"sh", "-c", "echo that did not work >&2; exit 3"}
	_, _, err = w.rehearse(t.Context())
	if noon.KindOf(err) != noon.Failure || !strings.Contains(err.Error(), "that did not work") {
		t.Errorf("a command that fails: %v", err)
	}
	w.order.Command = []string{"sh", "-c", `pg_dump "$SOURCE_URL" | psql -q -v ON_ERROR_STOP=1 "$COPY_URL"`}
	w.good()
	w.same(before)
}
