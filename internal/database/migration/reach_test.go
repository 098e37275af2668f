package migration_test

import (
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
)

// shop is a little history of a shop, in SQL that every server takes.
func shop() []string {
	return []string{
		"0001_orders.up.sql", "CREATE TABLE orders (id INTEGER PRIMARY KEY, name VARCHAR(50) NOT NULL, n INTEGER NOT NULL);\nINSERT INTO orders VALUES (1, 'a', 0), (2, 'b', 0), (3, 'c', 0);\n",
		"0001_orders.down.sql", "DROP TABLE orders;\n",
		"0002_title.sql", `-- noon: expand
ALTER TABLE orders ADD COLUMN title VARCHAR(50);
-- noon: data over orders.id in 2
UPDATE orders SET title = name, n = n + 1 WHERE id BETWEEN :low AND :high;
-- noon: contract
ALTER TABLE orders DROP COLUMN name;
-- noon: down
ALTER TABLE orders DROP COLUMN title;
-- noon: down contract
ALTER TABLE orders ADD COLUMN name VARCHAR(50);
UPDATE orders SET name = title;
`,
	}
}

func TestReach(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w world) {
		t := w.t
		db := w.open(t, migration.Options{Release: "r7"})
		set := w.set(t, shop()...)
		if got := standing(t, db, set); got != "1 pending expand; 2 pending expand" {
			t.Errorf("before: %s", got)
		}
		reach(t, db, set, migration.Expanded)
		if got := w.ask(t, "SELECT id, name, title, n FROM orders ORDER BY id"); got != "1 a NULL 0; 2 b NULL 0; 3 c NULL 0" {
			t.Errorf("expanded: %s", got)
		}
		if got := standing(t, db, set); got != "1 applied; 2 expanded data" {
			t.Errorf("expanded: %s", got)
		}
		reach(t, db, set, migration.Migrated)
		reach(t, db, set, migration.Migrated) // changes nothing
		if got := w.ask(t, "SELECT id, name, title, n FROM orders ORDER BY id"); got != "1 a a 1; 2 b b 1; 3 c c 1" {
			t.Errorf("migrated: %s", got)
		}
		reach(t, db, set, migration.Contracted)
		if got := w.ask(t, "SELECT * FROM orders ORDER BY id"); got != "1 1 a; 2 1 b; 3 1 c" {
			t.Errorf("contracted: %s", got)
		}
		all, err := db.Status(t.Context(), set)
		if err != nil || all[1].Who != "ada@test" || all[1].Release != "r7" || all[1].Rows != 3 || all[1].When == "" || all[1].Standing != migration.Complete {
			t.Errorf("status: %+v, %v", all, err)
		}
	})
}

func TestChangedAndGone(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w world) {
		t := w.t
		db := w.open(t, migration.Options{})
		files := shop()
		reach(t, db, w.set(t, files...), migration.Expanded)

		files[5] = "-- a remark\n" + files[5]
		changed := w.set(t, files...)
		wantError(t, db.Reach(t.Context(), changed, migration.Contracted, nil), noon.Conflict, "was applied", "new migration")
		if got := standing(t, db, changed); got != "1 applied; 2 changed data" {
			t.Errorf("changed: %s", got)
		}
		gone := w.set(t, files[:4]...)
		wantError(t, db.Reach(t.Context(), gone, migration.Contracted, nil), noon.Conflict, "no file has number 2", "version control")
		if got := standing(t, db, gone); got != "1 applied; 2 gone" {
			t.Errorf("gone: %s", got)
		}
		// Sections that were not run yet may still change, and line ends never matter.
		files = shop()
		files[5] = "-- noon: expand\r\nALTER TABLE orders ADD COLUMN title VARCHAR(50);\r\n-- noon: data\nUPDATE orders SET title = 'x'\n"
		reach(t, db, w.set(t, files...), migration.Contracted)
		if got := w.ask(t, "SELECT title FROM orders ORDER BY id"); got != "x; x; x" {
			t.Errorf("changed before it was run: %s", got)
		}
	})
}

func TestOutOfOrder(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w world) {
		t := w.t
		one, two, three := "CREATE TABLE a (i INTEGER);", "CREATE TABLE b (i INTEGER);", "CREATE TABLE c (i INTEGER);"
		reach(t, w.open(t, migration.Options{}), w.set(t, "1_a.sql", one, "3_c.sql", three), migration.Contracted)
		late := w.set(t, "1_a.sql", one, "2_b.sql", two, "3_c.sql", three)
		err := w.open(t, migration.Options{}).Reach(t.Context(), late, migration.Contracted, nil)
		wantError(t, err, noon.Conflict, "number 3 was applied before it", "--out-of-order")
		reach(t, w.open(t, migration.Options{OutOfOrder: true}), late, migration.Contracted)
		if got := w.ask(t, "SELECT count(*) FROM b"); got != "0" {
			t.Errorf("b was not made: %s", got)
		}
	})
}
