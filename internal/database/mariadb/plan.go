package mariadb

import (
	"github.com/noon-deploy/noon/internal/database/change"
)

// Plan is how one version of a schema becomes the next: data, made by a pure
// function, the same for the same input.
type Plan struct {
	App      string           `json:"app"`
	Database string           `json:"database"` // that holds the tables
	From     int              `json:"from"`     // 0: the tables themselves
	To       int              `json:"to"`
	Set      change.Set       `json:"set"`
	Views    []View           `json:"views"`    // of the new version
	Expand   []Stage          `json:"expand"`   // until both versions are served
	Contract []Stage          `json:"contract"` // until only the new one is; proofs first
	Withdraw []Stage          `json:"withdraw"` // back to only the old one, from anywhere before the contraction
	Trials   []Trial          `json:"trials"`   // made on empty copies before anything is changed
	Relies   []Reliance       `json:"relies,omitempty"`
	Losses   []Loss           `json:"losses,omitempty"` // how to count what a withdrawal would lose
	Lost     []string         `json:"lost,omitempty"`   // by the contraction: Set.Irreversible
	Findings []change.Finding `json:"findings,omitempty"`
}

// View is one table as a version shows it.
type View struct {
	Name    string       `json:"name"`
	Of      string       `json:"of"` // table in Plan.Database
	Columns []ViewColumn `json:"columns"`
}

// ViewColumn is a column of a view and the column of the table behind it.
type ViewColumn struct {
	Name string `json:"name"`
	Of   string `json:"of"`
}

// StageKind says how a stage is carried out.
type StageKind string

// The kinds of stages.
const (
	Altering  StageKind = "alter"    // one ALTER TABLE with the steps that are left
	Executing StageKind = "execute"  // each step is a statement
	Filling   StageKind = "backfill" // Backfill, in batches
	Proving   StageKind = "prove"    // nothing is changed: the new form of each row is complete, and is what it should be
)

// Stage is a part of a phase that is done or not done.
type Stage struct {
	Name     string    `json:"name"` // unique in its phase
	Kind     StageKind `json:"kind"`
	Table    string    `json:"table"`
	Steps    []Step    `json:"steps,omitempty"`
	Build    bool      `json:"build,omitempty"` // it may take long beside writers, and is worth some waiting at its end
	Backfill *Backfill `json:"backfill,omitempty"`
}

// Object is a kind of thing whose presence tells whether a step is done.
type Object string

// The objects. Anything is none: the step is carried out again, which changes
// nothing.
const (
	Anything Object = ""
	Column   Object = "column"
	Index    Object = "index"
	Trigger  Object = "trigger"
	Table    Object = "table"
)

// Step is a statement, or a clause of an ALTER TABLE, and how to see that it
// is done.
type Step struct {
	SQL    string `json:"sql"`
	Object Object `json:"object,omitempty"`
	Name   string `json:"name,omitempty"`
	Gone   bool   `json:"gone,omitempty"` // done when the object is not there
}

// Backfill makes the new columns of the rows that were there before.
type Backfill struct {
	Table  string      `json:"table"`
	Key    []KeyColumn `json:"key"`              // walked in this order
	Keep   []string    `json:"keep,omitempty"`   // columns that the server would set by itself
	Direct string      `json:"direct,omitempty"` // what an UPDATE sets to fill a row without the trigger; "": it can not
	Rows   int64       `json:"rows"`             // estimate
	Checks []Check     `json:"checks,omitempty"`
}

// KeyColumn is a column of what rows are walked by.
type KeyColumn struct {
	Name  string `json:"name"`
	Class string `json:"class"` // its type without length
}

// Check is how to compare a new form with what it is made of.
type Check struct {
	Missing uint64   `json:"missing"` // bit of the mark: there is no new form
	Skip    uint64   `json:"skip"`    // bit of rows whose form is the new release's alone
	Old     string   `json:"old"`     // select list: the columns as the old version names them
	As      string   `json:"as"`      // name of the table in the old version
	Up      []string `json:"up"`      // expressions, one for each of New; "" is not compared
	New     []string `json:"new"`     // physical columns
	Types   []string `json:"types"`   // of New
}

// Trial is tried on an empty temporary copy of a table.
type Trial struct {
	At     string   `json:"at,omitempty"`
	Table  string   `json:"table,omitempty"` // to copy
	Create string   `json:"create,omitempty"`
	Alter  []string `json:"alter,omitempty"`
	SQL    []string `json:"sql,omitempty"` // queries of the copy
}

// Reliance is a column, or a whole table, that the contraction drops.
type Reliance struct {
	Table  string `json:"table"`
	Column string `json:"column,omitempty"`
}

// Loss counts the rows that a withdrawal would lose.
type Loss struct {
	What   string `json:"what"`
	Table  string `json:"table"`
	Column string `json:"column,omitempty"` // that has to be there for SQL to work
	SQL    string `json:"sql"`              // one row with one count
}

// Refusal is the error of a plan that can not be carried out, nil for others.
func (p Plan) Refusal() error { return change.Refusal(p.name(), p.Findings) }

func (p Plan) name() string { return versionName(p.App, p.To) }
