package postgres

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
)

func (m *model) enum(name string) *pgcatalog.Enum {
	for i, e := range m.catalog.Enums {
		if e.Schema == m.Schema && (e.Name.Name == name || e.String() == name) {
			return &m.catalog.Enums[i]
		}
	}
	m.refuse(name, "Look at the name.", "there is no enum type of this name in schema %s", m.Schema)
	return nil
}

func (m *model) addEnumValue(o *change.AddEnumValue) {
	e := m.enum(o.Type)
	if e == nil {
		return
	}
	if slices.ContainsFunc(m.operations, func(op change.Operation) bool { return op.RenameEnumValue != nil && op.RenameEnumValue.Type == o.Type }) {
		m.refuse(o.Type, "Add it in a release of its own.", "the same release renames a value of the type")
		return
	}
	var sql strings.Builder
	fmt.Fprintf(&sql, "alter type %s add value if not exists %s", qualified(e.Schema, e.Name.Name), literal(o.Value))
	for word, other := range map[string]string{" before ": o.Before, " after ": o.After} {
		if other == "" {
			continue
		}
		if !slices.Contains(e.Values, other) {
			m.refuse(o.Type, "Look at the value.", "it has no value %q", other)
			return
		}
		sql.WriteString(word + literal(other))
	}
	m.expandSQL = append(m.expandSQL, sql.String())
	m.find(change.Warning, o.Type, "", "the release before may read value %q, which it does not know, when the new one has written it; the value stays if the change is withdrawn", o.Value)
}

// renameEnumValue gives the new version a type of its own, of the same name in
// the schema of its views, and each column of the type a second form. The
// contraction puts it in the place of the old one. What else a release renames
// in the type is done with the first.
func (m *model) renameEnumValue(o *change.RenameEnumValue) {
	e := m.enum(o.Type)
	if e == nil || slices.Contains(m.renamedEnums, e.Name) {
		return
	}
	m.renamedEnums = append(m.renamedEnums, e.Name)
	from, to, ok := m.renames(e)
	if !ok {
		return
	}
	values := make([]string, len(e.Values))
	for i, v := range e.Values {
		values[i] = literal(renamed(v, from, to))
	}
	old, now := qualified(e.Schema, e.Name.Name), qualified(m.next(), e.Name.Name)
	m.typeSQL = append(m.typeSQL, fmt.Sprintf("create type %s as enum (%s)", now, strings.Join(values, ", ")))
	m.typeProbe = append(m.typeProbe, m.otherUses(old))
	m.typeDrop = append(m.typeDrop, "drop type if exists "+now)
	m.contractSQL = append(m.contractSQL, "drop type "+old, fmt.Sprintf("alter type %s set schema %s", now, quote(e.Schema)), fmt.Sprintf("alter type %s owner to %s", old, quote(m.Role)))
	m.find(change.Note, o.Type, "Write "+e.Name.Name+", and not "+e.String()+", where the release casts to it.", "until the contraction the new release finds the type in the schema of its version")
	for _, t := range m.tables {
		if t.was == nil || t.dropped || t.was.Kind != pgcatalog.Ordinary && t.was.Kind != pgcatalog.Partitioned && t.was.Kind != pgcatalog.Foreign {
			continue // a view is in the way of its columns
		}
		for _, c := range slices.Clone(t.columns) {
			if c.was != nil && c.was.TypeName == e.Name && !m.relabel(t, c, old, now, from, to) {
				return
			}
		}
	}
}

// renames are all values of a type that the release renames.
func (m *model) renames(e *pgcatalog.Enum) (from, to []string, ok bool) {
	for _, op := range m.operations {
		o := op.RenameEnumValue
		if o == nil || o.Type != e.Name.Name && o.Type != e.String() {
			continue
		}
		if !slices.Contains(e.Values, o.From) || slices.Contains(from, o.From) {
			m.refuse(o.Type, "Look at the value.", "it has no value %q to rename", o.From)
			return nil, nil, false
		}
		from, to = append(from, o.From), append(to, o.To)
	}
	now := map[string]bool{}
	for _, v := range e.Values {
		if v = renamed(v, from, to); now[v] {
			m.refuse(e.Name.Name, "Choose another name.", "it would have the value %q twice", v)
			return nil, nil, false
		}
		now[v] = true
	}
	return from, to, true
}

func renamed(value string, from, to []string) string {
	if i := slices.Index(from, value); i >= 0 {
		return to[i]
	}
	return value
}

// relabel gives a column the type with other values.
func (m *model) relabel(t *table, c *column, was, typ string, from, to []string) bool {
	subject := t.name + "." + c.name
	if m.changed(t.name) == nil {
		return false
	}
	if slices.Contains(t.was.PrimaryKey(), c.was.Name) {
		m.refuse(subject, "Add a new column, and make it the key in a later release.", "it is part of the primary key")
	}
	for _, k := range t.was.Constraints {
		if k.Kind == "check" && slices.Contains(k.Columns, c.was.Name) && strings.Contains(k.Expression, "'::") {
			m.refuse(subject, "Drop it in a release before, and make it again in one after.", "check %s compares it with values of the type", k.Name)
		}
	}
	for _, i := range t.was.Indexes {
		if slices.Contains(i.Columns, c.was.Name) && strings.Contains(i.Definition, "'::") {
			m.refuse(subject, "Drop it in a release before, and make it again in one after.", "index %s compares it with values of the type", i.Name)
		}
	}
	is := *c.was // as every session reads it: the type's name alone means another one to the new release
	is.Type = was
	var def *string
	if text := c.was.Default; text != "" && !strings.HasPrefix(text, "NULL::") {
		value, ok := strings.CutSuffix(text, "'::"+c.was.Type)
		value, quoted := strings.CutPrefix(value, "'")
		if !ok || !quoted {
			m.refuse(subject, "Drop the default in a release before.", "its default is an expression: %s", text)
			return false
		}
		value = strings.ReplaceAll(value, "''", "'")
		is.Default, text = literal(value)+"::"+was, literal(renamed(value, from, to))+"::"+typ
		def = &text
	}
	c.was = &is
	now, g := m.retype(t, c, &change.AlterColumn{Table: t.name, Column: c.name, Type: typ, Up: relabelled(c.name, from, to, typ), Down: relabelled(c.name, to, from, was)})
	if g == nil || m.refused() {
		return false
	}
	now.def = def
	return true
}

// relabelled is the value of a column with other names, as another type.
func relabelled(column string, from, to []string, typ string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "(case %s::text", quote(column))
	for i := range from {
		fmt.Fprintf(&b, " when %s then %s", literal(from[i]), literal(to[i]))
	}
	fmt.Fprintf(&b, " else %s::text end)::%s", quote(column), typ)
	return b.String()
}

// otherUses fails where something else than columns of tables uses a type, which
// the plan could not take along: functions, domains, arrays, other schemas.
func (m *model) otherUses(typ string) string {
	return fmt.Sprintf(`do $$declare u text; begin
  select pg_describe_object(d.classid, d.objid, d.objsubid) into u from pg_depend d
  join pg_type y on y.oid = %[1]s::regtype and d.refobjid in (y.oid, y.typarray)
  left join pg_class c on d.classid = 'pg_class'::regclass and c.oid = d.objid
  left join pg_namespace n on n.oid = c.relnamespace
  where d.refclassid = 'pg_type'::regclass and d.deptype = 'n' and (d.refobjid = y.typarray or d.classid not in ('pg_attrdef'::regclass, 'pg_constraint'::regclass, 'pg_rewrite'::regclass)
    and not (coalesce(n.nspname in (%[2]s, %[3]s), false) and c.relkind in ('r', 'p', 'v', 'i', 'I'))) limit 1;
  if u is not null then raise exception '%% uses type %%: a value of it can not be renamed', u, %[1]s; end if; end$$`,
		literal(typ), literal(m.Schema), literal(versionSchema(m.App, m.From)))
}

// typed refuses new columns of a type of which the same release renames a value,
// which would have that of the old version, and expressions that cast to it,
// which would mean another type in the sessions of each release.
func (m *model) typed() {
	for _, e := range m.renamedEnums {
		for _, op := range m.operations {
			text, err := json.Marshal(op)
			if op.RenameEnumValue == nil && (err != nil || strings.Contains(string(text), "::"+e.Name) || strings.Contains(string(text), "::"+e.String())) {
				m.find(change.Refused, e.Name, "Cast to it in a release of its own.", "the same release renames a value of the type")
			}
		}
	}
	for _, t := range m.tables {
		for _, c := range t.columns {
			for _, e := range m.renamedEnums {
				forms := []string{e.Name, quote(e.Name), e.String(), qualified(e.Schema, e.Name)}
				if (c.added || t.was == nil) && slices.Contains(forms, strings.TrimSuffix(c.typ, "[]")) {
					m.refuse(t.name+"."+c.name, "Add the column in a release of its own.", "the same release renames a value of its type %s", e.Name)
				}
			}
		}
	}
}
