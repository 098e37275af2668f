// Package store keeps the shop's data in one SQLite file that several
// processes of several releases use at the same time.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
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
	// turn lets one writer of this process at a time compete with other
	// processes for SQLite's single write lock.
	turn    chan struct{}
	release string
}

// File is where the database lies in a data directory.
func File(dataDir string) string { return filepath.Join(dataDir, "shop.db") }

// Open opens the database of a data directory; both are made if missing.
// Release is written to the rows that this process makes.
func Open(ctx context.Context, dataDir, release string) (*Store, error) {
	if err := os.MkdirAll(dataDir, 0o750); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	s := &Store{turn: make(chan struct{}, 1), release: release}
	for _, pool := range []struct {
		db          **sql.DB
		synchronous string
		connections int
	}{{&s.durable, "FULL", 1}, {&s.quick, "NORMAL", 1}, {&s.read, "NORMAL", 4}} {
		db, err := connect(ctx, File(dataDir), pool.synchronous, pool.connections)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		*pool.db = db
	}
	return s, nil
}

// connect opens a pool. A connection waits for locks instead of giving up;
// transactions take the write lock at their start, so that none of them finds
// out half-way that what it read is outdated.
func connect(ctx context.Context, file, synchronous string, connections int) (*sql.DB, error) {
	query := url.Values{
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(" + synchronous + ")", "foreign_keys(ON)"},
		"_txlock": {"immediate"},
	}
	dsn := url.URL{Scheme: "file", Path: file, RawQuery: query.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", file, err), db.Close())
	}
	return db, nil
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

// change runs do in a transaction that holds the write lock.
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
