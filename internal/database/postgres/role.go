package postgres

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
)

// Role makes sure that a release has a login role that sees a version, and
// returns its name. The release has the rights of Config.Role. Called again it
// changes the password, and the version if no session is open. The server gets
// the password's verifier, never the password. The same password has the same
// verifier: a pooler that has let clients in goes on to log in for them.
func (e *Engine) Role(ctx context.Context, release string, version int, password string) (string, error) {
	name, err := e.roleName(release)
	if err != nil {
		return "", err
	}
	conn, err := e.connect(ctx)
	if err != nil {
		return "", err
	}
	defer hangUp(ctx, conn)
	if err := e.hold(ctx, conn); err != nil {
		return "", err
	}
	if err := e.mayCreateRoles(ctx, conn); err != nil {
		return "", err
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return e.ensureRole(ctx, tx, name, release, version, password) })
	return name, explain("make role", name, err)
}

// RoleName names the role of a release of an app in a database, in at most 63
// bytes. Roles belong to the server, not to a database, so that a database with
// another name than the app is in it.
func RoleName(app, release, database string) string {
	name := app + "_" + release
	if database != app {
		name += "_" + database
	}
	return fit(name)
}

func (e *Engine) roleName(release string) (string, error) {
	config, err := pgx.ParseConfig(e.c.URL)
	if err != nil {
		return "", fmt.Errorf("read the address: %w", err)
	}
	return RoleName(e.c.App, release, config.Database), nil
}

// mayCreateRoles names the rights that are missing. From version 16 on who makes
// a role is its member, so the releases can not be members of noon's own role.
func (e *Engine) mayCreateRoles(ctx context.Context, conn *pgx.Conn) error {
	var super, may, member bool
	var user string
	var version int
	err := conn.QueryRow(ctx, `select rolsuper, rolcreaterole, rolname, pg_has_role($1, 'MEMBER'), current_setting('server_version_num')::int
from pg_roles where rolname = current_user`, e.c.Role).Scan(&super, &may, &user, &member, &version)
	if err != nil {
		return explain("look at noon's rights", e.c.App, err)
	}
	var why string
	switch {
	case super:
		return nil
	case !may:
		why = "role " + user + " may not create roles"
	case !member:
		why = "role " + user + " is no member of role " + e.c.Role
	case user == e.c.Role && version >= 160000:
		why = "role " + user + " is noon's own and the app's"
	default:
		return nil
	}
	return &noon.Error{
		Kind: noon.Invalid, Op: "make role", Subject: e.c.App, Err: errors.New(why),
		Hint: fmt.Sprintf("As a superuser, for a role of noon's own: ALTER ROLE %s CREATEROLE; GRANT %s TO %s WITH ADMIN OPTION. Or let the app's sessions set search_path to the version's schema. Nothing was changed.", quote(user), quote(e.c.Role), quote(user)),
	}
}

func (e *Engine) ensureRole(ctx context.Context, tx pgx.Tx, name, release string, version int, password string) error {
	var there bool
	if err := tx.QueryRow(ctx, "select exists (select from pg_roles where rolname = $1)", name).Scan(&there); err != nil {
		return err
	}
	salt, owned, err := saltOf(ctx, tx, name, e.c.App)
	if err != nil {
		return err
	}
	if there && !owned {
		return &noon.Error{Kind: noon.Conflict, Op: "make role", Subject: name, Err: errors.New("there is a role of this name that noon has not made"), Hint: "Rename that role, or the app. Nothing was changed."}
	}
	verifier, err := scram(password, salt)
	if err != nil {
		return fmt.Errorf("make the verifier of a password: %w", err)
	}
	verb := "create"
	if there {
		verb = "alter"
	}
	path := quote(e.c.Schema)
	if version > 0 {
		path = quote(versionSchema(e.c.App, version)) + ", " + path
	}
	var database string
	if err := tx.QueryRow(ctx, "select current_database()").Scan(&database); err != nil {
		return err
	}
	list := []string{
		fmt.Sprintf("%s role %s login inherit password %s", verb, quote(name), literal(verifier)),
		fmt.Sprintf("grant %s to %s", quote(e.c.Role), quote(name)),
		fmt.Sprintf("alter role %s in database %s set search_path = %s", quote(name), quote(database), path),
	}
	var user string
	if err := tx.QueryRow(ctx, "select current_user").Scan(&user); err != nil {
		return err
	}
	if user != e.c.Role { // to see what its sessions do
		list = append(list, fmt.Sprintf("grant %s to %s", quote(name), quote(user)))
	}
	for _, sql := range list {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, "insert into noon.role (name, app, release, version, salt) values ($1, $2, $3, $4, $5) on conflict (name) do update set version = excluded.version, salt = excluded.salt", name, e.c.App, release, version, salt)
	if err != nil {
		return err
	}
	all, err := versions(ctx, tx, e.c.App)
	if err != nil {
		return err
	}
	for _, v := range all {
		if v.State != StateContracted {
			return e.roles(ctx, tx, v.Plan)
		}
	}
	return nil
}

// saltOf is the salt of a role's password, a new one where there is none, and
// whether noon has made the role.
func saltOf(ctx context.Context, tx pgx.Tx, name, app string) (salt []byte, owned bool, err error) {
	err = tx.QueryRow(ctx, "select salt from noon.role where name = $1 and app = $2", name, app).Scan(&salt)
	owned = err == nil
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	if err != nil || salt != nil {
		return salt, owned, err
	}
	salt = make([]byte, 16)
	_, err = rand.Read(salt)
	return salt, owned, err
}

// roles makes the function that knows for which version a session writes, anew
// whenever a release gets or loses its role.
func (e *Engine) roles(ctx context.Context, db database, p Plan) error {
	now, before, err := rolesOf(ctx, db, p.App, p.To)
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, writesNewSQL(p.App, p.Schema, p.From, p.To, now, before))
	return err
}

// DropRole removes the role of a release. While it has sessions it is refused.
func (e *Engine) DropRole(ctx context.Context, release string) error {
	name, err := e.roleName(release)
	if err != nil {
		return err
	}
	conn, err := e.connect(ctx)
	if err != nil {
		return err
	}
	defer hangUp(ctx, conn)
	if err := e.hold(ctx, conn); err != nil {
		return err
	}
	list, err := pgcatalog.Sessions(ctx, conn)
	if err != nil {
		return explain("look for sessions", name, err)
	}
	for _, s := range list {
		if s.User == name {
			return &noon.Error{Kind: noon.Conflict, Op: "drop role", Subject: name, Err: fmt.Errorf("it has a session: %s", describe(s)), Hint: "Stop the release first. Nothing was changed."}
		}
	}
	return explain("drop role", name, pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var owned bool
		if err := tx.QueryRow(ctx, "select exists (select from noon.role where name = $1 and app = $2)", name, e.c.App).Scan(&owned); err != nil || !owned {
			return err
		}
		if _, err := tx.Exec(ctx, "drop role if exists "+quote(name)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "delete from noon.role where name = $1", name)
		return err
	}))
}

// scram is the verifier of a password that the server stores, of RFC 5803, with
// the number of rounds that PostgreSQL uses itself.
func scram(password string, salt []byte) (string, error) {
	const rounds = 4096
	salted, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return "", err
	}
	mac := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", rounds, encode(salt), encode(stored[:]), encode(mac("Server Key"))), nil
}

// Status is what the journal and the server say.
type Status struct {
	Versions []Version           `json:"versions,omitempty"`
	Roles    []ReleaseRole       `json:"roles,omitempty"`
	Sessions []pgcatalog.Session `json:"sessions,omitempty"` // of releases
	Losses   []string            `json:"losses,omitempty"`   // of a withdrawal now
}

// ReleaseRole is the login role of a release.
type ReleaseRole struct {
	Name    string `json:"name"`
	Release string `json:"release"`
	Version int    `json:"version"`
}

// Status looks; it changes nothing.
func (e *Engine) Status(ctx context.Context) (Status, error) {
	var s Status
	conn, err := e.connect(ctx)
	if err != nil {
		return s, err
	}
	defer hangUp(ctx, conn)
	if s.Versions, err = versions(ctx, conn, e.c.App); err != nil {
		return s, err
	}
	if there, err := journalThere(ctx, conn); err != nil || !there {
		return s, err
	}
	rows, err := conn.Query(ctx, "select name, release, version from noon.role where app = $1 order by name", e.c.App)
	if err != nil {
		return s, explain("read the journal", e.c.App, err)
	}
	if s.Roles, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ReleaseRole]); err != nil {
		return s, explain("read the journal", e.c.App, err)
	}
	sessions, err := pgcatalog.Sessions(ctx, conn)
	if err != nil {
		return s, explain("look for sessions", e.c.App, err)
	}
	for _, one := range sessions {
		for _, r := range s.Roles {
			if r.Name == one.User {
				s.Sessions = append(s.Sessions, one)
			}
		}
	}
	if n := len(s.Versions); n > 0 && s.Versions[n-1].State != StateContracted {
		s.Losses, err = losses(ctx, conn, s.Versions[n-1].Plan)
	}
	return s, err
}
