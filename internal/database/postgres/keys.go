package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
)

// isKey reports whether rows are known by a column: it is part of the primary
// key, a foreign key references it, or it is part of one.
func (m *model) isKey(t *table, c *column) bool {
	if c.was == nil || t.was == nil {
		return false
	}
	uses := func(k pgcatalog.Constraint) bool { return slices.Contains(k.Columns, c.was.Name) }
	return slices.ContainsFunc(t.was.Constraints, func(k pgcatalog.Constraint) bool {
		return (k.Kind == "primary key" || k.Kind == "foreign key") && uses(k)
	}) || slices.ContainsFunc(m.catalog.Inbound(t.was.Name), func(in pgcatalog.Inbound) bool {
		return slices.Contains(in.Constraint.ReferencesAre, c.was.Name)
	})
}

// keyForm refuses another form of a column by which rows are known where the
// plan could not take along what makes it one.
func (m *model) keyForm(t *table, c, now *column) bool {
	if c.was == nil || t.was == nil {
		return true // which is refused elsewhere
	}
	subject, n := t.name+"."+c.name, len(m.findings)
	primary := slices.Contains(t.was.PrimaryKey(), c.was.Name)
	referenced := slices.ContainsFunc(m.catalog.Inbound(t.was.Name), func(in pgcatalog.Inbound) bool {
		return slices.Contains(in.Constraint.ReferencesAre, c.was.Name)
	})
	if t.was.Kind == pgcatalog.Partitioned && (primary || referenced || c.was.Identity != "") {
		m.refuse(subject, "Make a new table with the new type, and move the rows by sql.", "the table is partitioned, and a key of such a table can not be made of an index that was built beside writers")
	}
	if from, to := width(c.was.Type), width(now.typ); c.was.Identity != "" && (from == 0 || to < from) {
		m.refuse(subject, "Keep its type, or take a wider integer.", "it is an identity column, which can only become a wider integer")
	}
	replica := slices.ContainsFunc(t.was.Indexes, func(i pgcatalog.Index) bool { return i.ReplicaID && slices.Contains(i.Columns, c.was.Name) })
	for _, p := range m.catalog.Publications {
		if (primary || replica) && (p.AllTables || slices.ContainsFunc(p.Tables, func(q pgcatalog.PublishedTable) bool { return q.Name == t.was.Name })) {
			m.refuse(subject, "Take the table out of the publication first, and put it back after the contraction.", "publication %s sends it, and its subscribers know rows by this column", p.Name)
		}
	}
	return !m.refusedSince(n)
}

// width is how many bits an integer type has, 0 for other types.
func width(typ string) int {
	switch strings.ToLower(strings.TrimSpace(typ)) {
	case "smallint", "int2":
		return 16
	case "integer", "int", "int4":
		return 32
	case "bigint", "int8":
		return 64
	}
	return 0
}

// keyDown is what the release before sees of a key. Where it is a narrower
// integer and down says no more than that, a value that it can not hold is
// shown by its lowest bits: most of these are free, they are the same wherever
// the key is referenced, and one that is not counts as a value that would be
// lost.
func (m *model) keyDown(t *table, c, now *column, down string) (string, bool) {
	from, to := width(c.was.Type), width(now.typ)
	switch {
	case from > 0 && to > from && plainCast(down, c.name):
		sign := uint64(1) << (from - 1)
		return fmt.Sprintf("(((%s & %d) # %d) - %d)::%s", quote(c.name), 2*sign-1, sign, sign, c.was.Type), true
	case down != "" || !c.was.NotNull:
		return down, true
	}
	m.refuse(t.name+"."+c.name, fmt.Sprintf("Say by down what the release before shall see, such as %s::%s.", c.name, c.was.Type), "it is a key, and there is no down: rows that the new release writes would have another one in each release")
	return "", false
}

// plainCast reports whether an expression is a column, or a cast of it to an
// integer type, and nothing else.
func plainCast(sql, name string) bool {
	text := strings.ReplaceAll(strings.Join(strings.Fields(sql), " "), `"`, "")
	column, typ, cast := strings.Cut(text, "::")
	if inner, ok := strings.CutPrefix(strings.ToLower(text), "cast("); ok {
		column, typ, cast = strings.Cut(strings.TrimSuffix(inner, ")"), " as ")
	}
	return strings.EqualFold(strings.TrimSpace(column), name) && (!cast || width(typ) > 0)
}

// drawn reports whether rows get a column's value from the table itself while
// both versions are served, and the new form from that: both releases take
// from one sequence, once for each row.
func (m *model) drawn(t *table, c *column) bool {
	return c.was != nil && c.was.NotNull && (c.was.Identity != "" || c.was.Default != "" && (slices.Contains(t.was.PrimaryKey(), c.was.Name) || strings.Contains(c.was.Default, "nextval(")))
}

// draws lets a new column have, in the end, what gives the old one its values.
func (m *model) draws(t *table, old, now *column) {
	wider := width(old.was.Type) > 0 && width(now.typ) > width(old.was.Type)
	for _, s := range t.was.Sequences {
		if s.Column != old.was.Name {
			continue
		}
		if s.Identity {
			m.identity(t, old, now, s)
			continue
		}
		sequence := qualified(s.Schema, s.Name.Name)
		t.first = append(t.first, fmt.Sprintf("alter sequence %s owned by %s.%s", sequence, qualified(m.Schema, t.phys), quote(now.phys)))
		if wider {
			t.final = append(t.final, fmt.Sprintf("alter sequence %s as %s", sequence, now.typ))
		}
	}
	if m.drawn(t, old) && old.was.Identity == "" {
		now.drawn = old.was.Default
		if !wider {
			now.drawn = fmt.Sprintf("(%s)::%s", now.drawn, now.typ)
		}
	}
}

// identity makes the new column the identity of its rows. The server has no way
// to hand the sequence over, so another one of the same name goes on where it
// was. Renaming it first keeps away who would draw from it meanwhile.
func (m *model) identity(t *table, old, now *column, s pgcatalog.Sequence) {
	m.identities++
	setting, aside := fmt.Sprintf("noon.identity_%d", m.identities), qualified(s.Schema, fit("_noon_"+s.Name.Name))
	name := qualified(s.Schema, s.Name.Name)
	t.first = append(t.first, fmt.Sprintf("alter sequence %s rename to %s", name, quote(fit("_noon_"+s.Name.Name))),
		fmt.Sprintf(`select set_config(%s, (select json_build_object('last', s.last_value, 'called', s.is_called, 'start', q.seqstart, 'by', q.seqincrement,
  'min', case when q.seqincrement < 0 and q.seqmin = %d then %d else q.seqmin end, 'max', case when q.seqincrement > 0 and q.seqmax = %d then %d else q.seqmax end,
  'cache', q.seqcache, 'cycle', case when q.seqcycle then 'cycle' else 'no cycle' end, 'owner', c.relowner, 'acl', c.relacl::text)::text
  from %s s, pg_sequence q, pg_class c where q.seqrelid = %s::regclass and c.oid = q.seqrelid), true)`,
			literal(setting), least(old.was.Type), least(now.typ), most(old.was.Type), most(now.typ), aside, literal(aside)))
	t.final = append(t.final, "do "+dollar(fmt.Sprintf(`declare s json := current_setting(%s)::json; g record;
begin
  execute format('alter table %%s alter column %%s add generated %s as identity (sequence name %%s start with %%s increment by %%s minvalue %%s maxvalue %%s cache %%s %%s)',
    %s, %s, %s, s->>'start', s->>'by', s->>'min', s->>'max', s->>'cache', s->>'cycle');
  perform setval(%s, (s->>'last')::bigint, (s->>'called')::boolean);
  for g in select a.* from aclexplode((s->>'acl')::aclitem[]) a where a.grantee <> (s->>'owner')::oid loop
    execute format('grant %%s on sequence %%s to %%s%%s', g.privilege_type, %s,
      case when g.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(g.grantee)) end, case when g.is_grantable then ' with grant option' else '' end);
  end loop;
end`, literal(setting), old.was.Identity, literal(qualified(m.Schema, t.phys)), literal(quote(now.name)), literal(name), literal(name), literal(name))))
}

// most and least are the limits of an integer type.
func most(typ string) int64 { return int64(1)<<(width(typ)-1) - 1 }

func least(typ string) int64 { return -most(typ) - 1 }

// goes are the columns of the new version that take the place of old ones: by
// the name of the old, nil where nothing does.
func (t *table) goes(columns []string) (now map[string]string, any, all bool) {
	now, all = map[string]string{}, true
	for _, name := range columns {
		now[name] = name
		if !t.isGone(name) {
			continue
		}
		any = true
		if c := t.replaced[name]; c != nil {
			now[name] = c.phys
		} else {
			all = false
		}
	}
	return now, any, all
}

// keyed makes the keys of columns that are replaced also for those that take
// their place. It comes after all operations: both sides of a foreign key may
// change.
func (m *model) keyed() {
	for _, t := range m.tables {
		if t.was == nil {
			continue
		}
		m.referenced(t)
		m.newKeys(t)
		for _, i := range t.was.Indexes {
			m.carryIndexOf(t, i)
		}
		for _, k := range t.was.Constraints {
			if k.Kind == "foreign key" {
				m.carryForeign(t, k)
			}
		}
	}
	m.at = ""
}

// carryIndexOf makes an index, and the constraint that has it, also for columns
// that take the place of others.
func (m *model) carryIndexOf(t *table, i pgcatalog.Index) {
	now, any, all := t.goes(i.Columns)
	m.at = t.replacedAt(i.Columns)
	k := t.was.Constraint(i.Constraint)
	switch {
	case !any || t.dropped || k != nil && k.Kind == "exclude":
	case !all && m.at != "":
		m.find(change.Warning, t.name, "Declare it again for the new columns.", "index %s uses several columns that are replaced, and goes with them", i.Name)
	case !all:
	case k != nil && k.Deferrable:
		m.refuse(t.name+"."+k.Name, "Change it by sql.", "it is deferrable, which an index that is built beside writers can not be made into")
	default:
		for _, c := range t.was.Columns {
			if now[c.Name] == "" && !t.isGone(c.Name) {
				now[c.Name] = c.Name
			}
		}
		m.carryIndex(t, i, now)
	}
}

func (t *table) replacedAt(columns []string) string {
	for _, name := range columns {
		if c := t.replaced[name]; c != nil {
			return c.at
		}
	}
	return ""
}

// ofName is the table of the new version that a table of the version before is.
func (m *model) ofName(name pgcatalog.Name) *table {
	for _, t := range m.tables {
		if t.was != nil && t.was.Name == name {
			return t
		}
	}
	return nil
}

// referenced refuses to replace columns that tables reference which are not
// among those that the plan may change.
func (m *model) referenced(t *table) {
	for _, in := range m.catalog.Inbound(t.was.Name) {
		_, any, _ := t.goes(in.Constraint.ReferencesAre)
		if !any || m.ofName(in.From) != nil {
			continue
		}
		if other := m.catalog.Table(in.From.Schema, in.From.Name); other == nil || !other.IsPartition { // its parent has the key, too
			m.at = t.replacedAt(in.Constraint.ReferencesAre)
			m.refuse(t.name+"."+in.Constraint.ReferencesAre[0], "Drop the foreign key first, in a release of its own.", "foreign key %s of %s, in another schema, references it", in.Constraint.Name, in.From)
		}
	}
}

// newKeys refuses foreign keys of this release to a column that it replaces as
// well, where they could not be made.
func (m *model) newKeys(t *table) {
	for _, o := range m.tables {
		for _, k := range o.keys {
			if k.to != t {
				continue
			}
			for _, name := range k.columns {
				switch {
				case t.isGone(name):
					m.refuse(o.name+"."+k.name, "Put it after the operation that changes the column.", "it references %s.%s, of which this release makes another form", t.name, name)
				case o.was == nil && t.was.Column(name) == nil:
					m.refuse(o.name+"."+k.name, "Leave the foreign key out, and make it in the next release.", "a new table can not reference %s.%s while this release makes another form of it", t.name, t.called(name))
				}
			}
		}
	}
}

// carryForeign makes a foreign key for new columns, on either side of it, and
// lets the old one go before any of its columns does.
func (m *model) carryForeign(t *table, k pgcatalog.Constraint) {
	r, there, theirs := m.ofName(*k.References), map[string]string{}, false
	for _, name := range k.ReferencesAre {
		there[name] = name
	}
	if r != nil {
		there, theirs, _ = r.goes(k.ReferencesAre)
	}
	here, mine, whole := t.goes(k.Columns)
	switch {
	case !mine && !theirs:
		return
	case theirs && (t.dropped || !whole || slices.Contains(t.released, k.Name)):
		t.release(k.Name)
		return
	case t.dropped || !whole || slices.Contains(t.released, k.Name):
		return // it goes with its columns
	}
	if m.at = t.replacedAt(k.Columns); theirs {
		m.at = r.replacedAt(k.ReferencesAre)
	}
	if theirs && !m.sameForms(t, r, k) {
		return
	}
	m.at = ""
	tail, ok := foreignTail(k.Definition)
	if !ok {
		m.refuse(t.name+"."+k.Name, "Drop the foreign key in a release before, and make it again in one after.", "it can not be made for other columns: %s", k.Definition)
		return
	}
	to := *k.References
	definition := fmt.Sprintf("FOREIGN KEY (%s) REFERENCES %s (%s)%s", quoteAll(mapped(k.Columns, here)), qualified(to.Schema, to.Name), quoteAll(mapped(k.ReferencesAre, there)), tail)
	t.keys = append(t.keys, &foreignKey{name: k.Name, temporary: fit("_noon_" + k.Name), definition: definition, references: to.Name})
	t.release(k.Name)
	if r != nil {
		for i := range k.Columns {
			t.pairs = append(t.pairs, fmt.Sprintf("select null::%s = null::%s", t.typeOf(here[k.Columns[i]]), r.typeOf(there[k.ReferencesAre[i]])))
		}
	}
}

// sameForms asks for the operation that is missing where a referenced column
// gets another form and the one that references it does not.
func (m *model) sameForms(t, r *table, k pgcatalog.Constraint) bool {
	n := len(m.findings)
	for i, name := range k.ReferencesAre {
		now := r.replaced[name]
		if now == nil || t.isGone(k.Columns[i]) {
			continue
		}
		m.refuse(r.name+"."+now.name, fmt.Sprintf("Add to the release: alter_column: {table: %s, column: %s, type: %s, up: …, down: …}, as for the column that it references.", t.name, t.called(k.Columns[i]), now.typ),
			"foreign key %s of %s references it, and %s.%s does not change in this release", k.Name, t.was.Name, t.name, t.called(k.Columns[i]))
	}
	if t.was.Kind == pgcatalog.Partitioned {
		m.refuse(r.name, "Drop the foreign key in a release before, and make it again by sql.", "foreign key %s of partitioned table %s can not be made beside writers", k.Name, t.was.Name)
	}
	return !m.refusedSince(n)
}

// release lets a foreign key go before the contraction drops columns.
func (t *table) release(name string) {
	if !slices.Contains(t.released, name) {
		t.released = append(t.released, name)
	}
}

// foreignTail is what follows the referenced columns in the definition of a
// foreign key, as the server prints it; false if columns are named there.
func foreignTail(definition string) (string, bool) {
	_, rest, ok := strings.Cut(definition, " REFERENCES ")
	if !ok {
		return "", false
	}
	quoted := false
	for i, c := range rest {
		switch {
		case c == '"':
			quoted = !quoted
		case c == '(' && !quoted:
			_, tail, err := parenthesised(rest[i:])
			tail = strings.TrimSuffix(tail, " NOT VALID")
			return tail, err == nil && !strings.Contains(tail, "(")
		}
	}
	return "", false
}
