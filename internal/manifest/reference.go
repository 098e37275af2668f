package manifest

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// example is a manifest that uses almost every key.
//
//go:embed example.yaml
var example string

const preface = `# noon.yaml

What noon has to know of an app stands in one file, ` + "`noon.yaml`" + `, at the root of the app's
repository. Code and operation share one commit.

The file is read strictly: a key that is unknown, given twice or of the wrong type is a
mistake, and all mistakes are reported at once, each with its line and column. It is one
YAML document of maps, lists and plain values, without anchors, aliases, merge keys and tags.
` + "`noon init`" + ` writes a first one, ` + "`noon check`" + ` reads it. Editors complete and check it with the
[JSON Schema](noon.schema.json); most of them are told by a first line of

` + "```yaml" + `
# yaml-language-server: $schema=https://raw.githubusercontent.com/noon-deploy/noon/main/docs/reference/noon.schema.json
` + "```" + `

This page is generated from the table that the reader itself works with.

## Example

`

// Reference gives the reference of every key, in Markdown.
func Reference() []byte {
	r := reference{root: appRule().shape, places: map[string][]string{}, kinds: map[string]string{}}
	r.collect(r.root, "")
	r.b.WriteString(preface + "```yaml\n" + example + "```\n\n## Keys\n")
	for _, s := range r.sections {
		r.section(s)
	}
	r.b.WriteString("\n## Kinds of values\n\n| kind | what can be written |\n|---|---|\n")
	for _, label := range r.order {
		fmt.Fprintf(&r.b, "| <a id=%q></a>%s | %s |\n", slug(label), label, cell(r.kinds[label]))
	}
	return []byte(r.b.String())
}

type reference struct {
	b        strings.Builder
	root     shape
	sections []shape             // maps with fixed keys, each once, outer before inner
	places   map[string][]string // where they are, by label
	kinds    map[string]string   // what can be written, by label
	order    []string            // of kinds
}

// collect finds the sections and kinds below a shape.
func (r *reference) collect(s shape, path string) {
	if s.about != "" && r.kinds[s.label] == "" {
		r.kinds[s.label] = s.about
		r.order = append(r.order, s.label)
	}
	if s.names != nil {
		r.collect(*s.names, path)
		r.collect(*s.each, path+"."+s.slot)
		return
	}
	if s.each != nil {
		r.collect(*s.each, path+"[]")
		return
	}
	if s.keys == nil {
		return
	}
	r.places[s.label] = append(r.places[s.label], path)
	if len(r.places[s.label]) > 1 {
		return
	}
	r.sections = append(r.sections, s)
	for _, k := range s.keys {
		r.collect(k.shape, strings.TrimPrefix(path+"."+k.key, "."))
	}
}

// section writes one map with its keys.
func (r *reference) section(s shape) {
	if s.label == r.root.label {
		r.b.WriteString("\n### The whole file\n\n")
	} else {
		fmt.Fprintf(&r.b, "\n### %s\n\nAt %s.\n\n", heading(s.label), quoted(r.places[s.label]))
	}
	r.b.WriteString("| key | kind | default | meaning |\n|---|---|---|---|\n")
	for _, k := range s.keys {
		def := ""
		switch {
		case k.required:
			def = "**required**"
		case k.def != "" && k.def != "{}":
			def = "`" + k.def + "`"
		}
		fmt.Fprintf(&r.b, "| `%s` | %s | %s | %s |\n", k.key, r.kind(k.shape), def, cell(k.doc))
	}
}

// kind names a kind of value, with a link to where it is described.
func (r *reference) kind(s shape) string {
	inner := s
	for inner.each != nil {
		inner = *inner.each
	}
	if len(r.places[inner.label]) == 0 && r.kinds[inner.label] == "" {
		return enumeration(s)
	}
	return fmt.Sprintf("[%s](#%s)", s.label, slug(inner.label))
}

// enumeration lists the words of a choice.
func enumeration(s shape) string {
	words, ok := s.json["enum"].([]any)
	if !ok {
		return s.label
	}
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = fmt.Sprintf("`%v`", w)
	}
	return strings.Join(all, ", ")
}

func quoted(paths []string) string {
	all := slices.Clone(paths)
	for i, p := range all {
		all[i] = "`" + p + "`"
	}
	return strings.Join(all, ", ")
}

func heading(label string) string { return strings.ToUpper(label[:1]) + label[1:] }

func slug(label string) string { return strings.ReplaceAll(strings.ToLower(label), " ", "-") }

// cell makes a text fit for a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\n", " "), "|", `\|`)
}
