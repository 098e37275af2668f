package rehearsal

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// table is a table of the app's.
type table struct {
	Schema  string   `json:"schema"` // "" where the address names it
	Name    string   `json:"name"`
	Columns []column `json:"columns"`
	Key     []string `json:"key"`  // primary key, in its order; none if there is none
	Rows    int64    `json:"rows"` // as the server estimates; -1 if it does not
	Size    int64    `json:"size"` // bytes with indexes, 0 if the server does not tell
	File    string   `json:"file"` // changes when the table is rewritten; "" if the server does not tell
	view    string   // by which users know it; "": Name
}

// column is a column of a table.
type column struct {
	Name  string `json:"name"`
	Given bool   `json:"given"` // the server makes a value for who gives none
	Fixed bool   `json:"fixed"` // the server makes the value always
}

// shown is what people call the table.
func (t table) shown() string {
	if t.Schema == "" || t.Schema == "public" {
		return t.Name
	}
	return t.Schema + "." + t.Name
}

func (t table) quoted(d sqltext.Dialect) string {
	if t.Schema == "" {
		return quote(d, cmp.Or(t.view, t.Name))
	}
	return quote(d, t.Schema) + "." + quote(d, t.Name)
}

// free are the columns that may be written and are no part of the key.
func (t table) free() []string {
	var list []string
	for _, c := range t.Columns {
		if !c.Fixed && !slices.Contains(t.Key, c.Name) {
			list = append(list, c.Name)
		}
	}
	return list
}

// quote writes a name as SQL reads it.
func quote(d sqltext.Dialect, name string) string {
	if d == sqltext.MySQL {
		return "`" + strings.ReplaceAll(name, "`", "``") + "`"
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// literal writes a value as SQL reads it. The server makes of it what the
// column is.
func literal(d sqltext.Dialect, value string) string {
	value = strings.ReplaceAll(value, "'", "''")
	if d == sqltext.MySQL {
		value = strings.ReplaceAll(value, `\`, `\\`)
	}
	return "'" + value + "'"
}

// postgresTables are ordinary and partitioned tables; noon's own are the
// schema "noon" and the history of migrations.
const postgresTables = `
select json_build_object('schema', n.nspname, 'name', c.relname, 'rows', greatest(c.reltuples, -1)::bigint, 'size', pg_total_relation_size(c.oid),
  'file', coalesce(pg_relation_filenode(c.oid), 0)::text,
  'columns', coalesce((select json_agg(json_build_object('name', a.attname, 'given', a.atthasdef or a.attidentity <> '', 'fixed', a.attgenerated <> '' or a.attidentity = 'a') order by a.attnum)
    from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '[]'),
  'key', coalesce((select json_agg(a.attname order by k.n) from pg_index i, unnest(i.indkey::int2[]) with ordinality k(attnum, n), pg_attribute a
    where i.indrelid = c.oid and i.indisprimary and a.attrelid = c.oid and a.attnum = k.attnum), '[]'))
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and c.relpersistence = 'p' and n.nspname not in ('pg_catalog', 'information_schema', 'noon') and n.nspname not like 'pg\_%'
  and not c.relispartition and c.relname not like 'noon\_migration%' order by 1::text`

const mysqlTables = `
select json_object('schema', '', 'name', t.table_name, 'rows', coalesce(t.table_rows, -1), 'size', coalesce(t.data_length + t.index_length, 0), 'file', '',
  'columns', (select json_arrayagg(json_object('name', c.column_name, 'given', c.column_default is not null or c.extra like '%auto_increment%',
    'fixed', c.extra like '%generated%' and c.extra not like '%default_generated%')) from information_schema.columns c where c.table_schema = t.table_schema and c.table_name = t.table_name and c.column_name <> 'noon_pending'),
  'key', coalesce((select json_arrayagg(s.column_name) from information_schema.statistics s
    where s.table_schema = t.table_schema and s.table_name = t.table_name and s.index_name = 'PRIMARY'), json_array()))
from information_schema.tables t where t.table_schema = database() and t.table_type = 'BASE TABLE' and t.table_name not like 'noon\_%'
order by t.table_name`

// sqliteTables counts no rows: each count reads the whole table.
const sqliteTables = `
select json_object('schema', '', 'name', t.name, 'rows', -1, 'size', 0, 'file', '',
  'columns', (select json_group_array(json_object('name', c.name, 'given', json(iif(c.dflt_value is not null, 'true', 'false')), 'fixed', json(iif(c.hidden in (2, 3), 'true', 'false')))) from pragma_table_xinfo(t.name) c),
  'key', (select json_group_array(c.name) from (select name from pragma_table_info(t.name) where pk > 0 order by pk) c))
from sqlite_master t where t.type = 'table' and t.name not like 'sqlite\_%' escape '\' and t.name not like 'noon\_migration%' escape '\' order by t.name`

// tables reads the tables of a database, by name.
func tables(ctx context.Context, db *sql.DB, d sqltext.Dialect) ([]table, error) {
	query := map[sqltext.Dialect]string{sqltext.PostgreSQL: postgresTables, sqltext.MySQL: mysqlTables, sqltext.SQLite: sqliteTables}[d]
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []table
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		if d == sqltext.MySQL { // its booleans are numbers
			text = booleans(text)
		}
		var t table
		if err := json.Unmarshal([]byte(text), &t); err != nil {
			return nil, fmt.Errorf("read the description of a table: %w", err)
		}
		list = append(list, t)
	}
	return list, rows.Err()
}

func booleans(text string) string {
	for _, key := range []string{`"given"`, `"fixed"`} {
		for _, gap := range []string{": ", ":"} {
			text = strings.ReplaceAll(text, key+gap+"0", key+gap+"false")
			text = strings.ReplaceAll(text, key+gap+"1", key+gap+"true")
		}
	}
	return text
}

// mostTables is of how many tables users are watched; each takes connections of
// a server that may be production's.
const mostTables = 6

// named are the tables whose names occur in texts, the largest first.
func named(all []table, texts []string) []table {
	words := map[string]bool{}
	for _, text := range texts {
		for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return !isName(r) }) {
			words[strings.ToLower(word)] = true
		}
	}
	var list []table
	for _, t := range all {
		if words[strings.ToLower(t.Name)] {
			list = append(list, t)
		}
	}
	slices.SortStableFunc(list, func(a, b table) int {
		if a.Size != b.Size {
			return int(min(max(b.Size-a.Size, -1), 1))
		}
		return int(min(max(b.Rows-a.Rows, -1), 1))
	})
	return list[:min(len(list), mostTables)]
}

func isName(r rune) bool {
	return r == '_' || r == '$' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 127
}

func find(all []table, t table) (table, bool) {
	i := slices.IndexFunc(all, func(o table) bool { return o.Schema == t.Schema && o.Name == t.Name })
	if i < 0 {
		return table{}, false
	}
	return all[i], true
}
