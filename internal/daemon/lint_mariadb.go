package daemon

import (
	"context"
	"path"
	"slices"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/mariadb"
)

// lintMariaDB looks at the operations that a versioned store of MariaDB or MySQL
// has not got: the engine plans them, which changes nothing, and tells what is in
// the way. Where it can not plan yet, since the release before has to be
// completed or there is no table of the app's, it is said what no plan can have.
func (d *databases) lintMariaDB(ctx context.Context, m migrated, before *migrated) ([]noon.Hazard, error) {
	look, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	v, err := d.versioningMariaDB(look, m, 0)
	if err != nil {
		return nil, err
	}
	files, err := v.pending()
	if err != nil {
		return nil, err
	}
	if before != nil {
		files = slices.DeleteFunc(files, func(name string) bool { return before.files[name] != "" }) // it has made them, or is about to complete them
	}
	if len(files) == 0 {
		return nil, nil
	}
	set, err := m.changes(files...)
	if err != nil {
		return nil, err
	}
	if engine, ok := v.engine.(mariadbSchema); ok && before != nil && v.active() == nil {
		plan, err := engine.Plan(look, set)
		return m.found(plan.Findings, err)
	}
	return m.found(mariadb.Unserved(set), nil)
}

// found has the findings of a plan, and why it can not be made, as hazards.
func (m migrated) found(findings []change.Finding, err error) ([]noon.Hazard, error) {
	if err != nil && !change.Refuses(findings) {
		if noon.KindOf(err) != noon.Invalid {
			return nil, err
		}
		return []noon.Hazard{{Phase: noon.DataBoth, Gravity: noon.GravityError, Rule: declaredRule, Text: err.Error(), Advice: noon.HintOf(err)}}, nil
	}
	gravity := map[change.Severity]noon.Gravity{change.Refused: noon.GravityError, change.Warning: noon.GravityWarning, change.Note: noon.GravityNote}
	var list []noon.Hazard
	for _, f := range findings {
		h := noon.Hazard{Phase: noon.DataBoth, Gravity: gravity[f.Severity], Rule: declaredRule, Text: f.Subject + ": " + f.Text, Advice: f.Hint}
		if f.At != "" {
			h.File, h.Line = operationAt(f.At)
			h.File = path.Join(m.Migrations, h.File)
		}
		list = append(list, h)
	}
	return list, nil
}

// declaredRule is the rule of what the engine of a versioned store says.
const declaredRule = "declared-operation"
