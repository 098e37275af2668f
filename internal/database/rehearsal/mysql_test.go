package rehearsal_test

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
	"github.com/noon-deploy/noon/internal/database/rehearsal"
)

// tellsLocks is a kind of server: a MariaDB server that tells which sessions
// have which locks.
const tellsLocks = "mysql that tells locks"

// TestLocksOfMariaDB: a statement that waits for the lock of a table, and
// another one that has its lock for a while, are in the report as far as the
// server tells, and so is a table that is written anew.
func TestLocksOfMariaDB(t *testing.T) {
	t.Parallel()
	for kind, wants := range map[string][2]string{"mysql": {"metadata lock", ""}, tellsLocks: {"EXCLUSIVE", "SHARED_UPGRADABLE"}} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, kind)
			w.rows(2000)
			w.order.Texts = []string{"customers"}
			w.order.Steps = []rehearsal.Step{{Phase: noon.DataBoth, Run: func(ctx context.Context, c rehearsal.Copy) error { return hindered(ctx, t, c) }}}
			report, verdict, err := rehearsal.Run(t.Context(), w.order)
			if err != nil || verdict != nil {
				t.Fatalf("verdict %v, error %v", verdict, err)
			}
			waiting, holding := statement(t, report, "`title`"), statement(t, report, "ALGORITHM=COPY")
			if !slices.ContainsFunc(waiting.Locks, func(l noon.Locked) bool {
				return l.Relation == "customers" && l.Mode == wants[0] && l.Waited > 50*time.Millisecond
			}) {
				t.Errorf("the statement that waited: %+v", waiting)
			}
			if wants[1] != "" && !slices.ContainsFunc(holding.Locks, func(l noon.Locked) bool { return l.Relation == "customers" && l.Mode == wants[1] && l.Held > 0 }) {
				t.Errorf("the statement that copied the table: %+v", holding)
			}
			if len(holding.Rewrote) != 1 || len(waiting.Rewrote) > 0 {
				t.Errorf("written anew: %q, %q", holding.Rewrote, waiting.Rewrote)
			}
			tells := !slices.ContainsFunc(report.Notes, func(n string) bool { return strings.Contains(n, "does not tell which locks") })
			if tells != (kind == tellsLocks) {
				t.Errorf("the notes are %q", report.Notes)
			}
		})
	}
}

// hindered changes a table that somebody reads in a transaction, then copies it
// for as long as it takes to be seen.
func hindered(ctx context.Context, t *testing.T, c rehearsal.Copy) error {
	t.Helper()
	db, err := migration.Connect(ctx, c.Address)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // every statement was answered
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, "SELECT count(*) FROM customers"); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		done <- seen(ctx, db, c, "ALTER TABLE `customers` ADD COLUMN `title` int, ALGORITHM=INSTANT")
	}()
	for since := (time.Time{}); since.IsZero() || time.Since(since) < 300*time.Millisecond; {
		var n int
		if err := db.QueryRowContext(ctx, "SELECT count(*) FROM information_schema.processlist WHERE db = database() AND state LIKE 'Waiting for table metadata lock%' AND info LIKE 'ALTER%'").Scan(&n); err != nil {
			return err
		}
		if n > 0 && since.IsZero() {
			since = time.Now()
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	if err := <-done; err != nil {
		return err
	}
	return seen(ctx, db, c, "ALTER TABLE `customers` ADD COLUMN `slow` varchar(40) DEFAULT (left(sha2(repeat(id, 30000), 512), 40)), ALGORITHM=COPY")
}

// seen runs a statement as an engine does.
func seen(ctx context.Context, db *sql.DB, c rehearsal.Copy, text string) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // every statement was answered
	var id int64
	if err := conn.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		return err
	}
	ended := c.Sees(id, text)
	result, err := conn.ExecContext(ctx, text)
	var rows int64
	if err == nil {
		rows, err = result.RowsAffected()
	}
	ended(rows, err)
	return err
}
