package archtest

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Module is the path under which noon's own packages are imported.
const Module = "github.com/noon-deploy/noon"

// Finding is one place where a rule is broken.
type Finding struct {
	Path string // of the file, relative to the root, slashes
	Line int    // 0: the file as a whole
	Text string // what is wrong, and what to do where that is not obvious
}

// String gives "internal/host/host.go:12: text".
func (f Finding) String() string {
	if f.Line == 0 {
		return f.Path + ": " + f.Text
	}
	return fmt.Sprintf("%s:%d: %s", f.Path, f.Line, f.Text)
}

// File is one parsed Go file.
type File struct {
	Path      string // relative to the root, slashes
	Test      bool
	Generated bool
	Lines     int
	AST       *ast.File
}

// Dir is the package's directory relative to the root, "." for the root.
func (f File) Dir() string { return path.Dir(f.Path) }

// Tree is the Go code of the repository, whatever the build constraints.
type Tree struct {
	Fset  *token.FileSet
	Files []File // sorted by path
}

// at makes a finding at a position of a file of the tree.
func (t Tree) at(f File, pos token.Pos, format string, args ...any) Finding {
	return Finding{Path: f.Path, Line: t.Fset.Position(pos).Line, Text: fmt.Sprintf(format, args...)}
}

// code calls visit for every file that people wrote and that is not a test.
func (t Tree) code(visit func(File)) {
	for _, f := range t.Files {
		if !f.Test && !f.Generated {
			visit(f)
		}
	}
}

// Parse makes a tree of texts by path. What is not Go is left out, and so is
// testdata.
func Parse(texts map[string]string) (Tree, error) {
	t := Tree{Fset: token.NewFileSet()}
	var errs []error
	for _, p := range slices.Sorted(maps.Keys(texts)) {
		if path.Ext(p) != ".go" || slices.Contains(strings.Split(p, "/"), "testdata") {
			continue
		}
		f, err := parser.ParseFile(t.Fset, p, texts[p], parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		t.Files = append(t.Files, File{
			Path:      p,
			Test:      strings.HasSuffix(p, "_test.go"),
			Generated: ast.IsGenerated(f),
			Lines:     strings.Count(texts[p], "\n"),
			AST:       f,
		})
	}
	return t, errors.Join(errs...)
}

// largest is the size of the largest file that is read as a text.
const largest = 1 << 20

// Texts reads every file of the checkout at root that is not ignored, by path
// relative to root. Binary and very large files have an empty text.
func Texts(ctx context.Context, root string) (map[string]string, error) {
	paths, err := list(ctx, root)
	if err != nil {
		return nil, err
	}
	texts := make(map[string]string, len(paths))
	for _, p := range paths {
		name := filepath.Join(root, filepath.FromSlash(p))
		info, err := os.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue // removed but still in git's index; a link
		}
		if err != nil {
			return nil, err
		}
		texts[p] = ""
		if info.Size() > largest {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if !strings.Contains(string(data), "\x00") {
			texts[p] = string(data)
		}
	}
	return texts, nil
}

// list asks git, which knows what is ignored; an unpacked archive is walked.
func list(ctx context.Context, root string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		return walk(root)
	}
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the files of %s: %w%s", root, err, stderr(err))
	}
	return strings.FieldsFunc(string(out), func(c rune) bool { return c == 0 }), nil
}

func walk(root string) ([]string, error) {
	var paths []string
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if rel == "bin" || rel == ".cache" || d.Name() == ".git" {
				return fs.SkipDir
			}
			return nil
		}
		paths = append(paths, filepath.ToSlash(rel))
		return nil
	})
	return paths, err
}

// stderr is what a command printed before it failed, for a message.
func stderr(err error) string {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		return ": " + strings.TrimSpace(string(exit.Stderr))
	}
	return ""
}
