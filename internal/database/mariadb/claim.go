package mariadb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/noon-deploy/noon"
)

// A user that noon makes is known to be noon's from the moment on when it is
// there, although no transaction holds both it and the journal: it is made under
// another name, which only noon uses, and gets its own by a RENAME, which the
// server refuses if somebody has it. When the journal says that the user was
// made under the other name and there is no such user, then it has its own.

// What the journal has for the version of a user that is not ready.
const (
	unclaimed = -3 // it is not in the journal
	renaming  = -2 // it was made under its other name
	claiming  = -1 // it may have been
)

// claimName is the other name.
func claimName(database, name string) string { return own + "claim_" + digest(database+"\x00"+name) }

// claimed is the version that the journal has for a user, or how far it is.
func claimed(ctx context.Context, s session, name string) (int, error) {
	version := unclaimed
	err := s.QueryRowContext(ctx, "SELECT version FROM noon_role WHERE name = ?", name).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return version, err
}

// claim makes the user, unless somebody else has made it or a database of its
// name.
func (e *Engine) claim(ctx context.Context, conn *sql.Conn, r ReleaseRole, password string) error {
	at, err := claimed(ctx, conn, r.Name)
	if err != nil {
		return err
	}
	if at == unclaimed {
		var there bool
		if err := conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM information_schema.schemata WHERE schema_name = ?)", r.Name).Scan(&there); err != nil {
			return err
		}
		if there {
			return taken(r.Name)
		}
		if err := e.step(ctx, conn, "INSERT INTO noon_role (name, app, `release`, version) VALUES (?, ?, ?, ?)", r.Name, e.c.App, r.Release, claiming); err != nil {
			return err
		}
	}
	other := literal(claimName(e.database, r.Name)) + "@'%'"
	if at != renaming {
		for _, text := range []string{
			"DROP USER IF EXISTS " + other,
			fmt.Sprintf("CREATE USER %s IDENTIFIED BY %s", other, literal(password)),
			fmt.Sprintf("UPDATE noon_role SET version = %d WHERE name = %s", renaming, literal(r.Name)),
		} {
			if err := e.step(ctx, conn, text); err != nil {
				return err
			}
		}
	}
	err = e.step(ctx, conn, fmt.Sprintf("RENAME USER %s TO %s@'%%'", other, literal(r.Name)))
	if code(err) != cannotUser {
		return err
	}
	if ours, err := e.ours(ctx, conn, r.Name); err != nil || ours {
		return err
	}
	return taken(r.Name)
}

func taken(name string) error {
	return &noon.Error{Kind: noon.Conflict, Op: "make user", Subject: name, Err: errors.New("there is a user or a database of this name that noon has not made"), Hint: "Rename that, or the app. Nothing was changed."}
}

// ours reports whether noon has made a user. What was begun for one that it has
// not made is taken back.
func (e *Engine) ours(ctx context.Context, conn *sql.Conn, name string) (bool, error) {
	at, err := claimed(ctx, conn, name)
	if err != nil || at == unclaimed || at >= 0 {
		return at >= 0, err
	}
	other := literal(claimName(e.database, name)) + "@'%'"
	if at == renaming { // what fails if the user is not there
		_, err := conn.ExecContext(ctx, "ALTER USER "+other+" ACCOUNT LOCK")
		if code(err) == cannotUser {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	for _, text := range []string{
		fmt.Sprintf("UPDATE noon_role SET version = %d WHERE name = %s", claiming, literal(name)), // that it is not there says nothing then
		"DROP USER IF EXISTS " + other,
		"DELETE FROM noon_role WHERE name = " + literal(name),
	} {
		if err := e.step(ctx, conn, text); err != nil {
			return false, err
		}
	}
	return false, nil
}

// step is a statement of the way to a user, at whose end a process may die.
func (e *Engine) step(ctx context.Context, conn *sql.Conn, text string, args ...any) error {
	_, err := conn.ExecContext(ctx, text, args...)
	e.c.Fault.Point("mariadb.role.claim")
	return err
}
