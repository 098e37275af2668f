package manifest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// decoder collects what is wrong while rules read a document.
type decoder struct {
	name     string
	lines    []string
	marks    map[string]mark
	mistakes []*Mistake
	hidden   map[int]bool // lines that are never shown: they hold a secret
}

// mark remembers where a value was written and whether it could be read, for
// the checks that look at several values.
type mark struct {
	value
	ok bool
}

// written reports whether the file itself has the key or item.
func (d *decoder) written(path string) bool {
	_, ok := d.marks[path]
	return ok
}

// sound reports whether all these are readable or not written at all: only
// then a check of them says something new.
func (d *decoder) sound(paths ...string) bool {
	return !slices.ContainsFunc(paths, func(p string) bool {
		m, ok := d.marks[p]
		return ok && !m.ok
	})
}

// spot gives the place of a value: its own, else that of the nearest one
// around it which is written.
func (d *decoder) spot(path string) spot {
	for path != "" {
		if m, ok := d.marks[path]; ok {
			return m.at
		}
		cut := max(strings.LastIndexByte(path, '.'), strings.LastIndexByte(path, '['), 0)
		path = path[:cut]
	}
	return spot{1, 1}
}

// child reads a part of a value and marks it.
func (d *decoder) child(v value, read func(value)) {
	before := len(d.mistakes)
	read(v)
	d.marks[v.path] = mark{v, len(d.mistakes) == before}
}

// shape describes a kind of value without reading one: it is what the JSON
// Schema and the reference are made of.
type shape struct {
	label   string         // "duration"
	about   string         // what can be written, for the reference; "" the label says it
	example string         // `500ms`, complete enough to be copied
	json    map[string]any // JSON Schema, without what follows
	keys    []described    // of a map with fixed keys
	short   map[string]any // JSON Schema of a text that may stand in place of that map
	each    *shape         // of the items of a list or the values of a map
	names   *shape         // of the keys of a map with free keys
	slot    string         // how the reference writes such a key: "<name>"
}

// described is one key of a map with fixed keys.
type described struct {
	key      string
	doc      string
	def      string // YAML; "" there is none
	required bool
	shape    shape
}

// rule reads one kind of value.
type rule[T any] struct {
	shape
	read func(*decoder, value) (T, bool)
}

// field is one key of a map that becomes a T.
type field[T any] struct {
	described
	read func(*decoder, value, *T)
}

// key is a field that is stored where at points to.
func key[T, V any](name string, r rule[V], at func(*T) *V, doc string) field[T] {
	return keyed(name, r, func(into *T, v V) { *at(into) = v }, doc)
}

// keyed is a field that is stored by a function.
func keyed[T, V any](name string, r rule[V], set func(*T, V), doc string) field[T] {
	return field[T]{
		described: described{key: name, doc: doc, shape: r.shape},
		read: func(d *decoder, v value, into *T) {
			if got, ok := r.read(d, v); ok {
				set(into, got)
			}
		},
	}
}

// or gives the field a default, written as YAML and read by the same rule.
func (f field[T]) or(def string) field[T] {
	f.def = def
	return f
}

// must makes the field a required one.
func (f field[T]) must() field[T] {
	f.required = true
	return f
}

// object is a map with fixed keys. The checks look at the whole; they are
// given its place.
func object[T any](label string, fields []field[T], checks ...func(*decoder, value, *T)) rule[T] {
	s := shape{label: label, example: "{" + fields[0].key + ": …}"}
	for _, f := range fields {
		s.keys = append(s.keys, f.described)
	}
	return rule[T]{s, func(d *decoder, v value) (T, bool) {
		var into T
		list, ok := d.entries(v, label)
		if !ok {
			return into, false
		}
		d.unknown(v, list, s.keys)
		for _, f := range fields {
			i := slices.IndexFunc(list, func(e entry) bool { return e.key == f.key })
			switch {
			case i >= 0:
				d.child(list[i].value, func(v value) { f.read(d, v, &into) })
			case f.required && misspelled(f.key, list, s.keys):
			case f.required:
				d.wrong(v.key, v.path, fmt.Sprintf("%s has no %q", subject(v.path), f.key),
					fmt.Sprintf("Add it: \"%s: %s\".", f.key, f.shape.example))
			case f.def != "":
				f.read(d, fallback(f.def, v, f.key), &into)
			}
		}
		for _, check := range checks {
			check(d, v, &into)
		}
		return into, true
	}}
}

// misspelled reports whether an unknown key probably means this one: then it
// is not missing as well.
func misspelled(key string, list []entry, keys []described) bool {
	names := keyNames(keys)
	return slices.ContainsFunc(list, func(e entry) bool {
		return !slices.Contains(names, e.key) && nearest(e.key, names) == key
	})
}

func keyNames(keys []described) []string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.key
	}
	return names
}

// unknown records the keys that are not in the table.
func (d *decoder) unknown(v value, list []entry, keys []described) {
	names := keyNames(keys)
	for _, e := range list {
		if !slices.Contains(names, e.key) {
			where := ""
			if v.path != "" {
				where = " in " + v.path
			}
			d.wrong(e.value.key, e.path, fmt.Sprintf("unknown key %s%s", quote(e.key), where), oneOf(e.key, names))
		}
	}
}

// fallback is the value of a key that is not written.
func fallback(def string, v value, key string) value {
	file, err := parser.ParseBytes([]byte(def), 0)
	if err != nil || len(file.Docs) != 1 {
		panic("default " + def + " is not YAML") // a bug in the table, found by any test
	}
	got := newValue(file.Docs[0].Body, join(v.path, key), v.key)
	got.at = v.key
	return got
}

// list is a list of values of one kind. An empty list is nil.
func list[T any](label string, each rule[T], checks ...func(*decoder, value, []T)) rule[[]T] {
	s := shape{label: label, example: "[" + each.example + "]", each: &each.shape, json: map[string]any{"type": "array"}}
	return rule[[]T]{s, func(d *decoder, v value) ([]T, bool) {
		items, ok := d.items(v, s.label, s.example)
		if !ok {
			return nil, false
		}
		var all []T
		for _, item := range items {
			d.child(item, func(item value) {
				got, _ := each.read(d, item)
				all = append(all, got) // a bad one too: what follows keeps its index
			})
		}
		for _, check := range checks {
			check(d, v, all)
		}
		return all, true
	}}
}

// dictionary is a map with free keys. An empty map is nil.
func dictionary[K ~string, V any](label string, names rule[K], each rule[V]) rule[map[K]V] {
	s := shape{
		label: label, example: "{" + names.example + ": " + each.example + "}",
		each: &each.shape, names: &names.shape, slot: "<" + names.label + ">", json: map[string]any{"type": "object"},
	}
	return rule[map[K]V]{s, func(d *decoder, v value) (map[K]V, bool) {
		entries, ok := d.entries(v, s.label)
		if !ok {
			return nil, false
		}
		var all map[K]V
		for _, e := range entries {
			d.child(e.value, func(v value) {
				name, _ := names.read(d, e.name())
				got, _ := each.read(d, v)
				if all == nil {
					all = map[K]V{}
				}
				all[name] = got
			})
		}
		return all, true
	}}
}

// named is a map whose keys are the names of its values, in the order of the
// file.
func named[T any](label string, each rule[T], name func(*T) *string) rule[[]T] {
	names := nameRule()
	s := shape{
		label: label, example: "{" + names.example + ": " + each.example + "}",
		each: &each.shape, names: &names.shape, slot: "<name>", json: map[string]any{"type": "object"},
	}
	return rule[[]T]{s, func(d *decoder, v value) ([]T, bool) {
		entries, ok := d.entries(v, s.label)
		if !ok {
			return nil, false
		}
		var all []T
		for _, e := range entries {
			d.child(e.value, func(v value) {
				names.read(d, e.name())
				got, _ := each.read(d, v)
				*name(&got) = e.key
				all = append(all, got)
			})
		}
		return all, true
	}}
}

// name gives the key of an entry as a value of its own, to be read by a rule.
func (e entry) name() value {
	return value{node: ast.String(textToken(e.key)), path: e.path, at: e.value.key, key: e.value.key}
}
