package release

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf8"
)

// Directory gives the content of the ordinary files directly in a directory of
// a release, by name without the directory. Each has to be at most limit bytes
// of UTF-8.
func (s *Store) Directory(ctx context.Context, digest, dir string, limit int64) (map[string]string, error) {
	texts, err := s.directory(ctx, digest, dir, limit)
	return texts, wrap("read release", digest, err)
}

func (s *Store) directory(ctx context.Context, digest, dir string, limit int64) (map[string]string, error) {
	o, err := s.openImage(ctx, digest)
	if err != nil {
		return nil, err
	}
	defer o.close()
	texts := map[string]string{}
	for _, l := range o.layers {
		if err := directoryOf(tar.NewReader(cancelled{ctx, l}), path.Clean(dir), limit, texts); err != nil {
			return nil, err
		}
	}
	if len(texts) == 0 {
		return nil, refused(dir, "no file of it is part of the release", "Is it covered by build.files in noon.yaml?")
	}
	return texts, nil
}

func directoryOf(r *tar.Reader, dir string, limit int64, into map[string]string) error {
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read layer: %w", err)
		}
		if path.Dir(h.Name) != dir || h.Typeflag != tar.TypeReg || strings.HasPrefix(path.Base(h.Name), ".") {
			continue
		}
		if h.Size > limit {
			return refused(h.Name, fmt.Sprintf("it has %d bytes, the limit is %d", h.Size, limit), "Load data by a command of the app.")
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return fmt.Errorf("read %s: %w", h.Name, err)
		}
		if !utf8.Valid(data) {
			return refused(h.Name, "it is not UTF-8 text", "Save it as UTF-8.")
		}
		into[path.Base(h.Name)] = string(data)
	}
}
