package release

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"unicode/utf8"

	"github.com/noon-deploy/noon"
)

// Texts gives the content of files of a release by name. Each has to be an
// ordinary file of at most limit bytes of UTF-8.
func (s *Store) Texts(ctx context.Context, digest string, names []string, limit int64) (map[string]string, error) {
	texts, err := s.texts(ctx, digest, names, limit)
	return texts, wrap("read release", digest, err)
}

func (s *Store) texts(ctx context.Context, digest string, names []string, limit int64) (map[string]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	o, err := s.openImage(ctx, digest)
	if err != nil {
		return nil, err
	}
	defer o.close()
	left := map[string][]string{} // path → names it is asked for by
	for _, name := range names {
		left[path.Clean(name)] = append(left[path.Clean(name)], name)
	}
	texts := map[string]string{}
	for _, l := range o.layers {
		if err := textsOf(tar.NewReader(cancelled{ctx, l}), left, limit, texts); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		return nil, refused(name, "it is not part of the release", pageHint)
	}
	return texts, nil
}

// textsOf takes out of a layer what is left to be found.
func textsOf(r *tar.Reader, left map[string][]string, limit int64, into map[string]string) error {
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read layer: %w", err)
		}
		names, wanted := left[h.Name]
		if !wanted {
			continue
		}
		if h.Typeflag != tar.TypeReg || h.Size > limit {
			return badText(h.Name, limit)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return fmt.Errorf("read %s: %w", h.Name, err)
		}
		if !utf8.Valid(data) {
			return badText(h.Name, limit)
		}
		for _, name := range names {
			into[name] = string(data)
		}
		delete(left, h.Name)
	}
}

const pageHint = "Is it written by the build, and covered by build.files in noon.yaml?"

func badText(name string, limit int64) error {
	return refused(name, fmt.Sprintf("it is not an ordinary file with at most %d bytes of UTF-8 text", limit), "Pages are HTML files; what they show has to be in them.")
}

// checkPages refuses a release that lacks a page which its noon.yaml names:
// who needs it would learn so when everything else has failed.
func checkPages(root *os.Root, app noon.App, entries []entry) error {
	sizes := map[string]entry{}
	for _, e := range entries {
		sizes[e.Path] = e
	}
	for _, env := range app.Environments {
		total := int64(0)
		for _, status := range slices.Sorted(maps.Keys(env.Pages)) {
			name := path.Clean(env.Pages[status])
			e, ok := sizes[name]
			if !ok {
				return refused(name, fmt.Sprintf("it is the page for %s in %s, and not part of the release", status, env.Name), pageHint)
			}
			if e.Kind != regular || e.Size > noon.PageLimit {
				return badText(name, noon.PageLimit)
			}
			data, err := root.ReadFile(name)
			if err != nil {
				return err
			}
			if !utf8.Valid(data) {
				return badText(name, noon.PageLimit)
			}
			total += e.Size
		}
		if total > noon.PagesLimit {
			return refused("pages of "+env.Name, fmt.Sprintf("they have %d bytes, the limit is %d", total, noon.PagesLimit), "Load styles and images from elsewhere.")
		}
	}
	return nil
}
