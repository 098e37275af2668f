package mariadb_test

import (
	"strings"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/mariadb"
)

const people = `CREATE TABLE users (id BIGINT AUTO_INCREMENT PRIMARY KEY, mail VARCHAR(100) NOT NULL, age VARCHAR(20) NOT NULL, first VARCHAR(50), last VARCHAR(50),
	note VARCHAR(100), own INT NOT NULL DEFAULT 0, seen TIMESTAMP NOT NULL DEFAULT '2020-01-01 00:00:00' ON UPDATE CURRENT_TIMESTAMP, KEY users_age (age), KEY users_mail (mail));
	INSERT INTO users (mail, age, first, last) VALUES ('ada@x', '36', 'Ada', 'Lovelace'), ('alan@x', '41', 'Alan', 'Turing')`

const renewal = `operations:
- alter_column: {table: users, column: age, type: int, up: "CAST(age AS INT)", down: "CAST(age AS CHAR)"}
- rename_column: {table: users, from: mail, to: email}
- merge_columns: {table: users, from: [first, last], to: {name: name, type: varchar(101), nullable: true},
    up: "CONCAT(first, ' ', last)", down: {first: "SUBSTRING_INDEX(name, ' ', 1)", last: "SUBSTRING_INDEX(name, ' ', -1)"}}
- create_index: {table: users, name: users_name, columns: [name]}
`

// A type change, a rename and a merge, through all phases.
func TestBothReleases(t *testing.T) {
	t.Parallel()
	s := newShop(t, people)
	one := s.release(t, "r1", 0)
	p := s.plan(t, renewal)
	s.reach(t, p, mariadb.Expanded)
	two := s.release(t, "r2", p.To)
	says(t, two, "SELECT * FROM users", "1|ada@x|36|Ada Lovelace|NULL|0|2020-01-01 00:00:00\n2|alan@x|41|Alan Turing|NULL|0|2020-01-01 00:00:00")
	says(t, s.old(), "SELECT * FROM users WHERE id = 1", "1|ada@x|36|Ada|Lovelace|NULL|0|2020-01-01 00:00:00")

	s.run(t, two, "INSERT INTO users (email, age, name) VALUES ('grace@x', 85, 'Grace Hopper')")
	s.run(t, one, "INSERT INTO users (mail, age, first, last) VALUES ('kurt@x', '71', 'Kurt', 'Gödel')")
	s.run(t, s.old(), "INSERT INTO users (mail, age, first, last) VALUES ('emmy@x', '53', 'Emmy', 'Noether')")
	says(t, one, "SELECT age, first, last FROM users WHERE mail = 'grace@x'", "85|Grace|Hopper")
	says(t, two, "SELECT age, name FROM users WHERE id > 3", "71|Kurt Gödel\n53|Emmy Noether")

	s.run(t, two, "UPDATE users SET age = age + 1, name = 'Ada King' WHERE id = 1")
	s.run(t, one, "UPDATE users SET age = '42' WHERE id = 2")
	says(t, one, "SELECT age, first, last FROM users WHERE id = 1", "37|Ada|King")
	says(t, two, "SELECT age, name FROM users WHERE id = 2", "42|Alan Turing")
	s.run(t, two, "INSERT INTO users (id, email, age, name) VALUES (2, 'x', 43, 'x') ON DUPLICATE KEY UPDATE age = VALUES(age)")
	says(t, one, "SELECT mail, age FROM users WHERE id = 2", "alan@x|43")
	s.run(t, one, "REPLACE INTO users (id, mail, age, first, last) VALUES (2, 'alan@y', '44', 'Alan', 'T')")
	says(t, two, "SELECT email, age, name FROM users WHERE id = 2", "alan@y|44|Alan T")

	if err := s.engine.DropRole(t.Context(), "r1"); err != nil {
		t.Fatal(err)
	}
	s.reach(t, p, mariadb.Contracted)
	s.reach(t, p, mariadb.Contracted) // it is there
	s.run(t, two, "INSERT INTO users (email, age, name) VALUES ('edsger@x', 72, 'Edsger Dijkstra')")
	if err := s.try(t, two, "INSERT INTO users (email, name) VALUES ('x', 'x')"); err == nil {
		t.Error("a column that is NOT NULL takes none")
	}
	says(t, two, "SELECT age, name FROM users ORDER BY id", "37|Ada King\n44|Alan T\n85|Grace Hopper\n71|Kurt Gödel\n53|Emmy Noether\n72|Edsger Dijkstra")
	says(t, s.root(), "SELECT group_concat(column_name ORDER BY ordinal_position) FROM information_schema.columns WHERE table_schema = database() AND table_name = 'users'",
		"id,mail,note,own,seen,age_v1,name")
	says(t, s.root(), "SELECT count(*) FROM information_schema.triggers WHERE trigger_schema = database()", "0")
	says(t, s.root(), "SELECT group_concat(DISTINCT index_name ORDER BY index_name) FROM information_schema.statistics WHERE table_schema = database() AND table_name = 'users'",
		"PRIMARY,users_age_v1,users_mail,users_name")

	q := s.plan(t, "operations:\n- alter_column: {table: users, column: age, type: bigint, down: years}\n- rename_column: {table: users, from: age, to: years}")
	s.reach(t, q, mariadb.Expanded)
	three := s.release(t, "r3", q.To)
	s.run(t, three, "UPDATE users SET years = 38 WHERE id = 1")
	says(t, two, "SELECT age FROM users WHERE id = 1", "38")
}

// Withdrawn before anything of the new release is lost, and planned again.
func TestWithdraw(t *testing.T) {
	t.Parallel()
	s := newShop(t, people)
	before := ask(t, s.root(), "SHOW CREATE TABLE users")
	p := s.plan(t, renewal)
	s.reach(t, p, mariadb.Expanded)
	two := s.release(t, "r2", p.To)
	s.run(t, two, "UPDATE users SET age = 50, name = 'Ada King' WHERE id = 1")
	if err := s.engine.DropRole(t.Context(), "r2"); err != nil {
		t.Fatal(err)
	}
	s.reach(t, p, mariadb.Withdrawn)
	s.reach(t, p, mariadb.Withdrawn)
	if after := ask(t, s.root(), "SHOW CREATE TABLE users"); after != before {
		t.Errorf("the table was\n%s\nand is\n%s", before, after)
	}
	says(t, s.old(), "SELECT age, first, last FROM users WHERE id = 1", "50|Ada|King")
	s.reach(t, s.plan(t, renewal), mariadb.Expanded)
}

// What only the new release can hold is counted, and lost only if somebody
// accepts that.
func TestLoss(t *testing.T) {
	t.Parallel()
	s := newShop(t, people)
	p := s.plan(t, renewal+"- add_column: {table: users, column: {name: points, type: int, default: \"7\"}}\n- create_table: {name: extra, columns: [{name: id, type: int, pk: true}]}\n")
	s.reach(t, p, mariadb.Expanded)
	two := s.release(t, "r2", p.To)
	s.run(t, two, "UPDATE users SET name = 'Ada Byron King' WHERE id = 1")
	s.run(t, two, "UPDATE users SET points = 8")
	s.run(t, two, "INSERT INTO extra VALUES (1)")
	status, err := s.engine.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := "1 values of users.name that the old form does not hold; 2 values of users.points; 1 rows of table extra"
	if got := strings.Join(status.Losses, "; "); got != want {
		t.Errorf("the losses are %q, want %q", got, want)
	}
	err = s.engine.Reach(t.Context(), mariadb.Order{Version: p.To, Phase: mariadb.Withdrawn}, nil)
	if noon.KindOf(err) != noon.Conflict || !strings.Contains(err.Error(), want) {
		t.Errorf("withdrawn without leave: %v", err)
	}
	if err := s.engine.Reach(t.Context(), mariadb.Order{Version: p.To, Phase: mariadb.Withdrawn, AcceptLoss: true}, nil); err != nil {
		t.Fatal(err)
	}
	says(t, s.old(), "SELECT first, last FROM users WHERE id = 1", "Ada|King")
}

// A value of the old release that has no new form fails nothing but the
// contraction, which names the row.
func TestNoNewForm(t *testing.T) {
	t.Parallel()
	s := newShop(t, people+"; INSERT INTO users (mail, age) VALUES ('n@x', 'n/a')")
	p := s.plan(t, renewal)
	s.reach(t, p, mariadb.Expanded)
	two := s.release(t, "r2", p.To)
	s.run(t, s.old(), "INSERT INTO users (mail, age) VALUES ('m@x', '12 or so')")
	s.run(t, s.old(), "UPDATE users SET age = 'old' WHERE id = 1")
	says(t, two, "SELECT id, age FROM users ORDER BY id", "1|NULL\n2|41\n3|NULL\n4|NULL")
	err := s.engine.Reach(t.Context(), mariadb.Order{Version: p.To, Phase: mariadb.Contracted}, nil)
	if noon.KindOf(err) != noon.Conflict || !strings.Contains(err.Error(), "3 rows of users: the row with `id` = 1 has no new form for age_v1") {
		t.Errorf("contracted: %v", err)
	}
	s.run(t, two, "UPDATE users SET age = 3 WHERE id IN (3, 4)")
	s.run(t, s.old(), "UPDATE users SET age = '1' WHERE id = 1")
	s.reach(t, p, mariadb.Contracted)
	says(t, two, "SELECT id, age FROM users ORDER BY id", "1|1\n2|41\n3|3\n4|3")
}

// A table, a column and an index come and go.
func TestTables(t *testing.T) {
	t.Parallel()
	s := newShop(t, people+"; CREATE TABLE old_log (id INT PRIMARY KEY, what TEXT)")
	p := s.plan(t, `operations:
- create_table: {name: orders, columns: [{name: id, type: bigint, pk: true, generated: {identity: {}}}, {name: user, type: bigint, references: {name: fk_user, table: users, column: id, on_delete: CASCADE}}, {name: total, type: "decimal(10,2)", default: "0", check: {name: positive, constraint: total >= 0}}]}
- rename_table: {from: users, to: people}
- drop_table: {name: old_log}
- drop_column: {table: people, column: note}
- drop_column: {table: people, column: age, down: "CONCAT('', own)"}
- drop_index: {name: users_mail}
- add_column: {table: people, column: {name: score, type: int}, up: "LENGTH(first) + own"}
- split_column: {table: people, from: mail, to: [{name: account, type: varchar(100)}, {name: domain, type: varchar(100), nullable: true}], up: {account: "SUBSTRING_INDEX(mail, '@', 1)", domain: "SUBSTRING_INDEX(mail, '@', -1)"}, down: "CONCAT(account, '@', COALESCE(domain, ''))"}
`)
	s.reach(t, p, mariadb.Expanded)
	one, two := s.release(t, "r1", 0), s.release(t, "r2", p.To)
	says(t, two, "SHOW TABLES", "orders\npeople")
	says(t, one, "SHOW TABLES", "old_log\nusers")
	s.run(t, two, "INSERT INTO people (account, domain, score, own) VALUES ('grace', 'navy', 1, 9)")
	says(t, one, "SELECT mail, age FROM users WHERE own = 9", "grace@navy|9")
	s.run(t, two, "INSERT INTO orders (user, total) VALUES (1, 5)")
	s.run(t, one, "UPDATE users SET mail = 'a@yy', own = 4 WHERE id = 1")
	says(t, two, "SELECT account, domain, score FROM people WHERE id = 1", "a|yy|7")
	s.run(t, two, "UPDATE people SET own = 5 WHERE id = 1")
	says(t, two, "SELECT score FROM people WHERE id = 1", "7")
	if err := s.engine.DropRole(t.Context(), "r1"); err != nil {
		t.Fatal(err)
	}
	s.reach(t, p, mariadb.Contracted)
	says(t, two, "SELECT * FROM people WHERE id = 1", "1|a|yy|Ada|Lovelace|5|"+ask(t, two, "SELECT seen FROM people WHERE id = 1")+"|7")
	says(t, s.root(), "SELECT count(*) FROM information_schema.tables WHERE table_schema = database() AND table_name = 'old_log'", "0")
	q := s.plan(t, "operations:\n- drop_table: {name: orders}\n- create_table: {name: users, columns: [{name: id, type: int, pk: true}]}")
	s.reach(t, q, mariadb.Expanded)
	says(t, s.release(t, "r3", q.To), "SHOW TABLES", "people\nusers")
}
