package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon/internal/database/dbtest"
	"github.com/noon-deploy/noon/internal/database/postgres"
)

// wide is a table of about 300 bytes a row.
func wide(rows int) string {
	return fmt.Sprintf(`create table users (id bigint generated always as identity primary key, mail text not null, age text not null, a text, b text, c text, d int, e int, f timestamptz, g numeric);
insert into users (mail, age, a, b, c, d, e, f, g) select 'u' || n, (n %% 90)::text, repeat('a', 60), repeat('b', 60), repeat('c', 60), n, n, now(), n from generate_series(1, %d) n;
vacuum analyze users`, rows)
}

// BenchmarkBackfill compares a backfill with a bare batched UPDATE by the same
// number of workers. The two take turns, so that what else the machine does
// meets both.
func BenchmarkBackfill(b *testing.B) {
	const rows = 300_000
	var ratios []float64
	for b.Loop() {
		bare, noon := bareBackfill(b, rows), noonBackfill(b, rows)
		noon += noonBackfill(b, rows)
		bare += bareBackfill(b, rows)
		ratios = append(ratios, bare.Seconds()/noon.Seconds())
		b.ReportMetric(2*rows/bare.Seconds(), "bare-rows/s")
		b.ReportMetric(2*rows/noon.Seconds(), "noon-rows/s")
	}
	verdict(b, "ratio", ratios, func(ratio float64) bool { return ratio >= 0.6 })
}

const benchBatch, benchWorkers = 5000, 2

func bareBackfill(b *testing.B, rows int) time.Duration {
	b.Helper()
	s := newShop(b, wide(rows))
	s.run(b, s.url, "alter table users add column years integer")
	began := time.Now()
	var all sync.WaitGroup
	for w := range benchWorkers {
		all.Go(func() {
			conn := s.connect(b, s.url)
			for lo := w * benchBatch; lo < rows; lo += benchWorkers * benchBatch {
				if _, err := conn.Exec(b.Context(), "update users set years = age::integer where id > $1 and id <= $2", lo, lo+benchBatch); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	return time.Since(began)
}

func noonBackfill(b *testing.B, rows int) time.Duration {
	b.Helper()
	s := newShop(b, wide(rows))
	p := s.plan(b, ageOnly)
	e := s.open(b, postgres.Config{Workers: benchWorkers, Batch: benchBatch, BatchTime: time.Second})
	var from time.Time
	var took time.Duration
	err := e.Reach(b.Context(), postgres.Order{Plan: &p, Phase: postgres.Expanded}, func(p postgres.Progress) {
		switch {
		case strings.HasPrefix(p.Stage, "backfill") && from.IsZero():
			from = time.Now()
		case strings.HasPrefix(p.Stage, "backfill"):
			took = time.Since(from)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	return took
}

// verdict reports the median of a figure's rounds, and whether it is as it
// shall be.
func verdict(b *testing.B, name string, rounds []float64, good func(float64) bool) {
	b.Helper()
	sorted := slices.Sorted(slices.Values(rounds))
	median := sorted[len(sorted)/2]
	b.ReportMetric(median, name)
	word := "MISS"
	if good(median) {
		word = "PASS"
	}
	b.Logf("%s: %s %.2f, median of %.2f", word, name, median, rounds)
}

// manyRows are those of a table that is changed under load.
const manyRows = 1_000_000

// BenchmarkExpandUnderLoad expands 1,000,000 rows with 500 writes a second of
// the old release beside it, and compares their latency with that before: for
// about as long, as the server's own writing of pages comes and goes. The table
// has room in the server's memory: else who reads a page waits until another one
// is written, whoever has changed that.
func BenchmarkExpandUnderLoad(b *testing.B) {
	server := dbtest.ForTest(b, dbtest.Postgres, "shared_buffers=2GB")
	w := newWatch(context.WithoutCancel(b.Context()), server.PostgresURL("postgres"))
	b.Cleanup(w.Close)
	p99 := func(sorted []time.Duration) float64 { return float64(sorted[len(sorted)*99/100].Microseconds()) / 1000 }
	var ratios []float64
	for b.Loop() {
		s := newShopOn(b, server, w, wide(manyRows))
		p := s.plan(b, ageOnly)
		one := s.release(b, "r1", 0)
		before := dbtest.WriteWhile(b, 30*time.Second, writer(one), func(ctx context.Context) { <-ctx.Done() })
		during := dbtest.WriteWhile(b, time.Hour, writer(one), func(context.Context) { s.reach(b, p, postgres.Expanded) }) //nolint:contextcheck // the expansion ends the writing, not the other way round
		ratios = append(ratios, p99(during)/p99(before))
		b.ReportMetric(p99(before), "p99-before-ms")
		b.ReportMetric(p99(during), "p99-during-ms")
		b.ReportMetric(float64(during[len(during)-1].Microseconds())/1000, "longest-ms")
		b.ReportMetric(float64(len(during)), "writes")
		s.run(b, s.root, "drop table users cascade") // what it would still write belongs to this round
	}
	verdict(b, "p99-ratio", ratios, func(ratio float64) bool { return ratio <= 2 })
}

// BenchmarkWidenKey makes the key of 1,000,000 rows, and the column of as many
// that references it, bigint with 500 writes a second beside it: of the old
// release while it expands, of the new one while it contracts.
func BenchmarkWidenKey(b *testing.B) {
	for b.Loop() {
		s := newShop(b, strings.Replace(wide(manyRows), "bigint generated always as identity", "serial", 1)+fmt.Sprintf(`;
create table orders (id integer generated always as identity primary key, user_id integer not null references users);
insert into orders (user_id) select n from generate_series(1, %d) n`, manyRows))
		p := s.plan(b, "operations: [{alter_column: {table: users, column: id, type: bigint, down: id}}, {alter_column: {table: orders, column: user_id, type: bigint, down: user_id}}]")
		one, two := s.release(b, "r1", 0), s.release(b, "r2", 1)
		began := time.Now()
		expand := dbtest.WriteWhile(b, time.Hour, writer(one), func(context.Context) { s.reach(b, p, postgres.Expanded) }) //nolint:contextcheck // the expansion ends the writing, not the other way round
		b.ReportMetric(time.Since(began).Seconds(), "expand-s")
		began = time.Now()
		contract := dbtest.WriteWhile(b, time.Hour, writer(two), func(context.Context) { s.reach(b, p, postgres.Contracted) }) //nolint:contextcheck // the same
		b.ReportMetric(time.Since(began).Seconds(), "contract-s")
		b.ReportMetric(float64(expand[len(expand)-1].Microseconds())/1000, "longest-expand-ms")
		b.ReportMetric(float64(contract[len(contract)-1].Microseconds())/1000, "longest-contract-ms")
		b.ReportMetric(float64(len(expand)+len(contract)), "writes")
		s.settled(b)
		s.run(b, s.root, "drop table users, orders cascade")
	}
}

// writer is a session of a release that writes ages.
func writer(url string) func(context.Context) (func(*rand.Rand) error, func(), error) {
	return func(ctx context.Context) (func(*rand.Rand) error, func(), error) {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return nil, nil, err
		}
		write := func(rng *rand.Rand) error {
			_, err := conn.Exec(ctx, "update users set age = $2, a = 'x' where id = $1", 1+rng.Int64N(manyRows), fmt.Sprint(rng.IntN(90)))
			return err
		}
		return write, func() { _ = conn.Close(ctx) }, nil // the benchmark has its answer
	}
}
