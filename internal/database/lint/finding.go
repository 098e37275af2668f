package lint

import (
	"slices"

	"github.com/noon-deploy/noon/internal/database/pgcatalog"
)

// Severity says what a finding asks for.
type Severity string

// The severities.
const (
	Note    Severity = "note"    // worth knowing
	Warning Severity = "warning" // somebody should look before this runs
	Error   Severity = "error"   // users would wait or see errors, or it fails
)

// AtLeast reports whether s is as grave as o or graver.
func (s Severity) AtLeast(o Severity) bool { return s.rank() >= o.rank() }

func (s Severity) rank() int { return slices.Index([]Severity{Note, Warning, Error}, s) }

// Finding is one hazard of one statement.
type Finding struct {
	Rule      string         `json:"rule"`
	Severity  Severity       `json:"severity"`
	File      string         `json:"file,omitempty"`
	Line      int            `json:"line"`
	Statement string         `json:"statement"`
	Hazard    string         `json:"hazard"` // one sentence
	Advice    string         `json:"advice"` // what to do, one sentence or two
	Table     pgcatalog.Name `json:"table"`  // that it is about; empty if about none
	Rows      int64          `json:"rows"`   // of the table, -1 if not known
	Locks     []Locked       `json:"locks"`  // all that the statement takes
	Work      Work           `json:"work,omitempty"`
	Expected  *Range         `json:"expected,omitempty"` // how long the work takes; nil if not known or none
	Fix       []Step         `json:"fix,omitempty"`      // what to write instead of the statement
	Accepted  string         `json:"accepted,omitempty"` // why somebody accepts it: `-- noon: blocking "why"`

	index int // of the statement
}

// Step is one section of a safe rewrite: a transaction of its own.
type Step struct {
	SQL   []string `json:"sql"`             // statements
	Alone bool     `json:"alone,omitempty"` // it must run outside of a transaction
	Data  string   `json:"data,omitempty"`  // "shop.orders.id": a data section, in batches over that key
}

// Rule is a kind of hazard.
type Rule struct {
	ID       string
	Severity Severity
	Breaks   bool   // it is about meaning, whatever the table's size; else about waiting
	Title    string // what the statement does
	Why      string // what happens to users
	Advice   string // what to do, whole sentences
	Fixed    bool   // --fix can write the safe form
}
