package archtest_test

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/noon-deploy/noon/internal/archtest"
)

// root is the checkout: tests run in the directory of their package.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatalf("%s is not the root of the module: %v", dir, err)
	}
	return dir
}

// repository reads and parses the checkout once for all tests.
var repository = sync.OnceValues(func() (map[string]string, error) { return archtest.Texts(context.Background(), "../..") })

func texts(t *testing.T) map[string]string {
	t.Helper()
	all, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	// A listing that misses files would let every rule pass.
	for _, p := range []string{"go.mod", "doc.go", "deployment.go", "internal/archtest/tree.go"} {
		if all[p] == "" {
			t.Fatalf("%s is not among the %d files of the repository", p, len(all))
		}
	}
	return all
}

func tree(t *testing.T) archtest.Tree {
	t.Helper()
	parsed, err := archtest.Parse(texts(t))
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	return parsed
}

func report(t *testing.T, found []archtest.Finding) {
	t.Helper()
	for _, f := range found {
		t.Errorf("%s", f)
	}
}

func TestRepositoryCode(t *testing.T) {
	t.Parallel()
	rules := map[string]func(archtest.Tree) []archtest.Finding{
		"imports": func(tr archtest.Tree) []archtest.Finding {
			return archtest.Imports(tr, archtest.Rows(), archtest.Soles())
		},
		"long files":        archtest.LongFiles,
		"long functions":    archtest.LongFunctions,
		"wide interfaces":   archtest.WideInterfaces,
		"package docs":      archtest.PackageDocs,
		"undocumented":      archtest.Undocumented,
		"postponed":         archtest.Postponed,
		"init functions":    archtest.InitFunctions,
		"sleeps":            archtest.Sleeps,
		"package variables": archtest.PackageVariables,
		"empty names":       archtest.EmptyNames,
	}
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report(t, rule(tree(t)))
		})
	}
}

func TestRepositoryTexts(t *testing.T) {
	t.Parallel()
	t.Run("machine traces", func(t *testing.T) {
		t.Parallel()
		report(t, archtest.MachineTraces(texts(t)))
	})
	t.Run("links", func(t *testing.T) {
		t.Parallel()
		report(t, archtest.BrokenLinks(texts(t)))
	})
}

// The tools of tools/go.mod and the peers of bench are used, not passed on:
// their licences do not matter here.
func TestRepositoryLicences(t *testing.T) {
	t.Parallel()
	for p := range texts(t) {
		if path.Base(p) != "go.mod" || strings.HasPrefix(p, "tools/") || strings.HasPrefix(p, "bench/peers/") || strings.Contains(p, "testdata/") {
			continue
		}
		dir := filepath.Join(root(t), filepath.FromSlash(path.Dir(p)))
		modules, err := archtest.Modules(t.Context(), dir)
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		if p == "go.mod" && len(modules) < 10 {
			t.Fatalf("only %d modules are listed: %v", len(modules), modules)
		}
		report(t, archtest.Unlicensed(modules, archtest.Licences()))
	}
}

// Each row has a reason, and none is hidden by one before it.
func TestRowsHaveReasons(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range archtest.Rows() {
		if r.Because == "" || seen[r.Part] {
			t.Errorf("row %q has no reason or stands twice", r.Part)
		}
		seen[r.Part] = true
	}
	for _, s := range archtest.Soles() {
		if s.Because == "" || len(s.Parts) == 0 {
			t.Errorf("sole %q has no reason or no part", s.Prefix)
		}
	}
}
