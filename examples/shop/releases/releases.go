// Package releases makes the releases of the example shop that noon demo
// deploys. They are one code base and the edits that a developer would have
// made:
//
//	r1  the shop as it opened
//	r2  gift notes: a visible change and an additive migration
//	r3  never ready: it reads a column whose migration was forgotten
//	r4  ready, but checkout answers 500: a misspelt column
package releases

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/examples"
)

// Count is the number of releases there are.
const Count = 4

// The module files of the tree are noon's own, less what the shop does not
// need: the modules are then in the cache of everybody who has built noon.
//
//go:embed go.mod.txt go.sum.txt
var modules embed.FS

// Title is the commit message of release n.
func Title(n int) string {
	if n < 1 || n > Count {
		return ""
	}
	return steps()[n-1].title
}

// Write writes the source tree of release n, 1 to Count, into dir, as the
// commit after the one of release n-1 would hold it. Files of other releases
// that lie in dir are replaced or removed; nothing else is touched.
func Write(dir string, n int) error {
	tree, err := Tree(n)
	if err != nil {
		return err
	}
	if err := removeOthers(dir, tree); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write release %d: %w", n, err)
		}
		if err := os.WriteFile(path, []byte(tree[name]), 0o644); err != nil {
			return fmt.Errorf("write release %d: %w", n, err)
		}
	}
	return nil
}

// removeOthers removes files that another release has and this one has not.
func removeOthers(dir string, tree map[string]string) error {
	for n := 1; n <= Count; n++ {
		other, err := Tree(n)
		if err != nil {
			return err
		}
		for name := range other {
			if _, ok := tree[name]; ok {
				continue
			}
			if err := os.RemoveAll(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
				return fmt.Errorf("remove file of release %d: %w", n, err)
			}
		}
	}
	return nil
}

// Tree returns the files of release n by slash-separated name.
func Tree(n int) (map[string]string, error) {
	if n < 1 || n > Count {
		return nil, fmt.Errorf("the shop has no release %d, only 1 to %d", n, Count)
	}
	tree, err := base()
	if err != nil {
		return nil, err
	}
	for i, step := range steps()[:n] {
		if i+1 < n && step.mistake {
			continue // reverted by the commit after it
		}
		if err := step.apply(tree); err != nil {
			return nil, fmt.Errorf("release %d: %w", i+1, err)
		}
	}
	return tree, nil
}

// base is the tree of r1: the example's sources without their tests.
func base() (map[string]string, error) {
	tree := map[string]string{
		".gitignore": "/shop\n",
		"README.md":  readme,
	}
	shop, err := examples.Shop()
	if err != nil {
		return nil, fmt.Errorf("read the shop's sources: %w", err)
	}
	err = fs.WalkDir(shop, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, "_test.go") {
			return err
		}
		data, err := fs.ReadFile(shop, name)
		tree[name] = string(data)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the shop's sources: %w", err)
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := modules.ReadFile(name + ".txt")
		if err != nil {
			return nil, fmt.Errorf("read the shop's modules: %w", err)
		}
		tree[name] = string(data)
	}
	return tree, nil
}

const readme = `# Sundial Shop

A small web shop: Go, SQLite, server-rendered pages. noon.yaml says how it is
built, run and replaced while people buy in it.

    DATA_DIR=/tmp/shop SESSION_KEY=at-least-16-characters go run . migrate
    DATA_DIR=/tmp/shop SESSION_KEY=at-least-16-characters go run . web
`

// step is what one commit does to the tree before it.
type step struct {
	title   string
	mistake bool              // the commit after it reverts it
	add     map[string]string // new files
	edits   []edit
}

// edit replaces a text that occurs exactly once in a file.
type edit struct{ file, old, new string }

func (s step) apply(tree map[string]string) error {
	for name, text := range s.add {
		if _, ok := tree[name]; ok {
			return fmt.Errorf("%s is there already", name)
		}
		tree[name] = text
	}
	for _, e := range s.edits {
		text := tree[e.file]
		if n := strings.Count(text, e.old); n != 1 {
			return fmt.Errorf("%s: the text to edit occurs %d times instead of once: %q", e.file, n, e.old)
		}
		tree[e.file] = strings.Replace(text, e.old, e.new, 1)
	}
	return nil
}
