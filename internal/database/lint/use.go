package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// Use is a column that a release reads or writes.
type Use struct {
	Schema  string `json:"schema,omitempty"` // "": any
	Table   string `json:"table"`
	Column  string `json:"column,omitempty"` // "": the table as a whole; "*": all of its columns
	Release string `json:"release"`          // "r41", or the role that ran it
	Source  string `json:"source"`           // how that is known: a query, "rehearsal", "declared"
}

// UseOf reads TABLE, TABLE.COLUMN or SCHEMA.TABLE.COLUMN.
func UseOf(text, release, source string) Use {
	u := Use{Table: text, Column: "*", Release: release, Source: source}
	parts := strings.Split(text, ".")
	switch len(parts) {
	case 2:
		u.Table, u.Column = parts[0], parts[1]
	case 3:
		u.Schema, u.Table, u.Column = parts[0], parts[1], parts[2]
	}
	return u
}

// inUse finds the uses of a table, or of one column of it, by releases that
// are live or warm.
func (l *look) inUse(t *table, column string) bool {
	for _, u := range l.options.Uses {
		if u.Table != t.before.Name || u.Schema != "" && u.Schema != t.before.Schema {
			continue
		}
		if column == "" || u.Column == column || u.Column == "*" {
			what := t.before.String()
			if column != "" {
				what += "." + column
			}
			l.hit("in-use", t, "%s still uses %s (%s)", u.Release, what, short(u.Source, 80))
			return true
		}
	}
	return false
}

// UsesOf lists the tables and columns that a statement uses. A column without
// its table's name counts for each table of the statement that the catalogue
// says has it, without a catalogue for all of them.
func UsesOf(sql string, c *Catalog, release, source string) ([]Use, error) {
	statements, err := sqlparse.Statements(sql)
	if err != nil {
		return nil, err
	}
	u := uses{world: newWorld(c, nil), called: map[string]*table{}, release: release, source: source}
	for _, s := range statements {
		if !slices.Contains([]string{"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "CopyStmt"}, s.Kind) {
			continue
		}
		for n := range s.Tree.All() {
			if n.Kind == "RangeVar" {
				u.table(n)
			}
		}
		for n := range s.Tree.All() {
			u.columns(n)
		}
	}
	return u.list, nil
}

// UsesOfQueries lists what the queries of a catalogue use; a query that can
// not be read is passed over and counted.
func UsesOfQueries(c *Catalog) (list []Use, unread int) {
	for _, q := range c.Queries {
		uses, err := UsesOf(q.Text, c, q.Role, fmt.Sprintf("pg_stat_statements, %d calls: %s", q.Calls, short(q.Text, 60)))
		if err != nil {
			unread++
			continue
		}
		for _, use := range uses {
			if !slices.ContainsFunc(list, use.sameAs) {
				list = append(list, use)
			}
		}
	}
	return list, unread
}

func (u Use) sameAs(o Use) bool {
	return u.Schema == o.Schema && u.Table == o.Table && u.Column == o.Column && u.Release == o.Release
}

// uses collects what statements use.
type uses struct {
	world           *world
	called          map[string]*table // by alias or name
	tables          []*table
	release, source string
	list            []Use
}

func (u *uses) table(n sqlparse.Node) {
	t := u.world.table(n)
	if u.world.known && !t.here {
		return // the name of a WITH query, or of nothing
	}
	u.called[n.Text("relname")] = t
	if alias := n.Node("alias").Text("aliasname"); alias != "" {
		u.called[alias] = t
	}
	if !slices.Contains(u.tables, t) {
		u.tables = append(u.tables, t)
	}
	u.add(t, "")
}

func (u *uses) add(t *table, column string) {
	use := Use{Schema: t.Schema, Table: t.Name.Name, Column: column, Release: u.release, Source: u.source}
	if !u.world.known {
		use.Schema = ""
	}
	if !slices.ContainsFunc(u.list, use.sameAs) {
		u.list = append(u.list, use)
	}
}

// columns takes up the columns that a node names.
func (u *uses) columns(n sqlparse.Node) {
	switch n.Kind {
	case "ColumnRef":
		column, of := "*", n.Names("fields")
		if parts := n.Nodes("fields"); parts[len(parts)-1].Kind != "A_Star" {
			column, of = of[len(of)-1], of[:len(of)-1]
		}
		if len(of) == 0 {
			u.anywhere(column)
		} else if t := u.called[of[len(of)-1]]; t != nil {
			u.add(t, column)
		}
	case "InsertStmt":
		t := u.called[n.Node("relation").Text("relname")]
		if t == nil {
			return
		}
		if len(n.Nodes("cols")) == 0 {
			u.add(t, "*")
		}
		for _, c := range n.Nodes("cols") {
			u.add(t, c.Text("name"))
		}
	case "UpdateStmt":
		if t := u.called[n.Node("relation").Text("relname")]; t != nil {
			for _, c := range n.Nodes("targetList") {
				u.add(t, c.Text("name"))
			}
		}
	}
}

func (u *uses) anywhere(column string) {
	for _, t := range u.tables {
		if column == "*" || !u.world.known || t.Column(column) != nil {
			u.add(t, column)
		}
	}
}
