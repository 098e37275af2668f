package pgcatalog

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
)

// Querier asks questions: a connection, a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Read reads the named schemas, all of the user's schemas if there are none.
// Schemas that do not exist hold nothing. Ask in a transaction of isolation
// level repeatable read where others change the schema meanwhile.
func Read(ctx context.Context, q Querier, schemas []string) (*Catalog, error) {
	c := &Catalog{Schemas: schemas}
	server, err := rows[Server](ctx, q, "the server", serverQuery)
	if err != nil {
		return nil, err
	}
	if len(server) != 1 {
		return nil, fmt.Errorf("read the server: %d rows", len(server))
	}
	c.Server = server[0]
	if len(schemas) == 0 {
		if c.Schemas, err = values[string](ctx, q, "the schemas", schemasQuery); err != nil {
			return nil, err
		}
	}
	tables, err := rows[tableRow](ctx, q, "the tables", tablesQuery, c.Schemas)
	if err != nil {
		return nil, err
	}
	c.Tables = make([]Table, len(tables))
	at := make(map[uint32]*Table, len(tables))
	for i, t := range tables {
		c.Tables[i] = t.table()
		at[t.OID] = &c.Tables[i]
	}
	for _, read := range []func(context.Context, Querier, *Catalog, map[uint32]*Table) error{readParts, readConstraints, readInherits, readOthers} {
		if err := read(ctx, q, c, at); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// readParts reads what belongs to tables.
func readParts(ctx context.Context, q Querier, c *Catalog, at map[uint32]*Table) error {
	schemas := c.Schemas
	parts := []func() error{
		part(ctx, q, schemas, at, "columns", columnsQuery, func(t *Table, r columnRow) { t.Columns = append(t.Columns, r.column()) }),
		part(ctx, q, schemas, at, "indexes", indexesQuery, func(t *Table, r indexRow) { t.Indexes = append(t.Indexes, r.Index) }),
		part(ctx, q, schemas, at, "triggers", triggersQuery, func(t *Table, r triggerRow) { t.Triggers = append(t.Triggers, r.trigger()) }),
		part(ctx, q, schemas, at, "dependents", dependentsQuery, func(t *Table, r dependentRow) { t.Dependents = append(t.Dependents, r.dependent()) }),
		part(ctx, q, schemas, at, "sequences", sequencesQuery, func(t *Table, r sequenceRow) { t.Sequences = append(t.Sequences, r.sequence()) }),
		part(ctx, q, schemas, at, "policies", policiesQuery, func(t *Table, r policyRow) { t.Policies = append(t.Policies, r.Policy) }),
	}
	for _, read := range parts {
		if err := read(); err != nil {
			return err
		}
	}
	return nil
}

// readConstraints reads those of the tables, and the foreign keys of others
// that reference them.
func readConstraints(ctx context.Context, q Querier, c *Catalog, at map[uint32]*Table) error {
	list, err := rows[constraintRow](ctx, q, "the constraints", constraintsQuery, c.Schemas)
	for _, r := range list {
		if t := at[r.Table]; t != nil {
			t.Constraints = append(t.Constraints, r.constraint())
		} else {
			c.Elsewhere = append(c.Elsewhere, Inbound{From: Name{r.OfSchema, r.OfName}, Constraint: r.constraint()})
		}
	}
	return err
}

func readInherits(ctx context.Context, q Querier, c *Catalog, at map[uint32]*Table) error {
	inherits, err := rows[inheritsRow](ctx, q, "the partitions", inheritsQuery, c.Schemas)
	if err != nil {
		return err
	}
	for _, r := range inherits {
		if t := at[r.Child]; t != nil {
			t.Parents = append(t.Parents, Name{r.ParentSchema, r.ParentName})
		}
		if t := at[r.Parent]; t != nil {
			t.Children = append(t.Children, Name{r.ChildSchema, r.ChildName})
		}
	}
	return nil
}

// readOthers reads what belongs to no table.
func readOthers(ctx context.Context, q Querier, c *Catalog, _ map[uint32]*Table) error {
	enums, err := rows[enumRow](ctx, q, "the enum types", enumsQuery, c.Schemas)
	if err != nil {
		return err
	}
	for _, e := range enums {
		c.Enums = append(c.Enums, Enum{Name{e.Schema, e.Name}, e.Values})
	}
	publications, err := rows[publicationRow](ctx, q, "the publications", publicationsQuery)
	if err != nil {
		return err
	}
	query := publishedQuery15
	if c.Server.Version < 150000 {
		query = publishedQuery12
	}
	published, err := rows[publishedRow](ctx, q, "the published tables", query)
	if err != nil {
		return err
	}
	for _, p := range publications {
		full := Publication{Name: p.Name, AllTables: p.All}
		for _, t := range published {
			if t.Publication == p.Name {
				full.Tables = append(full.Tables, PublishedTable{Name{t.Schema, t.Name}, none(t.Columns), t.Filter})
			}
		}
		c.Publications = append(c.Publications, full)
	}
	return nil
}

// ofTable is a row that belongs to the table with that OID.
type ofTable interface{ table() uint32 }

func part[R ofTable](ctx context.Context, q Querier, schemas []string, at map[uint32]*Table, what, query string, add func(*Table, R)) func() error {
	return func() error {
		list, err := rows[R](ctx, q, "the "+what, query, schemas)
		if err != nil {
			return err
		}
		for _, r := range list {
			if t := at[r.table()]; t != nil {
				add(t, r)
			}
		}
		return nil
	}
}

func rows[R any](ctx context.Context, q Querier, what, query string, args ...any) ([]R, error) {
	found, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	list, err := pgx.CollectRows(found, pgx.RowToStructByPos[R])
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return list, nil
}

func values[V any](ctx context.Context, q Querier, what, query string, args ...any) ([]V, error) {
	found, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	list, err := pgx.CollectRows(found, pgx.RowTo[V])
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return list, nil
}

// none makes an empty list nil, so that equal catalogues are equal.
func none(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return list
}

// estimate is how the server's planner counts rows: the density that the last
// ANALYZE or VACUUM saw, times the pages that there are now.
func estimate(tuples float64, pages, bytes, block int64) int64 {
	switch {
	case bytes == 0 && tuples <= 0:
		return 0
	case tuples < 0 || pages == 0:
		return -1
	default:
		return int64(math.Round(tuples / float64(pages) * float64(bytes/block)))
	}
}
