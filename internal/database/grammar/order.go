package grammar

import (
	"errors"
	"fmt"
	"slices"

	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/lint"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
	"github.com/noon-deploy/noon/internal/database/postgres"
	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// Lint asks what parts of scripts would do to users.
type Lint struct {
	Scripts []Script      `json:"scripts"`
	Parts   []lint.Part   `json:"parts"` // in the order in which they are run
	Catalog *lint.Catalog `json:"catalog"`
}

// Script is a file of SQL.
type Script struct {
	File string `json:"file"`
	SQL  string `json:"sql"`
}

// Change asks how declared operations are carried out.
type Change struct {
	Set     change.Set         `json:"set"`
	Catalog *pgcatalog.Catalog `json:"catalog"`
	Target  postgres.Target    `json:"target"`
}

// order is what a child is given: one of them.
type order struct {
	Lint   *Lint   `json:"lint,omitempty"`
	Change *Change `json:"change,omitempty"`
}

// answer is what it gives back.
type answer struct {
	Findings [][]lint.Finding `json:"findings,omitempty"` // for each part
	Plan     *postgres.Plan   `json:"plan,omitempty"`
}

// carryOut answers an order in this process.
func (o order) carryOut() (answer, error) {
	switch {
	case o.Lint != nil:
		found, err := o.Lint.findings()
		return answer{Findings: found}, err
	case o.Change != nil:
		plan := postgres.Make(o.Change.Set, o.Change.Catalog, o.Change.Target)
		return answer{Plan: &plan}, nil
	}
	return answer{}, errors.New("the order asks for nothing")
}

// findings lints the parts. Queries that the server has counted are uses by
// the releases that are there now; where the release before is gone they say
// nothing.
func (l Lint) findings() ([][]lint.Finding, error) {
	scripts := make([]lint.Script, len(l.Scripts))
	wrong := map[int]lint.Finding{}
	for i, s := range l.Scripts {
		statements, err := lint.Parse(s.SQL)
		if mistake, ok := errors.AsType[*sqlparse.Error](err); ok {
			wrong[i] = lint.Unreadable(s.File, mistake, l.Catalog)
		} else if err != nil {
			return nil, fmt.Errorf("read %s: %w", s.File, err)
		}
		scripts[i] = lint.Script{File: s.File, Statements: statements}
	}
	parts, err := l.used()
	if err != nil {
		return nil, err
	}
	found := lint.CheckParts(scripts, parts, l.Catalog, lint.Options{})
	for i, p := range parts {
		if f, ok := wrong[p.Script]; ok {
			found[i] = append(found[i], f)
			delete(wrong, p.Script) // once is enough
		}
	}
	return found, nil
}

// used are the parts with what the counted queries use.
func (l Lint) used() ([]lint.Part, error) {
	parts := make([]lint.Part, len(l.Parts))
	var uses []lint.Use
	looked := false
	for i, p := range l.Parts {
		if p.Script < 0 || p.Script >= len(l.Scripts) {
			return nil, fmt.Errorf("part %d is of script %d of %d", i, p.Script, len(l.Scripts))
		}
		if !p.Alone && !p.Done {
			if !looked {
				uses, _ = lint.UsesOfQueries(l.Catalog) // one that can not be read is not known, as if nobody had counted it
				looked = true
			}
			p.Uses = append(slices.Clip(p.Uses), uses...)
		}
		parts[i] = p
	}
	return parts, nil
}
