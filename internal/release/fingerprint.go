package release

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// Fingerprint gives the digest of the files of a release that the globs name,
// directories whole: their names and contents. Two releases with the same
// fingerprint do not differ in them. It is "" if the release has none of them.
func (s *Store) Fingerprint(ctx context.Context, digest string, globs []string) (string, error) {
	mark, err := s.fingerprint(ctx, digest, globs)
	return mark, wrap("read release", digest, err)
}

func (s *Store) fingerprint(ctx context.Context, digest string, globs []string) (string, error) {
	if err := checkGlobs(globs); err != nil {
		return "", err
	}
	o, err := s.openImage(ctx, digest)
	if err != nil {
		return "", err
	}
	defer o.close()
	chosen := func(name string) bool {
		return slices.ContainsFunc(globs, func(glob string) bool {
			return covers(strings.Split(path.Clean(glob), "/"), strings.Split(name, "/"))
		})
	}
	var lines []string
	for _, l := range o.layers {
		found, err := sums(tar.NewReader(cancelled{ctx, l}), chosen)
		if err != nil {
			return "", err
		}
		lines = append(lines, found...)
	}
	if len(lines) == 0 {
		return "", nil
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// sums gives a line for each chosen file of a layer: its name and its digest.
func sums(r *tar.Reader, chosen func(string) bool) ([]string, error) {
	var lines []string
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read layer: %w", err)
		}
		if h.Typeflag == tar.TypeDir || !chosen(h.Name) {
			continue
		}
		hash := sha256.New()
		if _, err := io.Copy(hash, r); err != nil { //nolint:gosec // a layer's size was checked when it was stored
			return nil, fmt.Errorf("read %s: %w", h.Name, err)
		}
		lines = append(lines, fmt.Sprintf("%q %q %x", h.Name, h.Linkname, hash.Sum(nil)))
	}
}
