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

	"github.com/noon-deploy/noon/internal/database/postgres"
)

// wide is a table of about 300 bytes a row.
func wide(rows int) string {
	return fmt.Sprintf(`create table users (id bigint generated always as identity primary key, mail text not null, age text not null, a text, b text, c text, d int, e int, f timestamptz, g numeric);
insert into users (mail, age, a, b, c, d, e, f, g) select 'u' || n, (n %% 90)::text, repeat('a', 60), repeat('b', 60), repeat('c', 60), n, n, now(), n from generate_series(1, %d) n;
vacuum analyze users`, rows)
}

// BenchmarkBackfill compares a backfill with a bare batched UPDATE by the same
// number of workers, in rows a second. ratio is what counts.
func BenchmarkBackfill(b *testing.B) {
	const rows, batch, workers = 300_000, 5000, 2
	for b.Loop() {
		bare := newShop(b, wide(rows))
		bare.run(b, bare.url, "alter table users add column years integer")
		began := time.Now()
		var all sync.WaitGroup
		for w := range workers {
			all.Go(func() {
				conn := bare.connect(b, bare.url)
				for lo := w * batch; lo < rows; lo += workers * batch {
					if _, err := conn.Exec(b.Context(), "update users set years = age::integer where id > $1 and id <= $2", lo, lo+batch); err != nil {
						b.Error(err)
					}
				}
			})
		}
		all.Wait()
		bareTook := time.Since(began)

		s := newShop(b, wide(rows))
		p := s.plan(b, ageOnly)
		e := s.open(b, postgres.Config{Workers: workers, Batch: batch, BatchTime: time.Second})
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
		s := newShop(b, wide(rows))
		p := s.plan(b, ageOnly)
		one := s.release(b, "r1", 0)
		before := writeFor(b, one, rows, func(ctx context.Context) { <-ctx.Done() }, 8*time.Second)
		during := writeFor(b, one, rows, func(context.Context) { s.reach(b, p, postgres.Expanded) }, time.Hour) //nolint:contextcheck // the expansion ends the writing, not the other way round
		b.ReportMetric(float64(before[len(before)*99/100].Microseconds())/1000, "p99-before-ms")
		b.ReportMetric(float64(during[len(during)*99/100].Microseconds())/1000, "p99-during-ms")
		b.ReportMetric(float64(during[len(during)*99/100])/float64(before[len(before)*99/100]), "p99-ratio")
		b.ReportMetric(float64(during[len(during)-1].Microseconds())/1000, "longest-ms")
		b.ReportMetric(float64(len(during)), "writes")
	}
}

// writeFor writes 500 times a second while something happens, and returns how
// long each statement took, sorted.
func writeFor(b *testing.B, url string, rows int64, what func(context.Context), limit time.Duration) []time.Duration {
	b.Helper()
	const writers = 10
	all := context.WithoutCancel(b.Context())
	ctx, cancel := context.WithTimeout(all, limit)
	defer cancel()
	var mu sync.Mutex
	var took []time.Duration
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			conn, err := pgx.Connect(all, url)
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close(all) //nolint:errcheck // the benchmark has its answer
			tick := time.NewTicker(time.Second / (500 / writers))
			defer tick.Stop()
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for ctx.Err() == nil {
				began := time.Now()
				if _, err := conn.Exec(all, "update users set age = $2, a = 'x' where id = $1", 1+rng.Int64N(rows), fmt.Sprint(rng.IntN(90))); err != nil {
					b.Error(err)
					return
				}
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
				select {
				case <-ctx.Done():
				case <-tick.C:
				}
			}
		})
	}
	what(ctx)
	cancel()
	group.Wait()
	slices.Sort(took)
	return took
}
