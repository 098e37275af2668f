package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/manifest"
	"github.com/noon-deploy/noon/internal/release"
	"github.com/noon-deploy/noon/internal/tui"
)

func (f *face) buildCommand() *cobra.Command {
	dirty := false
	c := &cobra.Command{
		Use:   "build",
		Short: "Make a release of the commit that is checked out",
		Long: `build makes a release from a clean checkout of HEAD and hands it to the
controller, which numbers it. The same commit always gives the same release. A
working tree with changes is refused; with --dirty they are built in, and the
release is marked.`,
		Args: args(),
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := f.needProject()
			if err != nil {
				return err
			}
			r, err := f.build(c.Context(), p, dirty)
			if err != nil {
				return err
			}
			return f.emit(r, func(tui.Page) string { return builtText(r) })
		},
	}
	c.Flags().BoolVar(&dirty, "dirty", false, "build changes that are not committed too")
	return c
}

func builtText(r noon.Release) string {
	return fmt.Sprintf("%s %s from commit %s (%s)\n", r.Name(), r.Digest, tui.ShortCommit(r.Commit, r.Dirty), tui.Bytes(r.Size))
}

// build makes a release of HEAD and hands it to the controller.
func (f *face) build(ctx context.Context, p project, dirty bool) (out noon.Release, err error) {
	c, err := f.api()
	if err != nil {
		return noon.Release{}, err
	}
	// Nothing is built that nobody can take.
	if _, err := c.Health(ctx); err != nil {
		return noon.Release{}, err
	}
	dir, err := os.MkdirTemp("", "noon-build-")
	if err != nil {
		return noon.Release{}, fmt.Errorf("make a directory for the build: %w", err)
	}
	defer func() { err = errors.Join(err, release.RemoveTree(dir)) }()
	store, err := release.Open(dir)
	if err != nil {
		return noon.Release{}, err
	}
	recipe := release.Recipe{
		Repo: p.dir, AllowDirty: dirty, Work: f.buildWork(), Output: f.Stderr,
		Parse: func(data []byte) (noon.App, error) { return manifest.Parse(manifest.FileName, data) },
	}
	if f.flags.quiet {
		recipe.Output = io.Discard
	}
	content, err := store.Build(ctx, recipe)
	if err != nil {
		return noon.Release{}, err
	}
	return send(ctx, c, store, content.Digest)
}

// buildWork is a directory that stays the same, so that compilers find again
// what they cached under the path; "" if the user has none.
func (f *face) buildWork() string {
	if dir := f.Getenv("XDG_CACHE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "noon", "build")
	}
	if home := f.Getenv("HOME"); home != "" {
		return filepath.Join(home, ".cache", "noon", "build")
	}
	return ""
}

// send streams a release to the controller while it is read.
func send(ctx context.Context, c *api.Client, store *release.Store, digest string) (noon.Release, error) {
	r, w := io.Pipe()
	var reading sync.WaitGroup
	var exported error
	reading.Go(func() {
		exported = store.Export(ctx, digest, w)
		w.CloseWithError(exported)
	})
	out, err := c.AddRelease(ctx, r)
	r.CloseWithError(err)
	reading.Wait()
	if exported != nil && !errors.Is(exported, io.ErrClosedPipe) && err != nil && !errors.Is(exported, err) {
		return noon.Release{}, exported
	}
	return out, err
}

// head is the commit that is checked out in a directory.
func head(ctx context.Context, dir string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", "-C", dir, "rev-parse", "--verify", "HEAD^{commit}")
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		var exited *exec.ExitError
		if errors.As(err, &exited) && len(exited.Stderr) > 0 {
			err = errors.New(strings.TrimPrefix(firstLine(string(exited.Stderr)), "fatal: "))
		}
		return "", &noon.Error{
			Kind: noon.Invalid, Op: "find the commit that is checked out in", Subject: dir, Err: err,
			Hint: "A release is built from a commit: `git init`, `git add` and `git commit` first; or name a release.",
		}
	}
	return strings.TrimSpace(string(out)), nil
}
