package mariadb_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crowd is people who use the users of a shop through either release. Each row
// belongs to one of them, who knows what must be in it; others write another
// column of it. A statement that fails is a failure of the test, unless the
// server dies.
type crowd struct {
	t       testing.TB
	patient bool // statements may fail because the server dies
	failed  atomic.Int64
	done    atomic.Int64
	next    atomic.Int64

	leave chan struct{} // closed when all shall go
	all   sync.WaitGroup

	mu   sync.Mutex
	want map[int64][]person // what may be there: more than one after a statement that was not answered
}

// person is one row in words that both releases have.
type person struct {
	age         int
	first, last string
}

func newCrowd(tb testing.TB) *crowd {
	tb.Helper()
	c := &crowd{t: tb, want: map[int64][]person{}, leave: make(chan struct{})}
	tb.Cleanup(func() { c.stop(tb) })
	return c
}

// words are the statements of a release.
type words struct{ insert, update, touch, read string }

func oldWords() words {
	return words{
		insert: "INSERT INTO users (mail, age, first, last, own) VALUES ('m', ?, ?, ?, 1)",
		update: "UPDATE users SET age = ?, first = ?, last = ? WHERE id = ?",
		touch:  "UPDATE users SET note = CONCAT(COALESCE(LEFT(note, 50), ''), 'o'), mail = mail WHERE id = ?",
		read:   "SELECT id, CAST(age AS INT), first, last FROM users WHERE own = 1",
	}
}

func newWords() words {
	return words{
		insert: "INSERT INTO users (email, age, name, own) VALUES ('m', ?, CONCAT(?, ' ', ?), 1)",
		update: "UPDATE users SET age = ?, name = CONCAT(?, ' ', ?) WHERE id = ?",
		touch:  "UPDATE users SET note = CONCAT(COALESCE(LEFT(note, 50), ''), 'n'), email = email WHERE id = ?",
		read:   "SELECT id, age, SUBSTRING_INDEX(name, ' ', 1), SUBSTRING_INDEX(name, ' ', -1) FROM users WHERE own = 1",
	}
}

// come lets n people use an address.
func (c *crowd) come(n int, address string, w words) {
	c.t.Helper()
	for range n {
		db, err := pool(address)
		if err != nil {
			c.t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		me := c.next.Add(1)
		c.all.Go(func() {
			defer func() { _ = db.Close() }() // nothing was written by the pool itself
			c.live(db, w, rand.New(rand.NewPCG(uint64(me), 7)), me)
		})
	}
}

func (c *crowd) live(db *sql.DB, w words, rng *rand.Rand, me int64) {
	var mine []int64
	for {
		select {
		case <-c.leave:
			return
		case <-time.After(time.Duration(rng.IntN(4)) * time.Millisecond):
		}
		p := person{rng.IntN(90), fmt.Sprintf("f%d_%d", me, rng.IntN(1000)), fmt.Sprintf("l%d", rng.IntN(1000))}
		switch k := rng.IntN(4); {
		case k == 0 || len(mine) == 0:
			if id, ok := c.insert(db, w, p); ok {
				mine = append(mine, id)
			}
		case k == 1:
			c.exec(db, w.touch, c.any(rng))
		default:
			id := mine[rng.IntN(len(mine))]
			c.mu.Lock()
			c.want[id] = append(c.want[id], p)
			c.mu.Unlock()
			if c.exec(db, w.update, p.age, p.first, p.last, id) {
				c.mu.Lock()
				c.want[id] = []person{p}
				c.mu.Unlock()
			}
		}
	}
}

func (c *crowd) any(rng *rand.Rand) int64 {
	return int64(rng.IntN(400)) + 1
}

func (c *crowd) insert(db *sql.DB, w words, p person) (int64, bool) {
	result, err := db.ExecContext(context.Background(), w.insert, p.age, p.first, p.last)
	if !c.answered(err, w.insert) {
		return 0, false
	}
	id, err := result.LastInsertId()
	if err != nil || id == 0 {
		c.t.Errorf("no id: %v", err)
		return 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.want[id] = []person{p}
	return id, true
}

func (c *crowd) exec(db *sql.DB, query string, args ...any) bool {
	_, err := db.ExecContext(context.Background(), query, args...)
	return c.answered(err, query)
}

func (c *crowd) answered(err error, query string) bool {
	if err == nil {
		c.done.Add(1)
		return true
	}
	if !c.patient {
		c.failed.Add(1)
		c.t.Errorf("%v in: %s", err, query)
	}
	return false
}

// enough waits until so many more statements were answered.
func (c *crowd) enough(tb testing.TB, n int64) {
	tb.Helper()
	want := c.done.Load() + n
	deadline := time.Now().Add(time.Minute)
	for c.done.Load() < want {
		if time.Now().After(deadline) || tb.Failed() {
			tb.Fatalf("the crowd is stuck at %d of %d", c.done.Load(), want)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// stop lets everybody finish what they do; new ones may come after that.
func (c *crowd) stop(tb testing.TB) {
	tb.Helper()
	close(c.leave)
	c.all.Wait()
	c.leave = make(chan struct{})
	if n := c.failed.Load(); n > 0 {
		tb.Errorf("%d statements failed", n)
	}
}

// compare looks at all rows through a release.
func (c *crowd) compare(tb testing.TB, address string, w words) {
	tb.Helper()
	seen := 0
	for line := range strings.Lines(ask(tb, address, w.read)) {
		f := strings.Split(strings.TrimSpace(line), "|")
		var id int64
		var p person
		if _, err := fmt.Sscan(f[0]+" "+f[1], &id, &p.age); err != nil {
			tb.Errorf("row %q: %v", line, err)
			continue
		}
		p.first, p.last = f[2], f[3]
		want, known := c.want[id]
		if known {
			seen++
		}
		if known && !slices.Contains(want, p) || !known && !c.patient {
			tb.Errorf("row %d is %+v, want one of %+v", id, p, want)
		}
	}
	if seen != len(c.want) {
		tb.Errorf("%d of %d rows are there", seen, len(c.want))
	}
}
