package tui_test

import (
	"errors"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
)

// rehearsals are one of each kind: newest first.
func rehearsals() []noon.Rehearsal {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	good := noon.Rehearsal{
		ID: 3, Site: production, Store: "db", Release: 7, Digest: "sha256:abc", By: "ada", Status: noon.RehearsalGood,
		Begun: ago(14 * time.Minute), Ended: ago(12 * time.Minute),
		Report: noon.RehearsalReport{
			Copy: noon.CopyReport{Kind: noon.CopyDump, Bytes: 412_000_000, Rows: 1_000_000, Took: 31 * time.Second, Masked: []string{"customers.email", "customers.phone"}, Kept: "noon_kept_0123456789_abcdefgh"},
			Phases: []noon.RehearsedPhase{
				{Phase: noon.DataBoth, Took: 47 * time.Second, Expected: 95 * time.Second},
				{Phase: noon.DataAlone, Took: ms(120), Expected: ms(121)},
			},
			Statements: []noon.RehearsedStatement{
				{Phase: noon.DataBoth, Text: "ALTER TABLE customers ADD COLUMN title text", Times: 1, Took: ms(3), Longest: ms(3), Locks: []noon.Locked{{Relation: "customers", Mode: "AccessExclusiveLock", Held: ms(4)}}},
				{Phase: noon.DataBoth, Text: "UPDATE customers SET title = 'X' WHERE id BETWEEN :low AND :high", Times: 500, Took: 44 * time.Second, Longest: ms(212), Rows: 1_000_000, Locks: []noon.Locked{{Relation: "customers_pkey", Mode: "RowExclusiveLock", Held: ms(90)}, {Relation: "customers", Mode: "RowExclusiveLock", Held: ms(212)}}},
				{Phase: noon.DataAlone, Text: "ALTER TABLE customers ALTER COLUMN age TYPE integer\x1b[31m", Times: 1, Took: ms(118), Longest: ms(118), Rewrote: []string{"customers"}, Locks: []noon.Locked{{Relation: "customers", Mode: "AccessExclusiveLock", Held: ms(119)}}},
			},
			Tables: []noon.RehearsedTable{{
				Name: "customers", Rows: 1_000_000, Source: 2_000_000, Before: 206_000_000, After: 291_000_000,
				Reads: noon.Victim{Count: 9000, P99: ms(2), Max: ms(121), During: "contract: ALTER COLUMN age"}, Writes: noon.Victim{Count: 8000, P99: ms(9), Max: ms(119), During: "expand"},
			}},
			Load:  noon.RehearsedLoad{Rate: 100, Count: 4700, P99: ms(12), Max: ms(125)},
			Notes: []string{"whether there is room for the copy could not be seen"},
		},
	}
	failed := good
	failed.ID, failed.Status, failed.Begun, failed.Ended = 2, noon.RehearsalFailed, ago(26*time.Hour), ago(26*time.Hour-time.Minute)
	failed.Problem = &noon.Error{Kind: noon.Failure, Op: "change schema", Subject: "customers", Err: errors.New(`invalid input syntax for type integer: "old" (row id = 77)`), Hint: "Correct the row, or the expression.\nProduction was not changed."}
	failed.Report = noon.RehearsalReport{
		Copy:       noon.CopyReport{Kind: noon.CopyTemplate, Bytes: 900, Rows: 12, Took: ms(300)},
		Statements: []noon.RehearsedStatement{{Phase: noon.DataBoth, Text: "ALTER TABLE customers ALTER COLUMN age TYPE integer", Times: 1, Took: ms(1), Error: "invalid input syntax"}},
		Broken:     []string{`SELECT name FROM customers: column "name" does not exist`},
	}
	stopped := noon.Rehearsal{ID: 1, Site: production, Store: "db", Release: 6, Status: noon.RehearsalInterrupted, Begun: ago(30 * time.Hour), Ended: ago(29 * time.Hour)}
	running := noon.Rehearsal{ID: 4, Site: production, Store: "db", Release: 8, Status: noon.RehearsalRunning, Begun: ago(time.Second), Doing: "copying 412 MB"}
	return []noon.Rehearsal{running, good, failed, stopped}
}

func TestRehearsals(t *testing.T) {
	t.Parallel()
	golden(t, "rehearsals.txt", page(0).Rehearsals(rehearsals())+"\n"+page(0).Rehearsals(nil))
	var all string
	for _, r := range rehearsals() {
		all += page(0).Rehearsal(r) + "----\n"
	}
	golden(t, "rehearsal.txt", all)
	golden(t, "rehearsal-narrow.txt", page(60).Rehearsal(rehearsals()[1]))
}
