package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// crowd is people who use the users of a shop through either release. Each row
// belongs to one of them, who knows what must be in it; others write another
// column of it. A statement that fails is a failure of the test.
type crowd struct {
	t        testing.TB
	s        *shop
	one, two string
	plain    bool // the new release has the columns of the old one, but for the type of age
	patient  bool // statements may fail because the server dies
	failures atomic.Int64
	done     atomic.Int64
	next     atomic.Int64

	cancel context.CancelFunc
	ctx    context.Context //nolint:containedctx // it is the crowd's life, which begins anew after stop
	all    sync.WaitGroup

	mu   sync.Mutex
	want map[int64][]person // what may be there: more than one after a commit that was not answered
}

// person is one row in words that both releases have.
type person struct {
	age         int
	first, last string
}

func newCrowd(tb testing.TB, s *shop, one, two string) *crowd {
	tb.Helper()
	c := &crowd{t: tb, s: s, one: one, two: two, want: map[int64][]person{}}
	c.begin()
	tb.Cleanup(func() { c.cancel(); c.all.Wait() })
	return c
}

func (c *crowd) begin() { c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(c.t.Context())) }

func (c *crowd) old(n int) { c.start(n, c.one, false) }
func (c *crowd) new(n int) { c.start(n, c.two, true) }

func (c *crowd) start(n int, url string, fresh bool) {
	for range n {
		me := c.next.Add(1)
		c.all.Go(func() { c.live(url, fresh, me) })
	}
}

// stop lets everybody finish what they do.
func (c *crowd) stop(tb testing.TB) {
	tb.Helper()
	c.cancel()
	c.all.Wait()
	if n := c.failures.Load(); n > 0 {
		tb.Errorf("%d statements failed", n)
	}
	c.begin()
}

// enough waits until so many more statements were answered.
func (c *crowd) enough(tb testing.TB, n int64) {
	tb.Helper()
	want := c.done.Load() + n
	deadline := time.Now().Add(time.Minute)
	for c.done.Load() < want {
		if time.Now().After(deadline) || c.failures.Load() > 0 && !c.patient {
			tb.Fatalf("the crowd is stuck at %d of %d", c.done.Load(), want)
		}
		<-time.After(5 * time.Millisecond)
	}
}

type words struct{ insert, update, touch, read string }

func language(fresh, plain bool) words {
	if fresh && plain {
		return words{
			insert: "insert into users (mail, age, first, last, own, note) values ($1, $2::int, $3, $4, $5, '') returning id",
			update: "update users set age = $2::int, first = $3, last = $4 where id = $1",
			touch:  "update users set note = coalesce(note, '') || 'n', mail = mail where id = $1",
			read:   "select age, first, last from users where id = $1",
		}
	}
	if fresh {
		return words{
			insert: "insert into users (email, age, name, own) values ($1, $2::int, $3 || ' ' || $4, $5) returning id",
			update: "update users set age = $2::int, name = $3 || ' ' || $4 where id = $1",
			touch:  "update users set note = coalesce(note, '') || 'n', email = email where id = $1",
			read:   "select age, split_part(name, ' ', 1), split_part(name, ' ', 2) from users where id = $1",
		}
	}
	return words{
		insert: "insert into users (mail, age, first, last, own) values ($1, $2, $3, $4, $5) returning id",
		update: "update users set age = $2, first = $3, last = $4 where id = $1",
		touch:  "update users set note = coalesce(note, '') || 'o', mail = mail where id = $1",
		read:   "select age::int, first, last from users where id = $1",
	}
}

func (c *crowd) live(url string, fresh bool, me int64) {
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close(context.WithoutCancel(c.ctx))
		}
	}()
	rng := rand.New(rand.NewPCG(uint64(me), 7))
	l := language(fresh, c.plain)
	var mine []int64
	for c.ctx.Err() == nil {
		if conn == nil || conn.IsClosed() {
			var err error
			if conn, err = pgx.Connect(context.WithoutCancel(c.ctx), url); err != nil {
				c.fail(err)
				conn = nil
				<-time.After(20 * time.Millisecond)
				continue
			}
		}
		mine = c.act(conn, l, rng, me, mine)
		<-time.After(time.Duration(rng.IntN(4)) * time.Millisecond)
	}
}

// act does one thing.
func (c *crowd) act(conn *pgx.Conn, l words, rng *rand.Rand, me int64, mine []int64) []int64 {
	ctx := context.WithoutCancel(c.ctx)
	p := person{rng.IntN(1000), fmt.Sprintf("f%d", rng.IntN(1000)), fmt.Sprintf("l%d", rng.IntN(1000))}
	age := fmt.Sprint(p.age)
	switch kind := rng.IntN(4); {
	case len(mine) == 0 || kind == 0:
		var id int64
		err := conn.QueryRow(ctx, l.insert, fmt.Sprintf("w%d", me), age, p.first, p.last, me).Scan(&id)
		if c.fail(err) {
			return mine
		}
		c.expect(id, p)
		return append(mine, id)
	case kind == 1:
		id := mine[rng.IntN(len(mine))]
		_, err := conn.Exec(ctx, l.update, id, age, p.first, p.last)
		if err != nil {
			c.perhaps(id, p)
		} else {
			c.expect(id, p)
		}
		c.fail(err)
	case kind == 2:
		_, err := conn.Exec(ctx, l.touch, 1+rng.Int64N(450))
		c.fail(err)
	default:
		id := mine[rng.IntN(len(mine))]
		var got person
		if c.fail(conn.QueryRow(ctx, l.read, id).Scan(&got.age, &got.first, &got.last)) {
			return mine
		}
		c.check(id, got)
	}
	return mine
}

func (c *crowd) expect(id int64, p person) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.want[id] = []person{p}
}

func (c *crowd) perhaps(id int64, p person) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.want[id] = append(c.want[id], p)
}

func (c *crowd) check(id int64, got person) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.Contains(c.want[id], got) {
		return
	}
	c.failures.Add(1)
	c.t.Errorf("row %d is %+v, its owner wrote %+v", id, got, c.want[id])
}

// fail counts a statement, and reports whether it failed.
func (c *crowd) fail(err error) bool {
	if err == nil {
		c.done.Add(1)
		return false
	}
	if c.patient && !strings.Contains(err.Error(), "SQLSTATE 2") && !strings.Contains(err.Error(), "SQLSTATE 4") {
		return true
	}
	c.failures.Add(1)
	var detail *pgconn.PgError
	c.t.Errorf("a statement failed: %v %v", err, detail)
	return true
}

// compare looks at every row, through both releases if they are both served.
func (c *crowd) compare(tb testing.TB, one, two bool) {
	tb.Helper()
	name := "split_part(name, ' ', 1), split_part(name, ' ', 2)"
	if c.plain {
		name = "first, last"
	}
	queries := map[string]bool{
		"old|" + c.one + "|select id, age::int, first, last from users": one,
		"new|" + c.two + "|select id, age, " + name + " from users":     two,
	}
	var first string
	for q, live := range queries {
		if !live {
			continue
		}
		parts := strings.SplitN(q, "|", 3)
		all := ask(tb, parts[1], parts[2]+" order by id")
		if first != "" && all != first {
			tb.Errorf("the releases see different rows:\n%s", difference(first, all))
		}
		first = all
	}
	for line := range strings.SplitSeq(first, "\n") {
		cells := strings.Split(line, "|")
		var id int64
		var p person
		if _, err := fmt.Sscan(cells[0]+" "+cells[1]+" "+cells[2]+" "+cells[3], &id, &p.age, &p.first, &p.last); err != nil {
			tb.Fatalf("%v in %q", err, line)
		}
		if c.want[id] == nil && id <= 450 {
			n := id
			c.want[id] = []person{{int(n % 90), fmt.Sprintf("f%d", n), fmt.Sprintf("l%d", n)}}
		}
		if c.want[id] != nil {
			c.check(id, p)
		}
		delete(c.want, id)
	}
	if len(c.want) > 0 {
		tb.Errorf("%d rows are gone", len(c.want))
	}
	if n := c.failures.Load(); n > 0 {
		tb.Errorf("%d failures", n)
	}
}

func difference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	var out []string
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			out = append(out, x[i]+"   "+y[i])
		}
		if len(out) == 10 {
			break
		}
	}
	return fmt.Sprintf("%d and %d rows\n%s", len(x), len(y), strings.Join(out, "\n"))
}
