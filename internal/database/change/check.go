package change

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MaxName is how many bytes of a name the server keeps (NAMEDATALEN - 1);
// longer ones it cuts without a word.
const MaxName = 63

// check finds what is wrong without looking at a database.
func (s Set) check() error {
	for _, op := range s.Operations {
		if err := op.check(); err != nil {
			return invalid(op.At, err, "Correct the operation; nothing was changed.")
		}
	}
	return nil
}

// Kind is the key of the operation in its file, "" if it has none or several.
func (op Operation) Kind() string {
	var kinds []string
	for _, k := range op.kinds() {
		if k.set {
			kinds = append(kinds, k.name)
		}
	}
	if len(kinds) != 1 {
		return ""
	}
	return kinds[0]
}

type kind struct {
	name string
	set  bool
}

func (op Operation) kinds() []kind {
	return []kind{
		{"create_table", op.CreateTable != nil},
		{"rename_table", op.RenameTable != nil},
		{"drop_table", op.DropTable != nil},
		{"add_column", op.AddColumn != nil},
		{"drop_column", op.DropColumn != nil},
		{"rename_column", op.RenameColumn != nil},
		{"alter_column", op.AlterColumn != nil},
		{"merge_columns", op.MergeColumns != nil},
		{"split_column", op.SplitColumn != nil},
		{"move_column", op.MoveColumn != nil},
		{"create_index", op.CreateIndex != nil},
		{"drop_index", op.DropIndex != nil},
		{"create_constraint", op.CreateConstraint != nil},
		{"drop_constraint", op.DropConstraint != nil},
		{"drop_multicolumn_constraint", op.DropConstraints != nil},
		{"rename_constraint", op.RenameConstraint != nil},
		{"add_enum_value", op.AddEnumValue != nil},
		{"rename_enum_value", op.RenameEnumValue != nil},
		{"set_replica_identity", op.ReplicaIdentity != nil},
		{"sql", op.SQL != nil},
	}
}

// needs is what an operation can not be without: names are looked at for their
// length, texts only for being there.
type needs struct {
	names map[string]string
	texts map[string]string
	err   error
}

func (op Operation) check() error {
	if op.Kind() == "" {
		return errors.New("an operation has exactly one kind, such as add_column")
	}
	var n needs
	switch {
	case op.AlterColumn != nil || op.AddColumn != nil || op.MergeColumns != nil || op.SplitColumn != nil || op.MoveColumn != nil || op.DropColumn != nil || op.RenameColumn != nil:
		n = op.columnNeeds()
	case op.CreateTable != nil || op.RenameTable != nil || op.DropTable != nil || op.SQL != nil:
		n = op.tableNeeds()
	default:
		n = op.otherNeeds()
	}
	return n.check()
}

func (n needs) check() error {
	missing := func(m map[string]string) []string {
		var keys []string
		for k, v := range m {
			if strings.TrimSpace(v) == "" {
				keys = append(keys, k)
			}
		}
		return keys
	}
	if keys := append(missing(n.names), missing(n.texts)...); len(keys) > 0 {
		slices.Sort(keys)
		return fmt.Errorf("%s is missing", strings.Join(keys, ", "))
	}
	var long []string
	for k, v := range n.names {
		if len(v) > MaxName {
			long = append(long, fmt.Sprintf("%s %q has %d bytes, a name has at most %d", k, v, len(v), MaxName))
		}
		if strings.ContainsRune(v, 0) {
			long = append(long, fmt.Sprintf("%s %q has a byte of value zero", k, v))
		}
	}
	if len(long) > 0 {
		slices.Sort(long)
		return errors.New(strings.Join(long, "; "))
	}
	return n.err
}

func (op Operation) columnNeeds() needs {
	switch {
	case op.AddColumn != nil:
		o := op.AddColumn
		return column(o.Column, map[string]string{"table": o.Table})
	case op.DropColumn != nil:
		return needs{names: map[string]string{"table": op.DropColumn.Table, "column": op.DropColumn.Column}}
	case op.RenameColumn != nil:
		o := op.RenameColumn
		return needs{names: map[string]string{"table": o.Table, "from": o.From, "to": o.To}}
	case op.MergeColumns != nil:
		return op.MergeColumns.needs()
	case op.SplitColumn != nil:
		return op.SplitColumn.needs()
	case op.MoveColumn != nil:
		f, t := op.MoveColumn.From, op.MoveColumn.To
		n := needs{names: map[string]string{"from.table": f.Table, "from.column": f.Column, "to.table": t.Table, "to.column": t.Column}}
		if len(f.Key) == 0 || len(f.Key) != len(t.Key) {
			n.err = errors.New("from.key and to.key need as many columns as each other, at least one")
		}
		return n
	}
	return op.AlterColumn.needs()
}

func (o *AlterColumn) needs() needs {
	n := needs{names: map[string]string{"table": o.Table, "column": o.Column}}
	if o.Check != nil {
		n.names["check.name"] = o.Check.Name
		n.texts = map[string]string{"check.constraint": o.Check.Constraint}
	}
	if o.Unique != nil {
		n.names["unique.name"] = o.Unique.Name
	}
	if o.References != nil {
		n.names["references.name"], n.names["references.table"], n.names["references.column"] = o.References.Name, o.References.Table, o.References.Column
	}
	if o.Type == "" && o.Nullable == nil && o.Default == nil && o.Comment == nil && o.Check == nil && o.References == nil && o.Unique == nil && o.Up == "" && o.Down == "" {
		n.err = errors.New("nothing of the column is altered: set type, nullable, default, comment, check, references or unique")
	}
	return n
}

func (o *MergeColumns) needs() needs {
	n := column(o.To, map[string]string{"table": o.Table})
	n.texts["up"] = o.Up
	for i, c := range o.From {
		n.names[fmt.Sprintf("from[%d]", i)] = c
	}
	if len(o.From) == 0 {
		n.err = errors.New("from needs at least one column")
	}
	for c := range o.Down {
		if !slices.Contains(o.From, c) {
			n.err = fmt.Errorf("down has %q, which is none of the columns in from", c)
		}
	}
	return n
}

func (o *SplitColumn) needs() needs {
	n := needs{names: map[string]string{"table": o.Table, "from": o.From}, texts: map[string]string{}}
	if len(o.To) == 0 {
		n.err = errors.New("to needs at least one column")
	}
	for _, c := range o.To {
		n.names["to.name of "+c.Type] = c.Name
		n.texts["to.type of "+c.Name] = c.Type
		n.texts["up."+c.Name] = o.Up[c.Name]
	}
	if len(o.Up) > len(o.To) {
		n.err = errors.New("up has expressions for columns that are not in to")
	}
	return n
}

// column needs what a declared column needs.
func column(c Column, names map[string]string) needs {
	names["column.name"] = c.Name
	n := needs{names: names, texts: map[string]string{"column.type": c.Type}}
	if c.Check != nil {
		n.names["check.name"] = c.Check.Name
		n.texts["check.constraint"] = c.Check.Constraint
	}
	if c.References != nil {
		n.names["references.name"], n.names["references.table"], n.names["references.column"] = c.References.Name, c.References.Table, c.References.Column
	}
	return n
}

func (op Operation) tableNeeds() needs {
	switch {
	case op.RenameTable != nil:
		return needs{names: map[string]string{"from": op.RenameTable.From, "to": op.RenameTable.To}}
	case op.DropTable != nil:
		return needs{names: map[string]string{"name": op.DropTable.Name}}
	case op.SQL != nil:
		n := needs{texts: map[string]string{"up": op.SQL.Up}}
		if !slices.Contains([]string{"", "expand", "contract"}, op.SQL.Phase) {
			n.err = fmt.Errorf("phase is %q, it can be expand or contract", op.SQL.Phase)
		}
		return n
	}
	o := op.CreateTable
	n := needs{names: map[string]string{"name": o.Name}, texts: map[string]string{}}
	seen := map[string]bool{}
	for i, c := range o.Columns {
		at := fmt.Sprintf("columns[%d]", i)
		n.names[at+".name"], n.texts[at+".type"] = c.Name, c.Type
		if seen[c.Name] {
			n.err = fmt.Errorf("column %q is there twice", c.Name)
		}
		seen[c.Name] = true
	}
	for i, c := range o.Constraints {
		n.names[fmt.Sprintf("constraints[%d].name", i)] = c.Name
		if err := c.kind(); err != nil {
			n.err = err
		}
	}
	return n
}

func (op Operation) otherNeeds() needs {
	switch {
	case op.CreateIndex != nil:
		return op.CreateIndex.needs()
	case op.DropIndex != nil:
		return needs{names: map[string]string{"name": op.DropIndex.Name}}
	case op.CreateConstraint != nil:
		o := op.CreateConstraint
		return needs{names: map[string]string{"table": o.Table, "name": o.Name}, err: o.kind()}
	case op.DropConstraint != nil:
		return needs{names: map[string]string{"table": op.DropConstraint.Table, "name": op.DropConstraint.Name}}
	case op.DropConstraints != nil:
		return needs{names: map[string]string{"table": op.DropConstraints.Table, "name": op.DropConstraints.Name}}
	case op.RenameConstraint != nil:
		o := op.RenameConstraint
		return needs{names: map[string]string{"table": o.Table, "from": o.From, "to": o.To}}
	case op.AddEnumValue != nil:
		n := needs{names: map[string]string{"type": op.AddEnumValue.Type, "value": op.AddEnumValue.Value}}
		if op.AddEnumValue.Before != "" && op.AddEnumValue.After != "" {
			n.err = errors.New("a value stands before or after another, not both")
		}
		return n
	case op.RenameEnumValue != nil:
		o := op.RenameEnumValue
		return needs{names: map[string]string{"type": o.Type, "from": o.From, "to": o.To}}
	}
	o := op.ReplicaIdentity
	n := needs{names: map[string]string{"table": o.Table, "identity.type": o.Identity.Type}}
	if !slices.Contains([]string{"default", "full", "nothing", "index"}, strings.ToLower(o.Identity.Type)) {
		n.err = fmt.Errorf("identity.type is %q, it can be default, full, nothing or index", o.Identity.Type)
	}
	return n
}

func (o *CreateIndex) needs() needs {
	n := needs{names: map[string]string{"name": o.Name, "table": o.Table}}
	if len(o.Columns) == 0 {
		n.err = errors.New("columns needs at least one column")
	}
	for _, c := range o.Columns {
		if (c.Column == "") == (c.Expression == "") {
			n.err = errors.New("what is indexed is a column or an expression")
		}
	}
	return n
}

func (c CreateConstraint) kind() error {
	switch c.Type {
	case "check":
		if c.Check == "" {
			return errors.New("check is missing")
		}
	case "unique", "primary_key":
		if len(c.Columns) == 0 {
			return errors.New("columns is missing")
		}
	case "foreign_key":
		if c.References == nil || len(c.Columns) == 0 || len(c.References.Columns) != len(c.Columns) {
			return errors.New("a foreign key needs columns, and references with as many columns")
		}
	default:
		return fmt.Errorf("type is %q, it can be check, unique, primary_key or foreign_key", c.Type)
	}
	return nil
}
