package release_test

import (
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/release"
)

// limitFiles makes the kernel refuse to write a file larger than 1 MiB.
func limitFiles() error {
	signal.Ignore(syscall.SIGXFSZ)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20})
}

// disk is a disk with room for some bytes.
type disk struct{ left int }

func (d *disk) create(root *os.Root, name string) (release.File, error) {
	f, err := release.CreateFile(root, name)
	return fullFile{f, d}, err
}

type fullFile struct {
	release.File
	disk *disk
}

func (f fullFile) Write(p []byte) (int, error) {
	n := min(len(p), f.disk.left)
	f.disk.left -= n
	written, err := f.File.Write(p[:n])
	if err == nil && n < len(p) {
		err = &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	}
	return written, err
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "releases")
	s := openAt(t, dir)
	r := shop(t)
	good := openAt(t, dir)
	c := build(t, good, r.recipe())
	archive := export(t, good, c.Digest)
	r.write("more", "more").commit("More")
	parent := t.TempDir()
	for left := 0; left < 4000; left += 500 {
		for name, do := range map[string]func() error{
			"build": func() error {
				_, err := s.Build(t.Context(), r.recipe())
				return err
			},
			"unpack": func() error { return s.Unpack(t.Context(), c.Digest, filepath.Join(parent, "r")) },
			"import": func() error {
				_, err := s.Import(t.Context(), strings.NewReader(archive))
				return err
			},
		} {
			d := &disk{left: left}
			s.SetCreate(d.create)
			err := do()
			if err == nil && d.left > 0 { // it was room enough
				if err := release.RemoveTree(filepath.Join(parent, "r")); err != nil {
					t.Fatal(err)
				}
				continue
			}
			wantError(t, err, noon.Failure, "no space left")
			wantClean(t, dir, s)
			if left := list(t, parent); len(left) > 0 {
				t.Errorf("%s left %q", name, left)
			}
		}
	}
	if digests, err := s.Digests(t.Context()); err != nil || digests[0] != c.Digest {
		t.Errorf("digests are %v, %v", digests, err)
	}
}

func TestFileSizeLimit(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "releases")
	r := shop(t)
	r.write("big", strings.Repeat("x", 1<<20)).commit("Just too large with its header")
	out, err := childCommand(t, "limited", dir, r.dir, filepath.Join(t.TempDir(), "r")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "file too large") {
		t.Errorf("child: %v\n%s", err, out)
	}
	wantClean(t, dir, openAt(t, dir))
}

func TestStoreThatIsDamaged(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "releases")
	s := openAt(t, dir)
	c := build(t, s, shop(t).recipe())
	blob := filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(c.Digest, "sha256:"))
	data, err := os.ReadFile(blob)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, blob, strings.Replace(string(data), "shop", "shoq", 1), 0o600)
	_, err = s.Inspect(t.Context(), c.Digest)
	wantError(t, err, noon.Failure, "does not match its digest")
	if _, err := release.Open(dir); err != nil {
		t.Errorf("open: %v", err)
	}
	if n := len(list(t, filepath.Dir(blob))); n != 3 {
		t.Errorf("%d blobs are left, want 3: what a damaged release needs is unknown", n)
	}
	if err := os.Remove(filepath.Join(dir, "index.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := release.Open(dir); err == nil || !strings.Contains(err.Error(), "index.json is missing") {
		t.Errorf("open without an index: %v", err)
	}
	writeFile(t, filepath.Join(dir, "index.json"), "{", 0o600)
	if _, err := release.Open(dir); err == nil || !strings.Contains(err.Error(), "read index.json") {
		t.Errorf("open with a broken index: %v", err)
	}
	if n := len(list(t, filepath.Dir(blob))); n != 3 {
		t.Errorf("%d blobs are left, want 3", n)
	}
	if _, err := release.Open("/dev/null/x"); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("open in a file: %v", err)
	}
}
