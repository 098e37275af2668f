// Package manifest reads noon.yaml.
//
// One table of keys ([appRule] and what it names) drives everything: decoding,
// defaults, the search for unknown keys, the JSON Schema for editors and the
// reference for people. The document is walked as a syntax tree, so that every
// mistake is found in one pass and each carries its line and column.
//
// The format is a strict part of YAML: one document of plain maps, lists and
// scalars. Anchors, aliases, merge keys, tags and directives are refused, as
// is whatever is nested or repeated far beyond what a manifest needs.
package manifest

//go:generate go test . -update

import (
	_ "time/tzdata" // schedules name time zones, also on machines without a zone database

	"github.com/noon-deploy/noon"
)

// FileName is what a manifest is called, at the root of an app's repository.
const FileName = "noon.yaml"

// Parse reads a manifest. The name is used in messages only. A wrong manifest
// gives an [*Error] with every mistake in it.
func Parse(name string, data []byte) (noon.App, error) {
	d := &decoder{name: name, marks: map[string]mark{}, hidden: map[int]bool{}}
	app := d.decode(data)
	if err := d.err(); err != nil {
		return noon.App{}, err
	}
	return app, nil
}

func (d *decoder) decode(data []byte) noon.App {
	root, ok := d.load(data)
	if !ok {
		return noon.App{}
	}
	app, _ := appRule().read(d, root)
	return app
}
