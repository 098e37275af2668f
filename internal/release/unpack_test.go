package release_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/release"
)

// unpacked is a release in a directory, and the store it came from.
func unpacked(tb testing.TB) (s *release.Store, digest, dir string) {
	tb.Helper()
	s = open(tb)
	c := build(tb, s, shop(tb).recipe())
	dir = filepath.Join(tb.TempDir(), "site", "r1")
	if err := s.Unpack(tb.Context(), c.Digest, dir); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := release.RemoveTree(dir); err != nil {
			tb.Error(err)
		}
		if left := list(tb, filepath.Dir(dir)); len(left) > 0 {
			tb.Errorf("left beside the release: %q", left)
		}
	})
	return s, c.Digest, dir
}

func TestUnpack(t *testing.T) {
	t.Parallel()
	s, digest, dir := unpacked(t)
	want := []string{
		"-r--r--r-- .noon-release.json", "-r--r--r-- README", "dr-xr-xr-x bin", "link bin/link -> ../static/app.js", "-r-xr-xr-x bin/run",
		"-r--r--r-- noon.yaml", "dr-xr-xr-x static", "-r--r--r-- static/app.js", "dr-xr-xr-x static/deep", "dr-xr-xr-x static/deep/er", "-r--r--r-- static/deep/er/x.css",
	}
	if got := list(t, dir); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("unpacked:\n%s", strings.Join(got, "\n"))
	}
	for _, name := range []string{".", "README", "static"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if name != "." && !info.ModTime().Equal(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) {
			t.Errorf("%s has time %v, want that of the commit", name, info.ModTime())
		}
		if info.Mode()&0o222 != 0 {
			t.Errorf("%s can be written to: %v", name, info.Mode())
		}
	}
	if err := s.Verify(t.Context(), digest, dir); err != nil {
		t.Error(err)
	}
	if err := s.Unpack(t.Context(), digest, dir); err != nil {
		t.Errorf("once more: %v", err)
	}
}

func TestUnpackAtTheSameTime(t *testing.T) {
	t.Parallel()
	s, digest, dir := unpacked(t)
	if err := release.RemoveTree(dir); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := s.Unpack(t.Context(), digest, dir); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := s.Verify(t.Context(), digest, dir); err != nil {
		t.Error(err)
	}
	if left := list(t, filepath.Dir(dir)); strings.Contains(strings.Join(left, " "), ".noon-unpack-") {
		t.Errorf("left: %q", left)
	}
}

func TestUnpackManyFiles(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := shop(t)
	for i := range 400 {
		r.write(fmt.Sprintf("many/%d/f", i), fmt.Sprint(i))
	}
	r.commit("Many")
	c := build(t, s, r.recipe())
	dir := filepath.Join(t.TempDir(), "r")
	if err := s.Unpack(t.Context(), c.Digest, dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(t.Context(), c.Digest, dir); err != nil {
		t.Error(err)
	}
	if err := release.RemoveTree(dir); err != nil {
		t.Error(err)
	}
}

func TestUnpackRefuses(t *testing.T) {
	t.Parallel()
	s, digest, dir := unpacked(t)
	other := filepath.Join(t.TempDir(), "other")
	writeFile(t, filepath.Join(other, "precious"), "data", 0o644)
	wantError(t, s.Unpack(t.Context(), digest, other), noon.Conflict, "is in the way")
	if _, err := os.Stat(filepath.Join(other, "precious")); err != nil {
		t.Error(err)
	}
	r := shop(t)
	r.write("new", "new").commit("New")
	c := build(t, s, r.recipe())
	wantError(t, s.Unpack(t.Context(), c.Digest, dir), noon.Conflict, "is in the way")
	wantError(t, s.Unpack(t.Context(), "latest", dir), noon.Invalid, "not a sha256 digest")
	unknown := "sha256:" + strings.Repeat("0", 64)
	wantError(t, s.Unpack(t.Context(), unknown, filepath.Join(t.TempDir(), "x")), noon.NotFound, "no such release")
	wantError(t, s.Verify(t.Context(), unknown, filepath.Join(t.TempDir(), "x")), noon.NotFound, "does not exist")
	_, err := s.Inspect(t.Context(), unknown)
	wantError(t, err, noon.NotFound, "no such release")
}

func TestUnpackOfADamagedLayer(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "releases")
	s := openAt(t, dir)
	r := shop(t).recipe()
	c := build(t, s, r)
	blobs := filepath.Join(dir, "blobs", "sha256")
	names, err := os.ReadDir(blobs)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		path := filepath.Join(blobs, n.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at := strings.Index(string(data), "let a = 1"); at >= 0 {
			data[at+8] = '2'
			writeFile(t, path, string(data), 0o600)
		}
	}
	parent := t.TempDir()
	wantError(t, s.Unpack(t.Context(), c.Digest, filepath.Join(parent, "r")), noon.Failure, "does not match its digest")
	if left := list(t, parent); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	var b strings.Builder
	wantError(t, s.Export(t.Context(), c.Digest, &b), noon.Failure, "does not match its digest")
	_, err = open(t).Import(t.Context(), strings.NewReader(b.String()))
	wantError(t, err, noon.Invalid, "")
	build(t, s, r) // the same release again mends the blob
	wantClean(t, dir, s)
	if err := s.Unpack(t.Context(), c.Digest, filepath.Join(parent, "r")); err != nil {
		t.Error(err)
	}
	if err := release.RemoveTree(filepath.Join(parent, "r")); err != nil {
		t.Error(err)
	}
}

func TestVerifyFinds(t *testing.T) {
	t.Parallel()
	// edit changes a file although it and its directory are read-only.
	edit := func(t *testing.T, path, content string) {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, content, info.Mode()|0o200)
		if err := os.Chmod(path, info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
	editing := func(name, content string) func(*testing.T, string) error {
		return func(t *testing.T, dir string) error {
			t.Helper()
			edit(t, filepath.Join(dir, name), content)
			return nil
		}
	}
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string) error
		text   string
	}{
		"content":    {editing("static/app.js", "let a = 3\n"), "static/app.js: its content differs"},
		"size":       {editing("README", ""), "README: 0 bytes, want 6"},
		"mode":       {func(_ *testing.T, dir string) error { return os.Chmod(dir+"/README", 0o644) }, "README: mode 0644, want 0444"},
		"setuid":     {func(_ *testing.T, dir string) error { return os.Chmod(dir+"/bin/run", 0o555|os.ModeSetuid) }, "bin/run: mode"},
		"root mode":  {func(_ *testing.T, dir string) error { return os.Chmod(dir, 0o755) }, ".: mode 0755, want 0555"},
		"extra":      {func(_ *testing.T, dir string) error { return os.WriteFile(dir+"/static/extra", nil, 0o444) }, "static/extra: not part of the release"},
		"extra dir":  {func(_ *testing.T, dir string) error { return os.MkdirAll(dir+"/x/y", 0o755) }, "x: not part of the release"},
		"missing":    {func(_ *testing.T, dir string) error { return os.Remove(dir + "/README") }, "README: missing"},
		"link":       {func(_ *testing.T, dir string) error { return relink(dir+"/bin/link", "../README") }, "bin/link: a link to ../README"},
		"file→link":  {func(_ *testing.T, dir string) error { return relink(dir+"/README", "noon.yaml") }, "README: not a file any more"},
		"no record":  {func(_ *testing.T, dir string) error { return os.Remove(dir + "/" + release.RecordName) }, release.RecordName + ": missing"},
		"bad record": {editing(release.RecordName, "{"), "does not match its digest"},
		"forged record": {func(t *testing.T, dir string) error {
			t.Helper()
			data, err := os.ReadFile(dir + "/" + release.RecordName)
			edit(t, dir+"/"+release.RecordName, strings.ReplaceAll(string(data), "revision", "rewision"))
			return err
		}, "belongs to sha256:"},
		// Whoever changes a file and its sum in the record is found all the same.
		"forged sum": {func(t *testing.T, dir string) error {
			t.Helper()
			data, err := os.ReadFile(dir + "/" + release.RecordName)
			edit(t, dir+"/README", "hullo\n")
			edit(t, dir+"/"+release.RecordName, strings.Replace(string(data), sumOf("hello\n"), sumOf("hullo\n"), 1))
			return err
		}, "was changed together with a file"},
		"many": {func(_ *testing.T, dir string) error { return os.RemoveAll(dir + "/static") }, "static/deep/er/x.css: missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, digest, dir := unpacked(t)
			if err := c.change(t, dir); err != nil {
				t.Fatal(err)
			}
			err := s.Verify(t.Context(), digest, dir)
			wantError(t, err, noon.Failure, c.text)
		})
	}
}

func relink(path, target string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.Symlink(target, path)
}

func TestRemoveTree(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	if err := release.RemoveTree(filepath.Join(parent, "none")); err != nil {
		t.Errorf("remove nothing: %v", err)
	}
	outside := filepath.Join(parent, "outside")
	writeFile(t, filepath.Join(outside, "precious"), "data", 0o444)
	dir := filepath.Join(parent, "r")
	writeFile(t, filepath.Join(dir, "a", "b", "c"), "x", 0o444)
	if err := os.Symlink(outside, filepath.Join(dir, "a", "link")); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"a/b", "a", "."} {
		if err := os.Chmod(filepath.Join(dir, d), 0o555); err != nil {
			t.Fatal(err)
		}
	}
	if err := release.RemoveTree(dir); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(list(t, parent), "|"); !strings.HasSuffix(got, "outside|-r--r--r-- outside/precious") || strings.Contains(got, "trash") {
		t.Errorf("left: %s", got)
	}
}
