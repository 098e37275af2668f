package migration_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

func TestSections(t *testing.T) {
	t.Parallel()
	_, err := read(sqltext.PostgreSQL, "README.md", "x", "0010_b.sql", `-- a remark
-- noon: expand
-- noon: irreversible "it is gone"
create table b (i int);
-- noon: expand
-- noon: no-transaction
create index concurrently bi on b (i); vacuum;
-- noon: data over "B".public.b.i in 500
update b set i = 1 where i between :low and :high;
-- noon: contract
drop table a;
-- noon: down contract
`, "2_a.up.sql", "create table a (i int)", "2_a.down.sql", "drop table a")
	wantError(t, err, noon.Invalid, "0010_b.sql:12: section \"down contract\" holds no statement", "")
	set, err := read(sqltext.PostgreSQL, "0010_b.sql", "-- noon: expand\n-- noon: irreversible \"it is gone\"\ncreate table b (i int);\n-- noon: expand\n-- noon: no-transaction\ncreate index concurrently bi on b (i); vacuum;\n-- noon: data over public.b.\"I\" in 500\nupdate b set i = 1 where i between :low and :high;\n-- noon: contract\ndrop table a\n", "2_a.up.sql", "create table a (i int)", "2_a.down.sql", "drop table a")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range set.Migrations {
		for _, s := range m.Sections {
			line := strings.Join([]string{m.ID(), string(s.Kind), s.File, s.Irreversible}, " ")
			if s.Plain {
				line += " plain"
			}
			if s.Batch != nil {
				line += " over " + s.Batch.Table + " by " + s.Batch.Key
			}
			for _, st := range s.Statements {
				line += " | " + st.Text
			}
			got = append(got, line)
		}
	}
	want := []string{
		"0002_a expand 2_a.up.sql  | create table a (i int)",
		"0002_a down 2_a.down.sql  | drop table a",
		"0010_b expand 0010_b.sql it is gone | create table b (i int)",
		"0010_b expand 0010_b.sql  plain | create index concurrently bi on b (i) | vacuum",
		`0010_b data 0010_b.sql  over public.b by "I" | update b set i = 1 where i between :low and :high`,
		"0010_b contract 0010_b.sql  | drop table a",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var reasons []string
	for _, r := range set.Irreversible(0, func(s migration.Section) (string, bool) { return "it drops a table", s.Kind == migration.Contract }) {
		reasons = append(reasons, r.String())
	}
	want = []string{
		"0010_b expand: it is gone", "0010_b contract: it drops a table",
		"0010_b contract: there is no section `-- noon: down contract`", "0010_b expand: there is no down script",
	}
	if diff := cmp.Diff(want, reasons); diff != "" {
		t.Error(diff)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	pg, my, lite := sqltext.PostgreSQL, sqltext.MySQL, sqltext.SQLite
	for _, c := range []struct {
		dialect    sqltext.Dialect
		name, text string
		want, hint string
	}{
		{pg, "1_a.down.sql", "x;", "1_a.down.sql: it takes back what no .up.sql file does", "Add the .up.sql"},
		{pg, "a.sql", "x;", "a.sql: its name is not NNNN_name.up.sql", "Rename it"},
		{pg, "0_a.sql", "x;", "0_a.sql: its number is not above 0", "Count from"},
		{pg, "1_" + strings.Repeat("a", 101) + ".sql", "x;", "its name is not", "Rename it"},
		{pg, "1_a.sql", " -- nothing\n", "1_a.sql: it holds no statement", ""},
		{pg, "1_a.sql", "-- noon: expand\n-- noon: data\nx;", "1_a.sql:1: section \"expand\" holds no statement", ""},
		{pg, "1_a.sql", "x;\n-- noon: contrct\ny;", "1_a.sql:2: there is no directive \"contrct\"", `Did you mean "contract"?`},
		{pg, "1_a.sql", "-- noon: whatsoever\ny;", "1_a.sql:1: there is no directive", "It is one of: expand"},
		{pg, "1_a.sql", "x\n-- noon: contract\ny;", "1_a.sql:2: the directive \"contract\" is inside of a statement", "semicolon"},
		{pg, "1_a.sql", "-- noon: data\nx;\n-- noon: expand\ny;", "1_a.sql:3: section \"expand\" stands after \"data\"", "The order is"},
		{pg, "1_a.up.sql", "x;\n-- noon: down\ny;", "1_a.up.sql:2: section \"down\" does not belong into this file", ".down.sql"},
		{pg, "1_a.sql", "x;\n-- noon: down\ny;\n-- noon: down\nz;", "1_a.sql:4: section \"down\" is at 1_a.sql:2 already", "Keep one"},
		{pg, "1_a.sql", "x;\n-- noon: down contract\ny;", "1_a.sql:2: there is no contract that it could take back", "-- noon: down"},
		{pg, "1_a.sql", "-- noon: data over t in 5\nx;", "1_a.sql:1: \"over t in 5\" is not understood", "TABLE.KEY"},
		{pg, "1_a.sql", "-- noon: data over t.id in 100001\nx;", "is not understood", "1 to 100000 rows"},
		{pg, "1_a.sql", "-- noon: data over t.id in 5\nupdate t set a = ':low' where id <= :high;", "1_a.sql:2: the statement does not use :low and :high", "BETWEEN"},
		{pg, "1_a.sql", "-- noon: data over t.id in 5\nupdate t set a = x::low where id between :low and :high;\ny;", "1_a.sql:3: a section that runs in batches has one", "of its own"},
		{pg, "1_a.sql", "x;\n-- noon: no-transaction\ny;", "1_a.sql:2: no-transaction stands behind", "right below"},
		{pg, "1_a.sql", "-- noon: irreversible\ny;", "1_a.sql:1: irreversible does not say why", `irreversible "why"`},
		{pg, "1_a.sql", "\nBEGIN;\nx;\nCOMMIT;", "1_a.sql:2: it begins or ends a transaction", "no-transaction"},
		{pg, "1_a.sql", "\\connect x", "1_a.sql:1: it is a command of a command line program", "in SQL"},
		{pg, "1_a.sql", "copy t from stdin;", "1_a.sql:1: its data would come from a client's input", "INSERT"},
		{pg, "1_a.sql", "create index concurrently on t (a);", "1_a.sql:1: the index has no name", "Name it"},
		{pg, "1_a.sql", "x;\n\nselect 'a", "1_a.sql:3: a string that begins here has no end", "Close it"},
		{my, "1_a.sql", "create trigger t before insert on x for each row begin set new.a = 1; end;", "1_a.sql:1: a semicolon ends it in the middle", "DELIMITER //"},
		{my, "1_a.sql", "drop table a, b;", "1_a.sql:1: it drops several tables", "for each"},
		{my, "1_a.sql", "use other;", "1_a.sql:1: it changes the session", "Name databases"},
		{lite, "1_a.sql", ".read x", "1_a.sql:1: it is a command", "in SQL"},
		{pg, "7_a.sql", "-- noon: replaces 1-6 with 3 sections\nx;", "does not end with number 7", "squash"},
	} {
		_, err := read(c.dialect, c.name, c.text)
		wantError(t, err, noon.Invalid, c.want, c.hint)
	}
	_, err := read(pg, "0001_a.sql", "x;", "1_b.sql", "y;", "02_c.up.sql", "x;", "2_c.sql", "y;")
	wantError(t, err, noon.Invalid, "1_b.sql: number 1 is that of 0001_a.sql too\n2_c.sql: number 2 is that of 02_c.up.sql too", "next free number")
}

func FuzzRead(f *testing.F) {
	for i, text := range shop() {
		f.Add(text, i%2 == 0)
	}
	f.Add("-- noon: data over a.b in 5\nupdate a set c=1 where b between :low and :high", true)
	f.Add("-- noon: blocking \"x\"\nalter table a add b int;", false)
	f.Fuzz(func(t *testing.T, text string, down bool) {
		files := []string{"1_a.up.sql", text}
		if down {
			files = append(files, "1_a.down.sql", text)
		}
		for _, d := range []sqltext.Dialect{sqltext.PostgreSQL, sqltext.MySQL, sqltext.SQLite} {
			set, err := read(d, files...)
			if err != nil {
				continue
			}
			for _, m := range set.Migrations {
				for _, s := range m.Sections {
					if len(s.Statements) == 0 || s.Checksum == "" {
						t.Fatalf("section %s holds nothing", s.Kind)
					}
				}
			}
		}
	})
}
