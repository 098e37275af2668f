package outline

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/noon-deploy/noon"
)

// sqlite looks into a file and makes none. One that is not there has no
// schema: the app makes it.
func sqlite(ctx context.Context, file string) (_ noon.Schema, err error) {
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return noon.Schema{}, nil
	}
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath(), RawQuery: url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(5000)"}}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	s := noon.Schema{}
	tables := []string{}
	err = each(ctx, db, `select type, name, tbl_name, coalesce(sql, '') from sqlite_schema where name not like 'sqlite_%'`, func(r *sql.Rows) error {
		var kind, object, table, text string
		if err := r.Scan(&kind, &object, &table, &text); err != nil {
			return err
		}
		if kind == "table" {
			tables = append(tables, object)
			text = ""
		}
		s[kind+" "+object] = text
		return nil
	})
	for _, table := range tables {
		err = errors.Join(err, sqliteColumns(ctx, db, table, s))
	}
	return s, err
}

func sqliteColumns(ctx context.Context, db *sql.DB, table string, into noon.Schema) error {
	return each(ctx, db, `select name, type, "notnull", coalesce('default '||dflt_value, '') from pragma_table_xinfo(?)`, func(r *sql.Rows) error {
		var column, kind, value string
		var notNull bool
		if err := r.Scan(&column, &kind, &notNull, &value); err != nil {
			return err
		}
		into["column "+table+"."+column] = words(strings.ToLower(kind), when(notNull, "not null"), value)
		return nil
	}, table)
}

// each gives every row of a query to see.
func each(ctx context.Context, db *sql.DB, query string, see func(*sql.Rows) error, args ...any) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("ask what there is: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := see(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
