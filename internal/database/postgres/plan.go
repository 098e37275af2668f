package postgres

import (
	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
)

// Plan is how one version of a schema becomes the next: data, made by a pure
// function, the same for the same input.
type Plan struct {
	App      string           `json:"app"`
	Schema   string           `json:"schema"` // that holds the tables
	From     int              `json:"from"`   // 0: the tables themselves, no views
	To       int              `json:"to"`
	Set      change.Set       `json:"set"`
	Views    []View           `json:"views"`    // of the new version
	Expand   []Stage          `json:"expand"`   // until both versions are served
	Contract []Stage          `json:"contract"` // until only the new one is
	Withdraw []Stage          `json:"withdraw"` // back to only the old one, from anywhere before the contraction
	Probe    []string         `json:"probe"`    // tried and rolled back before anything is changed
	Findings []change.Finding `json:"findings,omitempty"`
	Lost     []string         `json:"lost,omitempty"`   // by the contraction, or by going back: Set.Irreversible
	Losses   []Loss           `json:"losses,omitempty"` // how to count what a withdrawal would lose
	Relies   []reliance       `json:"relies,omitempty"`
	Shape    []string         `json:"shape,omitempty"` // of what it relies on: the contraction compares
}

// View is one table or view as the new version shows it.
type View struct {
	Name    string       `json:"name"`
	Of      string       `json:"of"` // table in Plan.Schema
	Columns []ViewColumn `json:"columns"`
}

// ViewColumn is a column of a view and the column of the table behind it, while
// both versions are served.
type ViewColumn struct {
	Name    string `json:"name"`
	Of      string `json:"of"`
	Default string `json:"default,omitempty"` // for those who write through the view
}

// StageKind says how a stage is carried out.
type StageKind string

// The kinds of stages.
const (
	Together StageKind = "together" // all statements in one transaction, with the stage's record
	Alone    StageKind = "alone"    // one statement that allows no transaction
	Filling  StageKind = "backfill" // Backfill, in batches
	Proof    StageKind = "proof"    // nothing is changed: Backfill is shown to be complete, and nobody uses the old version
)

// Stage is a part of a phase that is done or not done.
type Stage struct {
	Name     string    `json:"name"` // unique in its phase
	Kind     StageKind `json:"kind"`
	Before   []string  `json:"before,omitempty"` // statements of a Together stage that come before its locks
	SQL      []string  `json:"sql,omitempty"`
	Locks    []Lock    `json:"locks,omitempty"`
	Index    string    `json:"index,omitempty"`    // that an Alone stage makes, in Plan.Schema; looked at to know whether it is done
	Gone     bool      `json:"gone,omitempty"`     // the index is dropped instead
	Backfill *Backfill `json:"backfill,omitempty"` // of Filling
	Check    *Breach   `json:"check,omitempty"`    // how to name the rows that make the stage fail
}

// Breach names rows that break a constraint.
type Breach struct {
	Table string   `json:"table"`
	Key   []string `json:"key"`
	Where string   `json:"where"` // SQL: true for a row that breaks it
}

// Lock is the strongest lock that a stage takes on a table, in the words of
// LOCK TABLE.
type Lock struct {
	Table string `json:"table"`
	Mode  string `json:"mode"`
}

// Backfill makes the new columns of the rows that were there before.
type Backfill struct {
	Table   string   `json:"table"`
	Key     []string `json:"key"`     // walked in this order; "ctid" where there is no primary key
	Types   []string `json:"types"`   // of the key
	Set     []string `json:"set"`     // column = expression
	Pending string   `json:"pending"` // column that is not 0 for a row to fill
	Agree   []string `json:"agree"`   // SQL: false for a row on which the versions do not agree
	Rows    int64    `json:"rows"`    // estimate
	Fires   []string `json:"fires,omitempty"`
}

// Loss counts the rows that a withdrawal would lose.
type Loss struct {
	What string `json:"what"`
	SQL  string `json:"sql"` // one row with one count
}

// Refusal is the error of a plan that can not be carried out, nil for others.
func (p Plan) Refusal() error { return change.Refusal(p.name(), p.Findings) }

func (p Plan) name() string { return versionSchema(p.App, p.To) }

// Target is what a plan is made for.
type Target struct {
	App    string // prefix of the version schemas
	Schema string // that holds the tables
	Role   string // whose rights the releases have
	From   int    // the version in force, 0 before the first
}

// Make computes a plan. The catalogue holds Target.Schema and the schema of
// the version in force.
func Make(set change.Set, catalog *pgcatalog.Catalog, to Target) Plan {
	m := newModel(catalog, to)
	m.operations = set.Operations
	for _, op := range set.Operations {
		m.apply(op)
	}
	m.finish()
	p := Plan{App: to.App, Schema: to.Schema, From: to.From, To: to.From + 1, Set: set, Lost: set.Irreversible()}
	if !m.refused() {
		m.emit(&p)
	}
	p.Findings = m.findings
	return p
}
