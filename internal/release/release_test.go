package release_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/release"
)

func TestMain(m *testing.M) {
	if job := os.Getenv(childEnv); job != "" {
		os.Exit(child(job))
	}
	goleak.VerifyTestMain(m)
}

// repo is a git repository of a test.
type repo struct {
	t   testing.TB
	dir string
}

func newRepo(tb testing.TB) repo {
	tb.Helper()
	r := repo{tb, tb.TempDir()}
	r.git("init", "-q", "-b", "main")
	return r
}

func (r repo) git(args ...string) string {
	r.t.Helper()
	fixed := []string{"-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false", "-c", "protocol.file.allow=always"}
	cmd := exec.CommandContext(context.Background(), "git", append(fixed, args...)...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_DATE=2026-03-01T12:00:00Z", "GIT_COMMITTER_DATE=2026-03-01T12:00:00Z", "GIT_CONFIG_GLOBAL=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r repo) write(name, content string) repo {
	r.t.Helper()
	writeFile(r.t, filepath.Join(r.dir, name), content, 0o644)
	return r
}

func writeFile(tb testing.TB, path, content string, perm fs.FileMode) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), perm); err != nil {
		tb.Fatal(err)
	}
	if err := os.Chmod(path, perm); err != nil {
		tb.Fatal(err)
	}
}

// app writes noon.yaml; JSON is YAML, and parse reads it.
func (r repo) app(app noon.App) repo {
	r.t.Helper()
	if app.Name == "" {
		app.Name = "shop"
	}
	data, err := json.Marshal(app)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.write("noon.yaml", string(data))
}

func (r repo) commit(message string) {
	r.t.Helper()
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", message)
}

func parse(data []byte) (app noon.App, err error) { return app, json.Unmarshal(data, &app) }

func (r repo) recipe() release.Recipe { return release.Recipe{Repo: r.dir, Parse: parse} }

// shop is a repository with one commit of everything a release may hold.
func shop(tb testing.TB) repo {
	tb.Helper()
	r := newRepo(tb).app(noon.App{})
	r.write("static/app.js", "let a = 1\n").write("static/deep/er/x.css", "b{}\n").write("README", "hello\n")
	writeFile(tb, filepath.Join(r.dir, "bin/run"), "#!/bin/sh\necho run\n", 0o755)
	if err := os.Symlink("../static/app.js", filepath.Join(r.dir, "bin/link")); err != nil {
		tb.Fatal(err)
	}
	r.commit("Open the shop\n\nWith a body.")
	return r
}

func open(tb testing.TB) *release.Store {
	tb.Helper()
	return openAt(tb, filepath.Join(tb.TempDir(), "releases"))
}

func openAt(tb testing.TB, dir string) *release.Store {
	tb.Helper()
	s, err := release.Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func build(tb testing.TB, s *release.Store, r release.Recipe) release.Content {
	tb.Helper()
	c, err := s.Build(tb.Context(), r)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// list describes a tree: one line per entry.
func list(tb testing.TB, dir string) []string {
	tb.Helper()
	var lines []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := info.Mode().String() + " " + rel
		if target, err := os.Readlink(p); err == nil {
			line = "link " + rel + " -> " + target
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return lines
}

// wantError checks that err is for people: of the kind, with a hint, and that
// it says what went wrong.
func wantError(tb testing.TB, err error, kind noon.ErrorKind, text string) {
	tb.Helper()
	if _, ok := errors.AsType[*noon.Error](err); !ok {
		tb.Fatalf("error is %v, want a *noon.Error", err)
	}
	if noon.KindOf(err) != kind || !strings.Contains(err.Error(), text) {
		tb.Fatalf("error is %s %q, want %s with %q", noon.KindOf(err), err, kind, text)
	}
	if noon.HintOf(err) == "" {
		tb.Fatalf("error %q has no hint", err)
	}
}

// wantClean checks that the store holds the blobs of its releases and nothing
// else, and that every blob is what its name says.
func wantClean(tb testing.TB, dir string, s *release.Store) {
	tb.Helper()
	if left := list(tb, filepath.Join(dir, "tmp")); len(left) > 0 {
		tb.Errorf("left in tmp: %q", left)
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	for _, d := range names {
		if !slices.Contains([]string{"blobs", "index.json", "lock", "oci-layout", "tmp", "work"}, d.Name()) {
			tb.Errorf("left in the store: %s", d.Name())
		}
	}
	referenced := validateAll(tb, dir, s)
	blobs, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, b := range blobs {
		if !referenced[b.Name()] {
			tb.Errorf("blob %s belongs to no release", b.Name())
		}
	}
	if len(blobs) != len(referenced) {
		tb.Errorf("there are %d blobs, want %d", len(blobs), len(referenced))
	}
}

// eventually waits for a condition of another process.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			tb.Fatalf("waited in vain for: %s", what)
		case <-tick.C:
		}
	}
}

func removeTree(tb testing.TB, dir string) {
	tb.Helper()
	if err := release.RemoveTree(dir); err != nil {
		tb.Error(err)
	}
}
