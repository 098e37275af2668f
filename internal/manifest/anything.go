package manifest

import (
	"fmt"
	"math"
	"strconv"

	"github.com/goccy/go-yaml/ast"
)

// anything reads a value as JSON would have it.
func (d *decoder) anything(v value) (any, bool) {
	switch n := v.node.(type) {
	case nil, *ast.NullNode:
		return nil, true
	case *ast.BoolNode:
		return n.Value, true
	case *ast.MappingNode, *ast.MappingValueNode:
		return d.anyMap(v)
	case *ast.SequenceNode:
		return d.anyList(v)
	}
	if number, ok := v.number(); ok {
		return d.anyNumber(v, number)
	}
	if text, ok := v.text(); ok {
		return text, true
	}
	d.wrong(v.at, v.path, fmt.Sprintf("%s is nothing that JSON can hold", v.path), "Write a number, a text, true, false, null, a list or a map.")
	return nil, false
}

// anyNumber refuses what a float64 would change: a test that compares another
// number than the one written is worse than none.
func (d *decoder) anyNumber(v value, text string) (any, bool) {
	const exact = 1<<53 - 1
	f, err := strconv.ParseFloat(text, 64)
	decimal := len(text) < 2 || text[0] != '0' || text[1] == '.' || text[1] == 'e'
	if err != nil || !decimal || math.Abs(f) > exact {
		d.wrong(v.at, v.path, fmt.Sprintf("%s: %s is not a number that JSON keeps exactly", v.path, quote(text)), "Write decimal digits, at most 15 of them, or put it in quotes if the answer holds a text.")
		return nil, false
	}
	return f, true
}

func (d *decoder) anyMap(v value) (any, bool) {
	entries, ok := d.entries(v, "value")
	all := make(map[string]any, len(entries))
	for _, e := range entries {
		got, fine := d.anything(e.value)
		all[e.key] = got
		ok = ok && fine
	}
	return all, ok
}

func (d *decoder) anyList(v value) (any, bool) {
	items, ok := d.items(v, "list", "[1, 2]")
	all := make([]any, 0, len(items))
	for _, item := range items {
		got, fine := d.anything(item)
		all = append(all, got)
		ok = ok && fine
	}
	return all, ok
}
