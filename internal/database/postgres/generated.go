package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// generatedLast sorts a trigger behind all others of a table: generated columns
// are computed when these have had their say.
const generatedLast = "~~generated_"

// computed looks, after all operations, at generated columns of which something
// goes that they are computed from. One that goes as well is no matter. One
// whose sources only get another form goes on to be computed, from the old form
// of each new value, so that neither release nor any row sees another one: by
// the server until the contraction, then by a trigger. The server can make a
// column that has its values a generated one only by writing the table anew.
func (m *model) computed() {
	for _, t := range m.tables {
		if t.was == nil || t.dropped {
			continue
		}
		for _, c := range t.columns {
			if c.was != nil && c.was.Generated && !c.added {
				m.keepComputed(t, c)
			}
		}
		m.goOn(t)
	}
	m.at = ""
}

func (m *model) keepComputed(t *table, c *column) {
	var lost []string
	for _, d := range t.was.Dependents {
		if d.Kind == "generated column" && d.Name.Name == c.was.Name && d.Of == t.was.Name {
			lost = slices.DeleteFunc(slices.Clone(d.Columns), func(name string) bool { return !t.isGone(name) })
		}
	}
	if len(lost) == 0 {
		return
	}
	subject, what := t.name+"."+lost[0], fmt.Sprintf("generated column %s uses it", c.was.Name)
	m.at = t.replacedAt(lost)
	was := map[string]expression{}
	for _, name := range lost {
		down, ok := t.downs(name)
		if t.replaced[name] == nil || !ok || slices.Contains(m.renamedEnums, t.was.Column(name).TypeName) { // the type's names are others then
			m.refuse(subject, "Drop the generated column in the same release; or, where the column only changes, give it a down.", "%s", what)
			return
		}
		was[name] = down
	}
	if m.catalog.Server.Version < 130000 {
		m.refuse(subject, "Drop the generated column in the same release, or upgrade the server to 13 or newer.", "%s, and this server can not let it keep its values", what)
		return
	}
	value, tries, err := t.computes(c, was)
	if err != nil {
		m.refuse(subject, "Drop the generated column in the same release.", "%s, and can not be computed from another form: %v", what, err)
		return
	}
	t.pairs = append(t.pairs, tries)
	t.first = append(t.first, fmt.Sprintf("alter table %s alter column %s drop expression", qualified(m.Schema, t.phys), quote(c.phys)))
	m.computes(t, c, value, t.sourcesOf(c))
}

// downs is how the value of an old column is made from new ones.
func (t *table) downs(name string) (expression, bool) {
	for _, g := range t.groups {
		for _, a := range g.down {
			if a.column == name {
				return a.value, true
			}
		}
	}
	return expression{}, false
}

// computes is a generated column's expression over the columns of the row new,
// as they are called in the end; what goes is made from what takes its place.
// tries is the same on the copy of the table that the plan is tried on.
func (t *table) computes(c *column, was map[string]expression) (value, tries string, err error) {
	parsed, err := sqlparse.Expression(c.was.Default)
	if err != nil {
		return "", "", err
	}
	text := func(called func(string) string) (string, error) {
		expr, err := parsed.Rename(func(ref sqlparse.Ref) sqlparse.Ref {
			if _, ok := was[ref.Column]; ok {
				return sqlparse.Ref{Table: "noon_was", Column: ref.Column}
			}
			return sqlparse.Ref{Table: "new", Column: called(ref.Column)}
		})
		var list []string
		for _, name := range t.was.Columns {
			if down, ok := was[name.Name]; ok {
				list = append(list, fmt.Sprintf("cast(%s as %s) as %s", down.as(called).over("new"), name.Type, quote(name.Name)))
			}
		}
		return fmt.Sprintf("(select %s from (select %s) as noon_was)", expr, strings.Join(list, ", ")), err
	}
	if value, err = text(t.called); err != nil {
		return "", "", err
	}
	tries, err = text(func(phys string) string { return phys })
	return value, fmt.Sprintf("select %s from %s as new where false", tries, qualified(probeSchema, t.phys)), err
}

// as is an expression over columns that are called otherwise.
func (e expression) as(called func(string) string) expression {
	names := make(map[string]string, len(e.names))
	for name, phys := range e.names {
		names[name] = called(phys)
	}
	e.names = names
	e.uses = slices.Clone(e.uses)
	for i := range e.uses {
		e.uses[i] = called(e.uses[i])
	}
	return e
}

// sourcesOf are the columns that a generated one is computed from, as they are
// called in the end.
func (t *table) sourcesOf(c *column) []string {
	var list []string
	for _, d := range t.was.Dependents {
		if d.Kind != "generated column" || d.Name.Name != c.was.Name {
			continue
		}
		for _, name := range d.Columns {
			if r := t.replaced[name]; r != nil {
				list = append(list, r.name)
			} else {
				list = append(list, t.called(name))
			}
		}
	}
	return list
}

// computes lets a trigger compute a column from the contraction on. That it
// needs the columns is written into its condition, which is always true, so that
// the server and later plans know.
func (m *model) computes(t *table, c *column, value string, sources []string) {
	function := qualified(m.Schema, fit(t.name+"_"+c.name+"_generated"))
	var needs []string
	for _, name := range sources {
		needs = append(needs, fmt.Sprintf("new.%[1]s is null or new.%[1]s is not null", quote(name)))
	}
	table := qualified(m.Schema, t.phys)
	t.final = append(t.final,
		fmt.Sprintf("create function %s() returns trigger language plpgsql as %s", function,
			dollar(fmt.Sprintf("begin\n  new.%s := %s;\n  return new;\nend", quote(c.name), value))),
		fmt.Sprintf("alter function %s() owner to %s", function, quote(m.Role)),
		fmt.Sprintf("create trigger %s before insert or update on %s for each row when (%s) execute function %s()",
			quote(fit(generatedLast+c.name)), table, strings.Join(needs, " or "), function))
	m.find(change.Warning, t.name+"."+c.name, "", "it is computed by a trigger from the contraction on: the server can not make a column with values a generated one without writing the table anew")
}

// recompute gives a generated column another form: a column that a trigger
// makes from what the old one is computed from, for whoever writes the row.
func (m *model) recompute(t *table, c *column, o *change.AlterColumn) (*column, *group) {
	if o.Nullable != nil || o.Default != nil || o.Down != "" {
		m.refuse(t.name+"."+c.name, "Leave the rest out.", "it is a generated column, of which only type, up and what is demanded of it can change")
		return nil, nil
	}
	if m.isKey(t, c) {
		m.refuse(t.name+"."+c.name, "Keep its type.", "it is a generated column by which rows are known")
		return nil, nil
	}
	now := &column{name: c.name, typ: c.typ, collate: c.collate, was: c.was, comment: c.comment}
	if o.Type != "" {
		now.typ, now.collate = o.Type, ""
	}
	up := o.Up
	if up == "" {
		up = quote(c.name) + "::" + now.typ
	}
	names := map[string]string{}
	for _, was := range t.was.Columns {
		if !was.Generated {
			names[was.Name] = was.Name
		}
	}
	sql := fmt.Sprintf("(select (%s) from (select (%s)::%s as %s) as noon_was)", up, c.was.Default, c.was.Type, quote(c.name))
	value, ok := m.expression(t, names, "up", sql)
	if !ok {
		return nil, nil
	}
	g := m.convert(t, conversion{old: []*column{c}, new: []*column{now}, keeps: true})
	if g == nil {
		return nil, nil
	}
	g.up, g.always = []assignment{{column: now.phys, value: value}}, true
	m.group(t, g)
	m.replace(t, c, now)
	m.carry(t, g, c, now)
	if c.was.NotNull {
		m.notNull(t, g, now)
	}
	t.recomputed = append(t.recomputed, recomputed{now, value})
	return now, g
}

// recomputed is a column that takes the place of a generated one.
type recomputed struct {
	column *column
	value  expression
}

// goOn lets triggers compute columns that have taken the place of generated ones.
func (m *model) goOn(t *table) {
	for _, r := range t.recomputed {
		var sources []string
		for _, name := range r.value.uses {
			if t.isGone(name) {
				m.at = r.column.at
				m.refuse(t.name+"."+r.column.name, "Change it in a release of its own.", "it is computed from %s, which changes in the same release", name)
				return
			}
			sources = append(sources, t.called(name))
		}
		m.computes(t, r.column, r.value.as(t.called).over("new"), sources)
	}
}
