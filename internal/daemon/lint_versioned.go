package daemon

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/lint"
	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// lintVersioned looks at the operations that are raw SQL: what is declared the
// engine carries out without blocking anybody, or refuses itself. The grammar is
// PostgreSQL's; on MariaDB and MySQL the engine is asked.
func (d *databases) lintVersioned(ctx context.Context, m migrated, before *migrated) ([]noon.Hazard, error) {
	if ofMySQL(m.Kind) {
		return d.lintMariaDB(ctx, m, before)
	}
	all, err := m.changes(m.names()...)
	if err != nil || !slices.ContainsFunc(all.Operations, func(op change.Operation) bool { return op.SQL != nil }) {
		return nil, err
	}
	look, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	v, err := d.versioning(look, m, 0)
	if err != nil {
		return nil, err
	}
	files, err := v.pending()
	if err != nil {
		return nil, err
	}
	both := m.uses()
	if before != nil {
		files = slices.DeleteFunc(files, func(name string) bool { return before.files[name] != "" }) // it has made them, or is about to complete them
		both = slices.Concat(both, before.uses())
	}
	set, err := m.changes(files...)
	if err != nil {
		return nil, err
	}
	s := script{}
	for i, op := range set.Operations {
		switch {
		case op.SQL != nil:
			p := lint.Part{To: len(op.SQL.Up), Separate: op.SQL.Transaction != nil && !*op.SQL.Transaction, Uses: both}
			if before == nil || op.SQL.Contracts() {
				p.Alone, p.Uses = true, m.uses()
			}
			s.add(fmt.Sprintf("%s#%d", op.At, i), op.SQL.Up, p)
		case op.CreateTable != nil:
			sql := "CREATE TABLE " + sqlparse.Quote(op.CreateTable.Name) + " ()"
			s.add(fmt.Sprintf("%s#%d", op.At, i), sql, lint.Part{To: len(sql), Done: true})
		}
	}
	found, err := d.judge(ctx, m, s)
	for i := range found {
		found[i].File, found[i].Line = operationAt(found[i].File)
	}
	return found, err
}

// operationAt reads the place of an operation: "migrations/0003_x.yaml:7#2".
func operationAt(at string) (file string, line int) {
	at, _, _ = strings.Cut(at, "#")
	file, number, _ := strings.Cut(at, ":")
	line, _ = strconv.Atoi(number) // 0 where it is not known
	return file, line
}
