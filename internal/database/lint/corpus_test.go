package lint_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon/internal/database/dbtest"
	"github.com/noon-deploy/noon/internal/database/lint"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// entry is one line of the corpus.
type entry struct {
	line      int
	before    string
	statement string
	rules     []string
	fails     bool
	alone     bool
}

func corpus(t *testing.T) []entry {
	t.Helper()
	data, err := os.ReadFile("testdata/corpus.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []entry
	for i, text := range strings.Split(string(data), "\n") {
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		e := entry{line: i + 1}
		text, rules, _ := strings.Cut(text, " =>")
		for r := range strings.FieldsSeq(rules) {
			if r == "fails" {
				e.fails = true
			} else {
				e.rules = append(e.rules, r)
			}
		}
		slices.Sort(e.rules)
		text, e.alone = strings.CutPrefix(text, "! ")
		if before, after, found := strings.Cut(text, " ;; "); found {
			e.before, text = before, after
		}
		e.statement = text
		list = append(list, e)
	}
	return list
}

// server is a server with the tables of the corpus.
type server struct {
	*dbtest.Server
	copies int
}

func start(t *testing.T) *server {
	t.Helper()
	s, err := dbtest.Postgres(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	url, err := s.PostgresDatabase(t.Context(), "corpus")
	if err != nil {
		t.Fatal(err)
	}
	setup, err := os.ReadFile("testdata/setup.sql")
	if err != nil {
		t.Fatal(err)
	}
	conn := connect(t, url)
	run(t, conn, string(setup))
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &server{Server: s}
}

// copied makes a copy of the corpus' database, without connections of its own.
func (s *server) copied(t *testing.T) string {
	t.Helper()
	s.copies++
	called := fmt.Sprintf("copy%d", s.copies)
	conn := connect(t, s.PostgresURL("postgres"))
	run(t, conn, "create database "+called+" template corpus")
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s.PostgresURL(called)
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func run(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// measured is what a statement did, by the server's own account.
type measured struct {
	locks    []lint.Locked
	rewrites []pgcatalog.Name
}

const relations = `create temp table if not exists noted as
select c.oid, n.nspname::text as schema, c.relname::text as name, c.relfilenode from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('public', 'other') and c.relkind in ('r', 'p', 'v', 'm')`

const taken = `select o.schema, o.name, l.mode from pg_locks l join noted o on o.oid = l.relation
where l.pid = $1 and l.locktype = 'relation' and l.mode <> 'AccessShareLock'`

const rewritten = `select o.schema, o.name from noted o join pg_class c on c.oid = o.oid where c.relfilenode <> o.relfilenode and c.relkind in ('r', 'm') order by 1, 2`

// modeOf is the mode of "AccessExclusiveLock".
func modeOf(t *testing.T, text string) lint.Lock {
	t.Helper()
	for _, m := range lint.Locks() {
		if strings.EqualFold(strings.ReplaceAll(string(m), " ", "")+"Lock", text) {
			return m
		}
	}
	t.Fatalf("there is no mode %s", text)
	return ""
}

// strongest keeps the strongest lock on each table, by table.
func strongest(list []lint.Locked) []lint.Locked {
	var best []lint.Locked
	for _, l := range list {
		i := slices.IndexFunc(best, func(o lint.Locked) bool { return o.Table == l.Table })
		switch {
		case i < 0:
			best = append(best, l)
		case l.Mode.Stronger(best[i].Mode):
			best[i] = l
		}
	}
	slices.SortFunc(best, func(a, b lint.Locked) int { return a.Table.Compare(b.Table) })
	return best
}

func locksOf(t *testing.T, conn *pgx.Conn, pid uint32, waiting bool) []lint.Locked {
	t.Helper()
	query := taken
	if waiting {
		query += " and not l.granted"
	}
	rows, err := conn.Query(t.Context(), query, int32(pid))
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l lint.Locked, err error) {
		var mode string
		err = row.Scan(&l.Table.Schema, &l.Table.Name, &mode)
		l.Mode = modeOf(t, mode)
		return l, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strongest(list)
}

func rewrites(t *testing.T, conn *pgx.Conn) []pgcatalog.Name {
	t.Helper()
	rows, err := conn.Query(t.Context(), rewritten)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[pgcatalog.Name])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// measure runs a statement in a transaction that is rolled back unless keep.
func measure(t *testing.T, conn *pgx.Conn, statement string, keep bool) (measured, error) {
	t.Helper()
	run(t, conn, "drop table if exists noted; "+relations+"; begin")
	if _, err := conn.PgConn().Exec(t.Context(), statement).ReadAll(); err != nil {
		run(t, conn, "rollback")
		return measured{}, err
	}
	m := measured{locks: locksOf(t, conn, conn.PgConn().PID(), false), rewrites: rewrites(t, conn)}
	if keep {
		run(t, conn, "commit")
	} else {
		run(t, conn, "rollback")
	}
	return m, nil
}

// measureAlone runs a statement that must be outside of a transaction: while
// another session holds a lock on a table, so that the one it waits for is seen.
func measureAlone(t *testing.T, url, statement string, table pgcatalog.Name) measured {
	t.Helper()
	holder, conn := connect(t, url), connect(t, url)
	run(t, holder, strings.Replace(relations, "temp table", "unlogged table", 1))
	run(t, holder, "begin; lock table "+pgx.Identifier{table.Schema, table.Name}.Sanitize()+" in share update exclusive mode")
	done := make(chan error, 1)
	go func() {
		_, err := conn.PgConn().Exec(context.WithoutCancel(t.Context()), statement).ReadAll()
		done <- err
	}()
	var m measured
	deadline := time.Now().Add(20 * time.Second)
	for len(m.locks) == 0 && time.Now().Before(deadline) {
		m.locks = locksOf(t, holder, conn.PgConn().PID(), true)
	}
	run(t, holder, "commit")
	if err := <-done; err != nil {
		t.Errorf("%s: %v", statement, err)
	}
	m.rewrites = rewrites(t, holder)
	return m
}

func read(t *testing.T, conn *pgx.Conn) *lint.Catalog {
	t.Helper()
	c, err := lint.Read(t.Context(), conn, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func parse(t *testing.T, sql string) []sqlparse.Statement {
	t.Helper()
	list, err := sqlparse.Statements(sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return list
}

// Every lock and every rewrite that lint claims is what the server does, and
// the rules that find something are those of the corpus.
func TestCorpus(t *testing.T) {
	s := start(t)
	shared := connect(t, s.copied(t))
	catalog := read(t, shared)
	list := corpus(t)
	agree := 0
	for _, e := range list {
		conn, c, url := shared, catalog, ""
		if e.before != "" || e.alone {
			url = s.copied(t)
			conn = connect(t, url)
			run(t, conn, e.before)
			c = read(t, conn)
		}
		options := lint.Options{Tiny: 1, Separate: e.alone}
		statements := parse(t, e.statement)
		claim := lint.Effects(statements, c, options)[0]
		ok := sameRules(t, e, lint.Check(statements, c, options))
		var m measured
		var err error
		switch {
		case e.alone && len(claim.Locks) > 0:
			m = measureAlone(t, url, e.statement, claim.Locks[0].Table)
			claim.Locks = claim.Locks[:1]
		case !e.alone:
			m, err = measure(t, conn, e.statement, false)
		}
		switch {
		case (err != nil) != e.fails:
			t.Errorf("line %d: %s: the server says %v", e.line, e.statement, err)
		case err != nil:
		case !slices.Equal(m.locks, claim.Locks):
			t.Errorf("line %d: %s\nlint claims %v\nthe server %v", e.line, e.statement, claim.Locks, m.locks)
		case !slices.Equal(m.rewrites, claim.Rewrites):
			t.Errorf("line %d: %s\nlint claims that it rewrites %v, the server rewrites %v", e.line, e.statement, claim.Rewrites, m.rewrites)
		case ok:
			agree++
			continue
		}
		if err != nil && ok && e.fails {
			agree++
		}
		if url != "" {
			_ = conn.Close(t.Context())
		}
	}
	t.Logf("%d of %d statements agree", agree, len(list))
	if len(list) < 120 {
		t.Errorf("the corpus has %d statements, want at least 120", len(list))
	}
}

func sameRules(t *testing.T, e entry, findings []lint.Finding) bool {
	t.Helper()
	var rules []string
	for _, f := range findings {
		if f.Rule != "no-lock-timeout" {
			rules = append(rules, f.Rule)
		}
	}
	slices.Sort(rules)
	if !slices.Equal(rules, e.rules) {
		t.Errorf("line %d: %s\nfound by %v, want %v", e.line, e.statement, rules, e.rules)
		return false
	}
	return true
}

// What is offered instead of a statement runs, ends in the same catalogue, and
// takes the locks that lint claims for it: none that blocks writers while a
// table is read or written.
func TestFixes(t *testing.T) {
	s := start(t)
	fixed := map[string]bool{}
	shared := connect(t, s.copied(t))
	c := read(t, shared)
	for _, e := range corpus(t) {
		if e.fails {
			continue
		}
		for _, f := range lint.Check(parse(t, e.statement), c, lint.Options{Tiny: 1, Separate: e.alone}) {
			if f.Fix == nil || f.Accepted != "" || strings.HasPrefix(e.statement, "do ") {
				continue
			}
			fixed[f.Rule] = true
			better := connect(t, s.copied(t))
			run(t, better, e.before)
			run(t, shared, "begin; "+strings.Join([]string{e.before, e.statement}, ";"))
			want := comparable(read(t, shared))
			run(t, shared, "rollback")
			for _, step := range f.Fix {
				apply(t, better, e, step)
			}
			if got := comparable(read(t, better)); want != got {
				t.Errorf("%s (%s)\nends in another catalogue:\n%s", e.statement, f.Rule, difference(want, got))
			}
			_ = better.Close(t.Context())
		}
	}
	for _, r := range lint.Rules() {
		if r.Fixed && !fixed[r.ID] && !slices.Contains([]string{"validate-with-lock", "concurrently-in-transaction"}, r.ID) {
			t.Errorf("no statement of the corpus shows the safe form of %s", r.ID)
		}
		if !r.Fixed && fixed[r.ID] {
			t.Errorf("%s has a safe form, which its rule does not say", r.ID)
		}
	}
}

// apply runs one step of a safe form and compares what it does with the claim.
func apply(t *testing.T, conn *pgx.Conn, e entry, step lint.Step) {
	t.Helper()
	sql := strings.NewReplacer(":low", "-1000", ":high", "100000").Replace(strings.Join(step.SQL, ";\n"))
	if step.Alone {
		run(t, conn, sql)
		return
	}
	var claim []lint.Locked
	for _, effect := range lint.Effects(parse(t, sql), read(t, conn), lint.Options{Tiny: 1}) {
		claim = append(claim, effect.Locks...)
		for _, l := range effect.Locks {
			if work := len(effect.Scans) + len(effect.Builds) + len(effect.Rewrites); work > 0 && l.Mode.Stronger(lint.ShareUpdateExclusive) {
				t.Errorf("%s\nthe step %s still works under %s", e.statement, sql, l.Mode)
			}
		}
	}
	m, err := measure(t, conn, sql, true)
	switch {
	case err != nil:
		t.Errorf("%s\nthe step %s: %v", e.statement, sql, err)
	case !slices.Equal(m.locks, strongest(claim)):
		t.Errorf("%s\nthe step %s\nlint claims %v\nthe server %v", e.statement, sql, strongest(claim), m.locks)
	case len(m.rewrites) > 0:
		t.Errorf("%s\nthe step %s rewrites %v", e.statement, sql, m.rewrites)
	}
}

// comparable is a catalogue without what differs between equal databases.
func comparable(c *lint.Catalog) string {
	c.Server, c.Queries = pgcatalog.Server{}, nil
	for i := range c.Tables {
		t := &c.Tables[i]
		t.OID, t.Rows, t.HeapBytes, t.IndexBytes, t.ToastBytes = 0, 0, 0, 0, 0
		for j := range t.Indexes {
			t.Indexes[j].Bytes = 0
		}
	}
	data, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// difference are the lines in which two texts differ.
func difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	var out strings.Builder
	for _, line := range a {
		if !slices.Contains(b, line) {
			out.WriteString("- " + line + "\n")
		}
	}
	for _, line := range b {
		if !slices.Contains(a, line) {
			out.WriteString("+ " + line + "\n")
		}
	}
	return out.String()
}
