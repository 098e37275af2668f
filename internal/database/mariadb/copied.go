package mariadb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/noon-deploy/noon"
)

// A copy of a database has the journal of the one that it was copied from.
// Users, and the databases of views, are the server's: an engine that works on
// a copy is told by [Config.Names] to begin their names with that of the copy.

// Settled refuses a database in which a version is on its way: what its triggers
// and its journal name is of that database, so a copy could not go on with it.
func Settled(ctx context.Context, db *sql.DB, database string) error {
	there, err := journalIn(ctx, db)
	if err != nil || !there {
		return err
	}
	var app, state string
	var number int
	err = db.QueryRowContext(ctx, "SELECT app, version, state FROM noon_version WHERE state <> ? LIMIT 1", StateContracted).Scan(&app, &number, &state)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("read the journal: %w", err)
	}
	return &noon.Error{
		Kind: noon.Conflict, Op: "copy database", Subject: database, Err: fmt.Errorf("its schema has a version on its way: %s is %s", versionName(app, number), state),
		Hint: "Wait until it is completed or withdrawn: `noon status` tells what it waits for. Production was not changed.",
	}
}

// Disown makes a copied database forget the releases of the one that it was
// copied from.
func Disown(ctx context.Context, db *sql.DB) error {
	there, err := journalIn(ctx, db)
	if err != nil || !there {
		return err
	}
	if _, err := db.ExecContext(ctx, "DELETE FROM noon_role"); err != nil {
		return fmt.Errorf("forget the releases of the database that was copied: %w", err)
	}
	return nil
}

// OwnNames lists the users, most with a database of views of their name, that
// noon made for releases of a copy: those of its journal whose names are of this
// copy, not of what it was copied from.
func OwnNames(ctx context.Context, db *sql.DB, database string) ([]string, error) {
	there, err := journalIn(ctx, db)
	if err != nil || !there {
		return nil, err
	}
	var list []string
	err = each(ctx, db, func(v []sql.NullString) error {
		if v[0].String == Name(database, v[1].String) {
			list = append(list, v[0].String, claimName(database, v[0].String))
		}
		return nil
	}, "SELECT name, `release` FROM noon_role ORDER BY name")
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return list, nil
}

// ViewsOf are the views of a user's database, with the tables and columns that
// are behind them; none if the journal does not know the user.
func ViewsOf(ctx context.Context, db *sql.DB, database, user string) ([]View, error) {
	there, err := journalIn(ctx, db)
	if err != nil || !there {
		return nil, err
	}
	e := &Engine{database: database, maria: true}
	var version int
	err = db.QueryRowContext(ctx, "SELECT app, version FROM noon_role WHERE name = ?", user).Scan(&e.c.App, &version)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return e.views(ctx, db, version)
}

func journalIn(ctx context.Context, db *sql.DB) (bool, error) {
	var n int
	err := db.QueryRowContext(ctx, "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'noon_role'").Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look for noon's own tables: %w", err)
	}
	return n > 0, nil
}
