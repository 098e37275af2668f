package mariadb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A trigger costs several times what an UPDATE does. So a backfill first lets
// the UPDATE itself make the new form, while the trigger looks away. It commits
// that only if nothing is to be said of any row: no error, no warning, no value
// that is missing. Else the trigger fills the batch, and marks the rows.

// fillingVariable is the variable of a session from which the trigger looks away.
const fillingVariable = "@" + own + "filling"

// direct is what an UPDATE sets to make the new form of a row; "" if it could see
// something else than the trigger does.
func (m *model) direct(t *table) string {
	if slices.ContainsFunc(m.catalog.texts, func(x text) bool {
		return x.kind == "trigger" && x.table == t.phys && strings.HasSuffix(x.event, "UPDATE")
	}) {
		return ""
	}
	var set, absent []string
	for _, g := range t.groups {
		for _, c := range t.before {
			if c.name != c.phys && slices.ContainsFunc(g.up, func(e string) bool { return mentions(e, c.name) }) {
				return ""
			}
		}
		for i, c := range g.news {
			up := g.up[i]
			if up == "" {
				up = "NULL"
			}
			set = append(set, fmt.Sprintf("%s = (%s\n)", quote(c.phys), up))
			if !c.null {
				absent = append(absent, quote(c.phys)+" IS NULL")
			}
		}
	}
	if len(set) == 0 {
		return ""
	}
	mark := "0"
	if len(absent) > 0 { // what is set is seen by what is set after it
		mark = fmt.Sprintf("IF(%s, NULL, 0)", strings.Join(absent, " OR "))
	}
	return strings.Join(append(set, pending+" = "+mark), ", ")
}

var errNotPlain = errors.New("the server warns of a row")

// directly fills a batch without the trigger. What it can not do so it has not
// begun, and returns why.
func (f *filling) directly(ctx context.Context, conn *sql.Conn, keep []string, where string) (int64, error) {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if _, err := tx.ExecContext(ctx, "SET "+fillingVariable+" = 1"); err != nil {
		return 0, err
	}
	result, err := tx.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET %s WHERE %s", f.table(), strings.Join(append(keep, f.b.Direct), ", "), where))
	if err != nil {
		return 0, err
	}
	var warnings int
	if err := tx.QueryRowContext(ctx, "SHOW COUNT(*) WARNINGS").Scan(&warnings); err != nil {
		return 0, err
	}
	if warnings > 0 {
		return 0, errNotPlain
	}
	n, err := result.RowsAffected()
	if err != nil {
		return 0, err
	}
	return n, tx.Commit()
}

// byTrigger fills a batch by writing its rows: for the trigger a row that is
// written at all is one to fill.
func (f *filling) byTrigger(ctx context.Context, conn *sql.Conn, keep []string, where string) (int64, error) {
	if _, err := conn.ExecContext(ctx, "SET "+fillingVariable+" = NULL"); err != nil {
		return 0, err
	}
	result, err := conn.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET %s WHERE %s", f.table(), strings.Join(append(keep, pending+" = "+pending), ", "), where))
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
