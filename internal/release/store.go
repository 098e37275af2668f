package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/noon-deploy/noon/internal/atomicfile"
	"github.com/noon-deploy/noon/internal/fault"
)

// DefaultMaxSize bounds the content of one release unless Store.MaxSize says
// otherwise.
const DefaultMaxSize = 8 << 30

// Store is an OCI image layout in a directory.
type Store struct {
	Faults  *fault.Points // may be nil
	MaxSize int64         // bytes of content of one release

	dir    string
	create func(root *os.Root, name string) (file, error) // replaced by tests to fill the disk
}

// file is what is written durably.
type file interface {
	io.Writer
	Sync() error
	Close() error
}

const layoutFile = `{"imageLayoutVersion":"1.0.0"}`

// Open opens the store in dir, makes it if there is none, and removes what
// interrupted writers have left.
func Open(dir string) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, wrap("open release store", dir, err)
	}
	s := &Store{dir: abs, MaxSize: DefaultMaxSize, create: createFile}
	if err := s.open(context.Background()); err != nil {
		return nil, wrap("open release store", dir, err)
	}
	return s, nil
}

func createFile(root *os.Root, name string) (file, error) {
	return root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func (s *Store) open(ctx context.Context) error {
	for _, dir := range []string{s.blobs(), s.tmp()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	unlock, err := s.lock(ctx, syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.initialise(); err != nil {
		return err
	}
	index, err := s.readIndex()
	if err != nil {
		return err
	}
	_, err = s.sweep(index)
	return errors.Join(err, cleanWork(ctx, s.work()))
}

// initialise writes what a new layout lacks: index.json last, since its
// presence is what makes the directory a store.
func (s *Store) initialise() error {
	_, err := os.Stat(s.path("index.json"))
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if left, err := os.ReadDir(s.blobs()); err != nil || len(left) > 0 {
		return errors.Join(err, fmt.Errorf("index.json is missing beside %d blobs; restore it from a backup or move the directory away", len(left)))
	}
	if err := atomicfile.Write(s.path("oci-layout"), []byte(layoutFile), 0o644); err != nil {
		return err
	}
	if err := s.writeIndex(&v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(s.dir))
}

func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}
func (s *Store) blobs() string         { return s.path("blobs", "sha256") }
func (s *Store) tmp() string           { return s.path("tmp") }
func (s *Store) work() string          { return s.path("work") }
func (s *Store) blob(h v1.Hash) string { return filepath.Join(s.blobs(), h.Hex) }

func (s *Store) readIndex() (*v1.IndexManifest, error) {
	f, err := os.Open(s.path("index.json"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	index, err := v1.ParseIndexManifest(f)
	if err != nil {
		return nil, fmt.Errorf("read index.json: %w", err)
	}
	return index, nil
}

func (s *Store) writeIndex(index *v1.IndexManifest) error {
	data, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return err
	}
	s.Faults.Point("release.index.before")
	err = atomicfile.Write(s.path("index.json"), append(data, '\n'), 0o644)
	s.Faults.Point("release.index.after")
	return err
}

// Digests lists the releases of the store in the order of their arrival.
func (s *Store) Digests(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, wrap("list releases", s.dir, err)
	}
	index, err := s.readIndex()
	if err != nil {
		return nil, wrap("list releases", s.dir, err)
	}
	digests := make([]string, 0, len(index.Manifests))
	for _, d := range index.Manifests {
		digests = append(digests, d.Digest.String())
	}
	return digests, nil
}

func position(index *v1.IndexManifest, h v1.Hash) int {
	return slices.IndexFunc(index.Manifests, func(d v1.Descriptor) bool { return d.Digest == h })
}
