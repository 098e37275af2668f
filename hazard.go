package noon

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Gravity says how bad a hazard is.
type Gravity string

// The gravities, and what refuses nothing.
const (
	GravityNote    Gravity = "note"    // worth knowing
	GravityWarning Gravity = "warning" // somebody should look before it runs
	GravityError   Gravity = "error"   // users would wait or see errors, or it fails
	GravityNever   Gravity = "never"   // of Lint.Refuse alone: no hazard is bad enough
)

// AtLeast reports whether g is as bad as o or worse.
func (g Gravity) AtLeast(o Gravity) bool {
	order := []Gravity{GravityNote, GravityWarning, GravityError, GravityNever}
	return slices.Index(order, g) >= slices.Index(order, o)
}

// Lint says what is made of the hazards of a store's migrations.
type Lint struct {
	Refuse Gravity  `json:"refuse,omitempty"` // the least that refuses a deployment: error, warning or never; "" is error
	Uses   []string `json:"uses,omitempty"`   // what the release uses and nobody can see: TABLE, TABLE.COLUMN or SCHEMA.TABLE.COLUMN
}

// Hazard is what a statement of a migration would do to users, or to a release
// that is still there when it runs.
type Hazard struct {
	Store     string       `json:"store"`
	Phase     DataPhase    `json:"phase"` // in which the statement runs: DataBoth or DataAlone
	Gravity   Gravity      `json:"gravity"`
	Rule      string       `json:"rule"`
	File      string       `json:"file,omitempty"` // of the release
	Line      int          `json:"line,omitempty"` // from 1
	Statement string       `json:"statement,omitempty"`
	Text      string       `json:"text"` // what happens, one sentence
	Locks     []HazardLock `json:"locks,omitempty"`
	Expected  string       `json:"expected,omitempty"` // how long it takes and from what that is known
	Advice    string       `json:"advice,omitempty"`   // what to do, whole sentences
	Instead   string       `json:"instead,omitempty"`  // the safe form, as sections of a migration
	Accepted  string       `json:"accepted,omitempty"` // why somebody accepts it; it is a note then
	Refuses   bool         `json:"refuses,omitempty"`  // no deployment is made because of it
}

// HazardLock is a lock that the statement takes.
type HazardLock struct {
	Table  string `json:"table"`
	Mode   string `json:"mode"`   // in the server's words
	Blocks string `json:"blocks"` // "blocks reads and writes"
}

// Place is where the statement stands: "migrations/0042_orders.sql:3".
func (h Hazard) Place() string {
	switch {
	case h.File == "":
		return "store " + h.Store
	case h.Line == 0:
		return h.File
	}
	return fmt.Sprintf("%s:%d", h.File, h.Line)
}

// namedHazards is how many hazards an error tells of.
const namedHazards = 5

// Refusal is why the plan must not be walked, nil if it may be.
func (p Plan) Refusal() error {
	var why, do []string
	left := 0
	for _, h := range p.Hazards {
		switch {
		case !h.Refuses:
		case len(why) == namedHazards:
			left++
		default:
			why = append(why, h.why())
			if !slices.Contains(do, h.Advice) {
				do = append(do, h.Advice)
			}
		}
	}
	if len(why) == 0 {
		return nil
	}
	if left > 0 {
		why = append(why, fmt.Sprintf("and %d more; `noon plan` shows all", left))
	}
	return &Error{
		Kind: Invalid, Op: string(p.Kind), Subject: fmt.Sprintf("%s to %s", ReleaseName(p.To.Release), p.Site.Environment), Err: errors.New(strings.Join(why, "\n")),
		Hint: "Nothing was changed. " + strings.Join(do, " ") +
			" `noon migration lint --fix FILE` writes the safe form where it is mechanical; `-- noon: blocking \"why\"` above a statement accepts what it does.",
	}
}

// why is the hazard in one line.
func (h Hazard) why() string {
	text := fmt.Sprintf("%s (%s): %s", h.Place(), h.Rule, h.Text)
	if h.Expected != "" {
		text += "; " + h.Expected
	}
	return text
}
