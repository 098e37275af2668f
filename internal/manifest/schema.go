package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
)

// Schema gives the JSON Schema (draft 2020-12) of a manifest, for editors. It
// says what one key alone may be; what several have to do with each other is
// known to Parse only.
func Schema() ([]byte, error) {
	root, err := appRule().schema()
	if err != nil {
		return nil, err
	}
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = FileName
	root["description"] = "What noon has to know of an app to deploy it with nothing lost."
	data, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write schema: %w", err)
	}
	return append(data, '\n'), nil
}

// schema gives the schema of one kind of value.
func (s shape) schema() (map[string]any, error) {
	out := map[string]any{}
	maps.Copy(out, s.json)
	if s.about != "" {
		out["description"] = s.about
	}
	if s.each != nil {
		each, err := s.each.schema()
		if err != nil {
			return nil, err
		}
		if s.names == nil {
			out["items"] = each
			return out, nil
		}
		out["additionalProperties"] = each
		out["propertyNames"] = s.names.json
	}
	if s.keys == nil {
		return out, nil
	}
	return out, s.properties(out)
}

// properties adds the fixed keys of a map.
func (s shape) properties(out map[string]any) error {
	properties := map[string]any{}
	var required []string
	for _, k := range s.keys {
		of, err := k.shape.schema()
		if err != nil {
			return err
		}
		of["description"] = k.doc
		if k.shape.keys == nil && k.def != "" {
			value, err := k.standard()
			if err != nil {
				return err
			}
			of["default"] = value
		}
		if k.required {
			required = append(required, k.key)
		}
		properties[k.key] = of
	}
	out["type"] = "object"
	if required == nil {
		out["type"] = []any{"object", "null"} // "staging:" alone is an environment
	} else {
		out["required"] = required
	}
	if s.short != nil { // the other keywords are for values of their own type only
		maps.Copy(out, s.short)
		out["type"] = []any{"string", "object"}
	}
	out["properties"] = properties
	out["additionalProperties"] = false
	return nil
}

// standard gives the default of a key as JSON would have it.
func (k described) standard() (any, error) {
	d := &decoder{name: k.key, marks: map[string]mark{}}
	value, _ := d.anything(fallback(k.def, value{}, k.key))
	if err := d.err(); err != nil {
		return nil, fmt.Errorf("read default of %s: %w", k.key, err)
	}
	return value, nil
}
