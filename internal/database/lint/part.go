package lint

import (
	"fmt"

	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// Part is what is run as one and judged for itself: a section of a migration,
// or a statement of a declared change.
type Part struct {
	Script   int   `json:"script"`             // index of the script that has it
	From     int   `json:"from"`               // bytes of the script before it
	To       int   `json:"to"`                 // bytes of the script before its end
	Separate bool  `json:"separate,omitempty"` // its statements are transactions of their own
	Batched  bool  `json:"batched,omitempty"`  // it is run for some rows after the other
	Alone    bool  `json:"alone,omitempty"`    // the release before is gone
	Done     bool  `json:"done,omitempty"`     // it is run before anything else, and is not judged
	Uses     []Use `json:"uses,omitempty"`     // of the releases that are there
}

// CheckParts finds the hazards of parts that are run one after the other, by
// noon, on the database that the catalogue tells of: an answer for each part.
func CheckParts(scripts []Script, parts []Part, c *Catalog, o Options) [][]Finding {
	w := newWorld(c, o.SearchPath)
	path := w.path
	all := make([][]Finding, len(parts))
	for i, p := range parts {
		s := scripts[p.Script]
		o.File, o.Separate, o.Alone, o.Uses = s.File, p.Separate, p.Alone, p.Uses
		w.path = path // what a part has set, noon sets back
		k := newCheck(w, p.of(s.Statements), c, o)
		k.noons, k.batched = true, p.Batched
		for n := range k.statements {
			k.statement(n)
		}
		if !p.Done {
			all[i] = k.findings
		}
	}
	return all
}

// of are the statements of the part.
func (p Part) of(statements []sqlparse.Statement) []sqlparse.Statement {
	var own []sqlparse.Statement
	for _, s := range statements {
		if s.Offset >= p.From && s.Offset < p.To {
			own = append(own, s)
		}
	}
	return own
}

// Unreadable is the finding about a script that can not be read. A server that
// is newer than the grammar may well read it.
func Unreadable(file string, wrong *sqlparse.Error, c *Catalog) Finding {
	r := ruleOf("unreadable")
	f := Finding{
		Rule: r.ID, Severity: r.Severity, File: file, Line: wrong.Line, Advice: r.Advice, Rows: -1,
		Hazard: fmt.Sprintf("in column %d: %s", wrong.Column, wrong.Message),
	}
	if c != nil && c.Server.Version >= (grammarVersion+1)*10_000 {
		f.Severity = Warning
	}
	return f
}

const grammarVersion = 17 // of PostgreSQL, that sqlparse reads
