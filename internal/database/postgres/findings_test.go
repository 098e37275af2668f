package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/postgres"
)

// The tests of this file and the next are the findings about pgroll v0.16.2 of
// noon's research, by their numbers: what it did, and what noon does.

const ageOnly = "operations:\n  - alter_column: {table: users, column: age, type: integer, up: age::integer, down: age::text}\n"

// refused plans a change that must be refused for a reason, and makes sure that
// nothing has changed.
func (s *shop) refused(t *testing.T, yaml string, reasons ...string) {
	t.Helper()
	const schema = `select string_agg(n.nspname || '.' || c.relname || ' ' || coalesce(pg_get_viewdef(case when c.relkind = 'v' then c.oid end), ''), ', ' order by 1)
from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')`
	before := ask(t, s.root, schema)
	_, err := s.try(t, yaml)
	if err == nil {
		t.Fatal("it is not refused")
	}
	var own *noon.Error
	if !errors.As(err, &own) || own.Kind != noon.Invalid || own.Hint == "" {
		t.Errorf("%v (%s) is not an invalid plan with a hint", err, noon.KindOf(err))
	}
	for _, reason := range reasons {
		if !strings.Contains(err.Error(), reason) {
			t.Errorf("%v, want %s", err, reason)
		}
	}
	if after := ask(t, s.root, schema); after != before {
		t.Errorf("something was changed:\n%s\n%s", before, after)
	}
}

// E1: killed in the backfill, pgroll completed, and 192,000 of 200,000 values
// were NULL. noon does not contract before the backfill is proven, and the next
// call goes on with it.
func TestFindingE1(t *testing.T) {
	t.Parallel()
	s := newShop(t, small)
	p := s.plan(t, ageOnly)
	two := s.release(t, "r2", 1)
	if name := s.reachAndDie(t, p, postgres.Expanded, 7); !strings.Contains(name, "backfill") {
		t.Fatalf("died at %s", name)
	}
	err := s.open(t, postgres.Config{Wait: true}).Reach(t.Context(), postgres.Order{Version: 1, Phase: postgres.Contracted}, nil)
	if noon.KindOf(err) != noon.Conflict {
		t.Fatalf("contracting half a backfill: %v", err)
	}
	s.reach(t, p, postgres.Expanded)
	s.reach(t, p, postgres.Contracted)
	if got := ask(t, two, "select count(*), count(age), sum(age) from users"); got != "450|450|20025" {
		t.Errorf("after the contraction: %s", got)
	}
}

// E1b: a deadline in the backfill left pgroll in the same trap.
func TestFindingE1b(t *testing.T) {
	t.Parallel()
	s := newShop(t, small)
	p := s.plan(t, ageOnly)
	two := s.release(t, "r2", 1)
	ctx, cancel := context.WithCancel(t.Context())
	e := s.open(t, postgres.Config{Batch: 50})
	err := e.Reach(ctx, postgres.Order{Plan: &p, Phase: postgres.Expanded}, func(p postgres.Progress) {
		if p.Filled > 0 {
			cancel()
		}
	})
	if noon.KindOf(err) != noon.Unavailable {
		t.Fatalf("cut off: %v", err)
	}
	if err := e.Reach(t.Context(), postgres.Order{Plan: &p, Phase: postgres.Contracted}, nil); noon.KindOf(err) != noon.Conflict {
		t.Fatalf("contracting half a backfill: %v", err)
	}
	s.reach(t, p, postgres.Expanded)
	s.reach(t, p, postgres.Contracted)
	if got := ask(t, two, "select count(age) from users"); got != "450" {
		t.Errorf("%s values", got)
	}
}

// E2: a syntax error in up was dropped by pgroll, and all values were NULL.
// noon reads expressions with the server's grammar and tries them on an empty
// copy.
func TestFindingE2(t *testing.T) {
	t.Parallel()
	s := newShop(t, small)
	s.refused(t, strings.Replace(ageOnly, "up: age::integer", `up: "age::integer +"`, 1), "can not be read")
	s.refused(t, strings.Replace(ageOnly, "up: age::integer", "up: no_such(age)", 1), "function no_such(text) does not exist")
	s.refused(t, strings.Replace(ageOnly, "up: age::integer", "up: age", 1), "expression is of type text")
	s.refused(t, strings.Replace(ageOnly, "type: integer", "type: no_such", 1), "no_such")
}

// E3: behind search_path = version, public pgroll stored NULL, and for names
// with their schema too. noon takes the first schema that decides, and what was
// written over who wrote.
func TestFindingE3(t *testing.T) {
	t.Parallel()
	s := newShop(t, small)
	s.reach(t, s.plan(t, ageOnly), postgres.Expanded)
	v := s.app + "_v1"
	s.run(t, s.url, "set search_path = "+v+", public; insert into users (mail, age) values ('a', 33); update users set age = 77 where id = 1")
	s.run(t, s.url, "insert into "+v+".users (mail, age) values ('b', 44); update "+v+".users set age = 78 where id = 2")
	s.run(t, s.url, "set search_path = pg_catalog; insert into public.users (mail, age) values ('c', '55')")
	s.run(t, s.url, "set search_path = public, "+v+"; insert into users (mail, age) values ('d', '66')")
	const want = "77|78|33|44|55|66"
	if got := strings.ReplaceAll(ask(t, s.url, "select age from users where id in (1, 2) or id > 450 order by id"), "\n", "|"); got != want {
		t.Errorf("the tables have %s, want %s", got, want)
	}
	if got := strings.ReplaceAll(ask(t, s.url, "select age from "+v+".users where id in (1, 2) or id > 450 order by id"), "\n", "|"); got != want {
		t.Errorf("the version has %s, want %s", got, want)
	}
}

// E13: a version whose name needs quotes stored NULL. noon's versions are
// numbers, apps' names are checked, and tables may be called anything.
func TestFindingE13(t *testing.T) {
	t.Parallel()
	s := newShop(t, `create table "02-Type" (id int primary key, "a""g e" text not null); insert into "02-Type" values (1, '7')`)
	p := s.plan(t, `operations: [{alter_column: {table: 02-Type, column: 'a"g e', type: integer, up: '"a""g e"::integer', down: '"a""g e"::text'}}]`)
	two := s.release(t, "r2", 1)
	s.reach(t, p, postgres.Expanded)
	s.run(t, two, `insert into "02-Type" values (2, 33); update "02-Type" set "a""g e" = 8 where id = 1`)
	if got := ask(t, s.url, `select "a""g e" from "02-Type" order by id`); got != "8\n33" {
		t.Errorf("the old release sees %s", got)
	}
	s.reach(t, p, postgres.Contracted)
	if got := ask(t, two, `select sum("a""g e") from "02-Type"`); got != "41" {
		t.Errorf("the new release sees %s", got)
	}
	if _, err := postgres.Open(t.Context(), postgres.Config{URL: s.url, App: "02-shop"}); noon.KindOf(err) != noon.Invalid {
		t.Errorf("app 02-shop: %v", err)
	}
}

// E4c: pgroll's lock timeout was set on another connection than the one that
// waited, and readers of the app waited 4 s behind it. noon's is in the
// transaction that waits; it gives up, says who is in the way, and has changed
// nothing.
func TestFindingE4c(t *testing.T) {
	t.Parallel()
	s := newShop(t, small)
	p := s.plan(t, ageOnly)
	one := s.release(t, "r1", 0)
	blocker := s.connect(t, s.as(s.app+"_r1"))
	if _, err := blocker.Exec(t.Context(), "begin; select count(*) from users"); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer all.Wait()
	defer cancel()
	reader := s.connect(t, one+"&lock_timeout=3000") // far above noon's budget for a lock, far below a queue behind the reader
	all.Go(func() {
		for ctx.Err() == nil {
			if _, err := reader.Exec(context.WithoutCancel(ctx), "select count(*) from users"); err != nil {
				t.Errorf("a reader of the app: %v", err)
				return
			}
		}
	})
	tries := 0
	err := s.open(t, postgres.Config{LockBudget: 1}).Reach(t.Context(), postgres.Order{Plan: &p, Phase: postgres.Expanded}, func(p postgres.Progress) { tries = max(tries, p.Try) })
	if noon.KindOf(err) != noon.Conflict || !strings.Contains(err.Error(), s.app+"_r1") || !strings.Contains(err.Error(), "idle in transaction") || !strings.Contains(err.Error(), "select count(*) from users") {
		t.Errorf("the blocker is not named in: %v", err)
	}
	if tries == 0 {
		t.Error("nobody was told of the try")
	}
	if got := ask(t, s.root, "select count(*) from pg_namespace where nspname like '%\\_v1'"); got != "0" {
		t.Errorf("%s version schemas after a failed expansion", got)
	}
	// Ended only by an explicit setting.
	if err := s.open(t, postgres.Config{EndIdle: 1}).Reach(t.Context(), postgres.Order{Plan: &p, Phase: postgres.Expanded}, nil); err != nil {
		t.Errorf("with the blocker ended: %v", err)
	}
}

// E5, E5b, E5e, E5f: pgroll failed 707 to 21,464 writes of the old app while it
// started a change of type or SET NOT NULL, 4,502 of the new app while it
// completed, and more while it rolled back. noon fails none.
func TestFindingE5(t *testing.T) { t.Parallel(); noFailedWrites(t, ageOnly, postgres.Contracted) }

func TestFindingE5b(t *testing.T) {
	t.Parallel()
	noFailedWrites(t, ageOnly+"  - alter_column: {table: users, column: note, nullable: false, up: \"coalesce(note, '-')\", down: note}\n", postgres.Contracted)
}

func TestFindingE5e(t *testing.T) {
	t.Parallel()
	noFailedWrites(t, smallChange, postgres.Contracted)
}

func TestFindingE5f(t *testing.T) { t.Parallel(); noFailedWrites(t, smallChange, postgres.Withdrawn) }

// noFailedWrites lets people write through whatever release is live in every
// phase.
func noFailedWrites(t *testing.T, yaml string, end postgres.Phase) {
	t.Helper()
	s := newShop(t, small)
	p := s.firstPlan(t, yaml)
	one := s.release(t, "r1", 0)
	two := s.release(t, "r2", 1)
	c := newCrowd(t, s, one, two)
	c.plain = yaml != smallChange
	c.old(3)
	c.enough(t, 20)
	s.reach(t, p, postgres.Expanded)
	c.new(2)
	c.enough(t, 100)
	c.stop(t)
	c.compare(t, true, true)
	if end == postgres.Withdrawn {
		c.old(3)
		c.enough(t, 20)
		defer s.watch.During(s.app, string(end))()
		if err := s.engine.Reach(t.Context(), postgres.Order{Plan: &p, Phase: end, AcceptLoss: true}, nil); err != nil {
			t.Fatal(err)
		}
		c.enough(t, 20)
		c.stop(t)
		c.compare(t, true, false)
		s.empty(t)
		return
	}
	c.new(3)
	c.enough(t, 20)
	s.reach(t, p, end)
	c.enough(t, 20)
	c.stop(t)
	c.compare(t, false, true)
	s.settled(t)
}
