package mariadb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/noon-deploy/noon"
)

// need is privileges on a database; "" is the whole server.
type need struct {
	database   string
	privileges []string
	grants     bool // with the right to give them on
}

func (e *Engine) needs() []need {
	return []need{
		{privileges: []string{"CREATE USER", "PROCESS"}},
		{database: e.database, privileges: []string{"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "REFERENCES", "TRIGGER", "SHOW VIEW", "CREATE TEMPORARY TABLES"}},
		{database: Name(e.c.Names, "r1"), privileges: append(releaseRights(), "CREATE", "ALTER", "DROP", "CREATE VIEW"), grants: true},
	}
}

// releaseRights are what a release gets in its own database.
func releaseRights() []string {
	return []string{"SELECT", "INSERT", "UPDATE", "DELETE", "SHOW VIEW", "EXECUTE", "LOCK TABLES", "CREATE TEMPORARY TABLES"}
}

// allowed names the privileges that noon's user lacks, with the statements that
// give them.
func (e *Engine) allowed(ctx context.Context, conn *sql.Conn) error {
	var user string
	if err := conn.QueryRowContext(ctx, "SELECT CURRENT_USER()").Scan(&user); err != nil {
		return explain("look at noon's rights", e.c.App, err)
	}
	at := strings.LastIndexByte(user, '@')
	grantee := fmt.Sprintf("'%s'@'%s'", user[:at], user[at+1:])
	var lacks, grants []string
	for _, n := range e.needs() {
		missing, err := n.missing(ctx, conn, grantee)
		if err != nil {
			return explain("look at noon's rights", e.c.App, err)
		}
		if len(missing) == 0 {
			continue
		}
		on, more := "*.*", ""
		if n.database != "" {
			on = quote(n.database) + ".*"
		}
		if n.grants {
			begin := base(e.c.Names) + "_"
			if e.c.Names != e.c.App { // a copy, which has another name each time
				begin = own
			}
			on, more = "`"+strings.ReplaceAll(begin, "_", `\_`)+"%`.*", " WITH GRANT OPTION"
		}
		lacks = append(lacks, strings.Join(missing, ", ")+" on "+on)
		grants = append(grants, fmt.Sprintf("GRANT %s ON %s TO %s%s;", strings.Join(n.privileges, ", "), on, grantee, more))
	}
	if len(lacks) == 0 {
		return e.mayTrigger(ctx, conn, grantee)
	}
	return &noon.Error{
		Kind: noon.Invalid, Op: "change schema", Subject: e.c.App, Err: fmt.Errorf("user %s lacks %s", grantee, strings.Join(lacks, "; ")),
		Hint: "An administrator can run: " + strings.Join(grants, " ") + " Nothing was changed.",
	}
}

func (n need) missing(ctx context.Context, conn *sql.Conn, grantee string) ([]string, error) {
	have := map[string]bool{}
	see := func(v []sql.NullString) error {
		have[v[0].String] = have[v[0].String] || !n.grants || v[1].String == "YES"
		return nil
	}
	// What a role gives that is in force counts too.
	const mine = "(grantee = ? OR grantee LIKE concat('''', coalesce(nullif(current_role(), 'NONE'), '-'), '''@%'))"
	if err := each(ctx, conn, see, "SELECT privilege_type, is_grantable FROM information_schema.user_privileges WHERE "+mine, grantee); err != nil {
		return nil, err
	}
	if n.database != "" {
		if err := each(ctx, conn, see, "SELECT privilege_type, is_grantable FROM information_schema.schema_privileges WHERE "+mine+" AND ? LIKE table_schema", grantee, n.database); err != nil {
			return nil, err
		}
	}
	var missing []string
	for _, p := range n.privileges {
		if !have[p] {
			missing = append(missing, p)
		}
	}
	return missing, nil
}

// mayTrigger refuses where a binary log forbids triggers to who is no
// administrator.
func (e *Engine) mayTrigger(ctx context.Context, conn *sql.Conn, grantee string) error {
	var forbidden bool
	if err := conn.QueryRowContext(ctx, "SELECT @@log_bin AND NOT @@log_bin_trust_function_creators").Scan(&forbidden); err != nil {
		return explain("look at the server", e.c.App, err)
	}
	if !forbidden {
		return nil
	}
	missing, err := need{privileges: []string{"SUPER"}}.missing(ctx, conn, grantee)
	if err != nil || len(missing) == 0 {
		return explain("look at noon's rights", e.c.App, err)
	}
	return &noon.Error{
		Kind: noon.Invalid, Op: "change schema", Subject: e.c.App, Err: errors.New("the server writes a binary log and lets only administrators make triggers"),
		Hint: "SET GLOBAL log_bin_trust_function_creators = 1, and set it in the server's configuration. Nothing was changed.",
	}
}
