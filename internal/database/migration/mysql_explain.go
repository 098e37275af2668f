package migration

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/go-sql-driver/mysql"

	"github.com/noon-deploy/noon"
)

// explain is by the servers' error numbers.
func (m mariadb) explain(err error) problem {
	e, ok := errors.AsType[*mysql.MySQLError](err)
	if !ok {
		return connectionProblem(err)
	}
	out := problem{kind: noon.Failure, hint: "This statement has changed nothing; those before it are recorded. Correct it (what was not run may be changed) and try again."}
	switch e.Number {
	case 1205, 1213: // lock wait timeout, deadlock
		out.kind, out.retry = noon.Conflict, true
	case 1045, 1698, 1251: // access denied
		out.kind, out.hint = noon.Invalid, "Check user and password, and from which hosts the user may connect."
	case 1049: // unknown database
		out.kind, out.hint = noon.NotFound, "Create the database first, or name another one."
	case 1044, 1142, 1143, 1227, 1370, 1419, 1410: // privileges
		out.kind, out.hint = noon.Invalid, "This statement has changed nothing. "+m.grant(e.Message)
	case 1290, 1836, 1792: // read_only, read-only mode, read-only transaction
		out.kind, out.hint = noon.Conflict, "This is a replica, or read_only is on. Name the primary; nothing was changed."
	case 1114, 1021, 3, 28: // the table or the disk is full
		out.hint = "The server's disk is full. Free space there; this statement has changed nothing."
	case 1053, 1927, 1080, 1184: // shutdown, the connection was ended
		out.kind, out.lost, out.hint = noon.Unavailable, true, "The server was stopped or has ended the session. Try again when it answers."
	case 1040: // too many connections
		out.kind, out.hint = noon.Unavailable, "The server has no connection left. Try again, or raise max_connections."
	case 1064: // syntax
		out.kind = noon.Invalid
		if at := regexp.MustCompile(` at line ([0-9]+)$`).FindStringSubmatch(e.Message); at != nil {
			out.line, _ = strconv.Atoi(at[1]) // the expression allows digits only
		}
	}
	return out
}

// grant is the statement that gives what is missing.
func (m mariadb) grant(message string) string {
	const who = "An administrator can run: "
	deniedTo := regexp.MustCompile(`^([A-Z, ]+) command denied to user '([^']*)'@'([^']*)' for (?:table|view|routine) [` + "`" + `']?(.+?)[` + "`" + `']?$`)
	deniedDB := regexp.MustCompile(`Access denied for user '([^']*)'@'([^']*)' to database '([^']*)'`)
	deniedMore := regexp.MustCompile(`need \(at least one of\) the (.+) privilege`)
	if f := deniedTo.FindStringSubmatch(message); f != nil {
		return fmt.Sprintf(who+"GRANT %s ON `%s`.* TO '%s'@'%s';", f[1], m.database, f[2], f[3])
	}
	if f := deniedDB.FindStringSubmatch(message); f != nil {
		return fmt.Sprintf(who+"GRANT ALL PRIVILEGES ON `%s`.* TO '%s'@'%s';", f[3], f[1], f[2])
	}
	if f := deniedMore.FindStringSubmatch(message); f != nil {
		return fmt.Sprintf(who+"GRANT %s ON *.* TO '%s'@'%%';", f[1], m.user)
	}
	return "An administrator has to give noon's user the privilege."
}
