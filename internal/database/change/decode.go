package change

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/noon-deploy/noon"
)

// File is a file with operations.
type File struct {
	Name string
	Data []byte
}

// maxFile bounds a file: operations are written by people.
const maxFile = 1 << 20

// Sum identifies the content of a file: its SHA-256 in hexadecimal digits.
func Sum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Read reads files, in their order, into one set. Errors name the file and the
// line and are of kind Invalid.
func Read(files ...File) (Set, error) {
	var set Set
	for _, f := range files {
		if err := set.read(f); err != nil {
			return Set{}, err
		}
		set.Files = append(set.Files, Source{Name: f.Name, Sum: Sum(f.Data)})
	}
	return set, set.check()
}

// document is what a file may hold beside its operations. The name is pgroll's;
// noon's releases have numbers.
type document struct {
	Name          string     `yaml:"name"`
	VersionSchema string     `yaml:"version_schema"`
	Operations    []ast.Node `yaml:"operations"`
}

func (s *Set) read(f File) error {
	if len(f.Data) > maxFile {
		return invalid(f.Name, fmt.Errorf("the file has %d bytes, the most is %d", len(f.Data), maxFile), "Split it into several files.")
	}
	data, err := plainJSON(f.Data)
	if err != nil {
		return invalid(f.Name, err, "Correct the JSON.")
	}
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		return place(f.Name, err)
	}
	if len(tree.Docs) != 1 || tree.Docs[0].Body == nil {
		return invalid(f.Name, errors.New("the file has no operations"), "Write a list of operations under the key operations.")
	}
	var d document
	if err := yaml.NodeToValue(tree.Docs[0].Body, &d, yaml.DisallowUnknownField()); err != nil {
		return place(f.Name, err)
	}
	if d.Operations == nil {
		return invalid(f.Name, errors.New("the file has no operations"), "Write a list of operations under the key operations.")
	}
	for _, node := range d.Operations {
		if err := s.operation(f.Name, node); err != nil {
			return err
		}
	}
	return nil
}

func (s *Set) operation(file string, node ast.Node) error {
	if node == nil || node.GetToken() == nil {
		return invalid(file, errors.New("an operation is empty"), "Remove it, or write what it does.")
	}
	op := Operation{At: fmt.Sprintf("%s:%d", file, first(node).Position.Line)}
	if err := yaml.NodeToValue(node, &op, yaml.DisallowUnknownField()); err != nil {
		return place(file, err)
	}
	s.Operations = append(s.Operations, op)
	return nil
}

// first is where a node begins: the token of a mapping is the colon after its
// first key.
func first(node ast.Node) *token.Token {
	switch n := node.(type) {
	case *ast.MappingNode:
		if len(n.Values) > 0 && n.Values[0].Key.GetToken() != nil {
			return n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		if n.Key.GetToken() != nil {
			return n.Key.GetToken()
		}
	}
	return node.GetToken()
}

// plainJSON makes a JSON document readable as YAML, in which tabs are no space.
func plainJSON(data []byte) ([]byte, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return data, nil
	}
	var raw json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			line := 1 + bytes.Count(data[:min(int(syntax.Offset), len(data))], []byte("\n"))
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		return nil, err
	}
	return bytes.ReplaceAll(data, []byte("\t"), []byte(" ")), nil // JSON allows no tab within a string
}

// place turns an error of the YAML library into one with file and line.
func place(file string, err error) error {
	if detail, ok := errors.AsType[yaml.Error](err); ok {
		message, _, _ := strings.Cut(detail.GetMessage(), "\n")
		if t := detail.GetToken(); t != nil {
			return invalid(fmt.Sprintf("%s:%d:%d", file, t.Position.Line, t.Position.Column), errors.New(message), "Correct that place; the reference of operations lists every key.")
		}
		return invalid(file, errors.New(message), "Correct that place; the reference of operations lists every key.")
	}
	return invalid(file, err, "Correct the file; the reference of operations lists every key.")
}

func invalid(subject string, err error, hint string) error {
	return &noon.Error{Kind: noon.Invalid, Op: "read schema change", Subject: subject, Err: err, Hint: hint}
}

// Text is a string that may be null, which is not the same as absent.
type Text struct {
	Value string `json:"value"`
	Null  bool   `json:"null,omitempty"`
}

// UnmarshalYAML reads a scalar.
func (t *Text) UnmarshalYAML(node ast.Node) error { return yaml.NodeToValue(node, &t.Value) }

// UnmarshalYAML reads the operation. The library does not tell null from a key
// that is absent, so these are looked for here.
func (o *AlterColumn) UnmarshalYAML(node ast.Node) error {
	type plain AlterColumn
	if err := yaml.NodeToValue(node, (*plain)(o), yaml.DisallowUnknownField()); err != nil {
		return err
	}
	var pairs []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	}
	for _, p := range pairs {
		if p.Value == nil || p.Value.Type() != ast.NullType {
			continue
		}
		switch p.Key.String() {
		case "default":
			o.Default = &Text{Null: true}
		case "comment":
			o.Comment = &Text{Null: true}
		}
	}
	return nil
}

// Expressions are SQL expressions by column; "" stands for the only one.
type Expressions map[string]string

// UnmarshalYAML reads a map, or one expression.
func (e *Expressions) UnmarshalYAML(node ast.Node) error {
	if node.Type() == ast.StringType || node.Type() == ast.LiteralType {
		var one string
		err := yaml.NodeToValue(node, &one)
		*e = Expressions{"": one}
		return err
	}
	var all map[string]string
	err := yaml.NodeToValue(node, &all)
	*e = all
	return err
}

// IndexColumns are the columns of an index in their order. In a file they are a
// list of names and columns, or pgroll's map from names.
type IndexColumns []IndexColumn

// UnmarshalYAML reads a list or a map.
func (c *IndexColumns) UnmarshalYAML(node ast.Node) error {
	if list, ok := node.(*ast.SequenceNode); ok {
		return c.list(list)
	}
	var pairs yaml.MapSlice
	if err := yaml.NodeToValue(node, &pairs); err != nil {
		return err
	}
	var options map[string]IndexColumn
	if err := yaml.NodeToValue(node, &options, yaml.DisallowUnknownField()); err != nil {
		return err
	}
	for _, p := range pairs {
		name, ok := p.Key.(string)
		if !ok {
			return fmt.Errorf("%v is no name of a column", p.Key)
		}
		column := options[name]
		column.Column = name
		*c = append(*c, column)
	}
	return nil
}

func (c *IndexColumns) list(node *ast.SequenceNode) error {
	for _, v := range node.Values {
		var column IndexColumn
		var err error
		if v.Type() == ast.StringType {
			err = yaml.NodeToValue(v, &column.Column)
		} else {
			err = yaml.NodeToValue(v, &column, yaml.DisallowUnknownField())
		}
		if err != nil {
			return err
		}
		*c = append(*c, column)
	}
	return nil
}
