package rehearsal_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/database/migration"
)

// BenchmarkPrediction rehearses a change of a table of 1,000,000 rows, carries
// it out on production beside users like those of the rehearsal, and prints
// what was predicted as a part of what it took; 0.7 to 1.3 is wanted.
func BenchmarkPrediction(b *testing.B) {
	const rows = 1_000_000
	for b.Loop() {
		w := newWorld(b, "postgres")
		w.exec("CREATE TABLE customers (id integer PRIMARY KEY, name varchar(100) NOT NULL, mail varchar(100), age varchar(100))",
			fmt.Sprintf("INSERT INTO customers SELECT i, 'Name ' || i, 'mail' || i || '@example.org', (i %% 90)::text FROM generate_series(1, %d) AS i", rows),
			"VACUUM ANALYZE customers")
		w.files["0001_title.sql"] = "-- noon: expand\nALTER TABLE customers ADD COLUMN title varchar(20);\n" +
			"-- noon: expand\n-- noon: no-transaction\nCREATE INDEX CONCURRENTLY customers_mail ON customers (mail);\n" +
			"-- noon: data over customers.id in 5000\nUPDATE customers SET title = 'Title ' || age WHERE id BETWEEN :low AND :high;\n" +
			"-- noon: contract\nALTER TABLE customers ALTER COLUMN age TYPE integer USING age::integer;\n"
		report := w.good()
		took := w.carryOut(b, rows)
		var predicted, actual time.Duration
		for i, p := range report.Phases {
			b.Logf("%s: predicted %s, took %s", p.Phase, p.Expected.Round(time.Millisecond), took[i].Round(time.Millisecond))
			predicted, actual = predicted+p.Expected, actual+took[i]
		}
		b.ReportMetric(predicted.Seconds()/actual.Seconds(), "predicted/took")
		b.ReportMetric(actual.Seconds(), "s/change")
	}
}

// carryOut has production changed while a hundred users a second read and write
// it, and gives what each phase took.
func (w *world) carryOut(b *testing.B, rows int) (took []time.Duration) {
	b.Helper()
	set, err := w.set()
	if err != nil {
		b.Fatal(err)
	}
	w.db.SetMaxOpenConns(8) // who has to wait for the table waits for one of these
	done := make(chan struct{})
	var users sync.WaitGroup
	users.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			query := "SELECT name FROM customers WHERE id = $1"
			if n%2 == 1 {
				query = "UPDATE customers SET name = name WHERE id = $1"
			}
			users.Go(func() {
				if _, err := w.db.ExecContext(b.Context(), query, 1+rand.IntN(rows)); err != nil { //nolint:gosec // any row will do
					b.Errorf("%s: %v", query, err)
				}
			})
		}
	})
	for _, phase := range []migration.Phase{migration.Migrated, migration.Contracted} {
		begun := time.Now()
		db, err := migration.Open(b.Context(), w.address, migration.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := db.Reach(b.Context(), set, phase, nil); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begun))
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
	close(done)
	users.Wait()
	return took
}
