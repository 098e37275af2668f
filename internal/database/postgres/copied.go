package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Disown makes a copied database forget the releases of the one that it was
// copied from: roles belong to the server, and those in the journal are not of
// this database.
func Disown(ctx context.Context, conn *pgx.Conn) error {
	if there, err := journalThere(ctx, conn); err != nil || !there {
		return err
	}
	if _, err := conn.Exec(ctx, "delete from noon.role"); err != nil {
		return fmt.Errorf("forget the releases of the database that was copied: %w", err)
	}
	return nil
}

// OwnRoles lists the roles that noon made for releases of a database: those of
// its journal whose names are of this database, not of one that it was copied
// from.
func OwnRoles(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	if there, err := journalThere(ctx, conn); err != nil || !there {
		return nil, err
	}
	rows, err := conn.Query(ctx, "select name, app, release from noon.role order by name")
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	type role struct{ Name, App, Release string }
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[role])
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	var names []string
	for _, r := range list {
		if r.Name == RoleName(r.App, r.Release, conn.Config().Database) {
			names = append(names, r.Name)
		}
	}
	return names, nil
}
