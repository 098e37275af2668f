package release_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/release"
)

func export(tb testing.TB, s *release.Store, digest string) string {
	tb.Helper()
	var b strings.Builder
	if err := s.Export(tb.Context(), digest, &b); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := shop(t)
	r.write("big/a", strings.Repeat("a", 2<<20)).write("other/b", strings.Repeat("b", 2<<20)).commit("Layers")
	c := build(t, s, r.recipe())
	archive := export(t, s, c.Digest)
	dir := filepath.Join(t.TempDir(), "elsewhere")
	other := openAt(t, dir)
	for range 2 {
		got, err := other.Import(t.Context(), strings.NewReader(archive))
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(c) {
			t.Errorf("imported %+v\nbuilt    %+v", got, c)
		}
		wantClean(t, dir, other)
	}
	if export(t, other, c.Digest) != archive {
		t.Error("the archive of the imported release is another one")
	}
	place := filepath.Join(t.TempDir(), "r")
	if err := other.Unpack(t.Context(), c.Digest, place); err != nil {
		t.Fatal(err)
	}
	defer removeTree(t, place)
	if err := other.Verify(t.Context(), c.Digest, place); err != nil {
		t.Error(err)
	}
}

// TestTamperedArchive changes one byte, or cuts the archive short. Either it
// is refused, or the byte was padding and the very same release arrives.
func TestTamperedArchive(t *testing.T) {
	t.Parallel()
	s := open(t)
	c := build(t, s, shop(t).recipe())
	archive := export(t, s, c.Digest)
	var refused, same int
	rapid.Check(t, func(r *rapid.T) {
		data := []byte(archive)
		at := rapid.IntRange(0, len(data)-1).Draw(r, "at")
		if rapid.IntRange(0, 9).Draw(r, "cut") == 0 {
			data = data[:at]
		} else {
			data[at] ^= byte(rapid.IntRange(1, 255).Draw(r, "flip"))
		}
		dir := filepath.Join(t.TempDir(), "releases")
		other := openAt(t, dir)
		got, err := other.Import(t.Context(), bytes.NewReader(data))
		wantClean(t, dir, other)
		if err != nil {
			refused++
			wantError(t, err, noon.Invalid, "import release")
			if digests, _ := other.Digests(t.Context()); len(digests) > 0 {
				r.Fatalf("refused, but stored: %v", digests)
			}
			return
		}
		same++
		if got.Digest != c.Digest || export(t, other, got.Digest) != archive {
			r.Fatalf("a change at %d was taken for release %s", at, got.Digest)
		}
	})
	if refused == 0 {
		t.Error("nothing was refused")
	}
	t.Logf("refused %d, padding %d", refused, same)
}

// file is one entry of a tar.
type file struct {
	header  tar.Header
	content string
}

func tarOf(tb testing.TB, files ...file) string {
	tb.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		f.header.Size = int64(len(f.content))
		f.header.Mode = 0o644
		if err := w.WriteHeader(&f.header); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(w, f.content); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

func blobFile(data []byte) file {
	sum := sha256.Sum256(data)
	return file{tar.Header{Name: "blobs/sha256/" + hex.EncodeToString(sum[:]), Typeflag: tar.TypeReg}, string(data)}
}

func plain(name, content string) file {
	return file{tar.Header{Name: name, Typeflag: tar.TypeReg}, content}
}

// archiveOf wraps a layer into an archive that is right in every other way.
func archiveOf(tb testing.TB, layer []byte) []file {
	tb.Helper()
	config, image, err := release.AssembleBlobs([]byte("{}"), layer)
	if err != nil {
		tb.Fatal(err)
	}
	manifest := blobFile(image)
	index := fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":%d,"digest":"sha256:%s"}]}`,
		len(image), strings.TrimPrefix(manifest.header.Name, "blobs/sha256/"))
	return []file{plain("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), plain("index.json", index), manifest, blobFile(config), blobFile(layer)}
}

func canonical(tb testing.TB, list ...release.TarEntry) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := release.CanonicalLayer(&b, list); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestHostileArchives(t *testing.T) {
	t.Parallel()
	yaml := release.TarEntry{Name: "noon.yaml", Content: "{}"}
	good := archiveOf(t, canonical(t, yaml))
	layer := func(list ...release.TarEntry) []file { return archiveOf(t, canonical(t, append(list, yaml)...)) }
	raw := func(files ...file) []file {
		return archiveOf(t, []byte(tarOf(t, append(files, plain("noon.yaml", "{}"))...)))
	}
	special := func(kind byte) file {
		return file{header: tar.Header{Name: "x", Typeflag: kind, Linkname: "noon.yaml"}}
	}
	for name, c := range map[string]struct {
		files []file
		text  string
	}{
		"nothing":           {nil, "not an OCI layout"},
		"dots":              {append(good, plain("../evil", "x")), "does not belong"},
		"dots in blobs":     {append(good, plain("blobs/sha256/../../../evil", "x")), "not the name of a blob"},
		"absolute":          {append(good, plain("/etc/passwd", "x")), "does not belong"},
		"link":              {append(good, file{header: tar.Header{Name: "index.json", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}}), "not a plain file"},
		"duplicate blob":    {append(good, good[3]), "twice"},
		"duplicate index":   {append(good, good[1]), "twice"},
		"extra blob":        {append(good, blobFile([]byte("extra"))), "does not belong to the image"},
		"missing layer":     {good[:4], "missing"},
		"missing index":     {append([]file{good[0]}, good[2:]...), "index.json is missing"},
		"wrong name":        {append(good, plain("blobs/sha256/"+strings.Repeat("0", 64), "x")), "does not match its digest"},
		"large index":       {append([]file{plain("index.json", strings.Repeat(" ", 5<<20))}, good[0]), "larger than allowed"},
		"layer: dots":       {layer(release.TarEntry{Name: "../evil", Content: "x"}), "not a path inside"},
		"layer: absolute":   {layer(release.TarEntry{Name: "/evil", Content: "x"}), "not a path inside"},
		"layer: duplicate":  {layer(release.TarEntry{Name: "a"}, release.TarEntry{Name: "a"}), "twice"},
		"layer: case":       {layer(release.TarEntry{Name: "a"}, release.TarEntry{Name: "A"}), "only in case"},
		"layer: link out":   {layer(release.TarEntry{Name: "a", Link: "../x"}), "leaves the release"},
		"layer: below link": {layer(release.TarEntry{Name: "a", Link: "b"}, release.TarEntry{Name: "a/x", Content: "x"}), "is not part of the release"},
		"layer: no parent":  {layer(release.TarEntry{Name: "a/x", Content: "x"}), "is not part of the release"},
		"layer: record":     {layer(release.TarEntry{Name: release.RecordName, Content: "x"}), "noon's own"},
		"layer: device":     {raw(special(tar.TypeBlock)), "tar type"},
		"layer: hard link":  {raw(special(tar.TypeLink)), "tar type"},
		"layer: fifo":       {raw(special(tar.TypeFifo)), "tar type"},
		"layer: owner":      {raw(file{header: tar.Header{Name: "a", Typeflag: tar.TypeReg, Uid: 7}}), "canonical form"},
		"layer: not a tar":  {archiveOf(t, []byte(strings.Repeat("no tar", 1000))), "invalid tar header"},
		"layer: no yaml":    {archiveOf(t, canonical(t, release.TarEntry{Name: "a"})), "noon.yaml is missing"},
		"layer: other yaml": {archiveOf(t, canonical(t, release.TarEntry{Name: "noon.yaml", Content: "[]"})), "noon.yaml is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			dir := filepath.Join(parent, "releases")
			s := openAt(t, dir)
			_, err := s.Import(t.Context(), strings.NewReader(tarOf(t, c.files...)))
			wantError(t, err, noon.Invalid, c.text)
			wantClean(t, dir, s)
			if got := list(t, parent); len(got) != 7 { // releases, blobs, blobs/sha256, tmp, lock, index.json, oci-layout
				t.Errorf("there is %q", got)
			}
		})
	}
	s := open(t)
	if _, err := s.Import(t.Context(), strings.NewReader(tarOf(t, good...))); err != nil {
		t.Errorf("the archive that the others are made of: %v", err)
	}
	s.MaxSize = 1
	_, err := s.Import(t.Context(), strings.NewReader(tarOf(t, good...)))
	wantError(t, err, noon.Invalid, "the limit is 1")
}

func FuzzImport(f *testing.F) {
	s := open(f)
	c := build(f, s, shop(f).recipe())
	f.Add([]byte(export(f, s, c.Digest)))
	yaml := release.TarEntry{Name: "noon.yaml", Content: "{}"}
	f.Add([]byte(tarOf(f, archiveOf(f, canonical(f, release.TarEntry{Name: "a/"}, release.TarEntry{Name: "a/l", Link: "../noon.yaml"}, yaml))...)))
	f.Add([]byte(tarOf(f, archiveOf(f, []byte("x"))...)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := filepath.Join(t.TempDir(), "releases")
		s := openAt(t, dir)
		c, err := s.Import(t.Context(), bytes.NewReader(data))
		wantClean(t, dir, s)
		if err != nil {
			wantError(t, err, noon.Invalid, "import release")
			return
		}
		place := filepath.Join(t.TempDir(), "r")
		if err := s.Unpack(t.Context(), c.Digest, place); err != nil {
			t.Fatalf("imported, but not to be unpacked: %v", err)
		}
		if err := s.Verify(t.Context(), c.Digest, place); err != nil {
			t.Fatalf("unpacked, but not to be verified: %v", err)
		}
		if err := release.RemoveTree(place); err != nil {
			t.Fatal(err)
		}
	})
}

func sumOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
