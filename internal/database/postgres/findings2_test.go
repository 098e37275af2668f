package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/postgres"
)

// E6: the index by which pgroll wanted one active migration allowed two. noon
// has a lock; the second engine is refused and told who has it, or waits.
func TestFindingE6(t *testing.T) {
	t.Parallel()
	s := newShop(t, small)
	p := s.plan(t, ageOnly)
	o := postgres.Order{Plan: &p, Phase: postgres.Expanded}
	var all sync.WaitGroup
	held, go1 := make(chan struct{}), make(chan struct{})
	var once sync.Once
	all.Go(func() {
		err := s.engine.Reach(t.Context(), o, func(postgres.Progress) {
			once.Do(func() { close(held) })
			<-go1
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-held
	err := s.open(t, postgres.Config{}).Reach(t.Context(), o, nil)
	if noon.KindOf(err) != noon.Conflict || !strings.Contains(err.Error(), "application noon "+s.app) {
		t.Errorf("the second engine: %v", err)
	}
	all.Go(func() {
		if err := s.open(t, postgres.Config{Wait: true}).Reach(t.Context(), o, nil); err != nil {
			t.Errorf("the one that waits: %v", err)
		}
	})
	close(go1)
	all.Wait()
	if got := ask(t, s.noon, "select version, state from noon.version"); got != "1|expanded" {
		t.Errorf("the journal has %s", got)
	}
}

// E7: a change of a primary key's type with a foreign key on it could neither
// be completed nor rolled back by pgroll, and left no version at all. noon takes
// the foreign key along, and says so if the release does not.
func TestFindingE7(t *testing.T) {
	t.Parallel()
	s := newShop(t, `create table users (id serial primary key); create table orders (id int primary key, user_id int references users (id))`)
	const users = "operations: [{alter_column: {table: users, column: id, type: bigint, up: id, down: id::integer}}"
	s.refused(t, users+"]", "foreign key orders_user_id_fkey of public.orders references it, and orders.user_id does not change in this release")
	p := s.plan(t, users+", {alter_column: {table: orders, column: user_id, type: bigint, up: user_id, down: user_id::integer}}]")
	two := s.release(t, "r2", 1)
	s.reach(t, p, postgres.Expanded)
	s.run(t, two, "insert into users default values; insert into orders values (1, 1)")
	s.reach(t, p, postgres.Contracted)
	s.settled(t)
	if got := ask(t, two, "insert into users default values returning id; select user_id, pg_typeof(user_id) from orders"); got != "1|bigint" {
		t.Errorf("the new release reads %s", got)
	}
}

// E7d: no column of a table with a GENERATED ALWAYS identity could be
// backfilled by pgroll, which set the key to itself. noon sets only what is new.
func TestFindingE7d(t *testing.T) {
	t.Parallel()
	s := newShop(t, `create table users (id bigint generated always as identity primary key, age text); insert into users (age) select n::text from generate_series(1, 300) n`)
	p := s.plan(t, ageOnly)
	s.reach(t, p, postgres.Expanded)
	if got := ask(t, s.url, "select sum(age) from "+s.app+"_v1.users"); got != "45150" {
		t.Errorf("the new version sees %s", got)
	}
}

// E8: with a transaction open, pgroll's index was left INVALID, and the retry
// failed with "already exists". noon cleans up what is invalid, whoever left it.
func TestFindingE8(t *testing.T) {
	t.Parallel()
	s := newShop(t, small)
	p := s.plan(t, "operations: [{create_index: {table: users, name: users_mail, columns: [mail], unique: true}}]")
	s.run(t, s.url, "insert into users (mail) values ('u1')")
	err := s.engine.Reach(t.Context(), postgres.Order{Plan: &p, Phase: postgres.Expanded}, nil)
	if err == nil || !strings.Contains(err.Error(), "Key (mail)=(u1) is duplicated") {
		t.Errorf("an index over duplicates: %v", err)
	}
	const invalid = "select count(*) from pg_index where not indisvalid"
	if got := ask(t, s.url, invalid); got != "0" {
		t.Errorf("%s invalid indexes are left", got)
	}
	s.run(t, s.url, "delete from users where id > 450")
	// An invalid index of that name, as a process that died would leave it.
	s.run(t, s.root, "create unique index users_mail on users (mail); update pg_index set indisvalid = false where indexrelid = 'users_mail'::regclass")
	blocker := s.connect(t, s.url)
	if _, err := blocker.Exec(t.Context(), "begin; update users set note = 'x' where id = 1"); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() { s.reach(t, p, postgres.Expanded) })
	s.until(t, "select count(*) > 0 from pg_stat_activity where query like '%concurrently%' and wait_event_type = 'Lock' and datname = current_database() and pid <> pg_backend_pid()")
	if _, err := blocker.Exec(t.Context(), "commit"); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	if got := ask(t, s.url, "select indisvalid from pg_index where indexrelid = 'users_mail'::regclass"); got != "t" {
		t.Errorf("the index is valid: %s", got)
	}
}

// until waits until a query answers true.
func (s *shop) until(t *testing.T, sql string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ask(t, s.root, sql) != "t"; <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came true: %s", sql)
		}
	}
}

// E9: an ordinary owner of a database could not use pgroll, which makes event
// triggers. noon needs no superuser: these tests log in as none.
func TestFindingE9(t *testing.T) {
	t.Parallel()
	s := newShop(t, small)
	p := s.plan(t, smallChange)
	s.release(t, "r2", 1)
	s.reach(t, p, postgres.Expanded)
	s.reach(t, p, postgres.Contracted)
	if got := ask(t, s.noon, "select rolsuper, rolbypassrls, rolreplication from pg_roles where rolname = current_user"); got != "f|f|f" {
		t.Errorf("noon is %s", got)
	}
}

// E11: what does not work through views is said in the plan, and works with the
// table's own name; what can work does.
func TestFindingE11(t *testing.T) {
	t.Parallel()
	s := newShop(t, small)
	p := s.plan(t, ageOnly)
	if len(p.Findings) == 0 || !strings.Contains(p.Findings[len(p.Findings)-1].Text, "COPY, TRUNCATE, MERGE") {
		t.Errorf("the plan says %v", p.Findings)
	}
	s.reach(t, p, postgres.Expanded)
	two := s.release(t, "r2", 1)
	if got := ask(t, two, "insert into users (mail, age) overriding system value values ('x', 1) returning age"); got != "1" {
		t.Errorf("returning %s", got)
	}
	s.run(t, two, "insert into users (id, mail, age) overriding system value values (1, 'x', 5) on conflict (id) do update set age = excluded.age")
	if got := ask(t, two, "select id from users where id < 3 order by id for update skip locked"); got != "1\n2" {
		t.Errorf("skip locked: %s", got)
	}
	conn := s.connect(t, two)
	if _, err := conn.PgConn().CopyFrom(t.Context(), strings.NewReader("copied\t64\n"), "copy public.users (mail, age) from stdin"); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, two, "select u.age, o.age from users u join public.users o using (id) where u.mail in ('u1', 'copied') order by id"); got != "5|5\n64|64" {
		t.Errorf("the versions have %s", got)
	}
}

// E12: pgroll renamed columns by replacing text: in a check with a and paid_id
// it made paid_id p_pgroll_new_aid_id. noon renames on the parse tree.
func TestFindingE12(t *testing.T) {
	t.Parallel()
	s := newShop(t, `create table things (id int primary key, a text, paid_id int, t text default 'a', check (length(a) > 0 or paid_id = any (array[1, 2]) or t = 'a "a" a'));
create index things_a on things (lower(a), paid_id) where a <> 'a'; insert into things values (1, 'x', 1)`)
	p := s.plan(t, "operations: [{alter_column: {table: things, column: a, type: varchar(20), up: a, down: a}}]")
	s.release(t, "r2", 1)
	s.reach(t, p, postgres.Expanded)
	s.reach(t, p, postgres.Contracted)
	if got := ask(t, s.url, "select pg_get_constraintdef(oid) from pg_constraint where conname = 'things_check'"); got != `CHECK (((length((a)::text) > 0) OR (paid_id = ANY (ARRAY[1, 2])) OR (t = 'a "a" a'::text)))` {
		t.Errorf("the check is %s", got)
	}
	if got := ask(t, s.url, "select indexdef from pg_indexes where indexname = 'things_a'"); got != "CREATE INDEX things_a ON public.things USING btree (lower((a)::text), paid_id) WHERE ((a)::text <> 'a'::text)" {
		t.Errorf("the index is %s", got)
	}
}

// E14: names that were cut to the same 63 bytes overwrote each other, and
// values were NULL. noon's end in a hash of the whole.
func TestFindingE14(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("valid_until_the_end_of_", 2) + "time_or_later"
	from, to := long+"_fr", long+"_to"
	table := strings.Repeat("a_table_with_a_long_name_", 2) + "_indeed"
	s := newShop(t, "create table "+table+" (id int primary key, "+from+" text, "+to+" text); insert into "+table+" values (1, '1', '2')")
	p := s.plan(t, strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(`operations:
  - alter_column: {table: TABLE, column: FROM, type: integer, up: FROM::integer, down: FROM::text}
  - alter_column: {table: TABLE, column: TO, type: integer, up: TO::integer, down: TO::text}`, "TABLE", table), "FROM", from), "TO", to))
	s.release(t, "r2", 1)
	s.reach(t, p, postgres.Expanded)
	s.run(t, s.url, "insert into "+table+" values (2, '3', '4')")
	s.reach(t, p, postgres.Contracted)
	if got := ask(t, s.url, "select "+from+", "+to+" from "+table+" order by id"); got != "1|2\n3|4" {
		t.Errorf("the values are %s", got)
	}
}

// E15: a partitioned table and a column that a generated one uses failed when
// pgroll completed. noon changes both; see TestGeneratedColumns for the second.
func TestFindingE15(t *testing.T) {
	t.Parallel()
	s := newShop(t, `create table log (at int not null, id int not null, line text, primary key (at, id)) partition by range (at);
create table log_1 partition of log for values from (0) to (100); create table log_2 partition of log for values from (100) to (200);
insert into log select n, n, n::text from generate_series(0, 199) n`)
	const line = "operations: [{alter_column: {table: log, column: line, type: integer, up: line::integer, down: line::text}}]"
	if ask(t, s.root, "select current_setting('server_version_num')::int < 130000") == "t" {
		s.refused(t, line, "this server has no triggers before rows of such tables")
		return
	}
	p := s.plan(t, line)
	two := s.release(t, "r2", 1)
	s.reach(t, p, postgres.Expanded)
	s.run(t, s.url, "update log set at = at + 100, line = '7' where at = 1") // moves to the other partition
	s.run(t, two, "update log set at = at - 100 where at = 150; update log set line = line + 1 where at = 2")
	if got := ask(t, two, "select sum(line), count(*) from log"); got != "19907|200" {
		t.Errorf("the new version has %s", got)
	}
	s.reach(t, p, postgres.Contracted)
	if got := ask(t, two, "select sum(line), count(*) from log"); got != "19907|200" {
		t.Errorf("after the contraction: %s", got)
	}
}

// E17: with a view on the column pgroll completed half. noon refuses in the
// plan; if the view comes later, the contraction is refused before anything is
// changed.
func TestFindingE17(t *testing.T) {
	t.Parallel()
	s := newShop(t, small)
	p := s.plan(t, ageOnly)
	s.run(t, s.url, "create view report as select age from users")
	s.refused(t, ageOnly, "view public.report uses it")
	s.run(t, s.url, "drop view report")
	s.release(t, "r2", 1)
	s.reach(t, p, postgres.Expanded)
	s.run(t, s.url, "create view report as select age from users")
	err := s.engine.Reach(t.Context(), postgres.Order{Plan: &p, Phase: postgres.Contracted}, nil)
	if noon.KindOf(err) != noon.Conflict || !strings.Contains(err.Error(), "view public.report uses age") {
		t.Errorf("contracting under a view: %v", err)
	}
	s.run(t, s.url, "select age from users limit 1; drop view report")
	s.reach(t, p, postgres.Contracted)
}

// E20: the version was a setting of pgroll's sessions, which PgBouncer in
// transaction mode refuses or leaks to the next client. noon's comes with the
// login: a session whose settings were all discarded still has it.
func TestFindingE20(t *testing.T) {
	t.Parallel()
	s := newShop(t, small)
	s.reach(t, s.plan(t, ageOnly), postgres.Expanded)
	two := s.release(t, "r2", 1)
	conn := s.connect(t, two)
	for _, sql := range []string{"set search_path = nowhere", "discard all", "insert into users (mail, age) values ('x', 33)"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if got := ask(t, s.url, "select age from users where mail = 'x'"); got != "33" {
		t.Errorf("the old release sees %s", got)
	}
}

// E21: the columns of pgroll's views came in a random order. noon's are in the
// order of the table, now and after the contraction.
func TestFindingE21(t *testing.T) {
	t.Parallel()
	s := newShop(t, "create table wide (a int primary key, b int, c text, d int, e int, f int, g int, h int)")
	p := s.plan(t, "operations:\n  - alter_column: {table: wide, column: c, type: integer, up: c::integer, down: c::text}\n  - add_column: {table: wide, column: {name: z, type: int, nullable: true}}\n  - rename_column: {table: wide, from: d, to: dd}")
	s.release(t, "r2", 1)
	s.reach(t, p, postgres.Expanded)
	const columns = "select string_agg(attname, ',' order by attnum) from pg_attribute where attnum > 0 and not attisdropped and attrelid = "
	const want = "a,b,dd,e,f,g,h,c,z"
	if got := ask(t, s.root, columns+"'"+s.app+"_v1.wide'::regclass"); got != want {
		t.Errorf("the view has %s, want %s", got, want)
	}
	s.reach(t, p, postgres.Contracted)
	for _, table := range []string{"public.wide", s.app + "_v1.wide"} {
		if got := ask(t, s.root, columns+"'"+table+"'::regclass"); got != want {
			t.Errorf("%s has %s, want %s", table, got, want)
		}
	}
}

// Bad input and bad surroundings: what, where, why, what to do; and nothing is
// half applied.
func TestBadSurroundings(t *testing.T) {
	t.Parallel()
	s := newShop(t, small)
	open := func(url string) error {
		_, err := postgres.Open(t.Context(), postgres.Config{URL: url, App: s.app})
		return err
	}
	for name, c := range map[string]struct {
		err  error
		kind noon.ErrorKind
		want string
	}{
		"wrong password": {open(strings.Replace(s.noon, password, "wrong", 1)), noon.Invalid, "password authentication failed"},
		"unreachable":    {open("postgres://a:secret@127.0.0.1:1/x"), noon.Unavailable, "connection refused"},
		"no database":    {open(strings.Replace(s.root, "/"+s.app, "/nowhere", 1)), noon.Invalid, "does not exist"},
		"no address":     {open("nonsense://:::"), noon.Invalid, "can not be read"},
	} {
		var own *noon.Error
		if !errors.As(c.err, &own) || own.Kind != c.kind || own.Hint == "" || !strings.Contains(own.Error(), c.want) || strings.Contains(own.Error(), "secret") {
			t.Errorf("%s: %v (%s, %s)", name, c.err, noon.KindOf(c.err), noon.HintOf(c.err))
		}
	}
	s.run(t, s.root, "create role "+s.app+"_poor login password '"+password+"'; grant "+s.app+" to "+s.app+"_poor; revoke all on database "+s.app+" from "+s.app)
	poor := s.open(t, postgres.Config{URL: s.as(s.app + "_poor")})
	if _, err := poor.Role(t.Context(), "r1", 0, password); err == nil || !strings.Contains(noon.HintOf(err), "GRANT CREATE ON DATABASE") && !strings.Contains(noon.HintOf(err), "CREATEROLE") {
		t.Errorf("a role that may nothing: %v (%s)", err, noon.HintOf(err))
	}
	s.run(t, s.root, "grant all on database "+s.app+" to "+s.app)
	if _, err := poor.Role(t.Context(), "r1", 0, password); err == nil || !strings.Contains(noon.HintOf(err), "ALTER ROLE \""+s.app+"_poor\" CREATEROLE") {
		t.Errorf("a role that may not create roles: %v (%s)", err, noon.HintOf(err))
	}
}

// A value that has no new form stops the backfill by name, the old release
// writes such values without noticing, and the contraction is refused while
// there is one.
func TestValuesWithoutNewForm(t *testing.T) {
	t.Parallel()
	s := newShop(t, small)
	s.run(t, s.url, "update users set age = 'old' where id = 77")
	p := s.plan(t, ageOnly)
	o := postgres.Order{Plan: &p, Phase: postgres.Expanded}
	err := s.engine.Reach(t.Context(), o, nil)
	if noon.KindOf(err) != noon.Failure || !strings.Contains(err.Error(), "id = 77") || !strings.Contains(err.Error(), `"old"`) {
		t.Errorf("the row is not named: %v", err)
	}
	s.run(t, s.url, "update users set age = '1' where id = 77")
	s.reach(t, p, postgres.Expanded)
	s.release(t, "r2", 1)
	s.run(t, s.url, "insert into users (mail, age) values ('x', 'young')")
	err = s.engine.Reach(t.Context(), postgres.Order{Plan: &p, Phase: postgres.Contracted}, nil)
	if err == nil || !strings.Contains(err.Error(), "young") {
		t.Errorf("contracting over a value without a new form: %v", err)
	}
	// Back: what the old release wrote is as it wrote it.
	if err := s.engine.Reach(t.Context(), postgres.Order{Version: 1, Phase: postgres.Withdrawn}, nil); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, s.url, "select age from users where mail = 'x' or id = 77 order by id"); got != "1\nyoung" {
		t.Errorf("the old release sees %s", got)
	}
	s.empty(t)
}

// Sessions of the old release keep the contraction from taking their view away.
func TestSessionsOfTheOldRelease(t *testing.T) {
	t.Parallel()
	s := newShop(t, small)
	p := s.plan(t, ageOnly)
	one := s.release(t, "r1", 0)
	s.reach(t, p, postgres.Expanded)
	err := s.engine.Reach(t.Context(), postgres.Order{Plan: &p, Phase: postgres.Contracted}, nil)
	if noon.KindOf(err) != noon.Conflict || !strings.Contains(err.Error(), "no release has a role") {
		t.Errorf("contracting without roles: %v", err)
	}
	s.release(t, "r2", 1)
	conn := s.connect(t, one+"&application_name=web")
	if _, err := conn.Exec(t.Context(), "select 1"); err != nil {
		t.Fatal(err)
	}
	err = s.engine.Reach(t.Context(), postgres.Order{Plan: &p, Phase: postgres.Contracted}, nil)
	if noon.KindOf(err) != noon.Conflict || !strings.Contains(err.Error(), s.app+"_r1, application web") {
		t.Errorf("contracting under a session: %v", err)
	}
	if err := s.engine.DropRole(t.Context(), "r1"); noon.KindOf(err) != noon.Conflict {
		t.Errorf("dropping a role with a session: %v", err)
	}
	if err := s.open(t, postgres.Config{EndSessions: true}).Reach(t.Context(), postgres.Order{Plan: &p, Phase: postgres.Contracted}, nil); err != nil {
		t.Fatal(err)
	}
	if err := conn.Ping(context.WithoutCancel(t.Context())); err == nil {
		t.Error("the session lives")
	}
	if err := s.engine.DropRole(t.Context(), "r1"); err != nil {
		t.Error(err)
	}
	st, err := s.engine.Status(t.Context())
	if err != nil || len(st.Versions) != 1 || st.Versions[0].State != "contracted" || len(st.Roles) != 1 || st.Roles[0].Release != "r2" {
		t.Errorf("status %+v, %v", st, err)
	}
}

// What only the new release can hold is counted before it is lost.
func TestWithdrawLoses(t *testing.T) {
	t.Parallel()
	s := newShop(t, small)
	p := s.plan(t, "operations:\n  - add_column: {table: users, column: {name: phone, type: text, nullable: true}}\n  - create_table: {name: notes, columns: [{name: id, type: serial, pk: true}, {name: text, type: text}]}")
	s.reach(t, p, postgres.Expanded)
	two := s.release(t, "r2", 1)
	s.run(t, two, "update users set phone = '1' where id < 4; insert into notes (text) values ('a')")
	o := postgres.Order{Version: 1, Phase: postgres.Withdrawn}
	err := s.engine.Reach(t.Context(), o, nil)
	if noon.KindOf(err) != noon.Conflict || !strings.Contains(err.Error(), "3 values of new column users.phone") || !strings.Contains(err.Error(), "1 rows of new table notes") {
		t.Errorf("withdrawing: %v", err)
	}
	o.AcceptLoss = true
	if err := s.engine.Reach(t.Context(), o, nil); err != nil {
		t.Fatal(err)
	}
	s.empty(t)
}

// A batch that takes too long is made smaller, down to one row, and that one is
// waited for: a slow expression ends, and nobody waits for more than a row.
func TestSlowRows(t *testing.T) {
	t.Parallel()
	s := newShop(t, "create table users (id int primary key, age text not null); insert into users select n, n::text from generate_series(1, 40) n")
	p := s.plan(t, "operations:\n  - alter_column: {table: users, column: age, type: integer, up: \"case when pg_sleep(0.02)::text = '' then age::integer end\", down: age::text}\n")
	e := s.open(t, postgres.Config{BatchTime: 2 * time.Millisecond})
	if err := e.Reach(t.Context(), postgres.Order{Plan: &p, Phase: postgres.Expanded}, nil); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, s.release(t, "r2", 1), "select count(*), sum(age) from users"); got != "40|820" {
		t.Errorf("the new release sees %s", got)
	}
}
