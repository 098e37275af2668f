package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/noon-deploy/noon/examples/shop/migrations"
)

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
			if _, err := tx.ExecContext(ctx, `INSERT INTO schema_migrations (version, name) VALUES (?, ?)`, m.Version, m.Name); err != nil {
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

// Ready tells whether this release can do its work with the database: the
// schema is new enough, and the catalogue can be read from it.
func (s *Store) Ready(ctx context.Context) error {
	needed, err := migrations.Needed()
	if err != nil {
		return err
	}
	var version int
	if err := s.read.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM schema_migrations`).Scan(&version); err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if version < needed {
		return fmt.Errorf("the schema is at version %d, this release needs %d: run shop migrate", version, needed)
	}
	if _, err := s.Products(ctx); err != nil {
		return err
	}
	return nil
}
