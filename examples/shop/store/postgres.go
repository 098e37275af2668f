package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// Postgres opens the database of an address (postgres://…). Which schema its
// unqualified names mean is the affair of the role in the address: noon gives
// every release a role that sees what the release knows. Release is written to
// the rows that this process makes.
func Postgres(ctx context.Context, url, release string) (*Store, error) {
	const connections = 8
	db, err := sql.Open("pgx", url)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), db.Close())
	}
	return &Store{
		durable: db, quick: db, read: db, turn: make(chan struct{}, connections), release: release,
		dialect: dialect{
			lock:   " FOR UPDATE OF c",
			take:   " FOR UPDATE SKIP LOCKED",
			moves:  "SELECT pg_advisory_xact_lock(1200)", // any number, as long as it is the same in every release
			schema: seen,
		},
	}, nil
}

// seen tells whether the role sees orders as this release knows them.
func seen(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, "SELECT "+orderColumns+" FROM orders LIMIT 1"); err != nil {
		return fmt.Errorf("look for what this release needs of the schema: %w", err)
	}
	return nil
}
