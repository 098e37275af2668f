package api_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon/internal/api"
)

var update = flag.Bool("update", false, "write the generated documents")

// reference is where the generated documents lie.
const reference = "../../docs/reference"

// document is what the reference of the API is made from: the OpenAPI
// document as the server answers it.
type document struct {
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas map[string]json.RawMessage `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	Summary     string      `json:"summary"`
	OperationID string      `json:"operationId"`
	Parameters  []parameter `json:"parameters"`
	RequestBody body        `json:"requestBody"`
	Responses   map[string]body
}

type parameter struct {
	Name        string `json:"name"`
	In          string `json:"in"`
	Required    bool   `json:"required"`
	Description string `json:"description"`
	Schema      schema `json:"schema"`
}

type body struct {
	Content map[string]struct {
		Schema schema `json:"schema"`
	} `json:"content"`
}

type schema struct {
	Ref   string  `json:"$ref"`
	Type  string  `json:"type"`
	Items *schema `json:"items"`
}

// TestDocument keeps the reference equal to what the server says of itself.
func TestDocument(t *testing.T) {
	t.Parallel()
	raw, doc := served(t)
	golden(t, "openapi.json", raw)
	golden(t, "http-api.md", page(doc))
}

// TestDocumentIsWhole finds references to schemas that are not there, and
// operations that share an identity.
func TestDocumentIsWhole(t *testing.T) {
	t.Parallel()
	raw, doc := served(t)
	for _, part := range strings.Split(string(raw), `"$ref": "`)[1:] {
		ref, _, _ := strings.Cut(part, `"`)
		name, ok := strings.CutPrefix(ref, "#/components/schemas/")
		if _, there := doc.Components.Schemas[name]; !ok || !there {
			t.Errorf("%q leads nowhere", ref)
		}
	}
	seen := map[string]bool{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if op.Summary == "" || op.OperationID == "" || seen[op.OperationID] {
				t.Errorf("%s %s has no summary, or shares its operationId %q", method, path, op.OperationID)
			}
			seen[op.OperationID] = true
		}
	}
	if len(seen) < 15 {
		t.Errorf("only %d operations are described", len(seen))
	}
}

func served(t *testing.T) ([]byte, document) {
	t.Helper()
	handler, err := api.NewHandler(api.Controller{})
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/"+api.Version+"/openapi.json", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("status %d: %s", answer.Code, answer.Body)
	}
	var doc document
	if err := json.Unmarshal(answer.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	return append(answer.Body.Bytes(), '\n'), doc
}

// golden compares with a committed file, or writes it under -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join(reference, name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; write it with: go test ./internal/api -run TestDocument -update", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs; write it with: go test ./internal/api -run TestDocument -update\n%s", file, diff)
	}
}

const head = `# The HTTP API

<!-- Generated from internal/api by its TestDocument; do not edit. -->

The controller answers HTTP on a unix socket, ` + "`api.sock`" + ` in its directory of sockets. Whoever may
open the socket may do everything; the permissions of the directory are the access control. The
` + "`noon`" + ` command speaks to the controller through this API and in no other way.

` + "```sh" + `
curl --unix-socket "$NOON_DATA/run/api.sock" http://noon/v1/health
` + "```" + `

Bodies and answers are JSON. A field that is not known is refused. Durations are whole numbers of
nanoseconds, times are RFC 3339. An answer marked *stream* is one JSON value a line. The types are
in [openapi.json](openapi.json), which the controller also serves as ` + "`GET /v1/openapi.json`" + `.

An error is one JSON object ` + "`{kind, op, subject, cause, hint}`" + ` with a status that follows from its
kind:

| kind | status | meaning |
|---|---:|---|
`

// page writes the operations for people.
func page(doc document) []byte {
	var b strings.Builder
	b.WriteString(head)
	for _, k := range kinds() {
		fmt.Fprintf(&b, "| `%s` | %d | %s |\n", k.kind, k.status, k.meaning)
	}
	b.WriteString("\n## Operations\n\n| operation | what it is | body | answer |\n|---|---|---|---|\n")
	each(doc, func(method, path string, op operation) {
		fmt.Fprintf(&b, "| `%s %s` | %s | %s | %s |\n", method, path, op.Summary, typeOf(op.RequestBody), typeOf(op.Responses["200"]))
	})
	b.WriteString("\n## Parameters\n\n| operation | parameter | in | kind | meaning |\n|---|---|---|---|---|\n")
	each(doc, func(method, path string, op operation) {
		for _, p := range op.Parameters {
			fmt.Fprintf(&b, "| `%s %s` | `%s` | %s | %s | %s |\n", method, path, p.Name, p.In, p.Schema.Type, p.Description)
		}
	})
	return []byte(b.String())
}

func each(doc document, visit func(method, path string, op operation)) {
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(doc.Paths[path])) {
			visit(strings.ToUpper(method), path, doc.Paths[path][method])
		}
	}
}

// typeOf names what a body holds. There is one kind of content at most.
func typeOf(c body) string {
	kinds := slices.Collect(maps.Keys(c.Content))
	if len(kinds) == 0 {
		return "-"
	}
	name := c.Content[kinds[0]].Schema.name()
	switch kinds[0] {
	case "application/json":
		return name
	case "application/x-ndjson":
		return "*stream* of " + name
	default:
		return "`" + kinds[0] + "`"
	}
}

func (s schema) name() string {
	switch {
	case s.Ref != "":
		return "`" + s.Ref[strings.LastIndex(s.Ref, "/")+1:] + "`"
	case s.Items != nil:
		return "list of " + s.Items.name()
	default:
		return "`{}`"
	}
}
