package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/noon-deploy/noon"
)

// maxDifferences is how many are named in an error.
const maxDifferences = 5

// Verify compares every file of an unpacked release with what the digest
// promises: contents, modes, nothing missing and nothing more. It needs
// nothing but the directory.
func (s *Store) Verify(ctx context.Context, digest, dir string) error {
	return wrap("verify release", digest, verify(ctx, digest, dir))
}

func verify(ctx context.Context, digest, dir string) error {
	h, err := parseDigest(digest)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, os.ErrNotExist) {
		return &noon.Error{Kind: noon.NotFound, Op: "verify release", Subject: digest, Err: fmt.Errorf("%s does not exist", dir), Hint: "Unpack the release first."}
	}
	if err != nil {
		return err
	}
	defer root.Close()
	r, err := readRecord(root)
	if errors.Is(err, errNoRecord) {
		return altered(digest, dir, []string{recordName + ": missing"})
	}
	if err != nil {
		return err
	}
	m, err := r.proven(h)
	if err != nil {
		return err
	}
	v := verification{root: root, want: map[string]entry{}}
	for _, e := range r.entries() {
		v.want[e.Path] = e
	}
	if err := v.compareTree(ctx); err != nil {
		return err
	}
	if len(v.different) == 0 {
		err = v.compareContent(ctx, r, m)
	}
	if len(v.different) > 0 {
		return altered(digest, dir, v.different)
	}
	return err
}

func altered(digest, dir string, different []string) error {
	list := different[:min(len(different), maxDifferences)]
	text := strings.Join(list, "\n  ")
	if more := len(different) - len(list); more > 0 {
		text += fmt.Sprintf("\n  … and %d more", more)
	}
	return &noon.Error{
		Kind: noon.Failure, Op: "verify release", Subject: digest,
		Err:  fmt.Errorf("%w: %s differs:\n  %s", errAltered, dir, text),
		Hint: "Somebody or something changed files of an unpacked release. Stop what runs from it, remove the directory and unpack the release again.",
	}
}

type verification struct {
	root      *os.Root
	want      map[string]entry
	different []string
}

func (v *verification) differs(p, format string, args ...any) {
	v.different = append(v.different, p+": "+fmt.Sprintf(format, args...))
}

// compareTree compares everything but contents.
func (v *verification) compareTree(ctx context.Context) error {
	seen := map[string]bool{recordName: true}
	err := fs.WalkDir(v.root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e, known := v.want[p]
		switch {
		case p == ".":
			e = entry{Path: p, Kind: directory}
		case p == recordName:
			e = entry{Path: p, Kind: regular, Size: info.Size()}
		case !known:
			v.differs(p, "not part of the release")
			return skip(d)
		}
		seen[p] = true
		return v.compare(e, info)
	})
	if err != nil {
		return err
	}
	for _, e := range sorted(v.want) {
		if !seen[e.Path] {
			v.differs(e.Path, "missing")
		}
	}
	return nil
}

func sorted(entries map[string]entry) []entry {
	list := make([]entry, 0, len(entries))
	for _, e := range entries {
		list = append(list, e)
	}
	sortEntries(list)
	return list
}

func (v *verification) compare(e entry, info fs.FileInfo) error {
	mode := info.Mode()
	switch {
	case e.Kind == symlink && mode.Type() == fs.ModeSymlink:
		target, err := v.root.Readlink(e.Path)
		if err == nil && target != e.Target {
			v.differs(e.Path, "a link to %s, want %s", target, e.Target)
		}
		return err
	case e.Kind == symlink || e.Kind == directory && !mode.IsDir() || e.Kind == regular && !mode.IsRegular():
		v.differs(e.Path, "not a %s any more", e.Kind)
	case mode&^fs.ModeDir != e.perm():
		v.differs(e.Path, "mode %04o, want %04o", mode&^fs.ModeType, e.perm())
	case e.Kind == regular && info.Size() != e.Size:
		v.differs(e.Path, "%d bytes, want %d", info.Size(), e.Size)
	}
	return nil
}

// compareContent writes every layer again and compares its digest with the
// manifest's. The sums in the record only serve to name the file that differs.
func (v *verification) compareContent(ctx context.Context, r *record, m *v1.Manifest) error {
	for i, want := range m.Layers {
		sum := &summer{w: io.Discard, hash: sha256.New()}
		err := writeTar(sum, r.Layers[i], func(e entry) (io.ReadCloser, error) {
			f, err := v.root.Open(e.Path)
			if err != nil {
				return nil, err
			}
			return &checked{r: cancelled{ctx, f}, c: f, sum: &summer{w: io.Discard, hash: sha256.New()}, e: e, v: v}, nil
		})
		if err != nil {
			return err
		}
		if len(v.different) == 0 && hex.EncodeToString(sum.hash.Sum(nil)) != want.Digest.Hex {
			return fmt.Errorf("%w: %s was changed together with a file", errAltered, recordName)
		}
	}
	return nil
}

// checked notes whether a file had the content that the record promises.
type checked struct {
	r   io.Reader
	c   io.Closer
	sum *summer
	e   entry
	v   *verification
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	_, _ = c.sum.Write(p[:n])
	return n, err
}

func (c *checked) Close() error {
	if hex.EncodeToString(c.sum.hash.Sum(nil)) != c.e.Sum {
		c.v.differs(c.e.Path, "its content differs")
	}
	return c.c.Close()
}
