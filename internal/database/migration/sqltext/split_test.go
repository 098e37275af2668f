package sqltext_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

func dialects() []sqltext.Dialect {
	return []sqltext.Dialect{sqltext.PostgreSQL, sqltext.MySQL, sqltext.SQLite}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		dialects []sqltext.Dialect
		text     string
		want     []string
	}{
		{"nothing", dialects(), "", nil},
		{"blank", dialects(), " \n\t-- only a remark\n", nil},
		{"two", dialects(), "select 1;\n select 2 ;", []string{"select 1", "select 2"}},
		{"no end", dialects(), "select 1; select 2 -- last\n", []string{"select 1", "select 2"}},
		{"strings", dialects(), "select 'a;''b;', \"c;d\"; x", []string{"select 'a;''b;', \"c;d\"", "x"}},
		{"comments", dialects(), "select 1 /* ; ' */ , 2 -- ; '\n, 3; x", []string{"select 1 /* ; ' */ , 2 -- ; '\n, 3", "x"}},
		{"byte order mark", dialects(), "\ufeffselect 1;", []string{"select 1"}},
		{"empty ones", dialects(), ";;select 1;;", []string{"select 1"}},
		{"nested comment", []sqltext.Dialect{sqltext.PostgreSQL}, "select /* a /* ; */ ; */ 1; x", []string{"select /* a /* ; */ ; */ 1", "x"}},
		{"flat comment", []sqltext.Dialect{sqltext.MySQL, sqltext.SQLite}, "select /* a /* ; */ 1; x", []string{"select /* a /* ; */ 1", "x"}},
		{"dollars", []sqltext.Dialect{sqltext.PostgreSQL}, "do $$ begin; end $$; select $a$ $$;$b$ $a$, $1; x", []string{"do $$ begin; end $$", "select $a$ $$;$b$ $a$, $1", "x"}},
		{"dollars of a name", []sqltext.Dialect{sqltext.PostgreSQL}, "select a$b$; select c$b$;", []string{"select a$b$", "select c$b$"}},
		{"backslash", []sqltext.Dialect{sqltext.MySQL}, `select 'a\';', "b\";"; x`, []string{`select 'a\';', "b\";"`, "x"}},
		{"no backslash", []sqltext.Dialect{sqltext.PostgreSQL, sqltext.SQLite}, `select 'a\'; x`, []string{`select 'a\'`, "x"}},
		{"escape string", []sqltext.Dialect{sqltext.PostgreSQL}, `select E'a\';', e'b'` + "\n" + `'\';'; x`, []string{`select E'a\';', e'b'` + "\n" + `'\';'`, "x"}},
		{"backtick", []sqltext.Dialect{sqltext.MySQL, sqltext.SQLite}, "select `a;``b`; x", []string{"select `a;``b`", "x"}},
		{"bracket", []sqltext.Dialect{sqltext.SQLite}, "select [a;'b]; x", []string{"select [a;'b]", "x"}},
		{"hash", []sqltext.Dialect{sqltext.MySQL}, "select 1 # ; '\n; x", []string{"select 1", "x"}},
		{"no comment", []sqltext.Dialect{sqltext.MySQL}, "select 1--1; x", []string{"select 1--1", "x"}},
		{"executable comment", []sqltext.Dialect{sqltext.MySQL}, "/*!40101 SET a=';' */; x", []string{"/*!40101 SET a=';' */", "x"}},
		{
			"delimiter",
			[]sqltext.Dialect{sqltext.MySQL},
			"select 1;\nDELIMITER //\nCREATE TRIGGER t BEFORE INSERT ON x FOR EACH ROW BEGIN SET a=1; SET b='//'; END //\ndelimiter ;\nselect 2;",
			[]string{"select 1", "CREATE TRIGGER t BEFORE INSERT ON x FOR EACH ROW BEGIN SET a=1; SET b='//'; END", "select 2"},
		},
		{
			"trigger",
			[]sqltext.Dialect{sqltext.SQLite},
			"CREATE TEMP TRIGGER t AFTER INSERT ON x BEGIN UPDATE x SET a = CASE b WHEN 1 THEN 2 END; DELETE FROM y; /* c */ END -- d\n; select 2;",
			[]string{"CREATE TEMP TRIGGER t AFTER INSERT ON x BEGIN UPDATE x SET a = CASE b WHEN 1 THEN 2 END; DELETE FROM y; /* c */ END", "select 2"},
		},
		{
			"begin atomic",
			[]sqltext.Dialect{sqltext.PostgreSQL},
			"CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; select 3;",
			[]string{"CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END", "select 3"},
		},
		{"rule", []sqltext.Dialect{sqltext.PostgreSQL}, "CREATE RULE r AS ON INSERT TO x DO (DELETE FROM y; SELECT 1); z", []string{"CREATE RULE r AS ON INSERT TO x DO (DELETE FROM y; SELECT 1)", "z"}},
	} {
		for _, d := range c.dialects {
			t.Run(c.name+"/"+string(d), func(t *testing.T) {
				t.Parallel()
				all, err := sqltext.Split(d, c.text)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, s := range all {
					if s.Text != "" {
						got = append(got, s.Text)
					}
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Error(diff)
				}
				wantWhole(t, c.text, all)
			})
		}
	}
}

// wantWhole checks that nothing is lost, and that places are where they say.
func wantWhole(t *testing.T, text string, all []sqltext.Statement) {
	t.Helper()
	var joined, tokens strings.Builder
	for _, s := range all {
		joined.WriteString(s.Raw)
		for _, token := range s.Tokens {
			tokens.WriteString(token.Text)
		}
		if s.Text == "" {
			continue
		}
		if at := text[s.Offset:]; !strings.HasPrefix(at, s.Text) {
			t.Fatalf("the statement %q is not at %d", s.Text, s.Offset)
		}
		if line := 1 + strings.Count(text[:s.Offset], "\n"); s.Line != line {
			t.Fatalf("the statement %q is in line %d, not %d", s.Text, line, s.Line)
		}
	}
	if joined.String() != text || tokens.String() != text {
		t.Fatalf("statements join up to %q, tokens to %q, the text is %q", joined.String(), tokens.String(), text)
	}
}

func TestSplitWithoutEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dialect sqltext.Dialect
		text    string
		what    string
	}{
		{sqltext.PostgreSQL, "select 1;\n\nselect 'a\n", "a string"},
		{sqltext.PostgreSQL, "select 1;\n\ndo $x$ $$\n", "a string in $x$"},
		{sqltext.PostgreSQL, "select 1;\n\n/* /* */\n", "a comment"},
		{sqltext.PostgreSQL, "select 1;\n\nselect \"a\n", "a name in quotes"},
		{sqltext.MySQL, "select 1;\n\nselect `a\n", "a name in quotes"},
		{sqltext.SQLite, "select 1;\n\nselect [a\n", "a name in brackets"},
	} {
		_, err := sqltext.Split(c.dialect, c.text)
		e, ok := errors.AsType[*sqltext.Error](err)
		if !ok || e.Line != 3 || e.What != c.what {
			t.Errorf("%q: %v, want %s of line 3", c.text, err, c.what)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	all, err := sqltext.Split(sqltext.PostgreSQL, "-- why\ncreate /* x */ unique index concurrently \"i\" on t (lower(name))")
	if err != nil {
		t.Fatal(err)
	}
	s := all[0]
	if !s.Begins("CREATE", "UNIQUE", "INDEX") || s.Begins("CREATE", "INDEX") || !s.Has("CONCURRENTLY") || s.Has("LOWER", "NAME", "WHY") {
		t.Errorf("the words of %q are wrong: %v", s.Text, s.Words(9))
	}
}

func FuzzSplit(f *testing.F) {
	for _, seed := range []string{
		"select 1; select 'a;b'", "DELIMITER //\nx//\nDELIMITER ;\ny;", "do $a$ ; $a$; x", "/* /* */ */;", "E'\\'';",
		"create trigger t begin x; end; y", "create function f() begin atomic a; end; b", "`;`[;]\";\"", "--;\n#;\n;", "\ufeff;", "a\ufeff;\r\n;",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, d := range dialects() {
			if all, err := sqltext.Split(d, text); err == nil {
				wantWhole(t, text, all)
			}
		}
	})
}
