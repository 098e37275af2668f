package manifest_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon/internal/manifest"
)

var update = flag.Bool("update", false, "write golden files and generated documents")

// golden compares with a committed file, or writes it under -update.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; write it with: go test ./internal/manifest -update", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs; write it with: go test ./internal/manifest -update\n%s", file, diff)
	}
}

const reference = "../../docs/reference/"

func TestSchemaIsCommitted(t *testing.T) {
	t.Parallel()
	got, err := manifest.Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, reference+"noon.schema.json", got)
}

func TestReferenceIsCommitted(t *testing.T) {
	t.Parallel()
	golden(t, reference+"noon-yaml.md", manifest.Reference())
}

// TestSchemaNamesEveryKeyOfTheExample walks the example along the schema, as
// an editor does: every key has a description and nothing is unknown.
func TestSchemaNamesEveryKeyOfTheExample(t *testing.T) {
	t.Parallel()
	data, err := manifest.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	var doc any
	decodeYAML(t, readFile(t, "example.yaml"), &doc)
	follow(t, "", schema, doc)
}

func follow(t *testing.T, path string, schema map[string]any, value any) {
	t.Helper()
	switch v := value.(type) {
	case map[string]any:
		properties, fixed := schema["properties"].(map[string]any)
		free, _ := schema["additionalProperties"].(map[string]any)
		for k, inner := range v {
			at := path + "." + k
			if !fixed {
				if free == nil {
					t.Errorf("%s: no schema", at)
				}
				follow(t, at, free, inner)
				continue
			}
			property, ok := properties[k].(map[string]any)
			if !ok {
				t.Errorf("%s: not in the schema", at)
				continue
			}
			if property["description"] == "" {
				t.Errorf("%s: no description", at)
			}
			follow(t, at, property, inner)
		}
	case []any:
		if items, ok := schema["items"].(map[string]any); ok {
			for _, item := range v {
				follow(t, path+"[]", items, item)
			}
		}
	}
}

func TestReferenceHasNoDeadLinks(t *testing.T) {
	t.Parallel()
	text := manifest.Reference()
	for rest := text; ; {
		_, after, ok := bytes.Cut(rest, []byte("](#"))
		if !ok {
			break
		}
		link, more, _ := bytes.Cut(after, []byte(")"))
		rest = more
		anchor := []byte(`<a id="` + string(link) + `">`)
		heading := append([]byte("\n### "), bytes.ReplaceAll(link, []byte("-"), []byte(" "))...)
		if !bytes.Contains(text, anchor) && !bytes.Contains(bytes.ToLower(text), append(heading, '\n')) {
			t.Errorf("#%s leads nowhere", link)
		}
	}
}
