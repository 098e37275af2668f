package mariadb_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/noon-deploy/noon/internal/database/mariadb"
)

// Rows of which nothing is to be said are filled without the trigger; a batch
// with others is left to it, and has the same forms and marks then.
func TestFilledWithoutTheTrigger(t *testing.T) {
	t.Parallel()
	const rows = "CREATE TABLE users (id INT PRIMARY KEY, age VARCHAR(20), first VARCHAR(10) NOT NULL, n INT NOT NULL DEFAULT 0);" +
		"INSERT INTO users (id, age, first) SELECT seq, seq, 'f' FROM seq_1_to_100"
	for name, c := range map[string]struct {
		before   string // of the change
		triggers int    // batches that are left to the trigger, of ten and the empty one at the end
		bad      string // rows that are marked
	}{
		"plain":       {before: "DO 1"},
		"an error":    {before: "UPDATE users SET age = 'n/a' WHERE id = 15", triggers: 1, bad: "15"},
		"a warning":   {before: "UPDATE users SET age = '7x' WHERE id IN (15, 95)", triggers: 2, bad: "15,95"},
		"a NULL":      {before: "UPDATE users SET age = NULL WHERE id = 100", triggers: 1, bad: "100"},
		"a range":     {before: "UPDATE users SET age = 70000 WHERE id = 1", triggers: 1, bad: "1"},
		"own trigger": {before: "CREATE TRIGGER mine BEFORE UPDATE ON users FOR EACH ROW SET NEW.n = NEW.n + 1", triggers: 11},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, rows)
			s.run(t, s.root(), c.before)
			p := s.plan(t, "operations: [{alter_column: {table: users, column: age, type: smallint, nullable: false, up: CAST(age AS INT) -- a number\n, down: CAST(age AS CHAR)}}]")
			var mu sync.Mutex
			triggers := 0
			count := func(_ int64, text string) func(int64, error) {
				mu.Lock()
				defer mu.Unlock()
				if strings.Contains(text, "SET noon_pending = noon_pending") {
					triggers++
				}
				return func(int64, error) {}
			}
			e := s.open(t, mariadb.Config{Batch: 10, Trace: count})
			if err := e.Reach(t.Context(), mariadb.Order{Plan: &p, Phase: mariadb.Expanded}, nil); err != nil {
				t.Fatal(err)
			}
			if triggers != c.triggers {
				t.Errorf("%d batches were left to the trigger, want %d", triggers, c.triggers)
			}
			says(t, s.root(), "SELECT COALESCE(GROUP_CONCAT(id ORDER BY id), '') FROM users WHERE noon_pending <> 0", c.bad)
			says(t, s.root(), "SELECT COALESCE(GROUP_CONCAT(id ORDER BY id), '') FROM users WHERE age_v1 IS NULL", c.bad)
			good := fmt.Sprint(100 - len(strings.FieldsFunc(c.bad, func(r rune) bool { return r == ',' })))
			says(t, s.root(), "SELECT count(*) FROM users WHERE age_v1 = CAST(age AS INT) AND noon_pending = 0", good)
		})
	}
}
