package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"reflect"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/noon-deploy/noon"
)

// openAPI describes the routes as an OpenAPI 3.1 document.
func openAPI(routes []route) ([]byte, error) {
	schemas := jsonschema.Definitions{}
	paths := map[string]map[string]any{}
	for _, rt := range routes {
		path := "/" + Version + rt.path
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		paths[path][strings.ToLower(rt.method)] = rt.describe(schemas)
	}
	document, err := json.MarshalIndent(map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "noon controller", "version": Version,
			"description": "Served on a unix socket. Errors are noon.Error values; their kind decides the status code.",
		},
		"paths":      paths,
		"components": map[string]any{"schemas": schemas},
	}, "", "  ")
	return bytes.ReplaceAll(document, []byte("#/$defs/"), []byte("#/components/schemas/")), err
}

func (rt route) describe(schemas jsonschema.Definitions) map[string]any {
	op := map[string]any{"summary": rt.summary, "operationId": operationID(rt)}
	var params []map[string]any
	for _, p := range rt.params {
		params = append(params, map[string]any{
			"name": p.name, "in": p.in, "required": p.in == "path", "description": p.text, "schema": map[string]string{"type": p.kind},
		})
	}
	if params != nil {
		op["parameters"] = params
	}
	if rt.in != nil {
		op["requestBody"] = map[string]any{"required": true, "content": content("application/json", rt.in, schemas)}
	} else if rt.method == "POST" {
		op["requestBody"] = map[string]any{"required": true, "content": map[string]any{"application/x-tar": map[string]any{}}}
	}
	kind := cmp.Or(rt.kind, "application/json")
	if rt.stream {
		kind = "application/x-ndjson"
	}
	op["responses"] = map[string]any{
		"200":     map[string]any{"description": rt.summary, "content": content(kind, rt.out, schemas)},
		"default": map[string]any{"description": "an error: what, where, why, what to do", "content": content("application/json", reflect.TypeFor[errorBody](), schemas)},
	}
	return op
}

// errorBody is how noon.Error is written.
type errorBody struct {
	Kind    string `json:"kind" jsonschema:"enum=invalid,enum=not_found,enum=conflict,enum=stale,enum=failed,enum=unavailable,enum=internal"`
	Op      string `json:"op,omitempty"`
	Subject string `json:"subject,omitempty"`
	Cause   string `json:"cause,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

func operationID(rt route) string {
	var id strings.Builder
	id.WriteString(strings.ToLower(rt.method))
	for part := range strings.SplitSeq(rt.path, "/") {
		part = strings.Trim(part, "{}")
		first := min(1, len(part))
		id.WriteString(strings.ToUpper(part[:first]) + part[first:])
	}
	return id.String()
}

func content(kind string, t reflect.Type, schemas jsonschema.Definitions) map[string]any {
	reflector := jsonschema.Reflector{Anonymous: true}
	// noon.Error writes itself in another form than its fields have.
	reflector.Mapper = func(t reflect.Type) *jsonschema.Schema {
		if t != reflect.TypeFor[noon.Error]() {
			return nil
		}
		return &jsonschema.Schema{Ref: "#/components/schemas/errorBody"}
	}
	schema := reflector.ReflectFromType(t)
	maps.Copy(schemas, schema.Definitions)
	schema.Definitions, schema.Version = nil, ""
	return map[string]any{kind: map[string]any{"schema": schema}}
}
