package manifest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// value is one place of the syntax tree.
type value struct {
	node ast.Node
	path string
	at   spot // of the value itself; of its key if it is empty
	key  spot // of its key; of the value for items of a list
}

// newValue places a node; key is where its key is.
func newValue(n ast.Node, path string, key spot) value {
	v := value{node: n, path: path, at: key, key: key}
	switch n := n.(type) {
	case nil, *ast.NullNode:
	case *ast.MappingNode:
		v.at = spotOf(n.GetToken())
		if !n.IsFlowStyle && len(n.Values) > 0 {
			v.at = spotOf(n.Values[0].Key.GetToken())
		}
	case *ast.MappingValueNode:
		v.at = spotOf(n.Key.GetToken())
	default:
		v.at = spotOf(n.GetToken())
	}
	return v
}

// what says in words what the value is.
func (v value) what() string {
	switch n := v.node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a map"
	case *ast.SequenceNode:
		return "a list"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return n.Token.Value
	case nil, *ast.NullNode:
		return "nothing"
	}
	return "text"
}

// text gives the value of a text: quoted, plain or a block.
func (v value) text() (string, bool) {
	switch n := v.node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	return "", false
}

// verbatim gives any scalar as it is written, so that 010 and 1.10 stay what
// they are.
func (v value) verbatim() (string, bool) {
	switch n := v.node.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return v.text()
}

// number gives the characters of an unquoted scalar: the library takes 1e3 and
// numbers above 64 bits for text, and 010 for eight.
func (v value) number() (string, bool) {
	switch n := v.node.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value, true
	case *ast.StringNode:
		_, err := strconv.ParseFloat(n.Value, 64)
		digits := strings.Trim(n.Value, "0123456789.eE+-") == "" && strings.ContainsAny(n.Value, "0123456789")
		return n.Value, n.Token.Type == token.StringType && digits && (err == nil || errors.Is(err, strconv.ErrRange))
	}
	return "", false
}

// entry is one key of a map with its value.
type entry struct {
	key string
	value
}

// entries gives the keys of a map in the order of the file; the second of two
// equal keys is a mistake. Nothing at all is an empty map.
func (d *decoder) entries(v value, label string) ([]entry, bool) {
	var pairs []*ast.MappingValueNode
	switch n := v.node.(type) {
	case nil, *ast.NullNode:
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		d.wrong(v.at, v.path, fmt.Sprintf("%s has to be a map (%s), not %s", subject(v.path), label, v.what()),
			`Write keys with their values below it, indented: "key: value".`)
		return nil, false
	}
	seen := map[string]spot{}
	list := make([]entry, 0, len(pairs))
	for _, pair := range pairs {
		t := pair.Key.GetToken()
		key, at := t.Value, spotOf(t)
		path := join(v.path, key)
		if first, ok := seen[key]; ok {
			d.wrong(at, path, fmt.Sprintf("key %s is given twice; first in line %d", quote(key), first.line), "Keep one of the two.")
			continue
		}
		seen[key] = at
		list = append(list, entry{key, newValue(pair.Value, path, at)})
	}
	return list, true
}

// items gives the values of a list.
func (d *decoder) items(v value, label, example string) ([]value, bool) {
	n, ok := v.node.(*ast.SequenceNode)
	if !ok {
		d.mistyped(v, label, example)
		return nil, false
	}
	list := make([]value, 0, len(n.Values))
	for i, item := range n.Values {
		at := spotOf(n.Start)
		if i < len(n.Entries) && n.Entries[i] != nil && n.Entries[i].Start != nil {
			at = spotOf(n.Entries[i].Start)
		}
		list = append(list, newValue(item, v.path+"["+strconv.Itoa(i)+"]", at))
	}
	return list, true
}

// mistyped records a value of the wrong type.
func (d *decoder) mistyped(v value, label, example string) {
	hint := "Write it like this: " + example
	message := fmt.Sprintf("%s has to be %s, not %s", subject(v.path), article(label), v.what())
	if v.what() == "nothing" {
		message = fmt.Sprintf("%s has no value", subject(v.path))
		hint = "Give it one, or remove the key. " + hint
	}
	d.wrong(v.at, v.path, message, hint)
}

func article(label string) string {
	switch {
	case label == "true or false", strings.HasSuffix(label, "s") && !strings.HasPrefix(label, "list"):
		return label
	case strings.ContainsRune("aeio", rune(label[0])):
		return "an " + label
	}
	return "a " + label
}

// subject names a place in messages.
func subject(path string) string {
	if path == "" {
		return "the manifest"
	}
	return path
}

// join appends a key to a path; a key that is not a plain word is quoted.
func join(path, key string) string {
	for _, r := range key {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' {
			return path + "[" + quote(key) + "]"
		}
	}
	if path == "" {
		return key
	}
	return path + "." + key
}
