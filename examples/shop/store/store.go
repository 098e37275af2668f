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
	// Writers queue in the process, so that only one of its connections at a
	// time competes with other processes for SQLite's single write lock.
	write   *sql.DB
	read    *sql.DB
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
	write, err := connect(ctx, File(dataDir), 1)
	if err != nil {
		return nil, err
	}
	read, err := connect(ctx, File(dataDir), 4)
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	return &Store{write: write, read: read, release: release}, nil
}

// connect opens a pool. A connection waits for locks instead of giving up;
// transactions take the write lock at their start, so that none of them finds
// out half-way that what it read is outdated; a commit is on the disk when it
// returns.
func connect(ctx context.Context, file string, connections int) (*sql.DB, error) {
	query := url.Values{
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)"},
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
func (s *Store) Close() error { return errors.Join(s.write.Close(), s.read.Close()) }

// change runs do in a transaction that holds the write lock.
func (s *Store) change(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // it fails after Commit, and there is nothing to do otherwise
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
