package mariadb_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/mariadb"
)

// trait is a part of a generated table: a word of a row, in the forms that the
// two versions have for it.
type trait struct {
	ddl      []string // columns of the old version
	op       change.Operation
	old, new form
	onlyOld  string // what the new version reads of a word that only the old one can write, "" if it can
	onlyNew  string // and the other way round
	number   bool   // words are digits
}

// form is how a version has a word: it reads words that were made of parts.
type form struct {
	columns []string
	parts   func(word string) []string
	read    string // SQL; "" if the version does not have it
}

func q(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func whole(column string) form {
	return form{columns: []string{column}, parts: func(w string) []string { return []string{w} }, read: q(column)}
}

// halves has a word as two: what stands before and after a dash.
func halves(a, b string) form {
	return form{columns: []string{a, b}, parts: func(w string) []string {
		first, last, _ := strings.Cut(w, "-")
		return []string{first, last}
	}, read: fmt.Sprintf("CONCAT(%s, '-', %s)", q(a), q(b))}
}

// strange are ends of names that need care.
func strange(r *rand.Rand) string {
	return []string{"", "`", `"`, "'", "é", "日本", " x", "select", "%", ".", "{copy}", "?", ";", "--", "/*"}[r.IntN(15)]
}

func yes() *bool { v := true; return &v }
func no() *bool  { v := false; return &v }

// generate makes a trait of the columns whose names begin with c.
func generate(r *rand.Rand, table, c string) trait {
	a, b, d := c+"a"+strange(r), c+"b"+strange(r), c+"c"+strange(r)
	text := func(n string) string { return q(n) + " VARCHAR(80) NOT NULL" }
	switch r.IntN(9) {
	case 0:
		return trait{ddl: []string{text(a)}, old: whole(a), new: whole(b), op: change.Operation{RenameColumn: &change.RenameColumn{Table: table, From: a, To: b}}}
	case 1:
		t := trait{number: true, ddl: []string{text(a)}, old: whole(a), new: whole(a)}
		t.op = change.Operation{AlterColumn: &change.AlterColumn{Table: table, Column: a, Type: "bigint unsigned", Up: "CAST(" + q(a) + " AS UNSIGNED) -- it is one", Down: "CAST(" + q(a) + " AS CHAR)"}}
		return t
	case 2:
		t := trait{number: true, ddl: []string{q(a) + " INT NOT NULL DEFAULT 3"}, old: whole(a), new: whole(a)}
		t.op = change.Operation{AlterColumn: &change.AlterColumn{Table: table, Column: a, Type: "varchar(30)", Down: q(a)}}
		return t
	case 3:
		t := trait{ddl: []string{q(a) + " VARCHAR(80)"}, old: whole(a), new: whole(a)}
		t.op = change.Operation{AlterColumn: &change.AlterColumn{Table: table, Column: a, Nullable: no(), Default: &change.Text{Value: "'none'"}}}
		return t
	case 4:
		t := trait{ddl: []string{text(a)}, old: whole(a), new: whole(a)}
		t.op = change.Operation{AlterColumn: &change.AlterColumn{Table: table, Column: a, Nullable: yes(), Type: "mediumtext", Down: q(a)}}
		return t
	case 5:
		t := trait{ddl: []string{text(a), text(b)}, old: halves(a, b), new: whole(d)}
		t.op = change.Operation{MergeColumns: &change.MergeColumns{
			Table: table, From: []string{a, b}, To: change.Column{Name: d, Type: "varchar(161)"}, Up: fmt.Sprintf("CONCAT(%s, '-', %s)", q(a), q(b)),
			Down: map[string]string{a: "SUBSTRING_INDEX(" + q(d) + ", '-', 1)", b: "SUBSTRING(" + q(d) + ", LOCATE('-', " + q(d) + ") + 1)"},
		}}
		return t
	case 6:
		t := trait{ddl: []string{text(a)}, old: whole(a), new: halves(b, d)}
		t.op = change.Operation{SplitColumn: &change.SplitColumn{
			Table: table, From: a, To: []change.Column{{Name: b, Type: "varchar(80)"}, {Name: d, Type: "varchar(80)", Nullable: true}},
			Up:   map[string]string{b: "SUBSTRING_INDEX(" + q(a) + ", '-', 1)", d: "SUBSTRING(" + q(a) + ", LOCATE('-', " + q(a) + ") + 1)"},
			Down: fmt.Sprintf("CONCAT(%s, '-', %s)", q(b), q(d)),
		}}
		return t
	case 7:
		def := "'it''s new'"
		t := trait{new: whole(a), onlyOld: "it's new"}
		t.op = change.Operation{AddColumn: &change.AddColumn{Table: table, Column: change.Column{Name: a, Type: "varchar(80)", Default: &def}}}
		return t
	default:
		t := trait{ddl: []string{q(a) + " VARCHAR(80) NOT NULL DEFAULT 'gone'"}, old: whole(a), onlyNew: "gone"}
		t.op = change.Operation{DropColumn: &change.DropColumn{Table: table, Column: a}}
		return t
	}
}

func (t trait) word(r *rand.Rand) string {
	if t.number {
		return strconv.Itoa(r.IntN(30000))
	}
	parts := []string{"Ann", "ann", "O'Neil", "x y", `b\n"q"`, "ÄÖ", "", "日本", "a%"}
	return parts[r.IntN(len(parts))] + strconv.Itoa(r.IntN(2)) + "-" + parts[r.IntN(2)]
}

// scenario is a generated table with what its rows should be.
type scenario struct {
	*rand.Rand
	t        *testing.T
	shop     *shop
	table    string
	traits   []trait
	rows     map[int64][]string // words, in the order of the traits
	deleted  int
	old, new *sql.DB
}

// Tables, changes and statements that are made up: both releases read what
// either has written, before and after the change is completed or withdrawn.
// NOON_SEED runs one scenario again.
func TestScenarios(t *testing.T) {
	t.Parallel()
	seeds := make([]uint64, 24)
	for i := range seeds {
		seeds[i] = rand.Uint64() >> 16 //nolint:gosec // it is printed
	}
	if text := os.Getenv("NOON_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			play(t, rand.New(rand.NewPCG(seed, 1)))
			if t.Failed() {
				t.Logf("again: NOON_SEED=%d go test -run TestScenarios ./internal/database/mariadb", seed)
			}
		})
	}
}

func play(t *testing.T, r *rand.Rand) {
	t.Helper()
	s := &scenario{Rand: r, t: t, table: "t" + strange(r), rows: map[int64][]string{}}
	ddl := []string{"id BIGINT NOT NULL", "part VARCHAR(20) NOT NULL", "note INT NOT NULL DEFAULT 0"}
	var set change.Set
	for n := range 1 + r.IntN(4) {
		one := generate(r, s.table, fmt.Sprintf("c%d", n))
		s.traits, ddl = append(s.traits, one), append(ddl, one.ddl...)
		set.Operations = append(set.Operations, one.op)
	}
	key := []string{"id", "part, id", "id, part"}[r.IntN(3)]
	s.shop = newShop(t, fmt.Sprintf("CREATE TABLE %s (%s, PRIMARY KEY (%s)) COLLATE %s", q(s.table), strings.Join(ddl, ", "), key, []string{"utf8mb4_general_ci", "utf8mb4_bin", "latin1_swedish_ci"}[r.IntN(2)]))
	s.old = s.connect(s.shop.release(t, "r1", 0))
	for range 20 + r.IntN(60) {
		s.act(s.old, false)
	}
	p, err := s.shop.engine.Plan(t.Context(), set)
	if err != nil {
		t.Fatalf("%v\nhint: %s", err, noon.HintOf(err))
	}
	s.shop.engine = s.shop.open(t, mariadb.Config{Batch: 1 + r.IntN(30), Workers: 1 + r.IntN(3)})
	s.shop.reach(t, p, mariadb.Expanded)
	s.new = s.connect(s.shop.release(t, "r2", p.To))
	s.compare(s.new, true)
	for range 60 {
		if fresh := r.IntN(2) == 0; fresh {
			s.act(s.new, true)
		} else {
			s.act(s.old, false)
		}
	}
	s.compare(s.old, false)
	s.compare(s.new, true)
	s.finish(p)
}

func (s *scenario) finish(p mariadb.Plan) {
	if s.IntN(3) > 0 {
		s.leave(s.old, "r1")
		s.shop.reach(s.t, p, mariadb.Contracted)
		for range 20 {
			s.act(s.new, true)
		}
		s.compare(s.new, true)
		return
	}
	s.leave(s.new, "r2")
	if err := s.shop.engine.Reach(s.t.Context(), mariadb.Order{Version: p.To, Phase: mariadb.Withdrawn, AcceptLoss: true}, nil); err != nil {
		s.t.Fatal(err)
	}
	s.compare(s.old, false)
}

func (s *scenario) leave(db *sql.DB, release string) {
	s.t.Helper()
	_ = db.Close()
	if err := s.shop.engine.DropRole(s.t.Context(), release); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scenario) connect(address string) *sql.DB {
	s.t.Helper()
	db, err := pool(address)
	if err != nil {
		s.t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	s.t.Cleanup(func() { _ = db.Close() })
	return db
}

func (s *scenario) form(t trait, fresh bool) form {
	if fresh {
		return t.new
	}
	return t.old
}

// act is one statement of a release.
func (s *scenario) act(db *sql.DB, fresh bool) {
	s.t.Helper()
	ids := slices.Sorted(func(yield func(int64) bool) {
		for id := range s.rows {
			if !yield(id) {
				return
			}
		}
	})
	k := s.IntN(10)
	switch {
	case len(ids) == 0 || k < 4:
		s.insert(db, fresh)
	case k == 4:
		id := ids[s.IntN(len(ids))]
		s.exec(db, fmt.Sprintf("DELETE FROM %s WHERE id = %d", q(s.table), id))
		delete(s.rows, id)
		s.deleted++
	case k == 5:
		s.exec(db, fmt.Sprintf("UPDATE %s SET note = note + 1 WHERE id = %d", q(s.table), ids[s.IntN(len(ids))]))
	default:
		s.update(db, fresh, ids[s.IntN(len(ids))])
	}
}

func (s *scenario) exec(db *sql.DB, query string, args ...any) {
	s.t.Helper()
	if _, err := db.ExecContext(s.t.Context(), query, args...); err != nil {
		s.t.Fatalf("%v in: %s", err, query)
	}
}

func (s *scenario) insert(db *sql.DB, fresh bool) {
	s.t.Helper()
	id := int64(len(s.rows) + s.deleted + 1)
	columns, args := []string{"id", "part"}, []any{id, fmt.Sprint("p", s.IntN(3))}
	words := make([]string, len(s.traits))
	for i, t := range s.traits {
		f := s.form(t, fresh)
		words[i] = t.word(s.Rand)
		if f.read == "" {
			words[i] = t.onlyOld + t.onlyNew
			continue
		}
		for n, part := range f.parts(words[i]) {
			columns, args = append(columns, q(f.columns[n])), append(args, part)
		}
	}
	s.exec(db, fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s)", q(s.table), strings.Join(columns, ", "), strings.Repeat(", ?", len(args)-1)), args...)
	s.rows[id] = words
}

func (s *scenario) update(db *sql.DB, fresh bool, id int64) {
	s.t.Helper()
	var set []string
	var args []any
	words := slices.Clone(s.rows[id])
	for i, t := range s.traits {
		f := s.form(t, fresh)
		if f.read == "" || s.IntN(2) == 0 {
			continue
		}
		words[i] = t.word(s.Rand)
		for n, part := range f.parts(words[i]) {
			set, args = append(set, q(f.columns[n])+" = ?"), append(args, part)
		}
	}
	if len(set) > 0 {
		s.exec(db, fmt.Sprintf("UPDATE %s SET %s WHERE id = ?", q(s.table), strings.Join(set, ", ")), append(args, id)...)
		s.rows[id] = words
	}
}

// compare looks at all rows as a release sees them.
func (s *scenario) compare(db *sql.DB, fresh bool) {
	s.t.Helper()
	list, which := []string{"id"}, []int{}
	for i, t := range s.traits {
		if f := s.form(t, fresh); f.read != "" {
			list, which = append(list, f.read), append(which, i)
		}
	}
	rows, err := db.QueryContext(s.t.Context(), fmt.Sprintf("SELECT %s FROM %s", strings.Join(list, ", "), q(s.table)))
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var id int64
		values, into := make([]sql.NullString, len(which)), []any{&id}
		for i := range values {
			into = append(into, &values[i])
		}
		if err := rows.Scan(into...); err != nil {
			s.t.Fatal(err)
		}
		n++
		for i, w := range which {
			if want := s.rows[id]; want == nil || values[i].String != want[w] {
				s.t.Errorf("new %t: row %d has %q for %+v, want %q", fresh, id, values[i].String, s.traits[w].op, want)
			}
		}
	}
	if err := rows.Err(); err != nil || n != len(s.rows) {
		s.t.Errorf("new %t: %d rows, want %d: %v", fresh, n, len(s.rows), err)
	}
}
