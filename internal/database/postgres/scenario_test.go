package postgres_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon/internal/database/postgres"
)

// trait is a part of a generated table: one value of a row, in the forms that
// the two versions have for it. Values are words; every form can hold them.
type trait struct {
	before   string                     // statements before the table is made, with SCHEMA for its schema
	ddl      string                     // columns of the old version
	ops      string                     // operations, with TABLE for the name
	old, new func(v string) [][2]string // column and SQL value that write it
	oldRead  string                     // SQL that reads it, "" if the version does not have it
	newRead  string
	byNew    string // what the old version reads after an insert of the new one, if that can not write it
	byOld    string // and the other way round
	value    func(r *rand.Rand) string
}

func number(r *rand.Rand) string { return strconv.Itoa(r.IntN(30000)) }
func word(r *rand.Rand) string {
	return []string{"Ann", "O'Neil", "x y", `b\n"q"`, "ÄÖ", "-", "0"}[r.IntN(7)] + strconv.Itoa(r.IntN(100))
}

func lit(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// one is a form that is one column.
func one(column string) func(string) [][2]string {
	return func(v string) [][2]string { return [][2]string{{column, lit(v)}} }
}

// traits generates the parts of a table.
func traits(r *rand.Rand, modern bool) []trait {
	pairs := [][2]string{{"text", "integer"}, {"integer", "bigint"}, {"integer", "text"}, {"smallint", "bigint"}, {"varchar(20)", "integer"}, {"bigint", "varchar(40)"}, {"text", "varchar(60)"}, {"integer", "smallint"}}
	var list []trait
	for n := range 1 + r.IntN(4) {
		c := fmt.Sprintf("c%d", n)
		switch r.IntN(10) {
		case 0, 1:
			list = append(list, retyped(r, c, pairs[r.IntN(len(pairs))], modern))
		case 2:
			list = append(list, trait{
				ddl: c + " text", old: one(c), new: one(c + "_new"), oldRead: c, newRead: c + "_new", value: word,
				ops: "  - rename_column: {table: TABLE, from: " + c + ", to: " + c + "_new}\n",
			})
		case 3:
			list = append(list, trait{ddl: c + " text", old: func(v string) [][2]string {
				if strings.HasPrefix(v, "-") {
					return [][2]string{{c, "null"}}
				}
				return one(c)(v)
			}, new: one(c), oldRead: "coalesce(" + c + ", '-')", newRead: c, value: func(r *rand.Rand) string {
				if r.IntN(4) == 0 {
					return "-"
				}
				return "v" + word(r)
			}, ops: fmt.Sprintf("  - alter_column: {table: TABLE, column: %[1]s, nullable: false, up: \"coalesce(%[1]s, '-')\", down: %[1]s}\n", c)})
		case 4:
			list = append(list, merged(c, false))
		case 5:
			list = append(list, merged(c, true))
		case 6:
			list = append(list, trait{
				new: one(c), newRead: c, byOld: "7", value: number,
				ops: "  - add_column: {table: TABLE, column: {name: " + c + ", type: integer, default: \"7\"}}\n",
			})
		case 8:
			list = append(list, enum(c))
		case 7:
			list = append(list, trait{
				ddl: c + " text not null", old: one(c), oldRead: c, byNew: "gone", value: word,
				ops: "  - drop_column: {table: TABLE, column: " + c + ", down: \"'gone'\"}\n",
			})
		default:
			list = append(list, trait{
				ddl: c + " json", value: word, oldRead: c + "->>'v'", newRead: c + "->>'v'",
				old: func(v string) [][2]string { return [][2]string{{c, "json_build_object('v', " + lit(v) + ")"}} },
				new: func(v string) [][2]string { return [][2]string{{c, "jsonb_build_object('v', " + lit(v) + ")"}} },
				ops: fmt.Sprintf("  - alter_column: {table: TABLE, column: %[1]s, type: jsonb, up: %[1]s::jsonb, down: %[1]s::json}\n", c),
			})
		}
	}
	return list
}

func retyped(r *rand.Rand, c string, types [2]string, modern bool) trait {
	t := trait{ddl: c + " " + types[0], old: one(c), new: one(c), oldRead: c + "::text", newRead: c + "::text", value: number}
	t.ops = fmt.Sprintf("  - alter_column: {table: TABLE, column: %s, type: %s, up: '%s::%s', down: '%s::%s'}\n", c, types[1], c, types[1], c, types[0])
	if r.IntN(2) == 0 {
		t.ddl += " not null default '5'"
	}
	if r.IntN(3) == 0 && modern { // a generated column uses it
		t.ddl += fmt.Sprintf(", %[1]s_g text generated always as (%[1]s::text || '!') stored", c)
		t.oldRead = fmt.Sprintf("case when %[1]s_g = %[1]s::text || '!' then %[1]s::text else %[1]s_g end", c)
		t.newRead = t.oldRead
	}
	if r.IntN(3) == 0 {
		t.ops = strings.Replace(t.ops, "}\n", fmt.Sprintf(", check: {name: %s_short, constraint: length(%s::text) < 9}}\n", c, c), 1)
	}
	if r.IntN(3) == 0 {
		t.ddl += "; create index on TABLE (" + c + ", id)"
	}
	if r.IntN(3) == 0 {
		t.ops += fmt.Sprintf("  - create_index: {table: TABLE, name: TABLE_%s_i, columns: [%s]}\n", c, c)
	}
	return t
}

// enum is a column of a type of which a value gets another name.
func enum(c string) trait {
	now := func(v string) string { return strings.Replace(v, "new", "it's fresh", 1) }
	return trait{
		before: "create type SCHEMA.kind_" + c + " as enum ('new', 'paid', 'sent')", ddl: c + " SCHEMA.kind_" + c + " not null default 'paid'",
		ops: fmt.Sprintf("  - rename_enum_value: {type: kind_%s, from: new, to: \"it's fresh\"}\n", c),
		old: one(c), new: func(v string) [][2]string { return one(c)(now(v)) }, oldRead: c + "::text", newRead: "replace(" + c + "::text, 'it''s fresh', 'new')",
		value: func(r *rand.Rand) string { return []string{"new", "paid", "sent"}[r.IntN(3)] },
	}
}

// merged is two columns of one version and one of the other.
func merged(c string, split bool) trait {
	pair := func(v string) [][2]string {
		a, b, _ := strings.Cut(v, "|")
		return [][2]string{{c + "_a", lit(a)}, {c + "_b", lit(b)}}
	}
	both, part := c+"_a || '|' || "+c+"_b", func(n int) string { return fmt.Sprintf("split_part(%s, '|', %d)", c, n) }
	t := trait{value: func(r *rand.Rand) string { return word(r) + "|" + word(r) }}
	if split {
		t.ddl, t.old, t.new, t.oldRead, t.newRead = c+" text", one(c), pair, c, both
		t.ops = fmt.Sprintf("  - split_column: {table: TABLE, from: %[1]s, to: [{name: %[1]s_a, type: text, nullable: true}, {name: %[1]s_b, type: text, nullable: true}], up: {%[1]s_a: \"%[2]s\", %[1]s_b: \"%[3]s\"}, down: \"%[4]s\"}\n", c, part(1), part(2), both)
		return t
	}
	t.ddl, t.old, t.new, t.oldRead, t.newRead = c+"_a text, "+c+"_b text", pair, one(c), both, c
	t.ops = fmt.Sprintf("  - merge_columns: {table: TABLE, from: [%[1]s_a, %[1]s_b], to: {name: %[1]s, type: text, nullable: true}, up: \"%[4]s\", down: {%[1]s_a: \"%[2]s\", %[1]s_b: \"%[3]s\"}}\n", c, part(1), part(2), both)
	return t
}

// scenario is one generated table, its change, and what must be in it.
type scenario struct {
	t        *testing.T
	r        *rand.Rand
	traits   []trait
	keyed    bool
	blind    bool      // the new version does not find rows by their key yet
	parts    bool      // the table is partitioned
	table    [2]string // its name in the versions
	conns    [2]*pgx.Conn
	old, new map[int][]string // by id, what each version must read
	next     int
}

// Two releases write a generated table in every phase of a generated change;
// each reads what was written last, whoever wrote it. NOON_SEED runs one seed.
func TestScenarios(t *testing.T) {
	t.Parallel()
	first, n := uint64(1), uint64(208)
	if testing.Short() || raced { // the race detector sees no more of the engine in the others, and the parser is slow with it
		n = 24
	}
	if seed, err := strconv.ParseUint(os.Getenv("NOON_SEED"), 10, 64); err == nil {
		first, n = seed, 1
	}
	var ran atomic.Int64
	t.Cleanup(func() { t.Logf("%d scenarios, seeds %d to %d", ran.Load(), first, first+n-1) })
	const lanes = 4
	for lane := range min(uint64(lanes), n) {
		t.Run(fmt.Sprintf("lane%d", lane), func(t *testing.T) {
			t.Parallel()
			s := newShop(t, "")
			for seed := first + lane; seed < first+n; seed += lanes {
				t.Run(fmt.Sprintf("seed%d", seed), func(t *testing.T) { play(t, s, seed); ran.Add(1) })
			}
		})
	}
}

func play(t *testing.T, s *shop, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	c := &scenario{t: t, r: r, traits: traits(r, modern(t)), keyed: r.IntN(4) > 0, table: [2]string{"things", "things"}, old: map[int][]string{}, new: map[int][]string{}}
	c.parts = c.keyed && r.IntN(4) == 0 && modern(t)
	app, schema := fmt.Sprintf("a%d", seed), fmt.Sprintf("d%d", seed)
	yaml := c.prepare(s, schema)
	t.Logf("seed %d\n%s", seed, yaml)
	e, err := postgres.Open(t.Context(), postgres.Config{URL: s.noon, App: app, Role: s.owner, Schema: schema, Batch: 7, Workers: 1 + r.IntN(3)})
	if err != nil {
		t.Fatal(err)
	}
	set := read(t, yaml)
	shared.plan.Lock()
	p, err := e.Plan(t.Context(), set)
	shared.plan.Unlock()
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	c.conns = c.connect(s, e, app, schema)
	steps := 0
	defer s.watch.Check(t, app)
	defer s.watch.During(app, string(postgres.Expanded))()
	err = e.Reach(t.Context(), postgres.Order{Plan: &p, Phase: postgres.Expanded}, func(postgres.Progress) {
		if steps++; steps > 1 { // the first is told before there is a new version
			c.write(3)
		}
	})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	c.blind = false
	c.write(12)
	c.compare(seed, 0, 1)
	end, stays := postgres.Contracted, 1
	if r.IntN(3) == 0 {
		end, stays = postgres.Withdrawn, 0
	}
	leaves := c.conns[1-stays].PgConn().PID()
	if err := c.conns[1-stays].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.until(t, fmt.Sprintf("select not exists (select from pg_stat_activity where pid = %d)", leaves)) // the server ends a session after its client
	s.watch.During(app, string(end))
	if err := e.Reach(t.Context(), postgres.Order{Version: 1, Phase: end, AcceptLoss: true, Unchecked: true}, nil); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	c.compare(seed, stays)
	if err := c.conns[stays].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.run(t, s.noon, fmt.Sprintf("drop schema %s cascade; drop schema if exists %s_v1 cascade", schema, app))
}

// connect logs in as both releases: by roles, or by search_path.
func (c *scenario) connect(s *shop, e *postgres.Engine, app, schema string) [2]*pgx.Conn {
	c.t.Helper()
	var conns [2]*pgx.Conn
	byRole := c.r.IntN(2) == 0
	for version := range 2 {
		url := s.url + "&search_path=" + schema
		if version == 1 {
			url = s.url + "&search_path=" + app + "_v1," + schema
		}
		if byRole {
			name, err := e.Role(c.t.Context(), fmt.Sprintf("r%d", version), version, password)
			if err != nil {
				c.t.Fatal(err)
			}
			url = s.as(name)
		}
		conn, err := pgx.Connect(c.t.Context(), url)
		if err != nil {
			c.t.Fatal(err)
		}
		conns[version] = conn
	}
	return conns
}

// prepare makes the table with rows of the old version, and returns the change.
func (c *scenario) prepare(s *shop, schema string) string {
	c.t.Helper()
	columns := []string{"id int not null", "shared text"}
	if c.keyed {
		columns[0] = "id int primary key"
	}
	var after []string
	var before, yaml strings.Builder
	yaml.WriteString("operations:\n")
	if c.keyed && !c.parts && c.r.IntN(2) == 0 {
		columns[0] = []string{"id int primary key", "id serial primary key", "id int primary key generated by default as identity"}[c.r.IntN(3)]
		yaml.WriteString("  - alter_column: {table: things, column: id, type: bigint, down: id}\n")
		c.blind = true
	}
	for _, t := range c.traits {
		ddl, more, _ := strings.Cut(strings.ReplaceAll(t.ddl, "SCHEMA", schema), "; ")
		before.WriteString(strings.ReplaceAll(t.before, "SCHEMA", schema) + ";")
		if ddl != "" {
			columns = append(columns, ddl)
		}
		after = append(after, strings.ReplaceAll(more, "TABLE", schema+".things"))
		yaml.WriteString(strings.ReplaceAll(t.ops, "TABLE", "things"))
	}
	if c.r.IntN(3) == 0 {
		c.table[1] = "stuff"
		yaml.WriteString("  - rename_table: {from: things, to: stuff}\n")
	}
	s.run(c.t, s.noon, fmt.Sprintf("create schema %s authorization %s", schema, s.owner))
	table := before.String() + fmt.Sprintf("create table %s.things (%s)", schema, strings.Join(columns, ", "))
	if c.parts {
		table += " partition by hash (id)"
		for n := range 3 {
			table += fmt.Sprintf("; create table %[1]s.things_%[2]d partition of %[1]s.things for values with (modulus 3, remainder %[2]d)", schema, n)
		}
	}
	s.run(c.t, s.url, table+"; "+strings.Join(after, ";"))
	var rows []string
	for range c.r.IntN(40) {
		rows = append(rows, c.insert(0))
	}
	if len(rows) > 0 {
		s.run(c.t, s.url, "set search_path = "+schema+"; "+strings.Join(rows, "; "))
	}
	return yaml.String()
}

// write lets either release do something.
func (c *scenario) write(n int) {
	for range n {
		version := c.r.IntN(2)
		ids := slices.Sorted(maps.Keys(c.old))
		if c.blind {
			version = 0
		}
		var sql string
		switch kind := c.r.IntN(6); {
		case len(ids) == 0 || kind < 2:
			sql = c.insert(version)
		case kind == 2:
			id := ids[c.r.IntN(len(ids))]
			sql = fmt.Sprintf("delete from %s where id = %d", c.table[version], id)
			delete(c.old, id)
			delete(c.new, id)
		default:
			sql = c.update(version, ids[c.r.IntN(len(ids))])
		}
		if _, err := c.conns[version].Exec(c.t.Context(), sql); err != nil {
			c.t.Errorf("version %d: %v in: %s", version, err, sql)
		}
	}
}

// side gives what a version writes a trait with.
func (t trait) side(version int) func(string) [][2]string {
	if version == 0 {
		return t.old
	}
	return t.new
}

func (c *scenario) insert(version int) string {
	c.next++
	columns, values := []string{"id"}, []string{strconv.Itoa(c.next)}
	old, fresh := make([]string, len(c.traits)), make([]string, len(c.traits))
	for i, t := range c.traits {
		v := t.value(c.r)
		old[i], fresh[i] = v, v
		write := t.side(version)
		if write == nil {
			old[i], fresh[i] = t.byNew, t.byOld
			continue
		}
		for _, w := range write(v) {
			columns, values = append(columns, w[0]), append(values, w[1])
		}
	}
	c.old[c.next], c.new[c.next] = old, fresh
	return fmt.Sprintf("insert into %s (%s) values (%s)", c.table[version], strings.Join(columns, ", "), strings.Join(values, ", "))
}

func (c *scenario) update(version, id int) string {
	set := []string{"shared = 'x'"}
	for i, t := range c.traits {
		write := t.side(version)
		if write == nil || c.r.IntN(2) == 0 {
			continue
		}
		v := t.value(c.r)
		if c.r.IntN(4) == 0 && version == 0 && t.oldRead != "" && t.newRead != "" {
			v = c.old[id][i] // a write that changes nothing
		}
		c.old[id][i], c.new[id][i] = v, v
		for _, w := range write(v) {
			set = append(set, w[0]+" = "+w[1])
		}
	}
	return fmt.Sprintf("update %s set %s where id = %d", c.table[version], strings.Join(set, ", "), id)
}

// compare reads everything through each of the versions.
func (c *scenario) compare(seed uint64, versions ...int) {
	c.t.Helper()
	for _, version := range versions {
		want := [2]map[int][]string{c.old, c.new}[version]
		reads := []string{"id::int"}
		for _, t := range c.traits {
			read := [2]string{t.oldRead, t.newRead}[version]
			if read == "" {
				read = "null"
			}
			reads = append(reads, "("+read+")::text")
		}
		rows, err := c.conns[version].Query(c.t.Context(), fmt.Sprintf("select %s from %s order by 1", strings.Join(reads, ", "), c.table[version]))
		if err != nil {
			c.t.Fatalf("seed %d: %v", seed, err)
		}
		seen := 0
		for rows.Next() {
			values, err := rows.Values()
			if err != nil {
				c.t.Fatal(err)
			}
			seen++
			id := int(values[0].(int32))
			if want[id] == nil {
				c.t.Errorf("seed %d: version %d reads row %d, which nobody wrote", seed, version, id)
				continue
			}
			for i, t := range c.traits {
				if [2]string{t.oldRead, t.newRead}[version] != "" && values[i+1] != any(want[id][i]) {
					c.t.Errorf("seed %d: version %d reads %v in row %d, want %s (of %s)", seed, version, values[i+1], id, want[id][i], t.ops)
				}
			}
		}
		if err := rows.Err(); err != nil || seen != len(want) {
			c.t.Errorf("seed %d: version %d has %d rows, want %d (%v)", seed, version, seen, len(want), err)
		}
	}
}
