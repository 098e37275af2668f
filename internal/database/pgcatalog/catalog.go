package pgcatalog

import (
	"slices"
	"strings"
)

// Name is the name of a table or another object that lives in a schema.
type Name struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

// String gives schema.name, not quoted: for messages, never for SQL.
func (n Name) String() string { return n.Schema + "." + n.Name }

// Compare orders names by schema, then name.
func (n Name) Compare(o Name) int {
	if c := strings.Compare(n.Schema, o.Schema); c != 0 {
		return c
	}
	return strings.Compare(n.Name, o.Name)
}

// Catalog is what was found in some schemas of one database.
type Catalog struct {
	Server       Server        `json:"server"`
	Schemas      []string      `json:"schemas"`
	Tables       []Table       `json:"tables"`
	Enums        []Enum        `json:"enums"`
	Publications []Publication `json:"publications"`
	Elsewhere    []Inbound     `json:"elsewhere,omitempty"` // foreign keys from schemas that were not read
}

// Server says what answers, and as whom it was asked.
type Server struct {
	Version    int    `json:"version"` // server_version_num: 150018 is 15.18
	Database   string `json:"database"`
	User       string `json:"user"` // current_user
	Superuser  bool   `json:"superuser"`
	CreateRole bool   `json:"create_role"`
	CreateInDB bool   `json:"create_in_db"` // may create schemas in the database
	InRecovery bool   `json:"in_recovery"`  // a read replica
	TimeZone   string `json:"time_zone"`
	WALLevel   string `json:"wal_level"`
	LagHidden  bool   `json:"lag_hidden,omitempty"` // there are replicas, and who asks may not see how far they are behind
}

// Kind is what a relation is.
type Kind string

// The kinds of relations that are read.
const (
	Ordinary     Kind = "table"
	Partitioned  Kind = "partitioned table"
	View         Kind = "view"
	Materialized Kind = "materialized view"
	Foreign      Kind = "foreign table"
)

// Table is a table or a view.
type Table struct {
	Name
	OID          uint32       `json:"oid"`
	Kind         Kind         `json:"kind"`
	Owner        string       `json:"owner"`
	Parents      []Name       `json:"parents,omitempty"`  // partitioned or inherited from
	Children     []Name       `json:"children,omitempty"` // partitions or heirs
	IsPartition  bool         `json:"is_partition,omitempty"`
	PartitionKey []string     `json:"partition_key,omitempty"` // columns that it uses
	Rows         int64        `json:"rows"`                    // estimate; -1 if nobody has counted yet
	HeapBytes    int64        `json:"heap_bytes"`
	IndexBytes   int64        `json:"index_bytes"`
	ToastBytes   int64        `json:"toast_bytes"`
	RowSecurity  bool         `json:"row_security,omitempty"`
	ForceRLS     bool         `json:"force_rls,omitempty"`
	Unlogged     bool         `json:"unlogged,omitempty"`
	Definition   string       `json:"definition,omitempty"` // of a view: its query
	Comment      string       `json:"comment,omitempty"`
	Columns      []Column     `json:"columns"` // in attnum order
	Constraints  []Constraint `json:"constraints,omitempty"`
	Indexes      []Index      `json:"indexes,omitempty"`
	Triggers     []Trigger    `json:"triggers,omitempty"`
	Dependents   []Dependent  `json:"dependents,omitempty"`
	Sequences    []Sequence   `json:"sequences,omitempty"` // owned by its columns
	Policies     []Policy     `json:"policies,omitempty"`
}

// Column is a column of a table.
type Column struct {
	Number    int    `json:"number"` // attnum
	Name      string `json:"name"`
	Type      string `json:"type"`                // with modifier: "character varying(50)"
	TypeKind  string `json:"type_kind"`           // pg_type.typtype: b base, d domain, e enum, c composite, r range, m multirange
	TypeName  Name   `json:"type_name"`           // without modifier
	NotNull   bool   `json:"not_null,omitempty"`  //
	Default   string `json:"default,omitempty"`   // expression; of a generated column: how it is computed
	Generated bool   `json:"generated,omitempty"` // GENERATED ALWAYS AS (Default) STORED
	Identity  string `json:"identity,omitempty"`  // "always", "by default" or ""
	Collation string `json:"collation,omitempty"` // quoted; "" is that of the type
	Comment   string `json:"comment,omitempty"`
}

// Constraint is a constraint of a table.
type Constraint struct {
	Name          string   `json:"name"`
	Kind          string   `json:"kind"` // "check", "foreign key", "primary key", "unique", "exclude", "not null"
	Columns       []string `json:"columns,omitempty"`
	Definition    string   `json:"definition"` // as in ALTER TABLE .. ADD CONSTRAINT name ..
	Expression    string   `json:"expression,omitempty"`
	Validated     bool     `json:"validated"`
	Deferrable    bool     `json:"deferrable,omitempty"`
	Inherited     bool     `json:"inherited,omitempty"`
	Index         string   `json:"index,omitempty"` // that enforces it, in the table's schema
	References    *Name    `json:"references,omitempty"`
	ReferencesAre []string `json:"references_columns,omitempty"`
}

// Index is an index of a table.
type Index struct {
	Name       string   `json:"name"`
	Definition string   `json:"definition"` // CREATE INDEX ..
	Columns    []string `json:"columns"`    // plain key and included columns, in order, and those that its expressions and predicate use
	Keys       int      `json:"keys"`       // how many of its members are key columns
	Unique     bool     `json:"unique,omitempty"`
	Primary    bool     `json:"primary,omitempty"`
	Valid      bool     `json:"valid"`
	Expression bool     `json:"expression,omitempty"` // some member is an expression
	Predicate  string   `json:"predicate,omitempty"`
	Method     string   `json:"method"` // btree, gin ..
	Constraint string   `json:"constraint,omitempty"`
	ReplicaID  bool     `json:"replica_identity,omitempty"`
	Bytes      int64    `json:"bytes"`
}

// Trigger is a trigger that a user has made.
type Trigger struct {
	Name       string `json:"name"`
	Definition string `json:"definition"`
	Function   Name   `json:"function"`
	Enabled    string `json:"enabled"` // pg_trigger.tgenabled: O origin, D disabled, R replica, A always
}

// Dependent is an object outside the table that uses it.
type Dependent struct {
	Kind    string   `json:"kind"` // "view", "materialized view", "rule", "generated column", "policy", "trigger", "function", "statistics", "publication"
	Name    Name     `json:"name"` // policies, triggers and generated columns: schema and name of what they are
	Of      Name     `json:"of"`   // the table that has the policy, trigger, rule or generated column
	Columns []string `json:"columns,omitempty"`
}

// Sequence is a sequence that a column owns.
type Sequence struct {
	Name
	Column   string `json:"column"`
	Identity bool   `json:"identity,omitempty"`
}

// Policy is a row security policy.
type Policy struct {
	Name       string   `json:"name"`
	Permissive bool     `json:"permissive"`
	Command    string   `json:"command"` // ALL, SELECT, INSERT, UPDATE, DELETE
	Roles      []string `json:"roles"`
	Using      string   `json:"using,omitempty"`
	Check      string   `json:"check,omitempty"`
}

// Enum is an enumerated type.
type Enum struct {
	Name
	Values []string `json:"values"` // in their order
}

// Publication says what is replicated logically.
type Publication struct {
	Name      string           `json:"name"`
	AllTables bool             `json:"all_tables,omitempty"`
	Tables    []PublishedTable `json:"tables,omitempty"`
}

// PublishedTable is a table that a publication names.
type PublishedTable struct {
	Name
	Columns []string `json:"columns,omitempty"` // nil: all of them
	Filter  string   `json:"filter,omitempty"`
}

// Table finds a table or view, nil if it was not read or is not there.
func (c *Catalog) Table(schema, name string) *Table {
	i, ok := slices.BinarySearchFunc(c.Tables, Name{schema, name}, func(t Table, n Name) int { return t.Compare(n) })
	if !ok {
		return nil
	}
	return &c.Tables[i]
}

// Inbound are the foreign keys of other tables, and of the table itself, that
// reference a table, in the order of their tables; those from schemas that were
// not read come last.
func (c *Catalog) Inbound(table Name) []Inbound {
	var list []Inbound
	for _, t := range c.Tables {
		for _, k := range t.Constraints {
			if k.References != nil && *k.References == table {
				list = append(list, Inbound{From: t.Name, Constraint: k})
			}
		}
	}
	for _, in := range c.Elsewhere {
		if *in.Constraint.References == table {
			list = append(list, in)
		}
	}
	return list
}

// Inbound is a foreign key seen from the table that it references.
type Inbound struct {
	From       Name       `json:"from"`
	Constraint Constraint `json:"constraint"`
}

// Column finds a column, nil if there is none of that name.
func (t *Table) Column(name string) *Column {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}

// PrimaryKey are the columns of the primary key in its order, nil if there is
// none.
func (t *Table) PrimaryKey() []string {
	for _, c := range t.Constraints {
		if c.Kind == "primary key" {
			return c.Columns
		}
	}
	return nil
}

// Constraint finds a constraint, nil if there is none of that name.
func (t *Table) Constraint(name string) *Constraint {
	for i := range t.Constraints {
		if t.Constraints[i].Name == name {
			return &t.Constraints[i]
		}
	}
	return nil
}

// Index finds an index, nil if there is none of that name.
func (t *Table) Index(name string) *Index {
	for i := range t.Indexes {
		if t.Indexes[i].Name == name {
			return &t.Indexes[i]
		}
	}
	return nil
}

// Uses reports whether a dependent uses any of the columns; one that uses the
// table as a whole uses none.
func (d Dependent) Uses(columns ...string) bool {
	return slices.ContainsFunc(columns, func(c string) bool { return slices.Contains(d.Columns, c) })
}
