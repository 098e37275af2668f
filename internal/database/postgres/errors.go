package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/noon-deploy/noon"
)

// SQLSTATE codes, of appendix A of PostgreSQL's manual.
const (
	lockNotAvailable  = "55P03"
	deadlockDetected  = "40P01"
	queryCanceled     = "57014"
	invalidPassword   = "28P01"
	invalidAuth       = "28000"
	noDatabase        = "3D000"
	insufficientRight = "42501"
	readOnly          = "25006"
	diskFull          = "53100"
	tooMany           = "53300"
	dependentObjects  = "2BP01"
)

// code is the SQLSTATE of an error of the server, "" for others.
func code(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// data reports whether values, not the statement, are to blame.
func data(err error) bool {
	c := code(err)
	return strings.HasPrefix(c, "22") || strings.HasPrefix(c, "23")
}

// explain makes an error that its reader can act on of one of the server or of
// the way to it.
func explain(op, subject string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*noon.Error](err); ok {
		return err
	}
	if server := (*pgconn.PgError)(nil); errors.As(err, &server) && server.Detail != "" {
		err = fmt.Errorf("%w: %s", err, server.Detail)
	}
	e := &noon.Error{Kind: noon.Failure, Op: op, Subject: subject, Err: err}
	e.Kind, e.Hint = kind(err)
	return e
}

func kind(err error) (noon.ErrorKind, string) {
	switch code(err) {
	case invalidPassword, invalidAuth:
		return noon.Invalid, "Check the user and the password of the database's address. Nothing was changed."
	case noDatabase:
		return noon.Invalid, "Check the name of the database in its address. Nothing was changed."
	case insufficientRight:
		return noon.Invalid, "Give the role what it lacks, and try again. " + remedy(err)
	case readOnly:
		return noon.Invalid, "This server takes no changes: give noon the address of the primary. Nothing was changed."
	case diskFull:
		return noon.Failure, "Make room on the server's disk, and try again: what was begun goes on from where it was."
	case tooMany:
		return noon.Unavailable, "Let noon have up to five connections, and try again: what was begun goes on from where it was."
	case dependentObjects:
		return noon.Conflict, "Drop what depends on it, or make it depend on the tables, and try again. The transaction was rolled back."
	case lockNotAvailable, deadlockDetected:
		return noon.Conflict, "Try again when the sessions that are in the way have ended. The transaction was rolled back."
	case "":
		var network net.Error
		var connect *pgconn.ConnectError
		switch {
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			return noon.Unavailable, "Ask for it again: what was begun goes on from where it was."
		case errors.As(err, &network), errors.As(err, &connect), strings.Contains(err.Error(), "conn closed"), strings.Contains(err.Error(), "unexpected EOF"):
			return noon.Unavailable, "Check that the server runs and can be reached, and try again: what was begun goes on from where it was."
		}
		return noon.Internal, ""
	}
	if strings.HasPrefix(code(err), "57P") || strings.HasPrefix(code(err), "08") {
		return noon.Unavailable, "The server went away: try again, what was begun goes on from where it was."
	}
	return noon.Failure, "The transaction was rolled back. Correct what the server says, or withdraw the change."
}

// remedy is the statement that gives a missing right.
func remedy(err error) string {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return ""
	}
	subject := ""
	if _, rest, ok := strings.Cut(e.Message, "for "); ok {
		subject = rest
	}
	switch {
	case strings.HasPrefix(subject, "database "):
		return fmt.Sprintf("As the database's owner: GRANT CREATE ON DATABASE %s TO the role that noon logs in as.", quote(strings.TrimPrefix(subject, "database ")))
	case strings.HasPrefix(subject, "schema "):
		return fmt.Sprintf("As the schema's owner: GRANT USAGE, CREATE ON SCHEMA %s TO the role that noon logs in as.", quote(strings.TrimPrefix(subject, "schema ")))
	case strings.HasPrefix(e.Message, "must be owner of "):
		return fmt.Sprintf("It %s: GRANT the owning role TO the role that noon logs in as.", e.Message)
	case strings.Contains(e.Message, "create role"):
		return "As a superuser: ALTER ROLE the role that noon logs in as CREATEROLE."
	}
	return "The server says: " + e.Message + "."
}
