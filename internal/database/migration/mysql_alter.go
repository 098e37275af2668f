package migration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// Error numbers with which a server refuses what would copy or block a table.
const (
	notSupported       = 1845 // ER_ALTER_OPERATION_NOT_SUPPORTED
	notSupportedReason = 1846 // ER_ALTER_OPERATION_NOT_SUPPORTED_REASON
)

// execute runs a statement. A change of a table is asked for so that the
// server refuses instead of blocking those who use the table: without touching
// the rows, then beside those who write them.
func (m mariadb) execute(ctx context.Context, c *sql.Conn, st sqltext.Statement, blocking bool) error {
	separator, changes := changesTable(st)
	if !changes || blocking {
		_, err := c.ExecContext(ctx, st.Text)
		return err
	}
	if st.Has("PARTITION", "PARTITIONING") {
		return refuseBlocking(errors.New("the server can not be asked whether a change of partitions blocks"))
	}
	var refused error
	for _, how := range []string{"ALGORITHM=INSTANT", "ALGORITHM=INPLACE" + separator + " LOCK=NONE"} {
		_, err := c.ExecContext(ctx, st.Text+"\n"+separator+" "+how)
		if !copies(err) {
			return err
		}
		refused = err
	}
	empty, err := emptyTable(ctx, c, st)
	if err != nil {
		return err
	}
	if empty {
		_, err := c.ExecContext(ctx, st.Text)
		return err
	}
	return refuseBlocking(refused)
}

func copies(err error) bool {
	e, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && (e.Number == notSupported || e.Number == notSupportedReason)
}

func refuseBlocking(why error) error {
	return &noon.Error{
		Kind: noon.Invalid, Op: "change a table in use", Err: fmt.Errorf("the server would copy it, or keep writers waiting: %w", why),
		Hint: "Nothing of this statement was changed. Add a new column and bring the data over (`-- noon: data over …`), use a tool that copies online, or, if users may wait, write `-- noon: blocking \"why\"` above the statement.",
	}
}

// changesTable reports whether a statement changes a table and leaves to the
// server how; separator stands between clauses.
func changesTable(st sqltext.Statement) (separator string, changes bool) {
	if st.Has("ALGORITHM", "LOCK") {
		return "", false
	}
	words := st.Words(4)
	switch {
	case words[0].Is("ALTER"):
		for _, w := range words[1:] {
			if w.Is("TABLE") {
				return ",", true
			}
			if !w.Is("ONLINE", "IGNORE") {
				return "", false
			}
		}
	case words[0].Is("CREATE", "DROP") && len(words) > 1:
		for _, w := range words[1:] {
			if w.Is("INDEX") {
				return "", true
			}
			if !w.Is("OR", "REPLACE", "UNIQUE", "FULLTEXT", "SPATIAL", "ONLINE") {
				return "", false
			}
		}
	}
	return "", false
}

// changedTable is the name of the table, as it is written.
func changedTable(st sqltext.Statement) string {
	if st.Begins("ALTER") {
		return tableAfter(st, "TABLE")
	}
	return tableAfter(st, "ON")
}

// tableAfter is the name behind a word, as it is written.
func tableAfter(st sqltext.Statement, mark string) string {
	after := false
	var name strings.Builder
	for _, t := range st.Tokens {
		switch {
		case !after:
			after = t.Is(mark)
		case t.Is("IF", "NOT", "EXISTS", "TABLE") && name.Len() == 0:
		case t.Meaningful():
			name.WriteString(t.Text)
		case t.Kind == sqltext.Space && name.Len() > 0:
			return name.String()
		}
		if before, found := strings.CutSuffix(name.String(), "("); found {
			return before
		}
	}
	return name.String()
}

func emptyTable(ctx context.Context, c *sql.Conn, st sqltext.Statement) (bool, error) {
	var one int
	err := c.QueryRowContext(ctx, `SELECT 1 FROM `+changedTable(st)+` LIMIT 1`).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return true, nil
	}
	return false, err
}
