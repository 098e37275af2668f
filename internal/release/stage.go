package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/noon-deploy/noon/internal/atomicfile"
)

const stagePrefix = "stage-"

// stage is where one writer prepares the blobs of one image: a directory that
// it holds a lock on. Nothing in it is visible before commit.
type stage struct {
	store *Store
	root  *os.Root
	held  *os.File
	blobs map[v1.Hash]int64
	count int
}

func (s *Store) newStage(ctx context.Context) (*stage, error) {
	unlock, err := s.lock(ctx, syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer unlock()
	dir, err := os.MkdirTemp(s.tmp(), stagePrefix)
	if err != nil {
		return nil, err
	}
	held, err := lockedDir(ctx, dir)
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, errors.Join(err, held.Close(), os.Remove(dir))
	}
	return &stage{store: s, root: root, held: held, blobs: map[v1.Hash]int64{}}, nil
}

// close removes what was not committed. The lock goes last, so that nobody
// takes the directory for an abandoned one before.
func (g *stage) close() error {
	err := errors.Join(g.root.Close(), removeInPlace(g.held.Name()))
	return errors.Join(err, g.held.Close())
}

// write stores what fill writes as a blob, durably, and returns its address.
func (g *stage) write(fill func(io.Writer) error) (v1.Hash, int64, error) {
	g.store.Faults.Point("release.blob.before")
	g.count++
	name := fmt.Sprintf("new-%d", g.count)
	f, err := g.store.create(g.root, name)
	if err != nil {
		return v1.Hash{}, 0, err
	}
	sum := &summer{w: f, hash: sha256.New()}
	err = fill(sum)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	h := v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.hash.Sum(nil))}
	if err == nil {
		err = g.root.Rename(name, h.Hex)
	}
	if err != nil {
		return v1.Hash{}, 0, errors.Join(err, g.root.RemoveAll(name))
	}
	g.blobs[h] = sum.size
	g.store.Faults.Point("release.blob.after")
	return h, sum.size, nil
}

func (g *stage) writeBytes(data []byte) (v1.Hash, error) {
	h, _, err := g.write(func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	return h, err
}

func (g *stage) open(h v1.Hash) (*os.File, error) { return g.root.Open(h.Hex) }

// commit moves the blobs into place and then names the image in the index. A
// blob that is there already is replaced by its equal: that mends damage.
func (g *stage) commit(ctx context.Context, image v1.Descriptor) error {
	s := g.store
	unlock, err := s.lock(ctx, syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	for h := range g.blobs {
		if err := os.Rename(filepath.Join(g.held.Name(), h.Hex), s.blob(h)); err != nil {
			return err
		}
		s.Faults.Point("release.blob.placed")
	}
	if err := atomicfile.SyncDir(s.blobs()); err != nil {
		return err
	}
	index, err := s.readIndex()
	if err != nil || position(index, image.Digest) >= 0 {
		return err
	}
	index.Manifests = append(index.Manifests, image)
	return s.writeIndex(index)
}
