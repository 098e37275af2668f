package change

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon"
)

// Severity of a finding.
type Severity string

// The severities.
const (
	Refused Severity = "refused" // the plan can not be carried out
	Warning Severity = "warning" // somebody should know before
	Note    Severity = "note"
)

// Finding is what an engine has found in the way of a plan.
type Finding struct {
	Severity Severity `json:"severity"`
	At       string   `json:"at,omitempty"` // file:line of the operation
	Subject  string   `json:"subject"`      // table.column
	Text     string   `json:"text"`
	Hint     string   `json:"hint,omitempty"`
}

// String gives one line.
func (f Finding) String() string {
	s := fmt.Sprintf("%s: %s: %s", f.Severity, f.Subject, f.Text)
	if f.At != "" {
		s = f.At + ": " + s
	}
	return s
}

// Refuses reports whether a finding stands against the plan.
func Refuses(list []Finding) bool {
	return slices.ContainsFunc(list, func(f Finding) bool { return f.Severity == Refused })
}

// Refusal is the error of a plan with these findings that can not be carried
// out, nil for others. subject is the plan's name.
func Refusal(subject string, list []Finding) error {
	var why, hints []string
	for _, f := range list {
		if f.Severity != Refused {
			continue
		}
		why = append(why, f.String())
		if f.Hint != "" {
			hints = append(hints, f.Hint)
		}
	}
	if len(why) == 0 {
		return nil
	}
	hint := strings.Join(append(hints, "Nothing was changed."), " ")
	return &noon.Error{Kind: noon.Invalid, Op: "plan schema change", Subject: subject, Err: errors.New(strings.Join(why, "\n")), Hint: hint}
}
