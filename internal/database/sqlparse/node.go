package sqlparse

import (
	"iter"
	"maps"
	"slices"
)

// Node is a node of a parse tree. Reading a field that is not there gives
// nothing; so does every field of the zero Node.
type Node struct {
	Kind   string // "AlterTableStmt"; "" for a node whose place in its parent tells its kind
	fields map[string]any
}

// nodeOf reads what stands at a place of the tree: a node with its kind around
// it, or fields alone.
func nodeOf(value any) Node {
	fields, ok := value.(map[string]any)
	if !ok {
		return Node{}
	}
	if len(fields) == 1 {
		for kind, inner := range fields {
			if inner, ok := inner.(map[string]any); ok && kind[0] >= 'A' && kind[0] <= 'Z' {
				return Node{Kind: kind, fields: inner}
			}
		}
	}
	return Node{fields: fields}
}

// There reports whether there is a node.
func (n Node) There() bool { return n.fields != nil }

// Text is a field that is a string or the name of an enumeration's value.
func (n Node) Text(field string) string {
	s, _ := n.fields[field].(string)
	return s
}

// Flag is a field that is true or false.
func (n Node) Flag(field string) bool {
	b, _ := n.fields[field].(bool)
	return b
}

// Int is a field that is a number.
func (n Node) Int(field string) int {
	f, _ := n.fields[field].(float64)
	return int(f)
}

// Node is a field that is a node.
func (n Node) Node(field string) Node { return n.below(field, n.fields[field]) }

// below is the node at a place below n, with the kind that all nodes at this
// place have.
func (n Node) below(field string, value any) Node {
	child := nodeOf(value)
	if child.Kind != "" || !child.There() {
		return child
	}
	switch field {
	case "relation", "rel", "view", "pktable", "sequence":
		child.Kind = "RangeVar"
	case "typeName", "returnType", "argType":
		child.Kind = "TypeName"
	case "larg", "rarg":
		child.Kind = "SelectStmt"
	case "withClause":
		child.Kind = "WithClause"
	}
	return child
}

// Nodes is a field that is a list of nodes.
func (n Node) Nodes(field string) []Node {
	list, _ := n.fields[field].([]any)
	nodes := make([]Node, len(list))
	for i, item := range list {
		nodes[i] = nodeOf(item)
	}
	return nodes
}

// Name is the text of a String node, "" of any other.
func (n Node) Name() string {
	if n.Kind != "String" {
		return ""
	}
	return n.Text("sval")
}

// Names are the texts of a field that is a list of String nodes: a qualified
// name, or columns.
func (n Node) Names(field string) []string {
	var names []string
	for _, item := range n.Nodes(field) {
		if item.Kind == "String" {
			names = append(names, item.Name())
		}
	}
	return names
}

// Offset is where in the script the node stands, in bytes; 0 if it does not say.
func (n Node) Offset() int { return n.Int("location") }

// All gives the node and every node below it, a node before those below it and
// fields by their names.
func (n Node) All() iter.Seq[Node] {
	return func(yield func(Node) bool) { n.each(yield) }
}

func (n Node) each(yield func(Node) bool) bool {
	if n.fields == nil {
		return true
	}
	if !yield(n) {
		return false
	}
	for child := range n.children() {
		if !child.each(yield) {
			return false
		}
	}
	return true
}

// children are the nodes one step below.
func (n Node) children() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		for _, name := range slices.Sorted(maps.Keys(n.fields)) {
			values, ok := n.fields[name].([]any)
			if !ok {
				values = []any{n.fields[name]}
			}
			for _, value := range values {
				if child := n.below(name, value); child.There() && !yield(child) {
					return
				}
			}
		}
	}
}
