package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// journalSQL makes noon's own tables. It is run under the engine's lock.
const journalSQL = `
create schema if not exists noon;
grant usage on schema noon to public;
create table if not exists noon.version (
  app text not null, version int not null, state text not null, plan jsonb not null, changed timestamptz not null default now(),
  primary key (app, version));
create table if not exists noon.stage (
  app text not null, version int not null, phase text not null, name text not null, state text not null, changed timestamptz not null default now(),
  primary key (app, version, phase, name));
create table if not exists noon.backfill (
  app text not null, version int not null, stage text not null, slot int not null, seq bigint not null, at text[] not null, filled bigint not null,
  primary key (app, version, stage, slot));
create table if not exists noon.role (
  name text primary key, app text not null, release text not null, version int not null);
create table if not exists noon.epoch (app text primary key, epoch bigint not null);
alter table noon.role add column if not exists salt bytea`

// The states of a version.
const (
	StateExpanding  = "expanding"
	StateExpanded   = "expanded"
	StateContracted = "contracted"
)

// Version is one version of the schema as the journal has it.
type Version struct {
	Number int    `json:"number"`
	State  string `json:"state"` // expanding, expanded, contracted
	Plan   Plan   `json:"plan"`
}

// database is a connection or a transaction.
type database interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// ensureJournal makes the journal's tables if they are not there.
func ensureJournal(ctx context.Context, db database) error {
	var there bool // the last that was added
	err := db.QueryRow(ctx, "select exists (select from pg_attribute where attrelid = to_regclass('noon.role') and attname = 'salt')").Scan(&there)
	if err != nil || there {
		return explain("look for noon's own tables", "schema noon", err)
	}
	if _, err := db.Exec(ctx, journalSQL); err != nil {
		return explain("make noon's own tables", "schema noon", err)
	}
	return nil
}

func journalThere(ctx context.Context, db database) (bool, error) {
	return tableThere(ctx, db, "noon.role")
}

func tableThere(ctx context.Context, db database, name string) (bool, error) {
	var there bool
	err := db.QueryRow(ctx, "select to_regclass($1) is not null", name).Scan(&there)
	if err != nil {
		return false, explain("look for noon's own tables", "schema noon", err)
	}
	return there, nil
}

// versions lists what the journal has, oldest first.
func versions(ctx context.Context, db database, app string) ([]Version, error) {
	there, err := journalThere(ctx, db)
	if err != nil || !there {
		return nil, err
	}
	rows, err := db.Query(ctx, "select version, state, plan from noon.version where app = $1 order by version", app)
	if err != nil {
		return nil, explain("read the journal", app, err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Version, error) {
		var v Version
		var plan []byte
		if err := row.Scan(&v.Number, &v.State, &plan); err != nil {
			return v, err
		}
		return v, json.Unmarshal(plan, &v.Plan)
	})
	if err != nil {
		return nil, explain("read the journal", app, err)
	}
	return list, nil
}

// begin writes down that a version is on its way.
func begin(ctx context.Context, db database, p Plan) error {
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode the plan: %w", err)
	}
	_, err = db.Exec(ctx, "insert into noon.version (app, version, state, plan) values ($1, $2, $3, $4)", p.App, p.To, StateExpanding, text)
	return err
}

func setState(ctx context.Context, db database, p Plan, state string) error {
	_, err := db.Exec(ctx, "update noon.version set state = $3, changed = now() where app = $1 and version = $2", p.App, p.To, state)
	return err
}

// forget removes a withdrawn version, whose number is free again.
func forget(ctx context.Context, db database, p Plan) error {
	for _, table := range []string{"backfill", "stage", "version"} {
		if _, err := db.Exec(ctx, "delete from noon."+table+" where app = $1 and version = $2", p.App, p.To); err != nil {
			return err
		}
	}
	return nil
}

// record writes down that a stage was carried out, or is about to be ("begun").
func record(ctx context.Context, db database, p Plan, phase Phase, stage, state string) error {
	_, err := db.Exec(ctx, `insert into noon.stage (app, version, phase, name, state) values ($1, $2, $3, $4, $5)
on conflict (app, version, phase, name) do update set state = excluded.state, changed = now()`, p.App, p.To, string(phase), stage, state)
	return err
}

// stageState is "", "begun" or "done".
func stageState(ctx context.Context, db database, p Plan, phase Phase, stage string) (string, error) {
	var state string
	err := db.QueryRow(ctx, "select state from noon.stage where app = $1 and version = $2 and phase = $3 and name = $4", p.App, p.To, string(phase), stage).Scan(&state)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return state, err
}

// rolesOf are the login roles of an app's releases: those of a version and
// those of versions before it.
func rolesOf(ctx context.Context, db database, app string, version int) (now, before []string, err error) {
	rows, err := db.Query(ctx, "select name, version from noon.role where app = $1 and version <= $2 order by name", app, version)
	if err != nil {
		return nil, nil, err
	}
	var name string
	var of int
	_, err = pgx.ForEachRow(rows, []any{&name, &of}, func() error {
		if of == version {
			now = append(now, name)
		} else {
			before = append(before, name)
		}
		return nil
	})
	return now, before, err
}
