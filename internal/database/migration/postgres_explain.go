package migration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/noon-deploy/noon"
)

// hideURL leaves the address out of the error of a URL.
func hideURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// hideAddress leaves the address out of an error of the driver.
func hideAddress(err error) error {
	if e := errors.Unwrap(err); e != nil {
		return hideURL(e)
	}
	return errors.New("the driver does not understand it")
}

// explain is by the codes of appendix A of the PostgreSQL manual.
func (p postgres) explain(err error) problem {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return connectionProblem(err)
	}
	out := problem{kind: noon.Failure, hint: "Nothing of this step was changed. Correct it and try again."}
	switch e.Code {
	case "55P03", "40P01", "40001": // lock_not_available, deadlock_detected, serialization_failure
		out.kind, out.retry = noon.Conflict, true
	case "28P01", "28000": // invalid_password, invalid_authorization_specification
		out.kind, out.hint = noon.Invalid, "Check user and password, and pg_hba.conf of the server."
	case "3D000": // invalid_catalog_name
		out.kind, out.hint = noon.NotFound, "Create the database first, or name another one."
	case "42501": // insufficient_privilege
		out.kind, out.hint = noon.Invalid, "Nothing of this step was changed. "+p.grant(e)
	case "25006": // read_only_sql_transaction
		out.kind, out.hint = noon.Conflict, "This is a replica, or default_transaction_read_only is on. Name the primary; nothing was changed."
	case "25001": // active_sql_transaction
		out.kind, out.hint = noon.Invalid, "Nothing of this section was changed. Put the statement into a section of its own with the directive `-- noon: no-transaction`."
	case "53100": // disk_full
		out.hint = "The server's disk is full. Free space there; nothing of this step was changed."
	case "57014": // query_canceled
		out.hint = "Nothing of this step was changed. If it may take that long, give it a longer --timeout; better, let it work in batches: `-- noon: data over TABLE.KEY in 1000`."
	case "57P01", "57P02", "57P03", "57P05": // ended by an administrator, a crash, or not up yet
		out.kind, out.lost, out.hint = noon.Unavailable, true, "The server was stopped or has ended the session. Try again when it answers."
	case "42601": // syntax_error
		out.kind = noon.Invalid
	}
	if q := e.Position; q > 0 && e.InternalQuery == "" {
		out.character = int(q)
	}
	return out
}

// connectionProblem explains an error that no server has sent.
func connectionProblem(err error) problem {
	if e, ok := errors.AsType[*noon.Error](err); ok {
		return problem{kind: e.Kind, hint: e.Hint} // it was explained already
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return problem{kind: noon.Unavailable, lost: true, hint: "It was interrupted. What was done is recorded; the rest is done with the next try."}
	}
	if _, ok := errors.AsType[*spot](err); ok || isConnection(err) {
		return problem{kind: noon.Unavailable, lost: true, hint: "Check that the server runs and that its address and port are right; then try again."}
	}
	return problem{kind: noon.Internal}
}

func isConnection(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	var n net.Error
	text := err.Error()
	return errors.As(err, &n) || errors.Is(err, sql.ErrConnDone) || strings.Contains(text, "conn closed") || strings.Contains(text, "unexpected EOF") ||
		strings.Contains(text, "bad connection") || strings.Contains(text, "invalid connection") || strings.Contains(text, "connection reset") || strings.Contains(text, "broken pipe")
}

// grant is the statement that gives what is missing.
func (p postgres) grant(e *pgconn.PgError) string {
	if m := regexp.MustCompile(`must be (?:able to SET ROLE|owner of) (\w+) (.+)`).FindStringSubmatch(e.Message); m != nil {
		return fmt.Sprintf("The owner or a superuser can run: ALTER %s %s OWNER TO %s; or give noon's user the owner's role: GRANT <owner> TO %s.", strings.ToUpper(m[1]), m[2], quoteName(p.user), quoteName(p.user))
	}
	m := regexp.MustCompile(`permission denied for (\w+) (.+)`).FindStringSubmatch(e.Message)
	if m == nil {
		return "A superuser has to give noon's user the privilege, or has to do this step."
	}
	what := map[string]string{
		"schema": "CREATE, USAGE", "database": "CREATE", "table": "SELECT, INSERT, UPDATE, DELETE", "view": "SELECT",
		"sequence": "USAGE, SELECT, UPDATE", "function": "EXECUTE", "type": "USAGE", "language": "USAGE",
	}[m[1]]
	if what == "" {
		return "A superuser has to give noon's user the privilege, or has to do this step."
	}
	if m[1] == "view" {
		m[1] = "table"
	}
	return fmt.Sprintf("Its owner or a superuser can run: GRANT %s ON %s %s TO %s;", what, strings.ToUpper(m[1]), m[2], quoteName(p.user))
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func (p postgres) blockers(ctx context.Context, db *sql.DB, session int64) ([]Blocker, error) {
	rows, err := db.QueryContext(ctx, `SELECT pid, coalesce(usename, '') || coalesce(' from ' || host(client_addr), '') || coalesce(' (' || nullif(application_name, '') || ')', ''),
		coalesce(state, backend_type), coalesce(query, ''), coalesce(extract(epoch FROM now() - xact_start), 0)::float8
		FROM pg_catalog.pg_stat_activity WHERE pid = ANY (pg_blocking_pids($1::int)) ORDER BY pid`, session)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Blocker
	for rows.Next() {
		b := Blocker{Sure: true}
		var seconds float64
		if err := rows.Scan(&b.Session, &b.User, &b.State, &b.Query, &seconds); err != nil {
			return nil, err
		}
		b.Since = time.Duration(seconds * float64(time.Second))
		all = append(all, b)
	}
	return all, rows.Err()
}

func (p postgres) end(ctx context.Context, db *sql.DB, b Blocker) error {
	_, err := db.ExecContext(ctx, `SELECT pg_terminate_backend($1::int)`, b.Session)
	return err
}
