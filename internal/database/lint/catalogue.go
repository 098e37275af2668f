package lint

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
)

// Catalog is what is known of the database that a migration is for. It is
// plain data, so that it can be read in one place and linted with in another.
type Catalog struct {
	pgcatalog.Catalog
	Functions []Function `json:"functions"` // of the user's schemas
	Domains   []Domain   `json:"domains"`
	Defaults  []name     `json:"default_partitions,omitempty"`
	Queries   []Query    `json:"queries,omitempty"` // what was run; empty where nobody counts
}

// Function is a function and whether its result varies.
type Function struct {
	pgcatalog.Name
	Volatile bool `json:"volatile"`
}

// Domain is a domain.
type Domain struct {
	pgcatalog.Name
	Base        string `json:"base"`        // with modifier: "character varying(50)"
	Constrained bool   `json:"constrained"` // it has a check or is NOT NULL
}

// Query is a statement that clients have run, as pg_stat_statements keeps it.
type Query struct {
	Role  string `json:"role"` // who ran it
	Text  string `json:"text"`
	Calls int64  `json:"calls"`
}

const functionsQuery = `
select n.nspname::text, p.proname::text, bool_or(p.provolatile = 'v')
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname = any($1) group by 1, 2 order by 1, 2`

const domainsQuery = `
select n.nspname::text, y.typname::text, format_type(y.typbasetype, y.typtypmod),
  y.typnotnull or exists (select from pg_constraint k where k.contypid = y.oid)
from pg_type y join pg_namespace n on n.oid = y.typnamespace
where y.typtype = 'd' and n.nspname = any($1) order by 1, 2`

const defaultsQuery = `
select n.nspname::text, c.relname::text
from pg_partitioned_table p join pg_class c on c.oid = p.partdefid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any($1) order by 1, 2`

// Only queries of this database that were run by roles of applications.
const queriesQuery = `
select pg_get_userbyid(s.userid)::text, s.query, s.calls
from pg_stat_statements s join pg_database d on d.oid = s.dbid
where d.datname = current_database() and s.query is not null order by s.calls desc limit 5000`

// ReadFrom connects to a PostgreSQL database, reads its catalogue in one
// read-only transaction, and goes.
func ReadFrom(ctx context.Context, url string, schemas []string) (*Catalog, error) {
	wrong := func(kind noon.ErrorKind, err error, hint string) error {
		return &noon.Error{Kind: kind, Op: "read the catalogue of", Subject: "the database", Err: err, Hint: hint + " Nothing was changed."}
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, wrong(noon.Invalid, err, "Give an address like postgres://USER@HOST:5432/DATABASE.")
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, wrong(noon.Unavailable, err, "See that the server runs and can be reached from here, and that user and password are right.")
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // everything was read
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, wrong(noon.Failure, err, "Try again.")
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // it only reads
	c, err := Read(ctx, tx, schemas)
	if err != nil {
		return nil, wrong(noon.Failure, err, "The role needs no more than to connect; see the server's words.")
	}
	return c, nil
}

// Read reads the catalogue of the schemas, of all of the user's schemas if
// there are none named. Queries are read where the extension
// pg_stat_statements is installed and may be read.
func Read(ctx context.Context, q pgcatalog.Querier, schemas []string) (*Catalog, error) {
	base, err := pgcatalog.Read(ctx, q, schemas)
	if err != nil {
		return nil, err
	}
	c := &Catalog{Catalog: *base}
	if c.Functions, err = collect(ctx, q, functionsQuery, func(row pgx.CollectableRow) (f Function, err error) {
		return f, row.Scan(&f.Schema, &f.Name.Name, &f.Volatile)
	}, c.Schemas); err != nil {
		return nil, fmt.Errorf("read the functions: %w", err)
	}
	if c.Domains, err = collect(ctx, q, domainsQuery, func(row pgx.CollectableRow) (d Domain, err error) {
		return d, row.Scan(&d.Schema, &d.Name.Name, &d.Base, &d.Constrained)
	}, c.Schemas); err != nil {
		return nil, fmt.Errorf("read the domains: %w", err)
	}
	if c.Defaults, err = collect(ctx, q, defaultsQuery, pgx.RowToStructByPos[name], c.Schemas); err != nil {
		return nil, fmt.Errorf("read the default partitions: %w", err)
	}
	there, err := collect(ctx, q, "select 1 from pg_extension where extname = 'pg_stat_statements'", pgx.RowTo[int])
	if err != nil {
		return nil, fmt.Errorf("look for pg_stat_statements: %w", err)
	}
	if len(there) == 0 {
		return c, nil
	}
	c.Queries, err = collect(ctx, q, queriesQuery, pgx.RowToStructByPos[Query])
	if err != nil {
		return nil, fmt.Errorf("read pg_stat_statements: %w", err)
	}
	return c, nil
}

func collect[T any](ctx context.Context, q pgcatalog.Querier, query string, scan pgx.RowToFunc[T], args ...any) ([]T, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}
