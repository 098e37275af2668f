// Package store keeps the shop's data in a database that several processes of
// several releases use at the same time: one SQLite file, or PostgreSQL.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// ErrNotFound is returned when there is no such row.
var ErrNotFound = errors.New("not found")

// Store is the shop's database.
type Store struct {
	// durable commits are on the disk when they return, quick ones with the
	// next durable one: a power loss can take back the last clicks in a cart
	// or give a handled order back to the workers, but never lose an order.
	// The end of a process takes nothing back.
	durable *sql.DB
	quick   *sql.DB
	read    *sql.DB
	// turn is had by as many writers of this process as the database lets
	// write at a time.
	turn    chan struct{}
	dialect dialect
	release string
}

// dialect is where the databases differ. The locks are nothing where a
// transaction that writes is the only one.
type dialect struct {
	lock  string // after a SELECT: whoever else wants the rows waits for the end of the transaction
	take  string // after a SELECT: the same, but rows that somebody else has are left out
	moves string // lets one transaction at a time move stock, so that moves are numbered as they are seen
	// schema tells whether the schema is what this release needs.
	schema func(context.Context, *sql.DB) error
}

// Ready tells whether this release can do its work with the database.
func (s *Store) Ready(ctx context.Context) error {
	if err := s.dialect.schema(ctx, s.read); err != nil {
		return err
	}
	_, err := s.Products(ctx)
	return err
}

// Close closes the database.
func (s *Store) Close() error {
	var err error
	for _, db := range []*sql.DB{s.durable, s.quick, s.read} {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}
	return err
}

// change runs do in a transaction.
func (s *Store) change(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback()
	if err := do(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// rows runs a query and gives every row to scan.
func rows(ctx context.Context, db querier, scan func(*sql.Rows) error, query string, args ...any) error {
	found, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		if err := scan(found); err != nil {
			return err
		}
	}
	return found.Err()
}

// querier is a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// stamp is how times are written: sortable text in UTC.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
