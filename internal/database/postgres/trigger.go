package postgres

import (
	"fmt"
	"slices"
	"strings"
)

// triggerPrefix sorts noon's triggers behind those of users, which so have
// their say before: triggers fire in the order of their names.
const triggerPrefix = "~noon_"

// writesNew is the function that says whether a session writes for the new
// version.
func writesNew(app string, to int) string {
	return qualified(journalSchema, fit(versionSchema(app, to)+"_writes"))
}

// writesNewSQL makes that function. Who has logged in by a release's role is
// known by it. Others are taken by the schema in which they find their tables:
// the version's own, or that of the version before, whichever comes first.
func writesNewSQL(app, schema string, from, to int, newRoles, oldRoles []string) string {
	list := func(roles []string) string {
		quoted := make([]string, len(roles))
		for i, r := range roles {
			quoted[i] = literal(r)
		}
		return "array[" + strings.Join(quoted, ", ") + "]::name[]"
	}
	at := func(s string) string { return "array_position(current_schemas(false), " + literal(s) + "::name)" }
	others := at(schema)
	if from > 0 {
		others = "least(" + others + ", " + at(versionSchema(app, from)) + ")"
	}
	return fmt.Sprintf(`create or replace function %s() returns boolean language sql stable as %s`, writesNew(app, to), dollar(fmt.Sprintf(
		`select case when session_user = any(%s) then true when session_user = any(%s) then false
  else coalesce(%s < coalesce(%s, 1000), false) end`, list(newRoles), list(oldRoles), at(versionSchema(app, to)), others)))
}

// dollar quotes the body of a function.
func dollar(body string) string {
	tag := "$noon$"
	for strings.Contains(body, tag) {
		tag = "$n" + tag[1:]
	}
	return tag + "\n" + body + "\n" + tag
}

// twin is the text that keeps the two forms of one group equal.
type twin struct {
	m       *model
	t       *table
	g       *group
	number  int
	targets []string // physical columns that up makes
	olds    []string // physical columns that down makes
	sources []string // that up, or a demand without up, uses
	seen    []string // that down uses
}

func (m *model) twin(t *table, number int) *twin {
	s := &twin{m: m, t: t, g: t.groups[number], number: number}
	for _, a := range s.g.up {
		s.targets = append(s.targets, a.column)
		s.sources = append(s.sources, a.value.uses...)
	}
	for _, a := range s.g.down {
		s.olds = append(s.olds, a.column)
		s.seen = append(s.seen, a.value.uses...)
	}
	if len(s.g.up) == 0 {
		s.sources = append(s.sources, s.g.uses...)
	}
	for _, list := range []*[]string{&s.sources, &s.seen} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return s
}

func (s *twin) function() string {
	return qualified(journalSchema, fit(fmt.Sprintf("%s_%s_%d", versionSchema(s.m.App, s.m.From+1), s.t.phys, s.number)))
}

func (s *twin) trigger(side string) string {
	return quote(fmt.Sprintf("%sv%d_%d_%s", triggerPrefix, s.m.From+1, s.number, side))
}

// statements make the function and its triggers. They are always enabled, so
// that rows that arrive by replication are kept equal too.
func (s *twin) statements() []string {
	name := qualified(s.m.Schema, s.t.phys)
	quiet := "when (current_setting('noon.backfill', true) is distinct from 'on')"
	list := []string{s.body()}
	add := func(side, event, when string) {
		list = append(list,
			fmt.Sprintf("create trigger %s before %s on %s for each row %s execute function %s(%s)", s.trigger(side), event, name, when, s.function(), literal(side)),
			fmt.Sprintf("alter table %s enable always trigger %s", name, s.trigger(side)))
	}
	add("insert", "insert", "")
	if watched := s.watched(); len(watched) > 0 {
		add("new", "update of "+quoteAll(watched), quiet)
	}
	switch {
	case len(s.sources) == 0:
	case s.t.before():
		add("old", "update", quiet)
	default:
		add("old", "update of "+quoteAll(s.sources), quiet)
	}
	return list
}

// watched are the columns that a writer of the new version has written, if it
// names one of them.
func (s *twin) watched() []string {
	list := append(slices.Clone(s.targets), s.seen...)
	slices.Sort(list)
	return slices.Compact(list)
}

func (s *twin) drop() []string {
	name := qualified(s.m.Schema, s.t.phys)
	var list []string
	for _, side := range []string{"insert", "new", "old"} {
		list = append(list, fmt.Sprintf("drop trigger if exists %s on %s", s.trigger(side), name))
	}
	return append(list, fmt.Sprintf("drop function if exists %s()", s.function()))
}

func (s *twin) body() string {
	var b strings.Builder
	b.WriteString("#variable_conflict use_column\ndeclare noon_new boolean; noon_ok boolean;\nbegin\n")
	b.WriteString("  if tg_op = 'INSERT' then\n" + s.insert())
	b.WriteString("  elsif tg_argv[0] = 'new' then\n" + s.byNew())
	b.WriteString("  else\n" + s.byOld())
	b.WriteString("  end if;\n  return new;\nend")
	return fmt.Sprintf("create or replace function %s() returns trigger language plpgsql as %s", s.function(), dollar(b.String()))
}

// insert decides by who writes; where that contradicts what is in the row, the
// row wins: a value that somebody wrote is never replaced by one that nobody
// did.
func (s *twin) insert() string {
	if s.g.always {
		return s.up()
	}
	var b strings.Builder
	if s.t.was != nil && len(s.t.was.Children) > 0 && len(s.targets) > 0 { // a row that moves to another partition is inserted there
		fmt.Fprintf(&b, "    if (%s and (%s)) then return new; end if;\n", s.anyWritten(s.targets), s.agree("new"))
	}
	fmt.Fprintf(&b, "    noon_new := %s();\n", writesNew(s.m.App, s.m.From+1))
	if written := s.anyWritten(s.targets); written != "" {
		fmt.Fprintf(&b, "    noon_new := noon_new or %s;\n", written)
		if old := s.byOldOnly(); old != "" {
			fmt.Fprintf(&b, "    noon_new := noon_new and (%s or not (%s));\n", written, old)
		}
	}
	fmt.Fprintf(&b, "    if noon_new then\n%s    else\n%s    end if;\n", indent(s.down()), indent(s.up()))
	return b.String()
}

// byOldOnly is true for a row without a value of the new version that its
// writers could not have left like that.
func (s *twin) byOldOnly() string {
	var list []string
	for _, c := range s.t.columns {
		if c.notNull && slices.Contains(s.targets, c.phys) {
			if written := s.anyWritten(s.sources); written != "" {
				list = append(list, "new."+quote(c.phys)+" is null and "+written)
			}
		}
	}
	for _, c := range s.t.gone {
		switch {
		case !slices.Contains(s.sources, c.Name) || c.Identity != "":
		case c.Default == "":
			list = append(list, "new."+quote(c.Name)+" is not null")
		case constant(c.Default):
			list = append(list, fmt.Sprintf("new.%s::text is distinct from (%s)::text", quote(c.Name), c.Default))
		}
	}
	return strings.Join(list, " or ")
}

func (s *twin) anyWritten(columns []string) string {
	var list []string
	for _, c := range columns {
		list = append(list, "new."+quote(c)+" is not null")
	}
	if len(list) == 0 {
		return ""
	}
	return "(" + strings.Join(list, " or ") + ")"
}

// byNew is for a statement that names a column of the new version.
func (s *twin) byNew() string {
	if s.g.always {
		return s.up()
	}
	if len(s.watched()) == 0 {
		return "    null;\n"
	}
	var conditions []string
	if c := changed(s.watched()); c != "" {
		conditions = append(conditions, c)
	}
	if s.g.bit > 0 {
		conditions = append(conditions, fmt.Sprintf("(old.%s & %d) <> 0", quote(pending), s.g.bit))
	}
	condition := "(" + strings.Join(conditions, " or ") + ")"
	if len(s.targets) == 0 || slices.ContainsFunc(s.seen, s.t.shared) { // the old version may have written it
		who := writesNew(s.m.App, s.m.From+1) + "()"
		if own := changed(s.targets); own != "" {
			who = "(" + who + " or " + own + ")"
		}
		condition += " and " + who
	}
	return fmt.Sprintf("    if %s then\n%s    end if;\n", condition, indent(s.down()))
}

// byOld is for a statement that names a column of the old version.
func (s *twin) byOld() string {
	condition := changed(s.sources)
	if condition == "" {
		return "    null;\n"
	}
	if s.g.always {
		return s.up()
	}
	if own := changed(s.targets); own != "" { // written by the statement itself, or by a trigger before
		condition += " and not " + own
	}
	if s.g.bit > 0 && len(s.targets) > 0 {
		condition += fmt.Sprintf(" and not ((old.%[1]s & %[2]d) <> 0 and (new.%[1]s & %[2]d) = 0)", quote(pending), s.g.bit)
	}
	if len(s.targets) > 0 && !slices.ContainsFunc(s.sources, s.t.shared) { // only the old version can have written it
		return fmt.Sprintf("    if %s then\n%s    end if;\n", condition, indent(s.up()))
	}
	return fmt.Sprintf("    if %s then\n      if %s() then\n%s      else\n%s      end if;\n    end if;\n",
		condition, writesNew(s.m.App, s.m.From+1), indent(indent(s.mine())), indent(indent(s.up())))
}

// mine is for a writer of the new version: what is demanded of the row is the
// constraint's matter.
func (s *twin) mine() string {
	if s.g.bit == 0 || len(s.targets) > 0 {
		return "    null;\n"
	}
	return fmt.Sprintf("    new.%[1]s := new.%[1]s & ~%[2]d;\n", quote(pending), s.g.bit)
}

func (s *twin) down() string {
	var b strings.Builder
	for _, a := range s.g.down {
		fmt.Fprintf(&b, "    new.%s := %s;\n", quote(a.column), a.value.over("new"))
	}
	if s.g.bit > 0 {
		fmt.Fprintf(&b, "    new.%[1]s := new.%[1]s & ~%[2]d;\n", quote(pending), s.g.bit)
	}
	if b.Len() == 0 {
		return "    null;\n"
	}
	return b.String()
}

// up never fails the old version's statement: a row for which there is no new
// form, or one that the new version may not have, is marked as pending.
func (s *twin) up() string {
	if s.g.bit == 0 {
		return "    null;\n"
	}
	var b, undo strings.Builder
	b.WriteString("    noon_ok := true;\n    begin\n")
	for _, a := range s.g.up {
		fmt.Fprintf(&b, "      new.%s := %s;\n", quote(a.column), a.value.over("new"))
		fmt.Fprintf(&undo, "      new.%[1]s := case tg_op when 'UPDATE' then old.%[1]s end;\n", quote(a.column))
	}
	for _, d := range s.g.demands {
		fmt.Fprintf(&b, "      noon_ok := noon_ok and ((%s) is not false);\n", s.overNew(d))
	}
	b.WriteString("    exception when data_exception or integrity_constraint_violation then\n      noon_ok := false;\n" + undo.String() + "    end;\n")
	fmt.Fprintf(&b, "    new.%[1]s := case when noon_ok then new.%[1]s & ~%[2]d else new.%[1]s | %[2]d end;\n", quote(pending), s.g.bit)
	return b.String()
}

// overNew writes a demand, which has physical names, over the new row.
func (s *twin) overNew(demand string) string {
	names := map[string]string{}
	for _, c := range s.t.columns {
		names[c.phys] = c.phys
	}
	e, ok := s.m.expression(s.t, names, "check", demand)
	if !ok {
		return "true"
	}
	return e.over("new")
}

// agree is true for a row, behind a qualifier, whose forms are made from each
// other.
func (s *twin) agree(row string) string {
	same := func(list []assignment) string {
		var have, want []string
		for _, a := range list {
			have = append(have, quote(row)+"."+quote(a.column))
			want = append(want, fmt.Sprintf("cast(%s as %s)", a.value.over(row), s.t.typeOf(a.column)))
		}
		return fmt.Sprintf("not (row(%s)::record *<> row(%s)::record)", strings.Join(have, ", "), strings.Join(want, ", "))
	}
	if len(s.g.down) == 0 {
		return same(s.g.up)
	}
	return fmt.Sprintf("case when %s then true else %s end", same(s.g.down), same(s.g.up))
}

// typeOf is the type of a physical column, of one that goes as its conversion
// has it.
func (t *table) typeOf(phys string) string {
	for _, c := range t.gone {
		if c.Name == phys {
			return c.Type
		}
	}
	if t.was != nil {
		if c := t.was.Column(phys); c != nil {
			return c.Type
		}
	}
	for _, c := range t.columns {
		if c.phys == phys {
			return c.typ
		}
	}
	return "text"
}

// changed is true if a statement gave one of the columns another value, byte
// by byte: equal is not the same for every type, and some have no equality.
func changed(columns []string) string {
	if len(columns) == 0 {
		return ""
	}
	list := func(row string) string {
		q := make([]string, len(columns))
		for i, c := range columns {
			q[i] = row + "." + quote(c)
		}
		return "row(" + strings.Join(q, ", ") + ")::record" // without the cast it would be compared column by column
	}
	return "(" + list("new") + " *<> " + list("old") + ")"
}

func indent(text string) string {
	lines := strings.SplitAfter(text, "\n")
	var b strings.Builder
	for _, l := range lines {
		if l != "" {
			b.WriteString("  " + l)
		}
	}
	return b.String()
}
