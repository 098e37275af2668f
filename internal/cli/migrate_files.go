package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/atomicfile"
	"github.com/noon-deploy/noon/internal/database/migration"
	"github.com/noon-deploy/noon/internal/tui"
)

func (f *face) migrationCreate() *cobra.Command {
	m := migrated{}
	kind := ""
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Begin a new migration",
		Long: `create writes the file of a new migration with the next number: SQL with its
sections, or with --kind versioned a list of operations.`,
		Example: "  noon migration create add_title",
		Args:    args("NAME"),
		RunE: func(c *cobra.Command, given []string) error {
			if err := f.complete(&m); err != nil {
				return err
			}
			return f.createMigration(m.dir, given[0], kind)
		},
	}
	m.flags(c)
	c.Flags().StringVar(&kind, "kind", "sql", "sql or versioned")
	return c
}

const sqlTemplate = `-- noon: expand
-- What the new release needs, while the one before still works: new tables,
-- new columns that may be NULL, new indexes.

-- noon: down
-- What takes it back.
`

const versionedTemplate = `# What changes, as a list of operations.
operations: []
`

// created is the answer of create.
type created struct {
	Path string `json:"path"`
}

func (f *face) createMigration(dir, name, kind string) error {
	ending, text := ".sql", sqlTemplate
	switch kind {
	case "sql":
	case "versioned":
		ending, text = ".yaml", versionedTemplate
	default:
		return usage("noon migration create", fmt.Errorf("--kind %s is neither sql nor versioned", kind))
	}
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`).MatchString(name) {
		return usage("noon migration create", fmt.Errorf("%q is no name: up to 100 letters, digits, - and _", name))
	}
	number, digits, err := nextNumber(dir)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, fmt.Sprintf("%0*d_%s%s", digits, number, name, ending))
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // it is part of the app's sources
		return unwritten(dir, err)
	}
	if err := atomicfile.Write(path, []byte(text), 0o644); err != nil {
		return unwritten(path, err)
	}
	out := created{Path: f.shown(path)}
	return f.emit(out, func(tui.Page) string { return "wrote " + out.Path + "\n" })
}

func unwritten(path string, err error) error {
	return &noon.Error{Kind: noon.Failure, Op: "write", Subject: path, Err: err, Hint: "Check that this user may write there."}
}

// nextNumber is the one after the highest, with as many digits.
func nextNumber(dir string) (number int64, digits int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, 0, &noon.Error{Kind: noon.Invalid, Op: "read", Subject: dir, Err: err, Hint: "Make it readable for this user."}
	}
	digits = 4
	for _, e := range entries {
		prefix, _, ok := strings.Cut(e.Name(), "_")
		n, err := strconv.ParseInt(prefix, 10, 64)
		if ok && err == nil && n > number {
			number, digits = n, max(4, len(prefix))
		}
	}
	return number + 1, digits, nil
}

// replaceFiles writes the file of a squashed migration before it removes those
// that it stands for.
func replaceFiles(dir string, set migration.Set, to int64, name, text string) (path string, removed []string, err error) {
	for _, m := range set.Migrations {
		if m.Number > to {
			continue
		}
		removed = append(removed, m.File)
		for _, s := range m.Sections {
			removed = append(removed, s.File)
		}
	}
	slices.Sort(removed)
	removed = slices.Compact(removed)
	path = filepath.Join(dir, fmt.Sprintf("%04d_%s.sql", to, name))
	if err := atomicfile.Write(path, []byte(text), 0o644); err != nil {
		return "", nil, err
	}
	for _, r := range removed {
		if r == filepath.Base(path) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, r)); err != nil {
			return "", nil, err
		}
	}
	return path, removed, nil
}
