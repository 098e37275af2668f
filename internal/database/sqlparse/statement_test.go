package sqlparse_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

func TestStatements(t *testing.T) {
	script := "-- first\n-- noon: alone\nALTER TABLE café ADD COLUMN a int; /* two */\n\n" +
		"  CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; SELECT 2 $$;;\nSELECT '1;2' -- end\n"
	got, err := sqlparse.Statements(script)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		kind, text string
		line       int
		comments   int
	}{
		{"AlterTableStmt", "ALTER TABLE café ADD COLUMN a int", 3, 2},
		{"CreateFunctionStmt", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; SELECT 2 $$", 5, 1},
		{"SelectStmt", "SELECT '1;2'", 6, 0},
	}
	if len(got) != len(want) {
		t.Fatalf("%d statements, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.Kind != w.kind || g.Text != w.text || g.Line != w.line || len(g.Comments) != w.comments {
			t.Errorf("statement %d is %s %q, line %d, comments %v", i, g.Kind, g.Text, g.Line, g.Comments)
		}
		if !strings.HasPrefix(script[g.Offset:], g.Text) {
			t.Errorf("statement %d is not at byte %d", i, g.Offset)
		}
	}
	if at := got[0].Tree.Node("relation").Offset(); !strings.HasPrefix(script[at:], "café") {
		t.Errorf("the table is not at byte %d", at)
	}
	if comment := got[0].Comments[1]; comment.Text != "-- noon: alone" || comment.Line != 2 {
		t.Errorf("the second comment is %+v", comment)
	}
}

func TestTree(t *testing.T) {
	list, err := sqlparse.Statements(`ALTER TABLE s.t ADD COLUMN a varchar(20) DEFAULT lower('X'), DROP COLUMN b`)
	if err != nil {
		t.Fatal(err)
	}
	tree := list[0].Tree
	if table := tree.Node("relation"); table.Kind != "RangeVar" || table.Text("schemaname") != "s" || !table.Flag("inh") {
		t.Errorf("the table is %+v", table)
	}
	commands := tree.Nodes("cmds")
	if len(commands) != 2 || commands[0].Text("subtype") != "AT_AddColumn" || commands[1].Text("name") != "b" {
		t.Fatalf("the commands are %+v", commands)
	}
	column := commands[0].Node("def")
	if got := column.Node("typeName").Names("names"); !slices.Equal(got, []string{"pg_catalog", "varchar"}) {
		t.Errorf("the type is %v", got)
	}
	length := column.Node("typeName").Nodes("typmods")[0].Node("ival").Int("ival")
	if length != 20 {
		t.Errorf("the length is %d", length)
	}
	calls := 0
	for n := range tree.All() {
		if n.Kind == "FuncCall" {
			calls++
		}
	}
	if calls != 1 {
		t.Errorf("%d calls of functions, want 1", calls)
	}
	if missing := tree.Node("nothing").Node("at all"); missing.There() || missing.Text("x") != "" || missing.Nodes("y") != nil && len(missing.Nodes("y")) != 0 {
		t.Error("a field that is not there gives something")
	}
}

func TestMistakes(t *testing.T) {
	for _, test := range []struct {
		sql, message string
		line, column int
	}{
		{"SELECT 1;\nALTER TABEL t ADD a int;", `syntax error at or near "TABEL"`, 2, 7},
		{"SELECT 'é', 1 1", `syntax error at or near "1"`, 1, 15},
		{"SELECT 'abc", `unterminated quoted string at or near "'abc"`, 1, 8},
		{"SELECT 1 +", "syntax error at end of input", 1, 11},
		{"SELECT \x00", "a byte of value zero can not stand in SQL", 1, 8},
		{"SELECT \xff", `invalid byte sequence for encoding "UTF8"`, 1, 8},
		{"SELECT " + strings.Repeat("(", 300), "this is nested more than 200 deep, which is more than noon reads", 1, 207},
		{"\\d t", `syntax error at or near "\"`, 1, 1},
	} {
		_, err := sqlparse.Statements(test.sql)
		var e *sqlparse.Error
		if !errors.As(err, &e) {
			t.Errorf("%.30q: error is %v", test.sql, err)
			continue
		}
		if e.Message != test.message || e.Line != test.line || e.Column != test.column {
			t.Errorf("%.30q: %v, want %d:%d: %s", test.sql, e, test.line, test.column, test.message)
		}
	}
}

func TestLongNames(t *testing.T) {
	long := strings.Repeat("ä", 32) // 64 bytes
	list, err := sqlparse.Statements("ALTER TABLE t ADD COLUMN " + long + " int; ALTER TABLE t ADD COLUMN \"" + long[2:] + "\" int")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(list[0].Long, []string{long}) || list[1].Long != nil {
		t.Errorf("long names are %v and %v", list[0].Long, list[1].Long)
	}
}

func TestNothing(t *testing.T) {
	for _, sql := range []string{"", " ; ;", "-- only a comment"} {
		if list, err := sqlparse.Statements(sql); err != nil || len(list) != 0 {
			t.Errorf("%q: %v, %v", sql, list, err)
		}
	}
}

type nested struct{ head, before, middle, after string }

func (n nested) of(times int) string {
	return n.head + strings.Repeat(n.before, times) + n.middle + strings.Repeat(n.after, times)
}

// The machine of the grammar breaks on what is nested too deeply, so that it is
// refused before; what is only long is read.
func TestDepth(t *testing.T) {
	for _, test := range []nested{
		{"SELECT ", "NOT ", "true", ""},
		{"SELECT ", "- ", "1", ""},
		{"SELECT ", "", "1", "+1"},
		{"SELECT ", "", "a", "::int"},
		{"SELECT ", "f(", "1", ")"},
		{"SELECT ", "(", "1", ")"},
		{"SELECT ", "CASE WHEN true THEN ", "1", " END"},
		{"SELECT * FROM ", "(SELECT * FROM ", "t", ") x"},
		{"SELECT 1 ", "", "", "UNION SELECT 1 "},
	} {
		if _, err := sqlparse.Statements(test.of(60)); err != nil {
			t.Errorf("60 times %s%s: %v", test.before, test.after, err)
		}
		for _, n := range []int{199, 1000, 100_000} {
			if _, err := sqlparse.Statements(test.of(n)); err != nil && !strings.Contains(err.Error(), "nested") {
				t.Errorf("%d times %s%s: %v", n, test.before, test.after, err)
			}
		}
	}
	for _, flat := range []string{
		"INSERT INTO t VALUES (0)" + strings.Repeat(", (1 + 2)", 3000),
		"SELECT * FROM t WHERE a = 0" + strings.Repeat(" AND a <> 1", 3000),
		"SELECT CASE" + strings.Repeat(" WHEN a = 1 THEN 2", 3000) + " END",
		strings.Repeat("BEGIN; SELECT 1 + 1; END;", 1000),
	} {
		if _, err := sqlparse.Statements(flat); err != nil {
			t.Errorf("%.50s…: %v", flat, err)
		}
	}
}
