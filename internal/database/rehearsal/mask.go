package rehearsal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// masked is a table with what takes the place of its values.
type masked struct {
	table
	set []string // "column = expression"
}

// masks finds the tables of the rules.
func (r *run) masks(all []table) ([]masked, error) {
	var list []masked
	for _, rule := range slices.Sorted(maps.Keys(r.Mask)) {
		cut := strings.LastIndexByte(rule, '.')
		name, col := rule[:max(0, cut)], rule[cut+1:]
		i := slices.IndexFunc(all, func(t table) bool { return t.shown() == name || t.Schema+"."+t.Name == name })
		if i < 0 || !slices.ContainsFunc(all[i].Columns, func(c column) bool { return c.Name == col }) {
			return nil, &noon.Error{
				Kind: noon.Invalid, Op: "mask", Subject: rule, Err: errors.New("the database has no such column"),
				Hint: "Correct `rehearsal: mask:` of the store in noon.yaml: TABLE.COLUMN, or SCHEMA.TABLE.COLUMN. Nothing was copied.",
			}
		}
		set := quote(r.dialect, col) + " = " + r.Mask[rule]
		if j := slices.IndexFunc(list, func(m masked) bool { return m.Schema == all[i].Schema && m.Name == all[i].Name }); j >= 0 {
			list[j].set = append(list[j].set, set)
		} else {
			list = append(list, masked{all[i], []string{set}})
		}
	}
	return list, nil
}

// mask replaces what must not be on the copy, before anybody works with it, and
// has the server let go of the old values: in the rows that were replaced, and
// in what it has sampled to plan queries by.
func (r *run) mask(ctx context.Context, address string) error {
	list, err := r.masks(r.source)
	if err != nil || len(list) == 0 {
		return err
	}
	r.Tell("masking")
	db, err := migration.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // every statement was answered
	for _, m := range list {
		if err := r.maskTable(ctx, db, m); err != nil {
			e := r.trouble("mask "+m.shown(), err)
			return e
		}
	}
	r.report.Copy.Masked = slices.Sorted(maps.Keys(r.Mask))
	return nil
}

func (r *run) maskTable(ctx context.Context, db *sql.DB, m masked) error {
	name := m.quoted(r.dialect)
	update := "UPDATE " + name + " SET " + strings.Join(m.set, ", ")
	var list []string
	switch r.dialect {
	case sqltext.PostgreSQL:
		// A trigger of the app's could write the old value somewhere else.
		list = []string{"ALTER TABLE " + name + " DISABLE TRIGGER USER", update, "ALTER TABLE " + name + " ENABLE TRIGGER USER", "VACUUM (FULL, ANALYZE) " + name}
	case sqltext.MySQL:
		list = []string{update, "OPTIMIZE TABLE " + name}
	default:
		list = []string{"PRAGMA secure_delete = ON", update, "VACUUM"}
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // every statement was answered
	for _, text := range list {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("%w in: %s", err, text)
		}
	}
	return nil
}
