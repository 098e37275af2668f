package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
)

// apply makes one operation part of the model.
func (m *model) apply(op change.Operation) {
	m.at = op.At
	switch {
	case op.AlterColumn != nil:
		m.alterColumn(op.AlterColumn)
	case op.RenameColumn != nil:
		m.renameColumn(op.RenameColumn)
	case op.AddColumn != nil:
		m.addColumn(op.AddColumn)
	case op.DropColumn != nil:
		m.dropColumn(op.DropColumn)
	case op.MergeColumns != nil:
		m.mergeColumns(op.MergeColumns)
	case op.SplitColumn != nil:
		m.splitColumn(op.SplitColumn)
	case op.MoveColumn != nil:
		m.moveColumn(op.MoveColumn)
	case op.CreateConstraint != nil:
		m.createConstraint(op.CreateConstraint)
	case op.DropConstraint != nil:
		m.dropConstraint(op.DropConstraint)
	case op.DropConstraints != nil:
		m.dropConstraint(op.DropConstraints)
	case op.RenameConstraint != nil:
		m.renameConstraint(op.RenameConstraint)
	default:
		m.applyOther(op)
	}
	m.at = ""
}

// changed finds a table whose columns an operation changes, and makes sure that
// its kind allows that.
func (m *model) changed(name string) *table {
	t := m.table(name)
	if t == nil || t.was == nil {
		return t
	}
	n := len(m.findings)
	if t.was.Kind == pgcatalog.Partitioned && m.catalog.Server.Version < 130000 {
		m.refuse(name, "Upgrade the server to 13 or newer.", "it is partitioned, and this server has no triggers before rows of such tables")
	}
	if t.was.Kind == pgcatalog.Ordinary && (len(t.was.Children) > 0 || len(t.was.Parents) > 0) {
		m.refuse(name, "Change it by sql.", "it inherits, or is inherited from")
	}
	if t.was.RowSecurity && m.catalog.Server.Version < 150000 {
		m.refuse(name, "Upgrade the server to 15 or newer.", "it has row security, which views of this server would go round")
	}
	if m.refusedSince(n) {
		return nil
	}
	return t
}

func (m *model) alterColumn(o *change.AlterColumn) {
	t := m.changed(o.Table)
	if t == nil {
		return
	}
	c := m.column(t, o.Column)
	if c == nil {
		return
	}
	if t.was == nil {
		m.refuse(t.name+"."+c.name, "Say it in create_table.", "the table is made by this release")
		return
	}
	var g *group
	relaxed := o.Nullable != nil && *o.Nullable && o.Down != ""
	if c.was != nil && c.was.Generated && !c.added {
		if c, g = m.recompute(t, c, o); g == nil {
			return
		}
	} else if o.Type != "" || o.Up != "" || relaxed {
		if c, g = m.retype(t, c, o); g == nil {
			return
		}
	}
	m.alterNull(t, g, c, o)
	m.alterRest(t, g, c, o)
}

// retype gives a column another form: a new column takes its place.
func (m *model) retype(t *table, c *column, o *change.AlterColumn) (*column, *group) {
	now := &column{name: c.name, typ: c.typ, collate: c.collate, def: c.def, comment: c.comment, was: c.was}
	if o.Type != "" {
		now.typ, now.collate = o.Type, ""
	}
	up, down := o.Up, o.Down
	if up == "" {
		up = quote(c.name) + "::" + now.typ
	}
	if down == "" && o.Type == "" {
		down = quote(c.name)
	}
	if m.isKey(t, c) {
		var ok bool
		if down, ok = m.keyDown(t, c, now, down); !ok {
			return nil, nil
		}
	}
	if now.def == nil && c.was != nil && c.was.Default != "" && !m.drawn(t, c) {
		def := c.was.Default
		if o.Type != "" {
			def = fmt.Sprintf("(%s)::%s", def, now.typ)
		}
		now.def = &def
	}
	if c.was != nil && c.was.Comment != "" && now.comment == nil {
		now.comment = &change.Text{Value: c.was.Comment}
	}
	if !m.keyForm(t, c, now) {
		return nil, nil
	}
	g := m.convert(t, conversion{old: []*column{c}, new: []*column{now}, up: map[string]string{now.name: up}, down: map[string]string{c.name: down}, keeps: true})
	if g == nil {
		return nil, nil
	}
	m.replace(t, c, now)
	m.carry(t, g, c, now)
	if c.was.NotNull && (o.Nullable == nil || !*o.Nullable) {
		m.notNull(t, g, now)
	}
	return now, g
}

func (m *model) alterNull(t *table, g *group, c *column, o *change.AlterColumn) {
	switch {
	case o.Nullable == nil:
	case *o.Nullable && c.was != nil && slices.Contains(t.was.PrimaryKey(), c.was.Name):
		m.refuse(t.name+"."+c.name, "Drop the key first.", "it is part of the primary key")
	case *o.Nullable && g == nil && c.was != nil && c.was.NotNull:
		m.refuse(t.name+"."+c.name, "Say by down what the release before shall see where the new one writes NULL.", "the release before expects a value in every row, and there is no down")
	case !*o.Nullable && !c.notNull && (c.was == nil || !c.was.NotNull || g != nil):
		m.notNull(t, g, c)
	}
}

func (m *model) alterRest(t *table, g *group, c *column, o *change.AlterColumn) {
	if o.Default != nil && c.was != nil && c.was.Identity != "" {
		m.refuse(t.name+"."+c.name, "Leave the default out.", "it is an identity column, which has no default")
	} else if o.Default != nil {
		def := o.Default.Value
		c.def = &def
	}
	if o.Comment != nil {
		c.comment = o.Comment
	}
	if o.Check != nil {
		m.check(t, g, o.Check.Name, o.Check.Constraint)
	}
	if o.Unique != nil {
		m.unique(t, o.Unique.Name, []string{c.phys}, "UNIQUE", "")
	}
	if o.References != nil {
		m.reference(t, []string{c.phys}, o.References)
	}
}

func (m *model) renameColumn(o *change.RenameColumn) {
	t := m.changed(o.Table)
	if t == nil {
		return
	}
	if c := m.column(t, o.From); c != nil && m.free(t, o.To) {
		c.name = o.To
	}
}

// addColumn adds a column. One with a value that is the same for all rows needs
// no backfill: the server keeps it beside the table (since version 11).
func (m *model) addColumn(o *change.AddColumn) {
	t := m.changed(o.Table)
	if t == nil {
		return
	}
	if t.was == nil {
		m.refuse(t.name+"."+o.Column.Name, "Say it in create_table.", "the table is made by this release")
		return
	}
	if o.Column.Generated != nil || o.Column.PK {
		m.refuse(t.name+"."+o.Column.Name, "Add a plain column with up, and make it the key by create_constraint; the server can not add such a column without writing the table anew.", "it is generated, an identity or a key")
		return
	}
	c := declare(o.Column)
	up := o.Up
	if up == "" && c.def != nil && !constant(*c.def) {
		up = *c.def
	}
	if up == "" && c.def == nil && c.notNull {
		m.refuse(t.name+"."+c.name, "Give it a default or an up, or let it be nullable.", "it may not be NULL and has neither: rows that are there or that the release before writes could not be stored")
		return
	}
	g := m.convert(t, conversion{new: []*column{c}, up: map[string]string{c.name: up}})
	if g == nil {
		return
	}
	m.declared(t, g, c, o.Column)
}

func (m *model) dropColumn(o *change.DropColumn) {
	t := m.changed(o.Table)
	if t == nil {
		return
	}
	c := m.column(t, o.Column)
	if c == nil {
		return
	}
	g := m.convert(t, conversion{old: []*column{c}, down: map[string]string{c.name: o.Down}})
	m.loses(t, g, c)
}

// loses says what goes with columns that nothing takes the place of.
func (m *model) loses(t *table, g *group, old ...*column) {
	if g == nil {
		return
	}
	for _, c := range old {
		for _, i := range t.was.Indexes {
			if slices.Contains(i.Columns, c.was.Name) {
				m.find(change.Warning, t.name+"."+c.name, "Declare it again if the new columns need it.", "index %s goes with it", i.Name)
			}
		}
		for _, k := range t.was.Constraints {
			if slices.Contains(k.Columns, c.was.Name) {
				m.find(change.Warning, t.name+"."+c.name, "Declare it again if the new columns need it.", "constraint %s goes with it", k.Name)
			}
		}
	}
}

func (m *model) mergeColumns(o *change.MergeColumns) {
	t := m.changed(o.Table)
	if t == nil {
		return
	}
	v := conversion{new: []*column{declare(o.To)}, up: map[string]string{o.To.Name: o.Up}, down: o.Down}
	for _, name := range o.From {
		c := m.column(t, name)
		if c == nil {
			return
		}
		v.old = append(v.old, c)
	}
	if g := m.convert(t, v); g != nil {
		m.loses(t, g, v.old...)
		m.declared(t, g, v.new[0], o.To)
	}
}

func (m *model) splitColumn(o *change.SplitColumn) {
	t := m.changed(o.Table)
	if t == nil {
		return
	}
	c := m.column(t, o.From)
	if c == nil {
		return
	}
	v := conversion{old: []*column{c}, up: o.Up, down: map[string]string{o.From: o.Down}}
	for _, to := range o.To {
		v.new = append(v.new, declare(to))
	}
	if g := m.convert(t, v); g != nil {
		m.loses(t, g, c)
		for i, to := range o.To {
			m.declared(t, g, v.new[i], to)
		}
	}
}

// constant reports whether a default is the same for all rows, so that adding
// a column with it does not write the table anew: literals, with casts, and
// the time of the transaction.
func constant(def string) bool {
	if !strings.ContainsRune(def, '(') {
		return true
	}
	return slices.Contains([]string{"now()", "transaction_timestamp()"}, strings.ToLower(strings.TrimSpace(def)))
}
