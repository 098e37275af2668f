package mariadb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// catalog is what a plan is made from: the tables of the app's database.
type catalog struct {
	tables   []*catalogTable
	routines []string // functions and procedures
	texts    []text   // of views, triggers, routines and events
}

// text is the SQL of something that may use a column.
type text struct {
	kind, name, table string // table: of a trigger
	event             string // of a trigger: UPDATE BEFORE …
	sql               string
}

type catalogTable struct {
	name        string
	engine      string
	kind        string // BASE TABLE, VIEW, SYSTEM VERSIONED …
	collation   string
	rows        int64
	columns     []catalogColumn
	indexes     []catalogIndex
	constraints []catalogConstraint
}

type catalogColumn struct {
	name      string
	typ       string // with character set and collation
	class     string // DATA_TYPE
	nullable  bool
	def       *string // SQL; nil: none
	extra     string
	generated string // SQL that it is made by
	comment   string
}

// auto reports whether the server numbers the rows.
func (c catalogColumn) auto() bool { return strings.Contains(c.extra, "auto_increment") }

type catalogIndex struct {
	name    string
	unique  bool
	kind    string // BTREE, FULLTEXT …
	columns []string
	prefix  []sql.NullInt64
}

// catalogConstraint is a foreign key or a check.
type catalogConstraint struct {
	name    string
	columns []string // of a foreign key, in this table
	refers  string   // table
	to      []string // columns of it
	check   string   // of a check of the table
}

func (c *catalog) table(name string) *catalogTable {
	i := slices.IndexFunc(c.tables, func(t *catalogTable) bool { return t.name == name })
	if i < 0 {
		return nil
	}
	return c.tables[i]
}

func (t *catalogTable) column(name string) *catalogColumn {
	i := slices.IndexFunc(t.columns, func(c catalogColumn) bool { return strings.EqualFold(c.name, name) })
	if i < 0 {
		return nil
	}
	return &t.columns[i]
}

// key is what rows are walked by: the primary key, else a unique index
// without NULL.
func (t *catalogTable) key() []KeyColumn {
	for _, primary := range []bool{true, false} {
		for _, i := range t.indexes {
			if (i.name != "PRIMARY") == primary || !i.unique || slices.ContainsFunc(i.prefix, func(p sql.NullInt64) bool { return p.Valid }) {
				continue
			}
			if list := t.walked(i); len(list) == len(i.columns) {
				return list
			}
		}
	}
	return nil
}

// walked are the columns of an index by which rows can be walked: those whose
// values can be written so that they are compared as the index is ordered.
func (t *catalogTable) walked(i catalogIndex) []KeyColumn {
	var list []KeyColumn
	for _, n := range i.columns {
		if c := t.column(n); c != nil && !c.nullable && !slices.Contains([]string{"float", "double", "enum", "set", "bit", "year", "time"}, c.class) {
			list = append(list, KeyColumn{Name: n, Class: c.class})
		}
	}
	return list
}

// queries reads rows.
type queries interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// each calls see with every row of a query.
func each(ctx context.Context, db queries, see func([]sql.NullString) error, query string, args ...any) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := see(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

// readCatalog reads the tables of a database but noon's own.
func readCatalog(ctx context.Context, db queries, database string, maria bool) (*catalog, error) {
	c := &catalog{}
	for _, read := range []func(context.Context, queries, string, bool) error{c.readTables, c.readColumns, c.readIndexes, c.readKeys, c.readChecks, c.readTexts} {
		if err := read(ctx, db, database, maria); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *catalog) readTables(ctx context.Context, db queries, database string, _ bool) error {
	return each(ctx, db, func(v []sql.NullString) error {
		t := &catalogTable{name: v[0].String, kind: v[1].String, engine: v[2].String, collation: v[3].String}
		_, err := fmt.Sscan(v[4].String, &t.rows)
		c.tables = append(c.tables, t)
		return err
	}, `SELECT table_name, table_type, coalesce(engine, ''), coalesce(table_collation, ''), coalesce(table_rows, 0) FROM information_schema.tables
		WHERE table_schema = ? AND table_name NOT LIKE 'noon\_%' ORDER BY table_name`, database)
}

func (c *catalog) readColumns(ctx context.Context, db queries, database string, maria bool) error {
	return each(ctx, db, func(v []sql.NullString) error {
		t := c.table(v[0].String)
		if t == nil || v[1].String == pending {
			return nil
		}
		col := catalogColumn{name: v[1].String, typ: v[2].String, class: strings.ToLower(v[3].String), nullable: v[4].String == "YES", extra: strings.ToLower(v[6].String), generated: v[7].String, comment: v[9].String}
		if v[8].Valid {
			set, _, _ := strings.Cut(v[8].String, "_")
			col.typ += " CHARACTER SET " + set + " COLLATE " + v[8].String
		}
		if v[5].Valid && (!maria || v[5].String != "NULL") {
			def := v[5].String
			if !maria && !strings.Contains(col.extra, "default_generated") { // MySQL gives the value, MariaDB its SQL
				def = literal(def)
			}
			col.def = &def
		}
		t.columns = append(t.columns, col)
		return nil
	}, `SELECT table_name, column_name, column_type, data_type, is_nullable, column_default, extra, coalesce(generation_expression, ''), collation_name, column_comment
		FROM information_schema.columns WHERE table_schema = ? ORDER BY table_name, ordinal_position`, database)
}

func (c *catalog) readIndexes(ctx context.Context, db queries, database string, _ bool) error {
	return each(ctx, db, func(v []sql.NullString) error {
		t := c.table(v[0].String)
		if t == nil {
			return nil
		}
		n := len(t.indexes)
		if n == 0 || t.indexes[n-1].name != v[1].String {
			t.indexes = append(t.indexes, catalogIndex{name: v[1].String, unique: v[2].String == "0", kind: v[3].String})
			n++
		}
		i := &t.indexes[n-1]
		i.columns = append(i.columns, v[4].String)
		prefix := sql.NullInt64{Valid: v[5].Valid}
		if v[5].Valid {
			if _, err := fmt.Sscan(v[5].String, &prefix.Int64); err != nil {
				return err
			}
		}
		i.prefix = append(i.prefix, prefix)
		return nil
	}, `SELECT table_name, index_name, non_unique, index_type, coalesce(column_name, ''), sub_part FROM information_schema.statistics
		WHERE table_schema = ? ORDER BY table_name, index_name, seq_in_index`, database)
}

func (c *catalog) readKeys(ctx context.Context, db queries, database string, _ bool) error {
	return each(ctx, db, func(v []sql.NullString) error {
		t := c.table(v[0].String)
		if t == nil {
			return nil
		}
		n := len(t.constraints)
		if n == 0 || t.constraints[n-1].name != v[1].String {
			t.constraints = append(t.constraints, catalogConstraint{name: v[1].String, refers: v[3].String})
			n++
		}
		k := &t.constraints[n-1]
		k.columns, k.to = append(k.columns, v[2].String), append(k.to, v[4].String)
		return nil
	}, `SELECT table_name, constraint_name, column_name, referenced_table_name, referenced_column_name FROM information_schema.key_column_usage
		WHERE table_schema = ? AND referenced_table_name IS NOT NULL ORDER BY table_name, constraint_name, ordinal_position`, database)
}

func (c *catalog) readChecks(ctx context.Context, db queries, database string, maria bool) error {
	query := `SELECT table_name, constraint_name, check_clause FROM information_schema.check_constraints WHERE constraint_schema = ? AND level = 'Table' ORDER BY 1, 2`
	if !maria {
		query = `SELECT t.table_name, t.constraint_name, c.check_clause FROM information_schema.table_constraints t
			JOIN information_schema.check_constraints c USING (constraint_schema, constraint_name) WHERE t.constraint_schema = ? AND t.constraint_type = 'CHECK' ORDER BY 1, 2`
	}
	return each(ctx, db, func(v []sql.NullString) error {
		if t := c.table(v[0].String); t != nil {
			t.constraints = append(t.constraints, catalogConstraint{name: v[1].String, check: v[2].String})
		}
		return nil
	}, query, database)
}

func (c *catalog) readTexts(ctx context.Context, db queries, database string, _ bool) error {
	for _, query := range []string{
		`SELECT 'view', table_name, '', '', view_definition FROM information_schema.views WHERE table_schema = ? ORDER BY 2`,
		`SELECT 'trigger', trigger_name, event_object_table, concat(action_timing, ' ', event_manipulation), action_statement FROM information_schema.triggers WHERE trigger_schema = ? AND trigger_name NOT LIKE 'noon\_%' ORDER BY 2`,
		`SELECT lower(routine_type), routine_name, '', '', coalesce(routine_definition, '') FROM information_schema.routines WHERE routine_schema = ? ORDER BY 2`,
		`SELECT 'event', event_name, '', '', event_definition FROM information_schema.events WHERE event_schema = ? ORDER BY 2`,
	} {
		err := each(ctx, db, func(v []sql.NullString) error {
			one := text{kind: v[0].String, name: v[1].String, table: v[2].String, event: v[3].String, sql: v[4].String}
			c.texts = append(c.texts, one)
			if one.kind == "function" || one.kind == "procedure" {
				c.routines = append(c.routines, one.name)
			}
			return nil
		}, query, database)
		if err != nil {
			return err
		}
	}
	return nil
}

// users are what uses a column, or a whole table, and would break without it;
// those that can only be guessed from their text are in maybe.
func (c *catalog) users(r Reliance) (sure, maybe []string) {
	for _, x := range c.texts {
		mine := x.table == r.Table
		switch named := mine || mentions(x.sql, r.Table); {
		case !named || r.Column != "" && !mentions(x.sql, r.Column):
		case x.kind == "view" || x.kind == "trigger" && (r.Column != "" || !mine):
			sure = append(sure, x.kind+" "+x.name)
		case x.kind != "trigger": // one of the table goes with it
			maybe = append(maybe, x.kind+" "+x.name)
		}
	}
	for _, t := range c.tables {
		if t.name == r.Table && r.Column != "" {
			sure = append(sure, t.uses(r.Column)...)
		}
		for _, k := range t.constraints {
			if k.refers == r.Table && (r.Column == "" && t.name != r.Table || has(k.to, r.Column)) {
				sure = append(sure, "foreign key "+k.name+" of "+t.name)
			}
		}
	}
	return sure, maybe
}

// uses are the parts of a table that use one of its columns.
func (t *catalogTable) uses(column string) []string {
	var list []string
	for _, c := range t.columns {
		if mentions(c.generated, column) {
			list = append(list, "generated column "+c.name)
		}
	}
	for _, k := range t.constraints {
		if mentions(k.check, column) || has(k.columns, column) {
			list = append(list, "constraint "+k.name)
		}
	}
	return list
}

// has reports whether a name is among others, as the servers compare them.
func has(list []string, name string) bool {
	return slices.ContainsFunc(list, func(n string) bool { return strings.EqualFold(n, name) })
}
