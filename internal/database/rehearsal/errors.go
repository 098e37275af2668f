package rehearsal

import (
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

// explained adds to an error of a server what it says beside its message: the
// row, above all. Of an error of the way there the address is left out, which
// may hold a password.
func explained(err error) error {
	if e, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		if cause := errors.Unwrap(e); cause != nil {
			return cause
		}
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Detail != "" {
		return fmt.Errorf("%w: %s", err, e.Detail)
	}
	return err
}

// undefined reports whether a statement names what is not there (any more).
func undefined(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "42703" || e.Code == "42P01" || e.Code == "3F000"
	}
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return e.Number == 1054 || e.Number == 1146
	}
	return false
}
