package mariadb_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/database/dbtest"
	"github.com/noon-deploy/noon/internal/database/mariadb"
)

// large is a shop on a server with room for its rows in memory: wide ones, about
// 300 bytes each.
func large(b *testing.B, rows int) *shop {
	b.Helper()
	server, err := dbtest.MariaDB(b.Context(), "innodb-buffer-pool-size=1G", "innodb-log-file-size=512M")
	if err != nil {
		b.Fatal(err)
	}
	w := newWatch(context.WithoutCancel(b.Context()), server.MariaDBURL("mysql"))
	b.Cleanup(func() {
		w.Close()
		b.Log(w.Report())
		if err := server.Close(); err != nil {
			b.Error(err)
		}
	})
	return newShopOn(b, server, w, fmt.Sprintf(`CREATE TABLE users (id BIGINT AUTO_INCREMENT PRIMARY KEY, mail VARCHAR(100) NOT NULL, age VARCHAR(20) NOT NULL, a VARCHAR(100), b VARCHAR(100), c VARCHAR(100), d INT, e INT, f TIMESTAMP NULL, g DECIMAL(20, 2));
INSERT INTO users (id, mail, age, a, b, c, d, e, f, g) SELECT seq, CONCAT('u', seq), seq %% 90, REPEAT('a', 60), REPEAT('b', 60), REPEAT('c', 60), seq, seq, NOW(), seq FROM seq_1_to_%d; ANALYZE TABLE users`, rows))
}

const ageOnly = `operations:
- alter_column: {table: users, column: age, type: int, up: "CAST(age AS INT)", down: "CAST(age AS CHAR)"}`

// BenchmarkBackfill compares a backfill with a bare batched UPDATE by the same
// number of workers, in rows a second. ratio is what counts.
func BenchmarkBackfill(b *testing.B) {
	const rows, batch, workers = 300_000, 2000, 2
	for b.Loop() {
		bare := large(b, rows)
		bare.run(b, bare.root(), "ALTER TABLE users ADD COLUMN years INT")
		db, err := pool(bare.root())
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		var all sync.WaitGroup
		for w := range workers {
			all.Go(func() {
				for lo := w * batch; lo < rows; lo += workers * batch {
					if _, err := db.ExecContext(b.Context(), "UPDATE users SET years = CAST(age AS INT) WHERE id > ? AND id <= ?", lo, lo+batch); err != nil {
						b.Error(err)
					}
				}
			})
		}
		all.Wait()
		bareTook := time.Since(began)
		_ = db.Close() // every statement was answered

		s := large(b, rows)
		p := s.plan(b, ageOnly)
		e := s.open(b, mariadb.Config{Workers: workers, Batch: batch, BatchTime: time.Second})
		var from time.Time
		var took time.Duration
		err = e.Reach(b.Context(), mariadb.Order{Plan: &p, Phase: mariadb.Expanded}, func(p mariadb.Progress) {
			switch {
			case strings.HasPrefix(p.Stage, "fill") && from.IsZero():
				from = time.Now()
			case strings.HasPrefix(p.Stage, "fill"):
				took = time.Since(from)
			}
		})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(rows/bareTook.Seconds(), "bare-rows/s")
		b.ReportMetric(rows/took.Seconds(), "noon-rows/s")
		b.ReportMetric(bareTook.Seconds()/took.Seconds(), "ratio")
	}
}

// BenchmarkExpandUnderLoad expands 1,000,000 rows with 500 writes a second of
// the old release beside it, and compares their latency with that before.
func BenchmarkExpandUnderLoad(b *testing.B) {
	const rows = 1_000_000
	for b.Loop() {
		s := large(b, rows)
		p := s.plan(b, ageOnly)
		one := s.release(b, "r1", 0)
		before := dbtest.WriteWhile(b, 30*time.Second, writer(one, rows), func(ctx context.Context) { <-ctx.Done() })
		during := dbtest.WriteWhile(b, time.Hour, writer(one, rows), func(context.Context) { s.reach(b, p, mariadb.Expanded) }) //nolint:contextcheck // the expansion ends the writing, not the other way round
		b.ReportMetric(float64(before[len(before)*99/100].Microseconds())/1000, "p99-before-ms")
		b.ReportMetric(float64(during[len(during)*99/100].Microseconds())/1000, "p99-during-ms")
		b.ReportMetric(float64(during[len(during)*99/100])/float64(before[len(before)*99/100]), "p99-ratio")
		b.ReportMetric(float64(during[len(during)-1].Microseconds())/1000, "longest-ms")
		b.ReportMetric(float64(len(during)), "writes")
	}
}

// writer is a session of a release that writes ages.
func writer(url string, rows int64) func(context.Context) (func(*rand.Rand) error, func(), error) {
	return func(ctx context.Context) (func(*rand.Rand) error, func(), error) {
		db, err := pool(url)
		if err != nil {
			return nil, nil, err
		}
		db.SetMaxOpenConns(1)
		write := func(rng *rand.Rand) error {
			_, err := db.ExecContext(ctx, "UPDATE users SET age = ?, a = 'x' WHERE id = ?", fmt.Sprint(rng.IntN(90)), 1+rng.Int64N(rows))
			return err
		}
		return write, func() { _ = db.Close() }, db.PingContext(ctx) // the benchmark has its answer
	}
}
