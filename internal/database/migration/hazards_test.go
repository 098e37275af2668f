package migration_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon/internal/database/migration"
	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

func hazards(t *testing.T, d sqltext.Dialect, alone bool, sql string) []string {
	t.Helper()
	set, err := migration.ReadFiles(map[string]string{"0001_a.sql": sql}, d)
	if err != nil {
		t.Fatal(err)
	}
	var list []migration.Rest
	for _, s := range set.Migrations[0].Sections {
		list = append(list, migration.Rest{Migration: set.Migrations[0], Section: s})
	}
	var got []string
	for _, h := range migration.Hazards(d, list, alone) {
		if h.Text == "" || h.Advice == "" || h.Statement == "" {
			t.Errorf("%+v is not complete", h)
		}
		text := fmt.Sprintf("%s %s %s:%d %s", h.Phase, h.Gravity, h.File, h.Line, h.Rule)
		if h.Accepted != "" {
			text += " " + h.Accepted
		}
		got = append(got, text)
	}
	return got
}

func TestHazards(t *testing.T) {
	t.Parallel()
	const sql = `create table fresh (id int);
alter table fresh drop column id;
alter table orders add column x int, drop index a;
alter table orders
  add column y int, drop y;
alter table orders rename to bought;
-- noon: blocking "nobody has it"
drop table old;
-- noon: data
update orders set x = 1 where z is null;
-- noon: data over orders.id in 1000
update orders set x = 1 where id between :low and :high;
-- noon: contract
alter table orders drop column z;
truncate old2;
`
	want := []string{
		"expand error 0001_a.sql:4 drop-column",
		"expand error 0001_a.sql:6 rename-column",
		"expand note 0001_a.sql:8 drop-table nobody has it",
		"expand warning 0001_a.sql:10 change-many-rows",
		"contract error 0001_a.sql:15 truncate",
	}
	if diff := cmp.Diff(want, hazards(t, sqltext.SQLite, false, sql)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"contract warning 0001_a.sql:10 change-many-rows", "contract error 0001_a.sql:15 truncate"}, hazards(t, sqltext.SQLite, true, sql)); diff != "" {
		t.Errorf("with nobody there (-want +got):\n%s", diff)
	}
	const mysql = "alter table t add column x int, algorithm=copy;\nalter table t add column y int, lock=shared;\nalter table t drop partition p;\nalter table t add column z int, algorithm=instant;\nrename table t to u;\n"
	want = []string{
		"expand error 0001_a.sql:1 rewrite-table", "expand error 0001_a.sql:2 rewrite-table", "expand error 0001_a.sql:3 rewrite-table", "expand error 0001_a.sql:5 rename-column",
	}
	if diff := cmp.Diff(want, hazards(t, sqltext.MySQL, false, mysql)); diff != "" {
		t.Errorf("MySQL (-want +got):\n%s", diff)
	}
}

// What is left is what Reach runs, in the order in which it runs it.
func TestPending(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w world) {
		t := w.t
		dialect, _ := migration.DialectOf(w.address)
		set, err := migration.ReadFiles(map[string]string{
			"0001_a.sql": "create table a (id int);\n-- noon: contract\ncreate table a2 (id int);\n",
			"0002_b.sql": "create table b (id int);\n-- noon: data\ninsert into b values (1);\n-- noon: contract\ndrop table a;\n",
		}, dialect)
		if err != nil {
			t.Fatal(err)
		}
		db := w.open(t, migration.Options{})
		pending := func(phases ...migration.Phase) (list []string) {
			t.Helper()
			rest, err := db.Pending(t.Context(), set, phases...)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rest {
				from, to := r.Span()
				list = append(list, fmt.Sprintf("%d %s %d-%d", r.Migration.Number, r.Section.Kind, from, to))
			}
			return list
		}
		first := []string{"1 expand 0-23", "1 contract 43-67", "2 expand 0-23", "2 data 39-63", "2 contract 83-95"}
		if diff := cmp.Diff(first, pending(migration.Contracted)); diff != "" {
			t.Errorf("as one (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{first[0], first[2], first[3], first[1], first[4]}, pending(migration.Migrated, migration.Contracted)); diff != "" {
			t.Errorf("beside another release (-want +got):\n%s", diff)
		}
		if err := db.Reach(t.Context(), set, migration.Expanded, nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{first[3], first[1], first[4]}, pending(migration.Migrated, migration.Contracted)); diff != "" {
			t.Errorf("when it is expanded (-want +got):\n%s", diff)
		}
	})
}
