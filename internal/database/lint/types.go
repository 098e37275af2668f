package lint

import (
	"slices"
	"strconv"
	"strings"

	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// sqlType is a type with its modifiers, by the name in pg_type: varchar(50)
// is {varchar, [50]}.
type sqlType struct {
	schema, base string
	mods         []int
	array        bool
	known        bool
}

// typeOf reads a TypeName of the tree.
func typeOf(n sqlparse.Node) sqlType {
	q := qualified(n.Names("names"))
	t := sqlType{schema: q.Schema, base: q.Name, array: len(n.Nodes("arrayBounds")) > 0, known: n.There()}
	if t.schema == "pg_catalog" {
		t.schema = ""
	}
	for _, m := range n.Nodes("typmods") {
		t.mods = append(t.mods, m.Node("ival").Int("ival"))
	}
	return t
}

// typeNamed reads what format_type writes: "timestamp(3) without time zone".
func typeNamed(text string) sqlType {
	t := sqlType{known: text != ""}
	text, t.array = strings.CutSuffix(text, "[]")
	if open, end := strings.IndexByte(text, '('), strings.IndexByte(text, ')'); open >= 0 && end > open {
		for part := range strings.SplitSeq(text[open+1:end], ",") {
			n, err := strconv.Atoi(strings.TrimSpace(part))
			if err == nil {
				t.mods = append(t.mods, n)
			}
		}
		text = text[:open] + text[end+1:]
	}
	if schema, base, found := strings.Cut(text, "."); found {
		t.schema, text = strings.Trim(schema, `"`), base
	}
	t.base = internalName(strings.Trim(strings.TrimSpace(text), `"`))
	return t
}

// internalName is the name in pg_type of a type that SQL calls otherwise
// (table 8.1 of PostgreSQL's manual).
func internalName(sql string) string {
	switch sql {
	case "character varying":
		return "varchar"
	case "character":
		return "bpchar"
	case "bit varying":
		return "varbit"
	case "integer":
		return "int4"
	case "bigint":
		return "int8"
	case "smallint":
		return "int2"
	case "boolean":
		return "bool"
	case "real":
		return "float4"
	case "double precision":
		return "float8"
	case "timestamp without time zone":
		return "timestamp"
	case "timestamp with time zone":
		return "timestamptz"
	case "time without time zone":
		return "time"
	case "time with time zone":
		return "timetz"
	default:
		return sql
	}
}

// rewrites reports whether a change from one type to another has the server
// convert every value: ATColumnChangeRequiresRewrite in tablecmds.c, and the
// casts of pg_cast without a function.
func (w *world) rewrites(from, to sqlType) bool {
	if !from.known {
		return true
	}
	from = w.base(from)
	if d, ok := w.domain(to); ok {
		return d.Constrained || w.rewrites(from, typeNamed(d.Base))
	}
	if from.schema != to.schema || from.array != to.array {
		return true
	}
	if from.base == to.base {
		return !wider(from, to)
	}
	stamps := []string{"timestamp", "timestamptz"}
	if slices.Contains(stamps, from.base) && slices.Contains(stamps, to.base) && !from.array {
		return !w.utc || !wider(from, to)
	}
	if from.array || !sameBytes(from.base, to.base) {
		return true
	}
	return len(to.mods) > 0
}

// wider reports whether every value of a type with from's modifiers is one with
// to's as it is.
func wider(from, to sqlType) bool {
	switch {
	case slices.Equal(from.mods, to.mods):
		return true
	case from.array || to.base == "bpchar" || to.base == "bit":
		return len(to.mods) == 0 && to.base != "bpchar" && to.base != "bit"
	case len(to.mods) == 0:
		return true
	case len(from.mods) == 0:
		return false
	case to.base == "numeric":
		return to.mods[0] >= from.mods[0] && scale(to) == scale(from)
	default:
		return to.mods[0] >= from.mods[0]
	}
}

func scale(t sqlType) int {
	if len(t.mods) > 1 {
		return t.mods[1]
	}
	return 0
}

// sameBytes reports whether pg_cast casts without a function.
func sameBytes(from, to string) bool {
	for _, same := range [][]string{{"varchar", "text"}, {"cidr", "inet"}, {"xml", "text"}, {"xml", "varchar"}, {"text", "bpchar"}, {"varchar", "bpchar"}} {
		if from == same[0] && to == same[1] {
			return true
		}
	}
	if from == "text" && to == "varchar" {
		return true
	}
	oids := []string{"oid", "int4", "regclass", "regproc", "regtype", "regrole", "regnamespace", "regconfig", "regdictionary", "regoper", "regprocedure", "regoperator", "regcollation"}
	return (from == "oid" || to == "oid") && slices.Contains(oids, from) && slices.Contains(oids, to)
}

func (w *world) domain(t sqlType) (Domain, bool) {
	if t.array {
		return Domain{}, false
	}
	if t.schema != "" {
		d, ok := w.domains[name{Schema: t.schema, Name: t.base}]
		return d, ok
	}
	for _, schema := range w.path {
		if d, ok := w.domains[name{Schema: schema, Name: t.base}]; ok {
			return d, true
		}
	}
	return Domain{}, false
}

// base is the type whose values a domain has.
func (w *world) base(t sqlType) sqlType {
	if d, ok := w.domain(t); ok {
		return typeNamed(d.Base)
	}
	return t
}

// breaksReaders reports whether programs see another kind of value.
func breaksReaders(from, to sqlType) bool {
	kinds := [][]string{{"varchar", "text", "bpchar", "citext", "name"}, {"int2", "int4", "int8", "numeric"}, {"float4", "float8"}, {"json", "jsonb"}, {"inet", "cidr"}, {"varbit", "bit"}}
	if from.base == to.base || !from.known {
		return false
	}
	return !slices.ContainsFunc(kinds, func(k []string) bool { return slices.Contains(k, from.base) && slices.Contains(k, to.base) })
}

func serial(t sqlType) bool {
	return slices.Contains([]string{"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"}, t.base) && t.schema == ""
}

// volatileBuiltin are functions of the server, and of extensions that many
// have, whose result differs from call to call within a statement.
func volatileBuiltin(function string) bool {
	return slices.Contains([]string{
		"random", "random_normal", "setseed", "gen_random_uuid", "uuidv4", "uuidv7", "clock_timestamp", "timeofday", "nextval", "setval", "currval", "lastval",
		"pg_sleep", "uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4", "gen_random_bytes", "gen_salt", "txid_current", "pg_current_xact_id",
	}, function)
}

// varies reports whether an expression may differ from row to row.
func (w *world) varies(expression sqlparse.Node) bool {
	for n := range expression.All() {
		if n.Kind != "FuncCall" {
			continue
		}
		called := qualified(n.Names("funcname"))
		volatile, users := w.volatil[called.Name]
		switch {
		case volatileBuiltin(called.Name), users && volatile:
			return true
		case !users && called.Schema != "" && called.Schema != "pg_catalog":
			return true // nothing is known of it, and volatile is what a function is unless it says otherwise
		}
	}
	return false
}
