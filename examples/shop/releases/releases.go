// Package releases makes releases of the example shop that noon demo and tests
// deploy. They are one code base and the edits that a developer would have
// made. [SQLite] is the shop that everybody can start:
//
//	r1  the shop as it opened
//	r2  gift notes: a visible change and an additive migration
//	r3  never ready: it reads a column whose migration was forgotten
//	r4  ready, but checkout answers 500: a misspelt column
//
// [Postgres] is the shop whose data every release knows by other names and in
// other forms, none of which the release before has heard of:
//
//	r1  the shop as it opened
//	r2  renames a column: orders.name is customer
//	r3  changes a type: orders.total is no longer cents but numeric(12,2)
//	r4  splits a column: orders.customer is first_name and last_name
//	r5  adds a column that may not be NULL and references a new table: orders.depot
//	r6  moves a column to another table: orders.email is customers.email
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

// Shop is a shop with releases of its own.
type Shop string

// The shops, by where they have their data.
const (
	SQLite   Shop = "sqlite"
	Postgres Shop = "postgres"
)

// The files that release n of a shop brings lie in its folder rn. go.mod and
// go.sum have another name there, as Go would take them for its own. They are
// noon's own, less what the shop does not need: the modules are then in the
// cache of everybody who has built noon.
//
//go:embed sqlite postgres
var files embed.FS

// Count is the number of releases there are.
func (s Shop) Count() int { return len(s.steps()) }

// Title is the commit message of release n.
func (s Shop) Title(n int) string {
	if n < 1 || n > s.Count() {
		return ""
	}
	return s.steps()[n-1].title
}

// Write writes the source tree of release n, 1 to Count, into dir, as the
// commit after the one of release n-1 would hold it. Files of other releases
// that lie in dir are replaced or removed; nothing else is touched.
func (s Shop) Write(dir string, n int) error {
	tree, err := s.Tree(n)
	if err != nil {
		return err
	}
	if err := s.removeOthers(dir, tree); err != nil {
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
func (s Shop) removeOthers(dir string, tree map[string]string) error {
	for n := 1; n <= s.Count(); n++ {
		other, err := s.Tree(n)
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
func (s Shop) Tree(n int) (map[string]string, error) {
	if n < 1 || n > s.Count() {
		return nil, fmt.Errorf("the shop has no release %d, only 1 to %d", n, s.Count())
	}
	tree, err := base()
	if err != nil {
		return nil, err
	}
	for i, step := range s.steps()[:n] {
		if i+1 < n && step.mistake {
			continue // reverted by the commit after it
		}
		if err := step.apply(tree); err != nil {
			return nil, fmt.Errorf("release %d: %w", i+1, err)
		}
		if err := s.add(tree, i+1); err != nil {
			return nil, fmt.Errorf("release %d: %w", i+1, err)
		}
	}
	return tree, nil
}

func (s Shop) steps() []step {
	if s == Postgres {
		return postgresSteps()
	}
	return sqliteSteps()
}

// base is what releases are made from: the example's sources without their
// tests. They know both databases; the first release keeps one.
func base() (map[string]string, error) {
	tree := map[string]string{".gitignore": "/shop\n"}
	shop, err := examples.Shop()
	if err != nil {
		return nil, fmt.Errorf("read the shop's sources: %w", err)
	}
	return tree, copyFiles(tree, shop)
}

// add adds what release n brings.
func (s Shop) add(tree map[string]string, n int) error {
	dir := fmt.Sprintf("%s/r%d", s, n)
	if _, err := fs.Stat(files, dir); err != nil {
		return nil //nolint:nilerr // it brings no new files
	}
	brought, err := fs.Sub(files, dir)
	if err != nil {
		return fmt.Errorf("read new files: %w", err)
	}
	return copyFiles(tree, brought)
}

func copyFiles(tree map[string]string, from fs.FS) error {
	err := fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, "_test.go") {
			return err
		}
		data, err := fs.ReadFile(from, name)
		name = strings.TrimSuffix(name, ".txt")
		if _, ok := tree[name]; ok {
			return fmt.Errorf("%s is there already", name)
		}
		tree[name] = string(data)
		return err
	})
	if err != nil {
		return fmt.Errorf("read the shop's sources: %w", err)
	}
	return nil
}

// step is what one commit does to the tree before it.
type step struct {
	title   string
	mistake bool // the commit after it reverts it
	remove  []string
	move    map[string]string // where it was → where it is
	edits   []edit
}

// edit replaces a text that occurs exactly once in a file.
type edit struct{ file, old, new string }

func (s step) apply(tree map[string]string) error {
	for _, name := range s.remove {
		if _, ok := tree[name]; !ok {
			return fmt.Errorf("%s is not there", name)
		}
		delete(tree, name)
	}
	for from, to := range s.move {
		tree[to] = tree[from]
		delete(tree, from)
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
