package mariadb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon"
)

// ReleaseRole is the user of a release, and its database of the same name.
type ReleaseRole struct {
	Name    string `json:"name"`
	Release string `json:"release"`
	Version int    `json:"version"`
}

// Role makes sure that a release has a user, and a database of that name with
// the views of a version, and returns the name. Called again it changes the
// password, and the version while no session is open.
func (e *Engine) Role(ctx context.Context, release string, version int, password string) (string, error) {
	name := Name(e.c.Names, release)
	db, conn, err := e.locked(ctx)
	if err != nil {
		return "", err
	}
	defer hangUp(db, conn)
	roles, err := e.roles(ctx, conn)
	if err != nil {
		return "", err
	}
	there := slices.IndexFunc(roles, func(r ReleaseRole) bool { return r.Name == name })
	if there >= 0 && roles[there].Version != version {
		if err := e.idle(ctx, conn, name); err != nil {
			return "", err
		}
	}
	views, err := e.views(ctx, conn, version)
	if err != nil {
		return "", err
	}
	return name, explain("make user", name, e.ensureRole(ctx, conn, ReleaseRole{Name: name, Release: release, Version: version}, there < 0, views, password))
}

// idle refuses while a user has sessions.
func (e *Engine) idle(ctx context.Context, conn *sql.Conn, name string) error {
	list, err := e.staying(ctx, conn, []string{name}, 0)
	if err != nil || len(list) == 0 {
		return err
	}
	return &noon.Error{Kind: noon.Conflict, Op: "change user", Subject: name, Err: fmt.Errorf("it has sessions:%s", describeAll(list)), Hint: "Stop the release first. Nothing was changed."}
}

// views are what a version has. Views of the app's own are shown as they are.
func (e *Engine) views(ctx context.Context, conn session, version int) ([]View, error) {
	views, err := e.planned(ctx, conn, version)
	if err != nil {
		return nil, err
	}
	c, err := readCatalog(ctx, conn, e.database, e.maria)
	if err != nil {
		return nil, explain("read the schema", e.database, err)
	}
	made, err := e.made(ctx, conn)
	if err != nil {
		return nil, err
	}
	for _, t := range c.tables {
		if version > 0 && t.kind != "VIEW" || made[t.name].whole || slices.ContainsFunc(views, func(v View) bool { return v.Name == t.name }) {
			continue
		}
		v := View{Name: t.name, Of: t.name}
		for _, col := range t.columns {
			if !has(made[t.name].columns, col.name) {
				v.Columns = append(v.Columns, ViewColumn{Name: col.name, Of: col.name})
			}
		}
		views = append(views, v)
	}
	return views, nil
}

// planned are the views of a version that can be used; version 0 has none.
func (e *Engine) planned(ctx context.Context, conn session, version int) ([]View, error) {
	if version == 0 {
		return nil, nil
	}
	list, err := e.versions(ctx, conn)
	if err != nil {
		return nil, err
	}
	name := versionName(e.c.App, version)
	i := slices.IndexFunc(list, func(v Version) bool { return v.Number == version })
	if i < 0 {
		return nil, &noon.Error{Kind: noon.NotFound, Op: "make user", Subject: name, Err: errors.New("the journal has no such version"), Hint: "Plan it first."}
	}
	if state := list[i].State; state == StateExpanding || state == StateWithdrawing {
		return nil, &noon.Error{Kind: noon.Conflict, Op: "make user", Subject: name, Err: fmt.Errorf("it is %s", state), Hint: "Take it to the phase expanded first."}
	}
	return list[i].Plan.Views, nil
}

// news is what a version that is on its way has added to a table.
type news struct {
	whole   bool
	columns []string
}

// made is what a version that is on its way has added, by table: version 0
// does not have it.
func (e *Engine) made(ctx context.Context, conn session) (map[string]news, error) {
	list, err := e.versions(ctx, conn)
	if err != nil {
		return nil, err
	}
	all := map[string]news{}
	for _, v := range list {
		if v.State == StateContracted {
			continue
		}
		for _, s := range v.Plan.Expand {
			for _, step := range s.Steps {
				one := all[s.Table]
				one.whole = one.whole || step.Object == Table
				if step.Object == Column {
					one.columns = append(one.columns, step.Name)
				}
				all[s.Table] = one
			}
		}
	}
	return all, nil
}

func (e *Engine) ensureRole(ctx context.Context, conn *sql.Conn, r ReleaseRole, fresh bool, views []View, password string) error {
	user := literal(r.Name) + "@'%'"
	if fresh {
		if err := e.claim(ctx, conn, r, password); err != nil {
			return err
		}
	}
	if _, err := conn.ExecContext(ctx, "UPDATE noon_role SET version = ? WHERE name = ?", r.Version, r.Name); err != nil {
		return err
	}
	e.c.Fault.Point("mariadb.role.journal")
	list := []string{"CREATE DATABASE IF NOT EXISTS " + quote(r.Name)}
	if e.maria {
		list = append(list, e.tell(r))
	}
	for _, v := range views {
		columns := make([]string, 0, len(v.Columns))
		for _, c := range v.Columns {
			columns = append(columns, quote(c.Of)+" AS "+quote(c.Name))
		}
		list = append(list, fmt.Sprintf("CREATE OR REPLACE ALGORITHM = MERGE SQL SECURITY DEFINER VIEW %s AS SELECT %s FROM %s", qualified(r.Name, v.Name), strings.Join(columns, ", "), qualified(e.database, v.Of)))
	}
	gone, err := e.strange(ctx, conn, r.Name, views)
	if err != nil {
		return err
	}
	for _, name := range gone {
		list = append(list, "DROP VIEW IF EXISTS "+qualified(r.Name, name))
	}
	list = append(list,
		fmt.Sprintf("CREATE USER IF NOT EXISTS %s IDENTIFIED BY %s", user, literal(password)),
		fmt.Sprintf("ALTER USER %s IDENTIFIED BY %s", user, literal(password)),
		fmt.Sprintf("GRANT %s ON `%s`.* TO %s", strings.Join(releaseRights(), ", "), strings.ReplaceAll(r.Name, "_", `\_`), user))
	for _, text := range list {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return err
		}
		e.c.Fault.Point("mariadb.role.step")
	}
	return nil
}

// strange are views in a release's database that its version does not have.
func (e *Engine) strange(ctx context.Context, conn *sql.Conn, database string, views []View) ([]string, error) {
	var list []string
	err := each(ctx, conn, func(v []sql.NullString) error {
		if !slices.ContainsFunc(views, func(w View) bool { return w.Name == v[0].String }) {
			list = append(list, v[0].String)
		}
		return nil
	}, "SELECT table_name FROM information_schema.tables WHERE table_schema = ? AND table_type = 'VIEW'", database)
	return list, err
}

// roles are the releases that have users.
func (e *Engine) roles(ctx context.Context, s queries) ([]ReleaseRole, error) {
	var list []ReleaseRole
	err := each(ctx, s, func(v []sql.NullString) error {
		r := ReleaseRole{Name: v[0].String, Release: v[1].String}
		_, err := fmt.Sscan(v[2].String, &r.Version)
		list = append(list, r)
		return err
	}, "SELECT name, `release`, version FROM noon_role WHERE app = ? AND version >= 0 ORDER BY name", e.c.App)
	return list, explain("read the journal", e.c.App, err)
}

// DropRole removes the user of a release and its database of views. While it
// has sessions it is refused.
func (e *Engine) DropRole(ctx context.Context, release string) error {
	name := Name(e.c.Names, release)
	db, conn, err := e.locked(ctx)
	if err != nil {
		return err
	}
	defer hangUp(db, conn)
	if ours, err := e.ours(ctx, conn, name); err != nil || !ours {
		return explain("drop user", name, err)
	}
	if err := e.idle(ctx, conn, name); err != nil {
		return err
	}
	for _, text := range []string{
		"DROP USER IF EXISTS " + literal(name) + "@'%'",
		"DROP DATABASE IF EXISTS " + quote(name),
		"DELETE FROM noon_role WHERE name = " + literal(name),
	} {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return explain("drop user", name, err)
		}
		e.c.Fault.Point("mariadb.role.drop")
	}
	return nil
}

// Status is what the journal and the server say.
type Status struct {
	Versions []Version     `json:"versions,omitempty"`
	Roles    []ReleaseRole `json:"roles,omitempty"`
	Losses   []string      `json:"losses,omitempty"` // of a withdrawal now
}

// Status looks; it changes nothing.
func (e *Engine) Status(ctx context.Context) (Status, error) {
	var s Status
	db, conn, err := e.connect(ctx)
	if err != nil {
		return s, err
	}
	defer hangUp(db, conn)
	if s.Versions, err = e.versions(ctx, conn); err != nil {
		return s, err
	}
	if there, err := e.journaled(ctx, conn); err != nil || !there {
		return s, err
	}
	if s.Roles, err = e.roles(ctx, conn); err != nil {
		return s, err
	}
	if n := len(s.Versions); n > 0 && (s.Versions[n-1].State == StateExpanding || s.Versions[n-1].State == StateExpanded) {
		s.Losses, err = e.losses(ctx, conn, s.Versions[n-1].Plan)
	}
	return s, err
}
