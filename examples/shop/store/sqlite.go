package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/noon-deploy/noon/examples/shop/migrations"
)

// File is where the SQLite database lies in a data directory.
func File(dataDir string) string { return filepath.Join(dataDir, "shop.db") }

// SQLite opens the database of a data directory; both are made if missing.
// Release is written to the rows that this process makes.
func SQLite(ctx context.Context, dataDir, release string) (*Store, error) {
	if err := os.MkdirAll(dataDir, 0o750); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	// One writer of this process at a time competes with other processes for
	// the single write lock, which makes every transaction the only one.
	s := &Store{turn: make(chan struct{}, 1), release: release, dialect: dialect{schema: migrated}}
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

// Migrate brings the schema to what this release needs, all of it or nothing,
// and returns the names of the steps it took. A database that is newer already
// is left as it is: the release after this one has migrated it.
func (s *Store) Migrate(ctx context.Context) ([]string, error) {
	all, err := migrations.All()
	if err != nil {
		return nil, err
	}
	var taken []string
	err = s.change(ctx, s.durable, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS schema_migrations
			(version INTEGER PRIMARY KEY, name TEXT NOT NULL, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)`); err != nil {
			return err
		}
		var version int
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM schema_migrations`).Scan(&version); err != nil {
			return err
		}
		for _, m := range all[min(version, len(all)):] {
			if _, err := tx.ExecContext(ctx, m.SQL); err != nil {
				return fmt.Errorf("%s: %w", m.Name, err)
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO schema_migrations (version, name) VALUES ($1, $2)`, m.Version, m.Name); err != nil {
				return err
			}
			taken = append(taken, m.Name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	return taken, nil
}

// migrated tells whether the schema is new enough for this release.
func migrated(ctx context.Context, db *sql.DB) error {
	needed, err := migrations.Needed()
	if err != nil {
		return err
	}
	var version int
	if err := db.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM schema_migrations`).Scan(&version); err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if version < needed {
		return fmt.Errorf("the schema is at version %d, this release needs %d: run shop migrate", version, needed)
	}
	return nil
}
