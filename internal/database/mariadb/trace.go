package mariadb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
)

// Trace is told of a statement before it is sent, with the number that the
// server has for the connection. What it returns is called when the statement
// has ended, with the rows that it changed. Both are called from several
// goroutines.
type Trace func(connection int64, text string) (ended func(rows int64, err error))

// tracer makes connections that tell of what they are asked.
type tracer struct {
	driver.Connector
	trace Trace
}

// Connect opens a connection and asks for its number.
func (t tracer) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := t.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	runs, ok := conn.(running)
	pools, too := conn.(pooled)
	if !ok || !too {
		return nil, errors.Join(fmt.Errorf("the driver's connections can not be traced: %T", conn), conn.Close())
	}
	id, err := number(ctx, runs)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &traced{running: runs, pooled: pools, id: id, trace: t.trace}, nil
}

// running is how the driver's connections run statements. It has more than three
// methods because driver.Conn has them.
type running interface {
	driver.Conn
	driver.ExecerContext
	driver.QueryerContext
}

// pooled is what else a pool makes use of. It has more than three methods because
// each that was left out would change what the pool does.
type pooled interface {
	driver.ConnBeginTx
	driver.NamedValueChecker
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

func number(ctx context.Context, conn driver.QueryerContext) (int64, error) {
	rows, err := conn.QueryContext(ctx, "SELECT CAST(CONNECTION_ID() AS CHAR)", nil)
	if err != nil {
		return 0, err
	}
	defer rows.Close() //nolint:errcheck // it has one row
	value := make([]driver.Value, 1)
	if err := rows.Next(value); err != nil {
		return 0, err
	}
	text, _ := value[0].([]byte)
	return strconv.ParseInt(string(text), 10, 64)
}

// traced is a connection whose statements are told of. Queries are not: they
// change nothing, and hold up nobody.
type traced struct {
	running
	pooled
	id    int64
	trace Trace
}

// ExecContext runs a statement.
func (t *traced) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	ended := t.trace(t.id, query)
	result, err := t.running.ExecContext(ctx, query, args)
	var rows int64
	if err == nil {
		rows, _ = result.RowsAffected() // the driver always knows
	}
	ended(rows, err)
	return result, err
}
