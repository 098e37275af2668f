package lint

import (
	"cmp"
	"slices"

	"github.com/noon-deploy/noon/internal/database/pgcatalog"
	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

type name = pgcatalog.Name

// world is the database as it is before a statement, those before it done.
type world struct {
	known   bool // there is a catalogue
	version int  // server_version_num; 0 if not known
	utc     bool // sessions have a time zone that never changes its offset from UTC
	path    []string
	tables  map[name]*table
	domains map[name]Domain
	volatil map[string]bool // functions of the user, by name without schema
	enums   map[name]int    // the transaction in which a value was added
}

// table is one table of the world.
type table struct {
	pgcatalog.Table
	fresh  bool // made by the script: nobody uses it yet
	here   bool // the catalogue has it, or the script has made it
	rest   bool // it is the default partition, which has what no other has
	before name // how it was called before the script
}

func newWorld(c *Catalog, path []string) *world {
	w := &world{path: path, tables: map[name]*table{}, domains: map[name]Domain{}, volatil: map[string]bool{}, enums: map[name]int{}}
	if len(path) == 0 {
		w.path = []string{"public"}
	}
	if c == nil {
		return w
	}
	w.known, w.version = true, c.Server.Version
	w.utc = slices.Contains([]string{"UTC", "Etc/UTC", "GMT", "UCT", "Zulu", "Etc/GMT", "Universal", "Greenwich"}, c.Server.TimeZone)
	for _, t := range c.Tables {
		t.Columns, t.Constraints, t.Indexes = slices.Clone(t.Columns), slices.Clone(t.Constraints), slices.Clone(t.Indexes)
		t.Children, t.Parents = slices.Clone(t.Children), slices.Clone(t.Parents)
		w.tables[t.Name] = &table{Table: t, here: true, before: t.Name}
	}
	for _, d := range c.Defaults {
		if t := w.tables[d]; t != nil {
			t.rest = true
		}
	}
	for _, d := range c.Domains {
		w.domains[d.Name] = d
	}
	for _, f := range c.Functions {
		w.volatil[f.Name.Name] = w.volatil[f.Name.Name] || f.Volatile
	}
	return w
}

// forget takes tables that a script has made for tables in use.
func (w *world) forget() {
	for _, t := range w.tables {
		if t.fresh {
			t.fresh, t.Rows = false, -1
		}
	}
}

// table finds the table that a RangeVar names. One that is not known is made
// up: nothing is known of its columns and size.
func (w *world) table(r sqlparse.Node) *table {
	return w.named(name{Schema: r.Text("schemaname"), Name: r.Text("relname")})
}

func (w *world) named(n name) *table {
	if n.Schema == "" {
		for _, schema := range w.path {
			if t := w.tables[name{Schema: schema, Name: n.Name}]; t != nil {
				return t
			}
		}
		n.Schema = w.path[0]
	}
	if t := w.tables[n]; t != nil {
		return t
	}
	t := &table{Table: pgcatalog.Table{Name: n, Kind: pgcatalog.Ordinary, Rows: -1}, before: n}
	w.tables[n] = t
	return t
}

// qualified makes a name of the parts of a list of strings.
func qualified(parts []string) name {
	switch len(parts) {
	case 0:
		return name{}
	case 1:
		return name{Name: parts[0]}
	default:
		return name{Schema: parts[len(parts)-2], Name: parts[len(parts)-1]}
	}
}

// make adds a table that the script creates.
func (w *world) make(r sqlparse.Node, kind pgcatalog.Kind) *table {
	n := name{Schema: r.Text("schemaname"), Name: r.Text("relname")}
	n.Schema = cmp.Or(n.Schema, w.path[0])
	if t := w.tables[n]; t != nil && w.known && t.here && !t.fresh {
		return t // it was made before, and is in use
	}
	t := &table{Table: pgcatalog.Table{Name: n, Kind: kind}, fresh: true, here: true, before: n}
	w.tables[n] = t
	return t
}

// rename gives a table another name.
func (w *world) rename(t *table, to name) {
	delete(w.tables, t.Name)
	for _, o := range w.tables {
		for i := range o.Constraints {
			if r := o.Constraints[i].References; r != nil && *r == t.Name {
				o.Constraints[i].References = &to
			}
		}
		for _, list := range [][]name{o.Children, o.Parents} {
			if i := slices.Index(list, t.Name); i >= 0 {
				list[i] = to
			}
		}
	}
	t.Name = to
	w.tables[to] = t
}

// family is a table with what inherits from it, if r does not say ONLY.
func (w *world) family(t *table, all bool) []*table {
	list := []*table{t}
	if !all {
		return list
	}
	for i := 0; i < len(list); i++ {
		for _, child := range list[i].Children {
			if c := w.tables[child]; c != nil && !slices.Contains(list, c) {
				list = append(list, c)
			}
		}
	}
	return list
}

// inbound are the tables that have a foreign key to t, with the keys.
func (w *world) inbound(t *table) []pgcatalog.Inbound {
	var list []pgcatalog.Inbound
	for _, o := range w.tables {
		for _, k := range o.Constraints {
			if k.References != nil && *k.References == t.Name {
				list = append(list, pgcatalog.Inbound{From: o.Name, Constraint: k})
			}
		}
	}
	slices.SortFunc(list, func(a, b pgcatalog.Inbound) int {
		return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.Constraint.Name, b.Constraint.Name))
	})
	return list
}

// indexed finds the table of an index, nil if the index is not known.
func (w *world) indexed(index name) *table {
	for _, t := range w.tables {
		if (index.Schema == "" || index.Schema == t.Schema) && t.Index(index.Name) != nil {
			return t
		}
	}
	return nil
}

// dependents are the objects that use any of the columns of a table, all of
// them if none is named.
func (t *table) dependents(columns ...string) []pgcatalog.Dependent {
	var list []pgcatalog.Dependent
	for _, d := range t.Dependents {
		if len(columns) == 0 || d.Uses(columns...) {
			list = append(list, d)
		}
	}
	return list
}

// provenNotNull reports whether a valid check says that a column is not null.
func (t *table) provenNotNull(column string) bool {
	return slices.ContainsFunc(t.Constraints, func(c pgcatalog.Constraint) bool {
		return c.Kind == "check" && c.Validated && saysNotNull(c, column)
	})
}

func (t *table) drop(column string) {
	t.Columns = slices.DeleteFunc(t.Columns, func(c pgcatalog.Column) bool { return c.Name == column })
	t.Constraints = slices.DeleteFunc(t.Constraints, func(c pgcatalog.Constraint) bool { return slices.Contains(c.Columns, column) })
	t.Indexes = slices.DeleteFunc(t.Indexes, func(i pgcatalog.Index) bool { return slices.Contains(i.Columns, column) })
}

func (t *table) dropConstraint(called string) {
	t.Constraints = slices.DeleteFunc(t.Constraints, func(c pgcatalog.Constraint) bool { return c.Name == called })
	t.Indexes = slices.DeleteFunc(t.Indexes, func(i pgcatalog.Index) bool { return i.Constraint == called && called != "" })
}
