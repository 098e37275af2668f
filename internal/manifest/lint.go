package manifest

import (
	"fmt"
	"strings"

	"github.com/noon-deploy/noon"
)

func lintRule() rule[noon.Lint] {
	return object("lint", []field[noon.Lint]{
		key("refuse", choice("gravity", noon.GravityError, noon.GravityWarning, noon.GravityNever), func(l *noon.Lint) *noon.Gravity { return &l.Refuse },
			"The least hazard of a migration that refuses a deployment. All are shown with the plan.").or("error"),
		key("uses", list("list of columns", useRule(), unique[string]), func(l *noon.Lint) *[]string { return &l.Uses },
			"Tables and columns that the release uses and that noon can not see in the queries of the database: a migration that takes one away while the release is there is refused."),
	})
}

// useRule is a table or a column.
func useRule() rule[string] {
	return wordOf("column", "orders.price", "", "Write TABLE, TABLE.COLUMN or SCHEMA.TABLE.COLUMN.", func(text string) error {
		parts := strings.Split(text, ".")
		for _, p := range parts {
			if strings.TrimSpace(p) == "" || len(parts) > 3 || strings.ContainsRune(text, 0) {
				return fmt.Errorf("%s names no column", quote(text))
			}
		}
		return nil
	})
}

// checkLint: only migrations that noon applies are looked at.
func checkLint(d *decoder, v value, s *noon.Store) {
	if at := join(v.path, "lint"); d.written(at) && s.Migrations == "" {
		d.wrong(d.marks[at].key, at, v.path+" has lint but no migrations", "Remove it: noon looks at migrations that it applies itself.")
	}
}
