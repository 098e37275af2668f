package change

import "fmt"

// Irreversible says which operations take away what going back would need:
// what is lost, in the order of the operations. Before the contraction
// everything can be withdrawn; what is listed here is about what only the new
// release has written by then, and about what the contraction removes.
func (s Set) Irreversible() []string {
	var lost []string
	for _, op := range s.Operations {
		if why := op.irreversible(); why != "" {
			lost = append(lost, why)
		}
	}
	return lost
}

func (op Operation) irreversible() string {
	switch {
	case op.DropTable != nil:
		return fmt.Sprintf("drop_table %s: its rows", op.DropTable.Name)
	case op.DropColumn != nil && op.DropColumn.Down == "":
		return fmt.Sprintf("drop_column %s.%s has no down: its values, and any for rows that the new release writes", op.DropColumn.Table, op.DropColumn.Column)
	case op.AlterColumn != nil && op.AlterColumn.Type != "" && op.AlterColumn.Down == "":
		return fmt.Sprintf("alter_column %s.%s has no down: what the new release writes there", op.AlterColumn.Table, op.AlterColumn.Column)
	case op.MergeColumns != nil && len(op.MergeColumns.Down) < len(op.MergeColumns.From):
		return fmt.Sprintf("merge_columns %s.%s has no down for each column: what the new release writes there", op.MergeColumns.Table, op.MergeColumns.To.Name)
	case op.SplitColumn != nil && op.SplitColumn.Down == "":
		return fmt.Sprintf("split_column %s.%s has no down: what the new release writes there", op.SplitColumn.Table, op.SplitColumn.From)
	case op.MoveColumn != nil:
		f, t := op.MoveColumn.From, op.MoveColumn.To
		return fmt.Sprintf("move_column %s.%s: where rows share a key all values but the one that goes to %s, and those of rows without one there", f.Table, f.Column, t.Table)
	case op.AddEnumValue != nil:
		return fmt.Sprintf("add_enum_value %s: a value can not be taken out of a type", op.AddEnumValue.Type)
	case op.SQL != nil && op.SQL.Contracts():
		return fmt.Sprintf("sql of %s: what it removes", op.At)
	case op.SQL != nil && op.SQL.Down == "":
		return fmt.Sprintf("sql of %s has no down: going back does not undo it", op.At)
	}
	return ""
}
