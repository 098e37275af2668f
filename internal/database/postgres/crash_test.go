package postgres_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/database/dbtest"
	"github.com/noon-deploy/noon/internal/database/postgres"
	"github.com/noon-deploy/noon/internal/fault"
)

// childArg makes the test's binary a process that reaches one phase.
const childArg = "-reach"

// errand is what such a process is told.
type errand struct {
	Config postgres.Config
	Order  postgres.Order
}

func child() int {
	var e errand
	if err := json.NewDecoder(os.Stdin).Decode(&e); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	points, err := fault.FromEnv()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	e.Config.Fault = points
	ctx := context.Background()
	engine, err := postgres.Open(ctx, e.Config)
	if err == nil {
		err = engine.Reach(ctx, e.Order, nil)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// reachAndDie lets another process reach a phase, and reports at which point it
// was killed: "" if it came to its end.
func (s *shop) reachAndDie(t *testing.T, p postgres.Plan, phase postgres.Phase, point int) string {
	t.Helper()
	in, err := json.Marshal(errand{postgres.Config{URL: s.noon, App: s.app, Role: s.owner, Batch: 200}, postgres.Order{Plan: &p, Phase: phase, AcceptLoss: true}})
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "died")
	cmd := exec.CommandContext(t.Context(), os.Args[0], childArg)
	cmd.Stdin = bytes.NewReader(in)
	defer s.watch.During(s.app, string(phase))()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=*:%d", fault.Env, point), fault.EnvLog+"="+log)
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			name, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSpace(string(name))
		}
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return ""
}

// small is a plan with every kind of stage, over a table that takes several
// batches.
const small = `
create type rank as enum ('new', 'old');
create table users (id bigint generated always as identity primary key, mail text not null, age text not null default '7', first text, last text, note text, own int not null default 0, rank rank not null default 'new');
create index users_age on users (age);
insert into users (mail, age, first, last) select 'u' || n, (n % 90)::text, 'f' || n, 'l' || n from generate_series(1, 450) n`

const smallChange = `
operations:
  - alter_column: {table: users, column: age, type: integer, up: age::integer, down: age::text, check: {name: adult, constraint: age >= 0}}
  - rename_column: {table: users, from: mail, to: email}
  - merge_columns: {table: users, from: [first, last], to: {name: name, type: text, nullable: true}, up: "first || ' ' || last", down: {first: "split_part(name, ' ', 1)", last: "split_part(name, ' ', 2)"}}
  - create_index: {table: users, name: users_email, columns: [email]}
  - rename_enum_value: {type: rank, from: new, to: fresh}
`

// The process of the engine dies at every point of the way to each phase, while
// both releases write; the next one finishes, and nothing is lost.
func TestKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	for _, phase := range []postgres.Phase{postgres.Expanded, postgres.Contracted, postgres.Withdrawn} {
		t.Run(string(phase), func(t *testing.T) {
			t.Parallel()
			for point := 1; ; point++ {
				name, ended := "", false
				t.Run(fmt.Sprint(point), func(t *testing.T) { name, ended = diesAt(t, phase, point) })
				if t.Failed() || ended {
					return
				}
				t.Logf("died at point %d, %s", point, name)
				if point > 200 {
					t.Fatal("the points have no end")
				}
			}
		})
	}
}

func diesAt(t *testing.T, phase postgres.Phase, point int) (string, bool) {
	t.Helper()
	s := newShop(t, small)
	p := s.firstPlan(t, smallChange)
	one := s.release(t, "r1", 0)
	two := s.release(t, "r2", 1)
	c := newCrowd(t, s, one, two)
	c.old(2)
	if phase != postgres.Expanded {
		s.reach(t, p, postgres.Expanded)
		if phase == postgres.Contracted {
			c.stop(t)
		}
	}
	name := s.reachAndDie(t, p, phase, point)
	s.reach2(t, p, phase)
	switch phase {
	case postgres.Expanded:
		c.new(2)
		c.enough(t, 20)
		c.stop(t)
		c.compare(t, true, true)
	case postgres.Contracted:
		c.new(1)
		c.enough(t, 20)
		c.stop(t)
		c.compare(t, false, true)
	default:
		c.stop(t)
		c.compare(t, true, false)
		s.empty(t)
	}
	return name, name == ""
}

// reach2 reaches a phase after somebody else has died on the way.
func (s *shop) reach2(t *testing.T, p postgres.Plan, phase postgres.Phase) {
	t.Helper()
	o := postgres.Order{Plan: &p, Version: p.To, Phase: phase, AcceptLoss: true}
	e := s.open(t, postgres.Config{Wait: true, Batch: 200})
	defer s.watch.During(s.app, string(phase))()
	if err := e.Reach(t.Context(), o, nil); err != nil {
		t.Fatal(err)
	}
}

// empty makes sure that nothing of noon's is left but its journal.
func (s *shop) empty(t *testing.T) {
	t.Helper()
	s.settled(t)
	if got := ask(t, s.root, `select nspname from pg_namespace where nspname like '%\_v1'`); got != "" {
		t.Errorf("schema %s is left behind", got)
	}
}

// settled makes sure of the same while a version's schema is there.
func (s *shop) settled(tb testing.TB) {
	tb.Helper()
	got := ask(tb, s.root, `select 'column ' || attname from pg_attribute a join pg_class c on c.oid = a.attrelid where attname like '\_noon%' and not attisdropped and c.relkind = 'r'
union all select 'trigger ' || tgname from pg_trigger where tgname like '~noon%'
union all select 'function ' || proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'noon'
union all select 'constraint ' || conname from pg_constraint where conname like '\_noon%'
union all select 'index ' || relname from pg_class where relname like '\_noon%'
union all select 'version ' || version from noon.version where state <> 'contracted'`)
	if got != "" {
		tb.Errorf("left behind:\n%s", got)
	}
}

// The server dies at every point of an expansion and a contraction. What it has
// answered stays; the next call finishes.
func TestServerKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	server := dbtest.ForTest(t, dbtest.Postgres)
	w := newWatch(t.Context(), server.PostgresURL("postgres"))
	t.Cleanup(func() { w.Close(); t.Log(w.Report()) })
	s := newShopOn(t, server, w, small)
	p := s.firstPlan(t, smallChange)
	one := s.release(t, "r1", 0)
	two := s.release(t, "r2", 1)
	c := newCrowd(t, s, one, two)
	c.patient = true
	c.old(2)
	for _, phase := range []postgres.Phase{postgres.Expanded, postgres.Contracted} {
		if phase == postgres.Contracted {
			c.new(1)
			c.enough(t, 20)
			c.stop(t)
			c.compare(t, true, true)
		}
		// Each try begins where the one before was cut off: the points that
		// it passes grow in number so that each comes to be the last.
		for point, left := int64(1), 1; left > 0; point++ {
			left = s.serverDies(t, p, phase, point)
			if point > 100 {
				t.Fatal("the points have no end")
			}
		}
	}
	c.new(1)
	c.enough(t, 20)
	c.stop(t)
	c.compare(t, false, true)
}

// serverDies reaches a phase with a server that dies at a point, and reports
// whether it did.
func (s *shop) serverDies(t *testing.T, p postgres.Plan, phase postgres.Phase, point int64) int {
	t.Helper()
	died := 0
	ended := make(chan error, 1)
	points := fault.At(point, func(name string) {
		t.Logf("the server dies at %s", name)
		died = 1
		s.server.Kill()
		runtime.Goexit()
	})
	e := s.open(t, postgres.Config{Fault: points, Batch: 200, Wait: true})
	defer s.watch.During(s.app, string(phase))()
	go func() {
		err := errors.New("cut off")
		defer func() { ended <- err }()
		err = e.Reach(t.Context(), postgres.Order{Plan: &p, Phase: phase}, nil)
	}()
	err := <-ended
	if died == 0 {
		if err != nil {
			t.Fatal(err)
		}
		return 0
	}
	for tries := 0; ; tries++ { // the memory of the one before is in use until the last of its processes has ended
		err := s.server.Start(t.Context())
		if err == nil {
			return 1
		}
		if tries > 20 || !strings.Contains(err.Error(), "shared memory") {
			t.Fatal(err)
		}
		<-time.After(50 * time.Millisecond)
	}
}
