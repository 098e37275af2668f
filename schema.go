package noon

import (
	"fmt"
	"maps"
	"slices"
)

// Schema is what a database is made of, without its data: what there is → how
// it is, for example "column orders.name" → "text not null".
type Schema map[string]string

// Difference lists what became of a schema, sorted by name: "+ column
// orders.note: text", "- index orders_name", "~ column orders.price: integer,
// now bigint".
func (s Schema) Difference(after Schema) []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(s)), maps.Keys(after))
	slices.Sort(all)
	var list []string
	for _, name := range slices.Compact(all) {
		was, had := s[name]
		is, has := after[name]
		switch {
		case had && !has:
			list = append(list, "- "+name)
		case !had && is != "":
			list = append(list, fmt.Sprintf("+ %s: %s", name, is))
		case !had:
			list = append(list, "+ "+name)
		case was != is:
			list = append(list, fmt.Sprintf("~ %s: %s, now %s", name, was, is))
		}
	}
	return list
}
