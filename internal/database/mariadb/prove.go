package mariadb

import (
	"context"
	"fmt"
	"strings"
)

// proofBatch is how many rows are compared at once.
const proofBatch = 5000

// prove looks at each row: it has a new form, and one that is what the
// expressions make of the old form, unless only the new release can hold it.
// What the expressions give is put into a temporary table, so that it is
// compared as the column's type has it. Nothing is locked.
func (r *run) prove(ctx context.Context, s Stage) error {
	b := s.Backfill
	table := qualified(r.plan.Database, b.Table)
	for _, c := range b.Checks {
		where := fmt.Sprintf("%s & %d <> 0", pending, c.Missing|untried)
		if err := r.none(ctx, table, b, where, fmt.Sprintf("has no new form for %s", strings.Join(c.New, ", "))); err != nil {
			return err
		}
	}
	if _, err := r.conn.ExecContext(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"); err != nil {
		return err
	}
	for n, c := range b.Checks {
		if err := r.compare(ctx, table, b, n, c); err != nil {
			return err
		}
	}
	return nil
}

// none makes sure that no row meets a condition, or names some that do.
func (r *run) none(ctx context.Context, from string, b *Backfill, where, what string) error {
	var n int64
	if err := r.conn.QueryRowContext(ctx, "SELECT count(*) FROM "+from+" WHERE "+where).Scan(&n); err != nil || n == 0 {
		return err
	}
	names := make([]string, 0, len(b.Key))
	for _, c := range b.Key {
		names = append(names, quote(c.Name))
	}
	var first string
	if err := r.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT concat_ws(', ', %s) FROM %s WHERE %s LIMIT 1", strings.Join(names, ", "), from, where)).Scan(&first); err != nil {
		return err
	}
	return r.conflict(r.plan.name(), fmt.Errorf("%d rows of %s: the row with %s = %s %s", n, b.Table, strings.Join(names, ", "), first, what), "Correct these rows, or the expression up. Nothing was changed.")
}

func (r *run) compare(ctx context.Context, table string, b *Backfill, n int, c Check) error {
	scratch := fmt.Sprintf("%sproof_%d", own, n)
	columns, values, differ := []string{}, []string{}, []string{}
	inner := []string{c.Old, pending + " AS noon_p"}
	for i, k := range b.Key {
		columns, values = append(columns, quote(k.Name)), append(values, fmt.Sprintf("noon_k%d", i))
		inner = append(inner, fmt.Sprintf("%s AS noon_k%d", quote(k.Name), i))
	}
	var declare []string
	for i, up := range c.Up {
		if up == "" {
			continue
		}
		actual, computed := fmt.Sprintf("noon_a%d", i), fmt.Sprintf("noon_c%d", i)
		declare = append(declare, actual+" "+c.Types[i]+" NULL", computed+" "+c.Types[i]+" NULL")
		columns, values = append(columns, actual, computed), append(values, actual, "("+up+"\n)")
		inner = append(inner, quote(c.New[i])+" AS "+actual)
		differ = append(differ, "NOT "+same(c.Types[i], actual, computed))
	}
	if len(differ) == 0 {
		return nil
	}
	keys := strings.Join(columns[:len(b.Key)], ", ")
	for _, text := range []string{
		"DROP TEMPORARY TABLE IF EXISTS " + scratch,
		fmt.Sprintf("CREATE TEMPORARY TABLE %s ENGINE=InnoDB AS SELECT %s FROM %s WHERE FALSE", scratch, keys, table),
		fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s", scratch, strings.Join(declare, ", ADD COLUMN ")),
	} {
		if _, err := r.conn.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	for from, ended := key(nil), false; !ended; {
		to, err := keyAfter(ctx, r.conn, table, b.Key, from, nil, proofBatch)
		if err != nil {
			return err
		}
		fill := fmt.Sprintf("INSERT IGNORE INTO %s (%s) SELECT %s FROM (SELECT %s FROM %s WHERE %s AND %s) AS %s WHERE noon_p & %d = 0",
			scratch, strings.Join(columns, ", "), strings.Join(values, ", "), strings.Join(inner, ", "), table, after(b.Key, from), upTo(b.Key, to), quote(c.As), c.Skip)
		if _, err := r.conn.ExecContext(ctx, fill); err != nil {
			return err
		}
		if err := r.none(ctx, scratch, b, strings.Join(differ, " OR "), "differs from what "+strings.Join(c.Up, ", ")+" makes of its old form"); err != nil {
			return err
		}
		if _, err := r.conn.ExecContext(ctx, "TRUNCATE TABLE "+scratch); err != nil {
			return err
		}
		from, ended = to, to == nil
	}
	return nil
}
