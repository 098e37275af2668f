package outline

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
)

func postgres(ctx context.Context, address string) (noon.Schema, error) {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was written
	c, err := pgcatalog.Read(ctx, conn, nil)
	if err != nil {
		return nil, err
	}
	return ofCatalog(c), nil
}

// ownSchema is where noon keeps its journals.
const ownSchema = "noon"

// ofCatalog names what lies in the schema public without it, as people do.
func ofCatalog(c *pgcatalog.Catalog) noon.Schema {
	s := noon.Schema{}
	for _, t := range c.Tables {
		if t.Schema == ownSchema {
			continue
		}
		table := name(t.Name)
		s[string(t.Kind)+" "+table] = t.Definition
		for _, col := range t.Columns {
			s["column "+table+"."+col.Name] = words(col.Type, when(col.NotNull, "not null"), defaults(col))
		}
		for _, k := range t.Constraints {
			s["constraint "+table+"."+k.Name] = words(k.Definition, when(!k.Validated, "(not validated)"))
		}
		for _, i := range t.Indexes {
			if i.Constraint == "" {
				s["index "+table+"."+i.Name] = words(i.Definition, when(!i.Valid, "(invalid)"))
			}
		}
		for _, g := range t.Triggers {
			s["trigger "+table+"."+g.Name] = g.Definition
		}
	}
	for _, e := range c.Enums {
		for _, v := range e.Values {
			s["value "+name(e.Name)+"."+v] = ""
		}
	}
	return s
}

func name(n pgcatalog.Name) string {
	if n.Schema == "public" {
		return n.Name
	}
	return n.String()
}

func defaults(col pgcatalog.Column) string {
	switch {
	case col.Identity != "":
		return "identity " + col.Identity
	case col.Generated:
		return "generated " + col.Default
	case col.Default != "":
		return "default " + col.Default
	}
	return ""
}
