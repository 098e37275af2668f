package postgres_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon/internal/database/postgres"
)

// A span has as many rows as it may, whatever the key is: texts of numbers sort
// otherwise than numbers.
func TestSpans(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{
		"number": "id int primary key", "names": `"Id" numeric, "id::text" text, primary key ("Id", "id::text")`, "none": "id int",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			columns, values := key+", age text not null", "n, n::text"
			if strings.HasPrefix(key, `"`) {
				values = "n, -n, n::text"
			}
			s := newShop(t, "create table users ("+columns+"); insert into users select "+values+" from generate_series(1, 3000) n")
			p := s.firstPlan(t, ageOnly)
			e := s.open(t, postgres.Config{Batch: 100, BatchTime: time.Minute, Workers: 1})
			var last, most int64
			err := e.Reach(t.Context(), postgres.Order{Plan: &p, Phase: postgres.Expanded}, func(p postgres.Progress) {
				if p.Filled > 0 {
					last, most = p.Filled, max(most, p.Filled-last)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			limit := int64(100)
			if name == "none" { // by pages, of some 200 such rows
				limit = 600
			}
			if last != 3000 || most > limit {
				t.Errorf("%d rows were filled, at most %d at once; want 3000, %d", last, most, limit)
			}
		})
	}
}

// Between batches the server is left to users for as long as a batch had it.
func TestRest(t *testing.T) {
	t.Parallel()
	g := &gaps{}
	crowded(t, postgres.Config{Batch: 500, BatchTime: time.Minute, Workers: 1, Trace: g})
	if g.batches < 8 || g.short > 0 {
		t.Errorf("after %d of %d batches the next statement came sooner than the batch had taken", g.short, g.batches)
	}
}

// While there are users one worker at a time has a batch.
func TestTurns(t *testing.T) {
	t.Parallel()
	c := &counted{by: map[*pgx.Conn]int{}}
	crowded(t, postgres.Config{Batch: 100, BatchTime: time.Minute, Workers: 4, Trace: c})
	if len(c.by) < 2 || c.most != 1 {
		t.Errorf("%d workers had batches, up to %d at once", len(c.by), c.most)
	}
}

// crowded fills 4000 rows while a user is there.
func crowded(t *testing.T, c postgres.Config) {
	t.Helper()
	s := newShop(t, "create table users (id int primary key, age text not null); insert into users select n, n::text from generate_series(1, 4000) n")
	p := s.firstPlan(t, ageOnly)
	user := s.connect(t, s.url)
	ctx, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { _, _ = user.Exec(ctx, "select pg_sleep(600)") }) // until it is told to leave
	defer all.Wait()
	defer leave()
	s.until(t, "select count(*) = 1 from pg_stat_activity where state = 'active' and query = 'select pg_sleep(600)' and datname = current_database()")
	e := s.open(t, c)
	if err := e.Reach(t.Context(), postgres.Order{Plan: &p, Phase: postgres.Expanded}, nil); err != nil {
		t.Fatal(err)
	}
}

// counted counts the batches that are under way at once.
type counted struct {
	mu        sync.Mutex
	by        map[*pgx.Conn]int
	now, most int
}

func (c *counted) TraceBatchStart(ctx context.Context, conn *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by[conn]++
	c.now++
	c.most = max(c.most, c.now)
	return ctx
}

func (c *counted) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (c *counted) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now--
}

func (c *counted) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (c *counted) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// gaps looks at what a worker does between batches.
type gaps struct {
	began, ended   time.Time // of the last batch
	batches, short int
}

func (g *gaps) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	g.began = time.Now()
	return ctx
}

func (g *gaps) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (g *gaps) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {
	g.ended = time.Now()
	g.batches++
}

func (g *gaps) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	if !g.ended.IsZero() && time.Since(g.ended) < g.ended.Sub(g.began) {
		g.short++
	}
	g.ended = time.Time{}
	return ctx
}

func (g *gaps) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
