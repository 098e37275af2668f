package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/noon-deploy/noon"
)

// checkout is a directory that holds the files of one commit while they are
// built. It has the same path in every build, because compilers and bundlers
// like to write paths into what they make; so one build at a time has it.
type checkout struct {
	dir  string // the whole repository
	app  string // the directory of noon.yaml
	held *os.File
}

// newCheckout waits until no other build uses work.
func newCheckout(ctx context.Context, work, prefix string) (*checkout, error) {
	work, err := filepath.Abs(work)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(work, 0o700); err != nil {
		return nil, err
	}
	held, err := lockedDir(ctx, work)
	if err != nil {
		return nil, err
	}
	c := &checkout{dir: filepath.Join(work, "src"), held: held}
	c.app = filepath.Join(c.dir, filepath.FromSlash(prefix))
	err = c.clean(ctx)
	if err == nil {
		err = os.Mkdir(c.dir, 0o700)
	}
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	return c, nil
}

func (c *checkout) index() string { return filepath.Join(c.held.Name(), "index") }

func (c *checkout) close(ctx context.Context) error {
	return errors.Join(c.clean(context.WithoutCancel(ctx)), c.held.Close())
}

// clean removes what a build leaves, this one or one before that was killed,
// its processes first.
func (c *checkout) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	return errors.Join(endProcesses(ctx, c.dir), RemoveTree(c.dir), removeAbandoned(c.held.Name(), trashPrefix), os.RemoveAll(c.index()))
}

// cleanWork cleans up after an interrupted build, unless one is running.
func cleanWork(ctx context.Context, work string) error {
	held, err := os.Open(work)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	c := &checkout{dir: filepath.Join(work, "src"), held: held}
	if free, err := tryFlock(held, syscall.LOCK_EX); !free || err != nil {
		return errors.Join(err, held.Close())
	}
	return c.close(ctx)
}

// fill brings the files: of the commit, or as they are in the working tree.
func (c *checkout) fill(ctx context.Context, src *source, dirty bool) error {
	var err error
	if dirty {
		err = c.copyTree(ctx, src)
	} else {
		err = c.checkOut(ctx, src)
	}
	if err != nil {
		return err
	}
	return c.finish(src.time)
}

// checkOut uses an index of its own: the user's repository is only read.
// Unlike git archive it heeds neither export-ignore nor export-subst, with
// which the files would depend on the names of branches.
func (c *checkout) checkOut(ctx context.Context, src *source) error {
	g := git{dir: c.dir, env: append(slices.Clone(src.git.env), "GIT_WORK_TREE="+c.dir, "GIT_INDEX_FILE="+c.index())}
	if _, err := g.run(ctx, "read-tree", src.commit); err != nil {
		return err
	}
	list, err := g.run(ctx, "ls-files", "-z", "--stage")
	if err != nil {
		return err
	}
	for line := range strings.SplitSeq(list, "\x00") {
		if strings.HasPrefix(line, "160000 ") {
			_, name, _ := strings.Cut(line, "\t")
			return refuseSubmodule(name)
		}
	}
	_, err = g.run(ctx, "checkout-index", "--all", "--force", "--quiet")
	return err
}

func refuseSubmodule(name string) error {
	return &noon.Error{
		Kind: noon.Invalid, Op: "build release", Subject: name, Err: errors.New("it is a git submodule"),
		Hint: "A release holds the files of one commit of one repository. Commit the files themselves (git subtree), or fetch them in build.command by a pinned version.",
	}
}

// copyTree copies every file that git knows or does not ignore.
func (c *checkout) copyTree(ctx context.Context, src *source) error {
	list, err := src.tree().run(ctx, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return err
	}
	from, err := os.OpenRoot(src.top)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenRoot(c.dir)
	if err != nil {
		return err
	}
	defer to.Close()
	names := strings.Split(strings.TrimSuffix(list, "\x00"), "\x00")
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := copyEntry(from, to, name); err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
	}
	return nil
}

func copyEntry(from, to *os.Root, name string) error {
	info, err := from.Lstat(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil // deleted, and not committed either
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		return refuseSubmodule(strings.TrimSuffix(name, "/"))
	}
	if err := to.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return copyRegular(from, to, name, mode.Perm()|0o600)
	case mode&fs.ModeSymlink != 0:
		target, err := from.Readlink(name)
		if err != nil {
			return err
		}
		return to.Symlink(target, name)
	default:
		return refused(name, "it is a "+special(mode)+", which can not be part of a release", "Remove it, or add it to .gitignore.")
	}
}

func copyRegular(from, to *os.Root, name string, perm fs.FileMode) error {
	r, err := from.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}

// lfsPointer begins a file whose content git-lfs would have fetched.
const lfsPointer = "version https://git-lfs.github.com/spec/v1\n"

// finish gives every file the time of the commit, for builds that look at it,
// and refuses what git would have replaced by its content if it could.
func (c *checkout) finish(at time.Time) error {
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		if info, err := d.Info(); err != nil {
			return err
		} else if info.Mode().IsRegular() && info.Size() < 1024 {
			data, err := root.ReadFile(p)
			if err != nil {
				return err
			}
			if strings.HasPrefix(string(data), lfsPointer) {
				return &noon.Error{
					Kind: noon.Failure, Op: "build release", Subject: p, Err: errors.New("git-lfs did not fetch its content"),
					Hint: "Run git lfs install and git lfs pull in the repository.",
				}
			}
		}
		return root.Chtimes(p, at, at)
	})
}
