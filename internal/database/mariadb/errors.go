package mariadb

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"

	"github.com/go-sql-driver/mysql"

	"github.com/noon-deploy/noon"
)

// code is the number of an error of the server, 0 for others.
func code(err error) uint16 {
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return e.Number
	}
	return 0
}

// Numbers of errors, of the manual's list.
const (
	noSuchThread    = 1094
	noSuchTable     = 1146
	lockWaitTimeout = 1205
	deadlock        = 1213
	interrupted     = 1317
	statementTime   = 1969 // max_statement_time, and KILL in some states
	cannotUser      = 1396 // RENAME or ALTER USER of one that is not there, or RENAME to one that is
	notSupported    = 1845 // ALGORITHM
	notSupportedWhy = 1846
)

// busy reports whether others were in the way.
func busy(err error) bool {
	return slices.Contains([]uint16{lockWaitTimeout, deadlock, interrupted, statementTime}, code(err))
}

// lost reports whether the session is gone.
func lost(err error) bool {
	network := net.Error(nil)
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network) ||
		slices.Contains([]uint16{1053, 1080, 1184, 1927}, code(err))
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
	e := &noon.Error{Kind: noon.Failure, Op: op, Subject: subject, Err: err}
	e.Kind, e.Hint = kind(err)
	return e
}

func kind(err error) (noon.ErrorKind, string) {
	switch code(err) {
	case 1045, 1698, 1251:
		return noon.Invalid, "Check the user and the password of the database's address, and from which hosts the user may connect. Nothing was changed."
	case 1049:
		return noon.Invalid, "Check the name of the database in its address. Nothing was changed."
	case 1044, 1142, 1143, 1227, 1370, 1410:
		return noon.Invalid, "Give noon's user what it lacks, and try again: what was begun goes on from where it was."
	case 1419:
		return noon.Invalid, "The server writes a binary log and lets only administrators make triggers: SET GLOBAL log_bin_trust_function_creators = 1 (and set it in the server's configuration), and try again."
	case 1290, 1792, 1836:
		return noon.Invalid, "This server takes no changes: give noon the address of the primary. Nothing was changed."
	case 3, 28, 1021, 1114:
		return noon.Failure, "Make room on the server's disk, and try again: what was begun goes on from where it was."
	case 1040, 1203, 1226:
		return noon.Unavailable, "Let noon have up to five connections, and try again: what was begun goes on from where it was."
	case lockWaitTimeout, deadlock, interrupted, statementTime:
		return noon.Conflict, "Try again when the sessions that are in the way have ended: what was begun goes on from where it was."
	case 0:
		if lost(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return noon.Unavailable, "Check that the server runs and can be reached, and try again: what was begun goes on from where it was."
		}
		return noon.Internal, ""
	}
	if lost(err) {
		return noon.Unavailable, "The server went away: try again, what was begun goes on from where it was."
	}
	return noon.Failure, "Correct what the server says, or withdraw the change; what was done before this statement is in the journal."
}
