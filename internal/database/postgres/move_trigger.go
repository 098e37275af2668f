package postgres

import (
	"fmt"
	"slices"
	"strings"
)

// text fills in a template: {S}, {s}, {sk} are the table, the column and the key
// from where a column goes, {D}, {d}, {dk} those to which it goes. Rows are
// called noon_d and by what is given for one of the first table.
func (v *move) text(template, row string) string {
	behind := func(row string, columns []string) string {
		list := make([]string, len(columns))
		for i, c := range columns {
			list[i] = row + "." + quote(c)
		}
		return strings.Join(list, ", ")
	}
	record := func(row, column string) string { return fmt.Sprintf("row(%s.%s)::record", row, quote(column)) }
	s, d, bit := v.source.Name, v.target.phys, fmt.Sprint(v.group.bit)
	return strings.NewReplacer(
		"{S}", qualified(v.m.Schema, v.from.phys), "{s}", quote(s), "{sk}", quoteAll(v.fromKey), "{s_key}", behind(row, v.fromKey),
		"{D}", qualified(v.m.Schema, v.to.phys), "{d}", quote(d), "{dk}", quoteAll(v.toKey),
		"{d_key=s_key}", fmt.Sprintf("(%s) = (%s)", behind("noon_d", v.toKey), behind(row, v.fromKey)),
		"{d_differs_s}", record("noon_d", d)+" *<> "+record(row, s),
		"{o_key=d_key}", fmt.Sprintf("(%s) = (%s)", behind("noon_o", v.fromKey), behind("noon_d", v.toKey)), "{d_differs_o}", record("noon_d", d)+" *<> "+record("noon_o", s),
		"{new_d_key=s_key}", fmt.Sprintf("(%s) = (%s)", behind("new", v.toKey), behind(row, v.fromKey)),
		"{new_d_differs_s}", record("new", d)+" *<> "+record(row, s),
		"{s_changed}", changed([]string{s}), "{d_changed}", changed([]string{d}),
		"{sk_changed}", changed(v.fromKey), "{dk_changed}", changed(v.toKey),
		"{mark}", quote(pending), "{bit}", bit, "{by_new}", writesNew(v.m.App, v.m.From+1)+"()",
	).Replace(template)
}

// A value is written to its other place after the row, in the same transaction.
// If somebody holds the row there, the writer waits no longer than for locks of
// his own; then the row is marked, and the next who writes it, or the backfill,
// does it. The new release gives up sooner than the old one: so of two that wait
// for each other one goes on.
const (
	oldPatience = "400ms"
	newPatience = "200ms"
)

// fromBefore is for a row of the first table before it is written: the new
// release does not see the column, so what it writes has the value that the
// second table has. The row is locked there, so that it stays so.
const fromBefore = `
begin
  if (tg_op = 'INSERT' or {sk_changed} and not {s_changed}) and {by_new} then
    begin
      select noon_d.{d} into strict new.{s} from {D} noon_d where {d_key=s_key} for no key update;
    exception
      when no_data_found then null;
      when lock_not_available or deadlock_detected then
        select noon_d.{d} into new.{s} from {D} noon_d where {d_key=s_key};
    end;
  end if;
  if tg_op = 'INSERT' or {s_changed} or {sk_changed} then
    new.{mark} := new.{mark} & ~{bit};
  end if;
  return new;
end`

// fromAfter takes a value of the first table to the second. A mark that was
// taken away is a row of the backfill.
const fromAfter = `
begin
  if tg_op = 'INSERT' then
    if {by_new} then return null; end if;
  elsif not {s_changed} and not ((old.{mark} & {bit}) <> 0 and (new.{mark} & {bit}) = 0) then
    if not {sk_changed} or {by_new} then return null; end if;
  end if;
  begin
    perform set_config('noon.moving', 'on', true);
    {write}
    perform set_config('noon.moving', '', true);
  exception when lock_not_available or deadlock_detected then
    update {S} noon_s set {mark} = {mark} | {bit} where {new_key=s_key} and not (row(noon_s.{s})::record *<> row(new.{s})::record);
  end;
  return null;
end`

// toBefore is for a row of the second table that the old release writes, which
// does not see the column there.
const toBefore = `
begin
  if (tg_op = 'INSERT' and new.{d} is null or tg_op = 'UPDATE' and {dk_changed} and not {d_changed}) and not {by_new} then
    begin
      select noon_s.{s} into strict new.{d} from {S} noon_s where {new_d_key=s_key} order by noon_s.{mark}, noon_s.ctid desc limit 1 for no key update;
    exception
      when no_data_found then null;
      when lock_not_available or deadlock_detected then
        select noon_s.{s} into new.{d} from {S} noon_s where {new_d_key=s_key} order by noon_s.{mark}, noon_s.ctid desc limit 1;
    end;
  end if;
  return new;
end`

// toAfter takes a value of the second table to all rows of the first with its
// key. One that has just come from there is not taken back: what the other rows
// with the key have is not the affair of who has written one of them.
const toAfter = `
begin
  if current_setting('noon.moving', true) = 'on' then
    return null;
  elsif tg_op = 'INSERT' then
    if new.{d} is null and not {by_new} then return null; end if;
  elsif not {d_changed} and not {dk_changed} then
    return null;
  end if;
  {skip}
  begin
    update {S} noon_s set {s} = new.{d}, {mark} = noon_s.{mark} & ~{bit} where {new_d_key=s_key} and {new_d_differs_s};
  exception when lock_not_available or deadlock_detected then null;
  end;
  return null;
end`

// writing is the statement that takes a value to the second table.
func (v *move) writing() string {
	if v.made {
		return `insert into {D} as noon_d ({dk}, {d}) select {s_key}, new.{s} where ({s_key}) is not null
    on conflict ({dk}) do update set {d} = excluded.{d} where row(noon_d.{d})::record *<> row(excluded.{d})::record;`
	}
	return `update {D} noon_d set {d} = new.{s} where {d_key=s_key} and {d_differs_s};`
}

func (v *move) function(side string) string {
	return qualified(journalSchema, fit(fmt.Sprintf("%s_%s_%s_m%d", versionSchema(v.m.App, v.m.From+1), v.from.phys, side, v.number)))
}

func (v *move) trigger(side string) string {
	return quote(fmt.Sprintf("%sv%d_m%d_%s", triggerPrefix, v.m.From+1, v.number, side))
}

// moveSide is one of the four triggers of a move.
type moveSide struct {
	name, when, table, body, patience string
	columns                           []string // "update of" them
}

func (v *move) sides() []moveSide {
	skip := ""
	if v.source.NotNull { // the old release keeps what it has
		skip = "if new.{d} is null then return null; end if;"
	}
	s, d := append([]string{v.source.Name}, v.fromKey...), append([]string{v.target.phys}, v.toKey...)
	after := strings.ReplaceAll(strings.ReplaceAll(fromAfter, "{write}", v.writing()), "{new_key=s_key}", v.sameKey())
	list := []moveSide{
		{"from_before", "before", v.from.phys, v.text(fromBefore, "new"), oldPatience, s},
		{"from_after", "after", v.from.phys, v.text(after, "new"), oldPatience, append(slices.Clone(s), pending)},
		{"to_after", "after", v.to.phys, v.text(strings.ReplaceAll(toAfter, "{skip}", skip), "noon_s"), newPatience, d},
	}
	if !v.made { // else the old release does not know the table
		list = append(list, moveSide{"to_before", "before", v.to.phys, v.text(toBefore, "noon_s"), oldPatience, v.toKey})
	}
	return list
}

// sameKey is true for rows of the first table with the key of a new one.
func (v *move) sameKey() string {
	var list []string
	for _, c := range v.fromKey {
		list = append(list, fmt.Sprintf("noon_s.%[1]s = new.%[1]s", quote(c)))
	}
	return strings.Join(list, " and ")
}

func (v *move) statements() []string {
	var list []string
	for _, s := range v.sides() {
		table := qualified(v.m.Schema, s.table)
		columns := " of " + quoteAll(s.columns)
		if s.table == v.from.phys && v.from.before() || s.table == v.to.phys && v.to.before() { // another trigger may write them
			columns = ""
		}
		list = append(list,
			fmt.Sprintf("create or replace function %s() returns trigger language plpgsql set lock_timeout = '%s' as %s", v.function(s.name), s.patience, dollar("#variable_conflict use_column"+s.body)),
			fmt.Sprintf("create trigger %s %s insert or update%s on %s for each row execute function %s()", v.trigger(s.name), s.when, columns, table, v.function(s.name)),
			fmt.Sprintf("alter table %s enable always trigger %s", table, v.trigger(s.name)))
	}
	return list
}

func (v *move) drop() []string {
	var list []string
	for _, s := range v.sides() {
		list = append(list, fmt.Sprintf("drop trigger if exists %s on %s", v.trigger(s.name), qualified(v.m.Schema, s.table)),
			fmt.Sprintf("drop function if exists %s()", v.function(s.name)))
	}
	return list
}
