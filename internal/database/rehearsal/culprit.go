package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// searchLimit is how long a row is searched for.
const searchLimit = time.Minute

// blamed adds to the error of a change what the server says beside its message,
// and where it does not name the row, the row.
func (b *bench) blamed(ctx context.Context, verdict error) error {
	e, ok := errors.AsType[*pgconn.PgError](verdict)
	if !ok {
		return verdict
	}
	more := e.Detail
	if data := strings.HasPrefix(e.Code, "22") || strings.HasPrefix(e.Code, "23"); data && more == "" {
		ctx, cancel := context.WithTimeout(ctx, searchLimit)
		defer cancel()
		more = b.culprit(ctx, e)
	}
	if more == "" || strings.Contains(verdict.Error(), more) {
		return verdict
	}
	known := noon.AsError(verdict)
	return &noon.Error{Kind: known.Kind, Op: known.Op, Subject: known.Subject, Err: fmt.Errorf("%w: %s", known.Err, more), Hint: known.Hint}
}

// culprit finds a row that a statement fails on, "" if it does not find one: it
// gives the statement half of the rows of its table, then half of that which
// fails, until one is left.
func (b *bench) culprit(ctx context.Context, failed *pgconn.PgError) string {
	text := b.watch.failure()
	all, err := tables(ctx, b.db, b.dialect)
	if err != nil || text == "" {
		return ""
	}
	conn, err := pgx.Connect(ctx, b.address)
	if err != nil {
		return ""
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // what it did is to be forgotten
	for _, t := range named(all, []string{text}) {
		if len(t.Key) == 0 || failed.TableName != "" && failed.TableName != t.Name {
			continue
		}
		s := search{conn: conn, table: t, text: text, code: failed.Code}
		if row, err := s.row(ctx); err == nil && row != "" {
			return "the row of " + t.shown() + " with " + row
		}
	}
	return ""
}

// search looks for a row in a transaction that is never committed.
type search struct {
	conn  *pgx.Conn
	table table
	text  string // of the statement; its table is found by the search path
	code  string // of its error
}

func (s search) row(ctx context.Context) (string, error) {
	const d = sqltext.PostgreSQL
	var keys, shown []string
	for _, k := range s.table.Key {
		keys = append(keys, quote(d, k))
		shown = append(shown, fmt.Sprintf("format('%%s = %%s', %s, %s)", literal(d, k), quote(d, k)))
	}
	tx, err := s.conn.Begin(ctx)
	if err != nil {
		return "", err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // that is its purpose
	var rows int64
	_, err = tx.Exec(ctx, fmt.Sprintf(`create schema noon_search; set local search_path = noon_search, public;
create table noon_search."~keys" as select row_number() over (order by %[1]s) as "~n", %[1]s from %[2]s; create index on noon_search."~keys" ("~n")`, strings.Join(keys, ", "), s.table.quoted(d)), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return "", err
	}
	if err := tx.QueryRow(ctx, `select count(*) from noon_search."~keys"`).Scan(&rows); err != nil {
		return "", err
	}
	low, high := int64(1), rows+1
	for high-low > 1 {
		middle := low + (high-low)/2
		fails, err := s.fails(ctx, tx, low, middle)
		if err != nil {
			return "", err
		}
		if fails {
			high = middle
		} else {
			low = middle
		}
	}
	if fails, err := s.fails(ctx, tx, low, high); err != nil || !fails {
		return "", err
	}
	var row string
	err = tx.QueryRow(ctx, fmt.Sprintf(`select concat_ws(', ', %s) from noon_search."~keys" where "~n" = $1`, strings.Join(shown, ", ")), low).Scan(&row)
	return row, err
}

// fails reports whether the statement fails on some rows alone.
func (s search) fails(ctx context.Context, tx pgx.Tx, low, high int64) (bool, error) {
	part, err := tx.Begin(ctx)
	if err != nil {
		return false, err
	}
	defer part.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // that is its purpose
	const d = sqltext.PostgreSQL
	var columns, keys []string
	for _, c := range s.table.Columns {
		if !c.Fixed {
			columns = append(columns, quote(d, c.Name))
		}
	}
	for _, k := range s.table.Key {
		keys = append(keys, quote(d, k))
	}
	name, list := quote(d, s.table.Name), strings.Join(columns, ", ")
	_, err = part.Exec(ctx, fmt.Sprintf(`create table noon_search.%[1]s (like %[2]s including all);
insert into noon_search.%[1]s (%[3]s) select %[3]s from %[2]s join noon_search."~keys" using (%[4]s) where "~n" >= %[5]d and "~n" < %[6]d`,
		name, s.table.quoted(d), list, strings.Join(keys, ", "), low, high), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return false, err
	}
	_, err = part.Exec(ctx, s.text, pgx.QueryExecModeSimpleProtocol)
	e, ok := errors.AsType[*pgconn.PgError](err)
	if err != nil && !ok {
		return false, err
	}
	return ok && e.Code == s.code, nil
}
