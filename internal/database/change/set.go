package change

// Set is everything that one release changes, in its order.
type Set struct {
	Files      []Source    `json:"files,omitempty"`
	Operations []Operation `json:"operations"`
}

// Source is a file that a set was read from.
type Source struct {
	Name string `json:"name"`
	Sum  string `json:"sum"` // Sum of its content
}

// Operation is one change; exactly one of its pointers is set.
type Operation struct {
	At               string            `json:"at,omitempty" yaml:"-"` // file:line
	CreateTable      *CreateTable      `json:"create_table,omitempty" yaml:"create_table"`
	RenameTable      *RenameTable      `json:"rename_table,omitempty" yaml:"rename_table"`
	DropTable        *DropTable        `json:"drop_table,omitempty" yaml:"drop_table"`
	AddColumn        *AddColumn        `json:"add_column,omitempty" yaml:"add_column"`
	DropColumn       *DropColumn       `json:"drop_column,omitempty" yaml:"drop_column"`
	RenameColumn     *RenameColumn     `json:"rename_column,omitempty" yaml:"rename_column"`
	AlterColumn      *AlterColumn      `json:"alter_column,omitempty" yaml:"alter_column"`
	MergeColumns     *MergeColumns     `json:"merge_columns,omitempty" yaml:"merge_columns"`
	SplitColumn      *SplitColumn      `json:"split_column,omitempty" yaml:"split_column"`
	MoveColumn       *MoveColumn       `json:"move_column,omitempty" yaml:"move_column"`
	CreateIndex      *CreateIndex      `json:"create_index,omitempty" yaml:"create_index"`
	DropIndex        *DropIndex        `json:"drop_index,omitempty" yaml:"drop_index"`
	CreateConstraint *CreateConstraint `json:"create_constraint,omitempty" yaml:"create_constraint"`
	DropConstraint   *DropConstraint   `json:"drop_constraint,omitempty" yaml:"drop_constraint"`
	DropConstraints  *DropConstraint   `json:"drop_multicolumn_constraint,omitempty" yaml:"drop_multicolumn_constraint"` // pgroll's second name
	RenameConstraint *RenameConstraint `json:"rename_constraint,omitempty" yaml:"rename_constraint"`
	AddEnumValue     *AddEnumValue     `json:"add_enum_value,omitempty" yaml:"add_enum_value"`
	RenameEnumValue  *RenameEnumValue  `json:"rename_enum_value,omitempty" yaml:"rename_enum_value"`
	ReplicaIdentity  *ReplicaIdentity  `json:"set_replica_identity,omitempty" yaml:"set_replica_identity"`
	SQL              *SQL              `json:"sql,omitempty" yaml:"sql"`
}

// CreateTable makes a table that the release before does not know.
type CreateTable struct {
	Name        string             `json:"name" yaml:"name"`
	Columns     []Column           `json:"columns" yaml:"columns"`
	Constraints []CreateConstraint `json:"constraints,omitempty" yaml:"constraints"`
	Comment     *string            `json:"comment,omitempty" yaml:"comment"`
}

// Column declares a column. Without nullable it is NOT NULL.
type Column struct {
	Name       string     `json:"name" yaml:"name"`
	Type       string     `json:"type" yaml:"type"`
	Nullable   bool       `json:"nullable,omitempty" yaml:"nullable"`
	PK         bool       `json:"pk,omitempty" yaml:"pk"`
	Unique     bool       `json:"unique,omitempty" yaml:"unique"`
	Default    *string    `json:"default,omitempty" yaml:"default"` // SQL
	Check      *Check     `json:"check,omitempty" yaml:"check"`
	References *Reference `json:"references,omitempty" yaml:"references"`
	Comment    *string    `json:"comment,omitempty" yaml:"comment"`
	Generated  *Generated `json:"generated,omitempty" yaml:"generated"`
}

// Generated is a column whose values the server makes.
type Generated struct {
	Expression string    `json:"expression,omitempty" yaml:"expression"`
	Identity   *Identity `json:"identity,omitempty" yaml:"identity"`
}

// Identity is GENERATED .. AS IDENTITY.
type Identity struct {
	When    string `json:"user_specified_values,omitempty" yaml:"user_specified_values"` // ALWAYS or BY DEFAULT
	Options string `json:"sequence_options,omitempty" yaml:"sequence_options"`
}

// Check is a check constraint.
type Check struct {
	Name       string `json:"name" yaml:"name"`
	Constraint string `json:"constraint" yaml:"constraint"` // SQL
	NoInherit  bool   `json:"no_inherit,omitempty" yaml:"no_inherit"`
}

// Reference is a foreign key of one column.
type Reference struct {
	Name              string `json:"name" yaml:"name"`
	Table             string `json:"table" yaml:"table"`
	Column            string `json:"column" yaml:"column"`
	OnDelete          string `json:"on_delete,omitempty" yaml:"on_delete"` // CASCADE, SET NULL, SET DEFAULT, RESTRICT, NO ACTION
	OnUpdate          string `json:"on_update,omitempty" yaml:"on_update"`
	MatchType         string `json:"match_type,omitempty" yaml:"match_type"` // SIMPLE, FULL
	Deferrable        bool   `json:"deferrable,omitempty" yaml:"deferrable"`
	InitiallyDeferred bool   `json:"initially_deferred,omitempty" yaml:"initially_deferred"`
}

// RenameTable gives a table another name.
type RenameTable struct {
	From string `json:"from" yaml:"from"`
	To   string `json:"to" yaml:"to"`
}

// DropTable removes a table.
type DropTable struct {
	Name string `json:"name" yaml:"name"`
}

// AddColumn adds a column. Up makes its value from the columns of the release
// before, for rows that there are and rows that it writes.
type AddColumn struct {
	Table  string `json:"table" yaml:"table"`
	Column Column `json:"column" yaml:"column"`
	Up     string `json:"up,omitempty" yaml:"up"`
}

// DropColumn removes a column. Down makes the value that the release before
// sees in rows that the new one writes.
type DropColumn struct {
	Table  string `json:"table" yaml:"table"`
	Column string `json:"column" yaml:"column"`
	Down   string `json:"down,omitempty" yaml:"down"`
}

// RenameColumn gives a column another name.
type RenameColumn struct {
	Table string `json:"table" yaml:"table"`
	From  string `json:"from" yaml:"from"`
	To    string `json:"to" yaml:"to"`
}

// AlterColumn changes what is set. Up and down translate values.
type AlterColumn struct {
	Table      string     `json:"table" yaml:"table"`
	Column     string     `json:"column" yaml:"column"`
	Type       string     `json:"type,omitempty" yaml:"type"`
	Nullable   *bool      `json:"nullable,omitempty" yaml:"nullable"`
	Default    *Text      `json:"default,omitempty" yaml:"default"` // null drops it
	Comment    *Text      `json:"comment,omitempty" yaml:"comment"` // null drops it
	Check      *Check     `json:"check,omitempty" yaml:"check"`
	References *Reference `json:"references,omitempty" yaml:"references"`
	Unique     *Unique    `json:"unique,omitempty" yaml:"unique"`
	Up         string     `json:"up,omitempty" yaml:"up"`
	Down       string     `json:"down,omitempty" yaml:"down"`
}

// Unique is a unique constraint of one column.
type Unique struct {
	Name string `json:"name" yaml:"name"`
}

// MergeColumns makes one column of several. Down has an expression for each of
// them.
type MergeColumns struct {
	Table string            `json:"table" yaml:"table"`
	From  []string          `json:"from" yaml:"from"`
	To    Column            `json:"to" yaml:"to"`
	Up    string            `json:"up" yaml:"up"`
	Down  map[string]string `json:"down,omitempty" yaml:"down"`
}

// SplitColumn makes several columns of one. Up has an expression for each.
type SplitColumn struct {
	Table string            `json:"table" yaml:"table"`
	From  string            `json:"from" yaml:"from"`
	To    []Column          `json:"to" yaml:"to"`
	Up    map[string]string `json:"up" yaml:"up"`
	Down  string            `json:"down,omitempty" yaml:"down"`
}

// MoveColumn moves a column to another table. A row of the new table takes the
// value of the row of the old one for which the columns of its key (To.Key)
// equal those of the old one's (From.Key).
type MoveColumn struct {
	From Place `json:"from" yaml:"from"`
	To   Place `json:"to" yaml:"to"`
}

// Place is one end of a move.
type Place struct {
	Table  string   `json:"table" yaml:"table"`
	Column string   `json:"column" yaml:"column"`
	Key    []string `json:"key" yaml:"key"`
}

// CreateIndex makes an index without blocking writers.
type CreateIndex struct {
	Name       string       `json:"name" yaml:"name"`
	Table      string       `json:"table" yaml:"table"`
	Columns    IndexColumns `json:"columns" yaml:"columns"`
	Unique     bool         `json:"unique,omitempty" yaml:"unique"`
	Method     string       `json:"method,omitempty" yaml:"method"`
	Predicate  string       `json:"predicate,omitempty" yaml:"predicate"`
	Parameters string       `json:"storage_parameters,omitempty" yaml:"storage_parameters"`
}

// IndexColumn is one column or expression of an index.
type IndexColumn struct {
	Column     string        `json:"column,omitempty" yaml:"column"`
	Expression string        `json:"expression,omitempty" yaml:"expression"`
	Collate    string        `json:"collate,omitempty" yaml:"collate"`
	OpClass    *IndexOpClass `json:"opclass,omitempty" yaml:"opclass"`
	Sort       string        `json:"sort,omitempty" yaml:"sort"`   // ASC, DESC
	Nulls      string        `json:"nulls,omitempty" yaml:"nulls"` // FIRST, LAST
}

// IndexOpClass is an operator class.
type IndexOpClass struct {
	Name   string   `json:"name" yaml:"name"`
	Params []string `json:"params,omitempty" yaml:"params"`
}

// DropIndex removes an index.
type DropIndex struct {
	Name string `json:"name" yaml:"name"`
}

// CreateConstraint adds a constraint over one or several columns.
type CreateConstraint struct {
	Table             string            `json:"table,omitempty" yaml:"table"`
	Name              string            `json:"name" yaml:"name"`
	Type              string            `json:"type" yaml:"type"` // check, unique, primary_key, foreign_key
	Columns           []string          `json:"columns,omitempty" yaml:"columns"`
	Check             string            `json:"check,omitempty" yaml:"check"`
	References        *References       `json:"references,omitempty" yaml:"references"`
	Deferrable        bool              `json:"deferrable,omitempty" yaml:"deferrable"`
	InitiallyDeferred bool              `json:"initially_deferred,omitempty" yaml:"initially_deferred"`
	NullsNotDistinct  bool              `json:"nulls_not_distinct,omitempty" yaml:"nulls_not_distinct"`
	NoInherit         bool              `json:"no_inherit,omitempty" yaml:"no_inherit"`
	Up                map[string]string `json:"up,omitempty" yaml:"up"`
	Down              map[string]string `json:"down,omitempty" yaml:"down"`
}

// References is what a foreign key of several columns points to.
type References struct {
	Table     string   `json:"table" yaml:"table"`
	Columns   []string `json:"columns" yaml:"columns"`
	OnDelete  string   `json:"on_delete,omitempty" yaml:"on_delete"`
	OnUpdate  string   `json:"on_update,omitempty" yaml:"on_update"`
	MatchType string   `json:"match_type,omitempty" yaml:"match_type"`
}

// DropConstraint removes a constraint. Down makes values that the release
// before accepts, Up what the new one sees; the keys are columns, the key "" is
// the only column of the constraint.
type DropConstraint struct {
	Table string      `json:"table" yaml:"table"`
	Name  string      `json:"name" yaml:"name"`
	Up    Expressions `json:"up,omitempty" yaml:"up"`
	Down  Expressions `json:"down,omitempty" yaml:"down"`
}

// RenameConstraint gives a constraint another name.
type RenameConstraint struct {
	Table string `json:"table" yaml:"table"`
	From  string `json:"from" yaml:"from"`
	To    string `json:"to" yaml:"to"`
}

// AddEnumValue adds a value to an enum type, at its end unless Before or After
// says otherwise.
type AddEnumValue struct {
	Type   string `json:"type" yaml:"type"`
	Value  string `json:"value" yaml:"value"`
	Before string `json:"before,omitempty" yaml:"before"`
	After  string `json:"after,omitempty" yaml:"after"`
}

// RenameEnumValue gives a value of an enum type another name.
type RenameEnumValue struct {
	Type string `json:"type" yaml:"type"`
	From string `json:"from" yaml:"from"`
	To   string `json:"to" yaml:"to"`
}

// ReplicaIdentity says which columns logical replication tells of a row.
type ReplicaIdentity struct {
	Table    string `json:"table" yaml:"table"`
	Identity struct {
		Type  string `json:"type" yaml:"type"` // default, full, nothing, index
		Index string `json:"index,omitempty" yaml:"index"`
	} `json:"identity" yaml:"identity"`
}

// SQL is a change that is not declared: its author answers for it.
type SQL struct {
	Phase       string `json:"phase,omitempty" yaml:"phase"`             // expand (default) or contract
	Transaction *bool  `json:"transaction,omitempty" yaml:"transaction"` // default: true
	Up          string `json:"up" yaml:"up"`
	Down        string `json:"down,omitempty" yaml:"down"`
	OnComplete  bool   `json:"on_complete,omitempty" yaml:"onComplete"` // pgroll's word for phase: contract
}

// Contracts reports whether the change is made when the release before is gone.
func (s SQL) Contracts() bool { return s.Phase == "contract" || s.OnComplete }
