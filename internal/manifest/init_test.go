package manifest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/manifest"
)

// TestInit drafts a manifest for each directory in testdata/init: an archive
// of its files, ending in the draft and in what was found.
func TestInit(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/init/*.txtar")
	if err != nil || len(archives) < 10 {
		t.Fatalf("%d archives, %v", len(archives), err)
	}
	for _, file := range archives {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), name)
			input := txtar.Archive{Comment: archive.Comment}
			for _, f := range archive.Files {
				if !strings.HasPrefix(f.Name, "want/") {
					input.Files = append(input.Files, f)
				}
			}
			unpack(t, dir, input.Files)
			draft, err := manifest.Init(dir)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := manifest.Parse("noon.yaml", draft.Text); err != nil {
				t.Errorf("the draft is wrong: %v", err)
			}
			if entries, _ := filepath.Glob(filepath.Join(dir, "noon.yaml")); len(entries) > 0 {
				t.Error("the draft was written")
			}
			found := strings.Join(draft.Found, "\n") + "\n"
			output := input
			output.Files = append(output.Files, txtar.File{Name: "want/noon.yaml", Data: draft.Text}, txtar.File{Name: "want/found", Data: []byte(found)})
			golden(t, file, txtar.Format(&output))
		})
	}
}

func unpack(t *testing.T, dir string, files []txtar.File) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInitOfNothing(t *testing.T) {
	t.Parallel()
	_, err := manifest.Init(filepath.Join(t.TempDir(), "absent"))
	if noon.KindOf(err) != noon.NotFound || noon.HintOf(err) == "" {
		t.Errorf("got %v, kind %q", err, noon.KindOf(err))
	}
}

// TestInitOfAnything: whatever the files hold, the draft can be parsed.
func TestInitOfAnything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		line := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~]{0,30}`))
		dir := t.TempDir()
		a, b := line.Draw(rt, "a"), line.Draw(rt, "b")
		for _, file := range [][2]string{
			{"Procfile", "web: " + a + "\n" + rapid.StringMatching(`[A-Za-z0-9_-]{1,45}`).Draw(rt, "process") + ": " + b + "\nrelease: " + a},
			{"Dockerfile", "FROM x\nCMD " + b + "\n"},
			{"go.mod", "module " + a + "\n"},
			{"main.go", "package main\n"},
			{"package.json", `{"name": "` + a + `", "scripts": {"start": "node ` + b + `"}}`},
			{"Gemfile", "gem 'rails'\n" + b},
		} {
			if rapid.Bool().Draw(rt, file[0]) {
				if err := os.WriteFile(filepath.Join(dir, file[0]), []byte(file[1]), 0o644); err != nil {
					rt.Fatal(err)
				}
			}
		}
		if _, err := manifest.Init(dir); err != nil {
			rt.Fatal(err)
		}
	})
}
