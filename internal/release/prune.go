package release

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/noon-deploy/noon/internal/atomicfile"
)

// Prune removes the releases that are not in keep, every blob that no release
// needs, and what interrupted writers left. It returns the digests removed and
// the bytes freed.
func (s *Store) Prune(ctx context.Context, keep []string) (removed []string, freed int64, err error) {
	removed, freed, err = s.prune(ctx, keep)
	return removed, freed, wrap("prune releases", s.dir, err)
}

// prune forgets before it removes: a crash between leaves blobs that nobody
// names, which the next Open removes, and never a release without its blobs.
func (s *Store) prune(ctx context.Context, keep []string) ([]string, int64, error) {
	for _, digest := range keep {
		if _, err := parseDigest(digest); err != nil {
			return nil, 0, err // a slip of the caller must not cost a release
		}
	}
	unlock, err := s.lock(ctx, syscall.LOCK_EX)
	if err != nil {
		return nil, 0, err
	}
	defer unlock()
	index, err := s.readIndex()
	if err != nil {
		return nil, 0, err
	}
	var removed []string
	index.Manifests = slices.DeleteFunc(index.Manifests, func(d v1.Descriptor) bool {
		digest := d.Digest.String()
		if slices.Contains(keep, digest) {
			return false
		}
		removed = append(removed, digest)
		return true
	})
	if len(removed) > 0 {
		if err := s.writeIndex(index); err != nil {
			return nil, 0, err
		}
	}
	freed, err := s.sweep(index)
	return removed, freed, err
}

// sweep removes what neither the index nor a living writer needs. The caller
// holds the exclusive lock, so that no blob is between its stage and the
// index.
func (s *Store) sweep(index *v1.IndexManifest) (freed int64, err error) {
	err = errors.Join(removeAbandoned(s.tmp(), stagePrefix), removeFiles(s.dir, ".index.json.tmp-"), removeFiles(s.dir, ".oci-layout.tmp-"))
	if err != nil {
		return 0, err
	}
	needed, err := s.needed(index)
	if err != nil {
		return 0, err
	}
	blobs, err := os.ReadDir(s.blobs())
	if err != nil {
		return 0, err
	}
	for _, b := range blobs {
		if needed[b.Name()] {
			continue
		}
		size, err := remove(filepath.Join(s.blobs(), b.Name()))
		if err != nil {
			return freed, err
		}
		freed += size
		s.Faults.Point("release.prune.blob")
	}
	return freed, atomicfile.SyncDir(s.blobs())
}

// needed names the blobs that releases in the index are made of. What a
// damaged manifest needs is unknown, so that then no blob is given up.
func (s *Store) needed(index *v1.IndexManifest) (map[string]bool, error) {
	needed := map[string]bool{}
	for _, d := range index.Manifests {
		m, err := s.manifest(d.Digest)
		if errors.Is(err, errAltered) {
			return s.all()
		}
		if err != nil {
			return nil, err
		}
		needed[d.Digest.Hex], needed[m.Config.Digest.Hex] = true, true
		for _, l := range m.Layers {
			needed[l.Digest.Hex] = true
		}
	}
	return needed, nil
}

func (s *Store) all() (map[string]bool, error) {
	blobs, err := os.ReadDir(s.blobs())
	if err != nil {
		return nil, err
	}
	all := make(map[string]bool, len(blobs))
	for _, b := range blobs {
		all[b.Name()] = true
	}
	return all, nil
}

func remove(path string) (int64, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), os.Remove(path)
}
