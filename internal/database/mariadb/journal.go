package mariadb

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
)

// journal are noon's own tables in the app's database. They are made under the
// engine's lock.
func journal() []string {
	const end = ") ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
	return []string{
		"CREATE TABLE IF NOT EXISTS noon_version (app VARCHAR(30) NOT NULL, version INT NOT NULL, state VARCHAR(20) NOT NULL, plan LONGTEXT NOT NULL, changed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (app, version)" + end,
		"CREATE TABLE IF NOT EXISTS noon_stage (app VARCHAR(30) NOT NULL, version INT NOT NULL, phase VARCHAR(20) NOT NULL, name VARCHAR(200) NOT NULL, state VARCHAR(20) NOT NULL, at LONGTEXT NOT NULL, filled BIGINT NOT NULL DEFAULT 0, changed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (app, version, phase, name)" + end,
		"CREATE TABLE IF NOT EXISTS noon_role (name VARCHAR(80) NOT NULL PRIMARY KEY, app VARCHAR(30) NOT NULL, `release` VARCHAR(80) NOT NULL, version INT NOT NULL" + end,
	}
}

// The states of a version.
const (
	StateExpanding   = "expanding"
	StateExpanded    = "expanded"
	StateContracting = "contracting" // there is no way back any more
	StateContracted  = "contracted"
	StateWithdrawing = "withdrawing"
)

// Version is one version of the schema as the journal has it.
type Version struct {
	Number int    `json:"number"`
	State  string `json:"state"`
	Plan   Plan   `json:"plan"`
}

// session is a connection or a transaction.
type session interface {
	queries
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// ensureJournal makes the journal's tables if they are not there.
func (e *Engine) ensureJournal(ctx context.Context, s session) error {
	for _, text := range journal() {
		if _, err := s.ExecContext(ctx, text); err != nil {
			return explain("make noon's own tables", e.database, err)
		}
	}
	return nil
}

// journaled reports whether the last of the journal's tables is there.
func (e *Engine) journaled(ctx context.Context, s session) (bool, error) {
	there, err := e.exists(ctx, s, Table, own+"role", "")
	return there, explain("look for noon's own tables", e.database, err)
}

// versions lists what the journal has, oldest first.
func (e *Engine) versions(ctx context.Context, s session) ([]Version, error) {
	there, err := e.journaled(ctx, s)
	if err != nil || !there {
		return nil, err
	}
	var list []Version
	err = each(ctx, s, func(v []sql.NullString) error {
		one := Version{State: v[1].String}
		if _, err := fmt.Sscan(v[0].String, &one.Number); err != nil {
			return err
		}
		list = append(list, one)
		return json.Unmarshal([]byte(v[2].String), &list[len(list)-1].Plan)
	}, "SELECT version, state, plan FROM noon_version WHERE app = ? ORDER BY version", e.c.App)
	return list, explain("read the journal", e.c.App, err)
}

// begin writes down that a version is on its way.
func begin(ctx context.Context, s session, p Plan) error {
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode the plan: %w", err)
	}
	_, err = s.ExecContext(ctx, "INSERT INTO noon_version (app, version, state, plan) VALUES (?, ?, ?, ?)", p.App, p.To, StateExpanding, string(text))
	return err
}

func setState(ctx context.Context, s session, p Plan, state string) error {
	_, err := s.ExecContext(ctx, "UPDATE noon_version SET state = ?, changed = CURRENT_TIMESTAMP WHERE app = ? AND version = ?", state, p.App, p.To)
	return err
}

// forget removes a withdrawn version, whose number is free again. The version
// goes last: it says that there is something to forget.
func forget(ctx context.Context, s session, p Plan) error {
	for _, table := range []string{"noon_stage", "noon_version"} {
		if _, err := s.ExecContext(ctx, "DELETE FROM "+table+" WHERE app = ? AND version = ?", p.App, p.To); err != nil {
			return err
		}
	}
	return nil
}

// progress is how far a stage is.
type progress struct {
	state  string // "", "begun" or "done"
	at     key    // of a backfill: all rows up to it are filled
	filled int64
}

// record writes down how far a stage is.
func record(ctx context.Context, s session, p Plan, phase Phase, stage string, is progress) error {
	at, err := json.Marshal(is.at)
	if err != nil {
		return fmt.Errorf("encode a key: %w", err)
	}
	_, err = s.ExecContext(ctx, `INSERT INTO noon_stage (app, version, phase, name, state, at, filled) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON DUPLICATE KEY UPDATE state = VALUES(state), at = VALUES(at), filled = VALUES(filled), changed = CURRENT_TIMESTAMP`, p.App, p.To, string(phase), stage, is.state, string(at), is.filled)
	return err
}

func recorded(ctx context.Context, s session, p Plan, phase Phase, stage string) (progress, error) {
	var is progress
	var at string
	err := s.QueryRowContext(ctx, "SELECT state, at, filled FROM noon_stage WHERE app = ? AND version = ? AND phase = ? AND name = ?", p.App, p.To, string(phase), stage).Scan(&is.state, &at, &is.filled)
	if errors.Is(err, sql.ErrNoRows) {
		return is, nil
	}
	if err != nil {
		return is, err
	}
	return is, json.Unmarshal([]byte(at), &is.at)
}

// exists looks whether an object is there.
func (e *Engine) exists(ctx context.Context, s session, object Object, name, table string) (bool, error) {
	query := map[Object]string{
		Table:   "SELECT count(*) FROM information_schema.tables WHERE table_schema = ? AND table_name = ? AND ? IS NOT NULL",
		Column:  "SELECT count(*) FROM information_schema.columns WHERE table_schema = ? AND column_name = ? AND table_name = ?",
		Index:   "SELECT count(*) FROM information_schema.statistics WHERE table_schema = ? AND index_name = ? AND table_name = ?",
		Trigger: "SELECT count(*) FROM information_schema.triggers WHERE trigger_schema = ? AND trigger_name = ? AND event_object_table = ?",
	}[object]
	var n int
	err := s.QueryRowContext(ctx, query, e.database, name, table).Scan(&n)
	return n > 0, err
}
