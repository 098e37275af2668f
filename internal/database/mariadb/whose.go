package mariadb

import (
	"context"
	"database/sql"
	"fmt"
)

// Triggers have to know which version a user has, and must read no table for
// it: a statement locks the tables of triggers too, and one that was prepared
// before a trigger was made fails because the trigger's are not among them.
// MariaDB keeps a comment for each database, which locks nothing: that of a
// release's database, which is called as its user is, tells the version. The
// journal says the same, and is right if they differ. MySQL has no such
// comments: triggers read the journal there.

// whose begins the comment of a release's database. It names the app, because
// all apps of a server have their databases side by side.
func whose(database, app string) string { return own + digest(database+"\x00"+app) + " version " }

// version is a query for the version of the session's user: no row for somebody
// who is no release's.
func (t Target) version() string {
	const user = "SUBSTRING_INDEX(USER(), '@', 1)"
	if !t.Comments {
		return fmt.Sprintf("SELECT version FROM %s WHERE name = %s", own+"role", user)
	}
	begin := whose(t.Database, t.App)
	return fmt.Sprintf("SELECT CAST(SUBSTRING(schema_comment, %d) AS INT) FROM information_schema.schemata WHERE schema_name = %s AND LEFT(schema_comment, %d) = '%s'", len(begin)+1, user, len(begin), begin)
}

// comment is what the database of a release shall have.
func (e *Engine) comment(r ReleaseRole) string {
	return fmt.Sprint(whose(e.database, e.c.App), r.Version)
}

// tell is the statement that writes the comment.
func (e *Engine) tell(r ReleaseRole) string {
	return fmt.Sprintf("ALTER DATABASE %s COMMENT = '%s'", quote(r.Name), e.comment(r))
}

// tellAll writes the comments that are not what the journal says: somebody has
// changed them, or a noon before this one has made the release.
func (e *Engine) tellAll(ctx context.Context, conn *sql.Conn) error {
	if !e.maria {
		return nil
	}
	roles, err := e.roles(ctx, conn)
	if err != nil {
		return err
	}
	is := map[string]string{}
	err = each(ctx, conn, func(v []sql.NullString) error {
		is[v[0].String] = v[1].String
		return nil
	}, "SELECT schema_name, schema_comment FROM information_schema.schemata")
	if err != nil {
		return explain("look which versions releases have", e.c.App, err)
	}
	for _, r := range roles {
		if comment, there := is[r.Name]; there && comment != e.comment(r) {
			if _, err := conn.ExecContext(ctx, e.tell(r)); err != nil {
				return explain("tell which version a release has", r.Name, err)
			}
		}
	}
	return nil
}
