package sqlparse_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// renamed is what every test calls the column aid by.
func renamed(r sqlparse.Ref) sqlparse.Ref {
	if r.Column == "aid" {
		r.Column = "new aid"
	}
	return r
}

func TestExpressions(t *testing.T) {
	for _, test := range []struct{ sql, columns, want string }{
		// finding E12: paid_id, 'aid' and aid() are not the column aid
		{"aid > 0 OR paid_id = ANY(ARRAY[1, 2])", `["aid" "paid_id"]`, `"new aid" > 0 OR paid_id = ANY(ARRAY[1, 2])`},
		{"aid(aid) || 'aid' || t.aid", `["aid" "t"."aid"]`, `aid("new aid") || 'aid' || "t"."new aid"`},
		{"lower ( trim(both 'x' from AID) )", `["aid"]`, `lower ( trim(both 'x' from "new aid") )`},
		{`"AID" + "aid"`, `["AID" "aid"]`, `"AID" + "new aid"`},
		{"CASE WHEN aid IS NULL THEN 0 ELSE aid::bigint END", `["aid"]`, `CASE WHEN "new aid" IS NULL THEN 0 ELSE "new aid"::bigint END`},
		{"CAST(s . t . aid AS text)", `["s"."t"."aid"]`, `CAST("s"."t"."new aid" AS text)`},
		{"aid -- the old one\n + 1 /* aid */", `["aid"]`, "\"new aid\"  \n + 1"},
		{"(aid).aid + aid[aid]", `["aid"]`, `("new aid").aid + "new aid"["new aid"]`},
		{"NEW.aid + old.aid", `["new"."aid" "old"."aid"]`, `"new"."new aid" + "old"."new aid"`},
		{"f(aid => aid)", `["aid"]`, `f(aid => "new aid")`},
		{"count(*) FILTER (WHERE aid > 0) OVER (PARTITION BY aid)", `["aid"]`, `count(*) FILTER (WHERE "new aid" > 0) OVER (PARTITION BY "new aid")`},
		{"EXISTS (SELECT 1 FROM o WHERE o.aid = t.aid)", `["t"."aid"]`, `EXISTS (SELECT 1 FROM o WHERE o.aid = "t"."new aid")`},
		{"(SELECT t.aid)", `["t"."aid"]`, `(SELECT "t"."new aid")`},
		{
			"(SELECT max(x.aid) FROM a AS x JOIN LATERAL (SELECT x.aid, t.aid + 1 AS b) y ON x.aid = y.b)", `["t"."aid"]`,
			`(SELECT max(x.aid) FROM a AS x JOIN LATERAL (SELECT x.aid, "t"."new aid" + 1 AS b) y ON x.aid = y.b)`,
		},
		{"t.aid IN (SELECT 1 UNION SELECT o.aid FROM o)", `["t"."aid"]`, `"t"."new aid" IN (SELECT 1 UNION SELECT o.aid FROM o)`},
		{"gen_random_uuid()", "[]", "gen_random_uuid()"},
		{"split_part(name, ' ', 1)", `["name"]`, "split_part(name, ' ', 1)"},
		{"é || aid", `["é" "aid"]`, `é || "new aid"`},
	} {
		e, err := sqlparse.Expression(test.sql)
		if err != nil {
			t.Errorf("%s: %v", test.sql, err)
			continue
		}
		if got := fmt.Sprint(e.Columns()); got != test.columns {
			t.Errorf("%s: columns %s, want %s", test.sql, got, test.columns)
		}
		if got, err := e.Rename(renamed); err != nil || got != test.want {
			t.Errorf("%s becomes %s (%v), want %s", test.sql, got, err, test.want)
		}
	}
}

func TestNotRenamed(t *testing.T) {
	for _, test := range []struct{ sql, message string }{
		{"(SELECT max(aid) FROM o)", `1:13: "aid" may be a column of the subquery's own table: write the table's name before it`},
		{"xmlforest(\n aid)", `2:2: "aid" gives its name to a value, which would be called otherwise: add AS "aid"`},
		{"(SELECT sum(q.aid) FROM (SELECT t.aid) q)", `1:33: "t"."aid" gives its name to a value, which would be called otherwise: add AS "aid"`},
	} {
		e, err := sqlparse.Expression(test.sql)
		if err != nil {
			t.Errorf("%s: %v", test.sql, err)
			continue
		}
		if got, err := e.Rename(renamed); err == nil || err.Error() != test.message {
			t.Errorf("%s becomes %s, %v; want the error %s", test.sql, got, err, test.message)
		}
	}
	e, err := sqlparse.Expression("row_to_json(t.*) -> aid")
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []sqlparse.Ref{{}, {Column: "*"}, {Schema: "s", Column: "a"}, {Column: strings.Repeat("a", 64)}, {Column: "a\x00"}} {
		if got, err := e.Rename(func(r sqlparse.Ref) sqlparse.Ref { return to }); err == nil {
			t.Errorf("to %+v: %s, want an error", to, got)
		}
	}
}

func TestNoExpressions(t *testing.T) {
	for _, sql := range []string{
		"", "a, b", "a b", "a AS b", "*", "ALL a", "DISTINCT a", "a FROM t", "a) + (b", "a; DROP TABLE t", "a;", "a INTO t",
		"1 UNION SELECT 2", "a LIMIT 1", "a +", "d.s.t.a", "-- nothing", "(WITH x AS (DELETE FROM t RETURNING 1) SELECT 1)", "a) -- b",
	} {
		e, err := sqlparse.Expression(sql)
		if _, ok := errors.AsType[*sqlparse.Error](err); !ok {
			t.Errorf("%q is the expression %q, %v; want an error with a place", sql, e, err)
		}
	}
}

// FuzzExpression: an expression that was renamed reads back with the new
// names, and renamed to the old ones again is read as what it was.
func FuzzExpression(f *testing.F) {
	for _, seed := range []string{
		"aid > 0 OR paid_id = 1", `"A".aid || s.t."x""y"`, "CASE a WHEN b THEN c END", "(SELECT x.a FROM t x WHERE x.a = y.a)",
		"a -- c\n+ b", "U&\"d\\0061t\" + 1", "f(a => b, VARIADIC c)", "xmlforest(a AS b)", "(a).b[c:d]", "$1 + a", "ROW(a, b) = c",
	} {
		f.Add(seed)
	}
	compile(f)
	f.Fuzz(func(t *testing.T, sql string) {
		e, err := sqlparse.Expression(sql)
		if err != nil {
			return
		}
		there, err := e.Rename(func(r sqlparse.Ref) sqlparse.Ref { r.Column = "x" + r.Column; return r })
		if err != nil {
			return
		}
		next, err := sqlparse.Expression(there)
		if err != nil {
			t.Fatalf("%q became %q: %v", sql, there, err)
		}
		for i, c := range next.Columns() {
			if want := "x" + e.Columns()[i].Column; c.Column != want {
				t.Fatalf("%q became %q: column %q, want %q", sql, there, c.Column, want)
			}
		}
	})
}

// FuzzStatements: whatever is read can be told apart, and nothing breaks.
func FuzzStatements(f *testing.F) {
	for _, seed := range []string{"SELECT 1; SELECT 2", "ALTER TABLE t ADD a int -- x", "$$;$$", "/* /* */ */ ;", "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "é;\n'"} {
		f.Add(seed)
	}
	compile(f)
	f.Fuzz(func(t *testing.T, sql string) {
		list, err := sqlparse.Statements(sql)
		if err != nil {
			return
		}
		end := 0
		for _, s := range list {
			if s.Offset < end || !strings.HasPrefix(sql[s.Offset:], s.Text) || s.Text == "" || s.Kind == "" {
				t.Fatalf("%q has the statement %+v", sql, s)
			}
			end = s.Offset + len(s.Text)
		}
	})
}

// compile has the grammar compiled, which takes a worker longer than it may
// take for an input.
func compile(f *testing.F) {
	f.Helper()
	if _, err := sqlparse.Statements(""); err != nil {
		f.Fatal(err)
	}
}
