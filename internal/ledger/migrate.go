package ledger

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

func embedded() fs.FS {
	sub, err := fs.Sub(schemaFiles, "schema")
	if err != nil {
		panic(err) // the directory is in the binary
	}
	return sub
}

const versionTable = `CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied BIGINT NOT NULL)`

// migration is one file of the schema: 0001_init.sql is version 1.
type migration struct {
	version int
	name    string
	text    string
}

// migrations reads the schema and insists on 1, 2, 3 … without a gap.
func migrations(schema fs.FS) ([]migration, error) {
	names, err := fs.Glob(schema, "*.sql") // sorted
	if err != nil {
		return nil, err
	}
	all := make([]migration, 0, len(names))
	for i, name := range names {
		digits, _, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(digits)
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("schema file %s is not number %d", name, i+1)
		}
		text, err := fs.ReadFile(schema, name)
		if err != nil {
			return nil, err
		}
		all = append(all, migration{version: version, name: name, text: string(text)})
	}
	return all, nil
}

// migrate brings the schema forward, one transaction a version.
func migrate(ctx context.Context, db *sql.DB, schema fs.FS, now func() time.Time) error {
	known, err := migrations(schema)
	if err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, versionTable); err != nil {
		return fmt.Errorf("create schema_version: %w", err)
	}
	var current int
	if err := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM schema_version`).Scan(&current); err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if current > len(known) {
		return &noon.Error{
			Kind: noon.Invalid, Err: fmt.Errorf("its schema has version %d, this noon knows up to %d", current, len(known)),
			Hint: "A newer noon has written this ledger. Use a noon at least as new, or put a backup from before that upgrade in its place.",
		}
	}
	for _, m := range known[current:] {
		if err := apply(ctx, db, m, now()); err != nil {
			return fmt.Errorf("apply %s: %w", m.name, err)
		}
	}
	return nil
}

func apply(ctx context.Context, db *sql.DB, m migration, at time.Time) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // a no-op once it is committed
	if _, err := tx.ExecContext(ctx, m.text); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO schema_version (version, name, applied) VALUES ($1, $2, $3)`, m.version, m.name, nanos(at)); err != nil {
		return err
	}
	return tx.Commit()
}
