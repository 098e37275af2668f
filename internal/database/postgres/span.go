package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// span is a part of a table by its key: more than from, at most to. nil is the
// table's end.
type span struct {
	seq      int64
	from, to []string
}

// take hands out the next span. Nobody waits for a look at keys.
func (f *filling) take(ctx context.Context, conn *pgx.Conn) (span, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return span{}, false, nil
	}
	s := span{seq: f.seq + 1, from: f.next}
	to, err := f.end(ctx, conn, s.from)
	if code(err) == queryCanceled && ctx.Err() == nil {
		f.limit = max(f.limit/2, smallest)
		if err = unbound(ctx, conn); err == nil {
			to, err = f.end(ctx, conn, s.from)
		}
		if err == nil {
			err = f.bound(ctx, conn)
		}
	}
	if err != nil {
		return span{}, false, err
	}
	s.to = to
	f.seq, f.next, f.ended = s.seq, to, to == nil
	return s, true, nil
}

// end finds the key with which a span ends, nil for the last.
func (f *filling) end(ctx context.Context, conn *pgx.Conn, from []string) ([]string, error) {
	if f.b.Key[0] == "ctid" {
		return f.endBlock(ctx, conn, from)
	}
	var texts, targets []string
	to := make([]string, len(f.b.Key))
	scan := make([]any, len(f.b.Key))
	for i, k := range f.b.Key {
		column := quote(f.b.Table) + "." + quote(k) // the bare name would be that of the text, and order by it
		texts = append(texts, column+"::text")
		targets = append(targets, column)
		scan[i] = &to[i]
	}
	where := ""
	args := []any{f.limit - 1}
	if from != nil {
		where = " where " + f.compare(">", 2)
		args = append(args, anys(from)...)
	}
	sql := fmt.Sprintf("select %s from %s%s order by %s offset $1 limit 1", strings.Join(texts, ", "), qualified(f.plan.Schema, f.b.Table), where, strings.Join(targets, ", "))
	err := conn.QueryRow(ctx, sql, args...).Scan(scan...)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return to, err
}

// endBlock walks a table without a key by its pages.
func (f *filling) endBlock(ctx context.Context, conn *pgx.Conn, from []string) ([]string, error) {
	var pages int64
	if err := conn.QueryRow(ctx, "select pg_relation_size($1::regclass) / current_setting('block_size')::bigint", qualified(f.plan.Schema, f.b.Table)).Scan(&pages); err != nil {
		return nil, err
	}
	var at int64
	if from != nil {
		block, _, _ := strings.Cut(strings.TrimPrefix(from[0], "("), ",")
		n, err := strconv.ParseInt(block, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read the place %q: %w", from[0], err)
		}
		at = n
	}
	at += int64(max(f.limit/50, 1)) // rows of a page, roughly
	if at >= pages {
		return nil, nil
	}
	return []string{fmt.Sprintf("(%d,0)", at)}, nil
}

// compare is the key against parameters from $n on.
func (f *filling) compare(op string, n int) string {
	var names, params []string
	for i, k := range f.b.Key {
		names = append(names, quote(f.b.Table)+"."+quote(k))
		if k == "ctid" {
			names[i] = quote(f.b.Table) + ".ctid"
		}
		params = append(params, fmt.Sprintf("$%d::text::%s", n+i, f.b.Types[i]))
	}
	if len(names) == 1 {
		return names[0] + " " + op + " " + params[0]
	}
	return "(" + strings.Join(names, ", ") + ") " + op + " (" + strings.Join(params, ", ") + ")"
}

func anys(list []string) []any {
	all := make([]any, len(list))
	for i, s := range list {
		all[i] = s
	}
	return all
}

// where is the part of the table that a span means, its parameters from $n on.
func (f *filling) where(s span, n int) (string, []any) {
	where := quote(f.b.Table) + "." + quote(f.b.Pending) + " <> 0"
	var args []any
	if s.from != nil {
		op := " > "
		if f.b.Key[0] == "ctid" {
			op = " >= "
		}
		where += " and " + f.compare(op, n)
		args = append(args, anys(s.from)...)
	}
	if s.to != nil {
		op := " <= "
		if f.b.Key[0] == "ctid" {
			op = " < "
		}
		where += " and " + f.compare(op, n+len(args))
		args = append(args, anys(s.to)...)
	}
	return where, args
}
