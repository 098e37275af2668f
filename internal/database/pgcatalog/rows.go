package pgcatalog

// The shapes of the answers, field by field in the order of the queries.

type tableRow struct {
	Schema, Name              string
	OID                       uint32
	Kind, Owner               string
	IsPartition               bool
	Tuples                    float64
	Pages, Heap, Index, Toast int64
	RLS, ForceRLS, Unlogged   bool
	Definition, Comment       string
	Block                     int64
	PartitionKey              []string
}

func (r tableRow) table() Table {
	kinds := map[string]Kind{"r": Ordinary, "p": Partitioned, "v": View, "m": Materialized, "f": Foreign}
	t := Table{
		Name: Name{r.Schema, r.Name}, OID: r.OID, Kind: kinds[r.Kind], Owner: r.Owner, IsPartition: r.IsPartition, PartitionKey: none(r.PartitionKey),
		Rows: estimate(r.Tuples, r.Pages, r.Heap, r.Block), HeapBytes: r.Heap, IndexBytes: r.Index, ToastBytes: r.Toast,
		RowSecurity: r.RLS, ForceRLS: r.ForceRLS, Unlogged: r.Unlogged, Definition: r.Definition, Comment: r.Comment,
	}
	if r.Kind == "v" || r.Kind == "p" || r.Kind == "f" {
		t.Rows = max(int64(r.Tuples), -1) // it has no pages of its own
	}
	return t
}

type inheritsRow struct {
	Child, Parent                                    uint32
	ChildSchema, ChildName, ParentSchema, ParentName string
}

type columnRow struct {
	Table                      uint32
	Number                     int
	Name, Type, TypeKind       string
	TypeSchema, TypeName       string
	NotNull                    bool
	Default                    string
	Generated                  bool
	Identity, Collation, Notes string
}

func (r columnRow) table() uint32 { return r.Table }

func (r columnRow) column() Column {
	return Column{
		Number: r.Number, Name: r.Name, Type: r.Type, TypeKind: r.TypeKind, TypeName: Name{r.TypeSchema, r.TypeName}, NotNull: r.NotNull,
		Default: r.Default, Generated: r.Generated, Identity: r.Identity, Collation: r.Collation, Comment: r.Notes,
	}
}

type constraintRow struct {
	Table                            uint32
	OfSchema, OfName, Name, Kind     string
	Columns                          []string
	Definition, Expression           string
	Validated, Deferrable, Inherited bool
	Index, RefSchema, RefName        string
	RefColumns                       []string
}

func (r constraintRow) constraint() Constraint {
	kinds := map[string]string{"c": "check", "f": "foreign key", "p": "primary key", "u": "unique", "x": "exclude", "n": "not null"}
	c := Constraint{
		Name: r.Name, Kind: kinds[r.Kind], Columns: none(r.Columns), Definition: r.Definition, Expression: r.Expression,
		Validated: r.Validated, Deferrable: r.Deferrable, Inherited: r.Inherited, Index: r.Index, ReferencesAre: none(r.RefColumns),
	}
	if r.Kind == "f" {
		c.References = &Name{r.RefSchema, r.RefName}
	}
	return c
}

type indexRow struct {
	Table uint32
	Index
}

func (r indexRow) table() uint32 { return r.Table }

type triggerRow struct {
	Table                      uint32
	Name, Definition           string
	FunctionSchema, FunctionIs string
	Enabled                    string
}

func (r triggerRow) table() uint32 { return r.Table }

func (r triggerRow) trigger() Trigger {
	return Trigger{Name: r.Name, Definition: r.Definition, Function: Name{r.FunctionSchema, r.FunctionIs}, Enabled: r.Enabled}
}

type dependentRow struct {
	Table                                uint32
	Kind, Schema, Name, OfSchema, OfName string
	Columns                              []string
}

func (r dependentRow) table() uint32 { return r.Table }

func (r dependentRow) dependent() Dependent {
	return Dependent{Kind: r.Kind, Name: Name{r.Schema, r.Name}, Of: Name{r.OfSchema, r.OfName}, Columns: none(r.Columns)}
}

type sequenceRow struct {
	Table                uint32
	Schema, Name, Column string
	Identity             bool
}

func (r sequenceRow) table() uint32 { return r.Table }

func (r sequenceRow) sequence() Sequence {
	return Sequence{Name: Name{r.Schema, r.Name}, Column: r.Column, Identity: r.Identity}
}

type policyRow struct {
	Table uint32
	Policy
}

func (r policyRow) table() uint32 { return r.Table }

type enumRow struct {
	Schema, Name string
	Values       []string
}

type publicationRow struct {
	Name string
	All  bool
}

type publishedRow struct {
	Publication, Schema, Name string
	Columns                   []string
	Filter                    string
}
