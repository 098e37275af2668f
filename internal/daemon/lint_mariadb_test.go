package daemon

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
)

// What can not be served on MariaDB is said by the plan, where it stands: raw
// SQL above all, and what the engine finds in the way of the others.
func TestOperationsOnMariaDBAreJudged(t *testing.T) {
	t.Parallel()
	s := newMariaShop(t)
	s.files["0001_init.yaml"] = `operations:
- create_table: {name: orders, columns: [{name: id, type: bigint, pk: true}, {name: customer, type: varchar(100)}]}`
	r1 := s.release(1)
	s.judged(r1, nil)
	s.must(noon.DataAlone, r1, nil)

	s.files["0002_more.yaml"] = `operations:
- rename_column: {table: orders, from: customer, to: buyer}
- sql: {up: "CREATE INDEX orders_id ON orders (id)"}
- drop_column: {table: orders, column: id}`
	r2 := s.release(2)
	s.judged(r2, nil, "expand error migrations/0002_more.yaml:3 declared-operation")
	s.judged(r2, r1, "expand error migrations/0002_more.yaml:3 declared-operation", "expand error migrations/0002_more.yaml:4 declared-operation")
	found, err := s.d.lintVersioned(t.Context(), *r2, r1)
	if err != nil || !strings.Contains(found[0].Text, "sql") || found[0].Advice == "" {
		t.Errorf("it says %+v, %v", found, err)
	}

	s.files["0002_more.yaml"] = `operations:
- alter_column: {table: orders, column: customer, type: text, up: "LOWER(custom)", down: "customer"}`
	r2 = s.release(2)
	if found, err = s.d.lintVersioned(t.Context(), *r2, r1); err != nil || len(found) != 1 || !strings.Contains(found[0].Text, "custom") || found[0].Gravity != noon.GravityError {
		t.Errorf("an expression that can not be evaluated: %+v, %v", found, err)
	}

	s.files["0002_more.yaml"] = `operations:
- rename_column: {table: orders, from: customer, to: buyer}`
	r2 = s.release(2)
	s.judged(r2, r1)
	s.must(noon.DataBoth, r2, r1)
	s.files["0003_raw.yaml"] = "operations:\n- sql: {up: \"DELETE FROM orders\"}"
	s.judged(s.release(3), r2, "expand error migrations/0003_raw.yaml:2 declared-operation") // r2 is not completed yet
}

func (s *mariaShop) judged(m, before *migrated, want ...string) {
	s.t.Helper()
	found, err := s.d.lintVersioned(s.t.Context(), *m, before)
	if err != nil {
		s.t.Fatal(err)
	}
	if diff := cmp.Diff(want, places(found)); diff != "" {
		s.t.Errorf("hazards of %s (-want +got):\n%s", m.release, diff)
	}
}
