package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/atomicfile"
)

// Unpack makes dir hold the release, verified and read-only. It appears whole
// or not at all; if dir holds this release already, nothing is done. Use
// [RemoveTree] to remove it.
func (s *Store) Unpack(ctx context.Context, digest, dir string) error {
	return wrap("unpack release", digest, s.unpack(ctx, digest, dir))
}

func (s *Store) unpack(ctx context.Context, digest, dir string) error {
	h, err := parseDigest(digest)
	if err != nil {
		return err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return err
	}
	if there, err := holds(dir, h); there || err != nil {
		return err
	}
	o, err := s.openImage(ctx, digest)
	if err != nil {
		return err
	}
	defer o.close()
	u, err := s.newUnpacking(ctx, dir)
	if err != nil {
		return err
	}
	err = u.fill(ctx, o)
	if err == nil {
		s.Faults.Point("release.unpack.before")
		err = u.place(dir, h)
		s.Faults.Point("release.unpack.after")
	}
	return errors.Join(err, u.close())
}

// holds reports whether dir is this release. Anything else there is in the
// way, and is never overwritten.
func holds(dir string, h v1.Hash) (bool, error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer root.Close()
	r, err := readRecord(root)
	if err == nil {
		_, err = r.proven(h)
	}
	if err != nil {
		return false, &noon.Error{
			Kind: noon.Conflict, Op: "unpack release", Subject: h.String(), Err: fmt.Errorf("%s is in the way: %w", dir, err),
			Hint: "Remove the directory if nothing else needs it, and try again.",
		}
	}
	return true, nil
}

// unpacking is a release that is being written beside the place where it will
// be, in a directory that is locked like a stage.
type unpacking struct {
	store *Store
	tmp   string
	root  *os.Root
	held  *os.File
	total int64
}

func (s *Store) newUnpacking(ctx context.Context, dir string) (*unpacking, error) {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, err
	}
	unlock, err := s.lock(ctx, syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := errors.Join(removeAbandoned(parent, unpackPrefix), removeAbandoned(parent, trashPrefix)); err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp(parent, unpackPrefix)
	if err != nil {
		return nil, err
	}
	held, err := lockedDir(ctx, tmp)
	if err != nil {
		return nil, errors.Join(err, os.Remove(tmp))
	}
	root, err := os.OpenRoot(tmp)
	if err != nil {
		return nil, errors.Join(err, held.Close(), os.Remove(tmp))
	}
	return &unpacking{store: s, tmp: tmp, root: root, held: held}, nil
}

// close removes what was not placed.
func (u *unpacking) close() error {
	err := u.root.Close()
	if u.tmp != "" {
		err = errors.Join(err, removeInPlace(u.tmp))
	}
	return errors.Join(err, u.held.Close())
}

func (u *unpacking) fill(ctx context.Context, o *opened) error {
	r := record{Digest: o.digest.String(), Manifest: string(o.raw)}
	for i, l := range o.manifest.Layers {
		entries, err := u.layer(cancelled{ctx, o.layers[i]}, l)
		if err != nil {
			return err
		}
		r.Layers = append(r.Layers, entries)
	}
	entries := r.entries()
	if err := checkTree(entries); err != nil {
		return err
	}
	// Links come last: while files are written there is none to follow.
	for _, e := range entries {
		if e.Kind == symlink {
			if err := u.root.Symlink(e.Target, e.Path); err != nil {
				return err
			}
		}
	}
	if err := u.record(r); err != nil {
		return err
	}
	return u.finish(entries, o.content.Time)
}

// layer writes the directories and files of one layer.
func (u *unpacking) layer(r io.Reader, want v1.Descriptor) ([]entry, error) {
	sum := &summer{w: io.Discard, hash: sha256.New()}
	var entries []entry
	err := readTar(io.TeeReader(r, sum), func(e entry, content io.Reader) (err error) {
		switch e.Kind {
		case directory:
			err = u.root.Mkdir(e.Path, 0o700)
		case regular:
			e.Sum, err = u.file(e, content)
		case symlink: // later
		}
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read layer %s: %w", want.Digest, err)
	}
	if hex.EncodeToString(sum.hash.Sum(nil)) != want.Digest.Hex || sum.size != want.Size {
		return nil, fmt.Errorf("read layer %s: %w", want.Digest, errAltered)
	}
	return entries, nil
}

func (u *unpacking) file(e entry, content io.Reader) (string, error) {
	if u.total += e.Size; u.total > u.store.MaxSize {
		return "", fmt.Errorf("the release has more than %d bytes", u.store.MaxSize)
	}
	f, err := u.store.create(u.root, e.Path)
	if err != nil {
		return "", err
	}
	sum := &summer{w: f, hash: sha256.New()}
	_, err = io.Copy(sum, content)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return hex.EncodeToString(sum.hash.Sum(nil)), err
}

func (u *unpacking) record(r record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := u.store.create(u.root, recordName)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close(), u.root.Chmod(recordName, 0o444))
}

// finish makes the tree read-only and durable. Files get the time of the
// commit: web servers tell browsers by it whether a file has changed.
func (u *unpacking) finish(entries []entry, at time.Time) error {
	for _, e := range slices.Backward(entries) { // directories after what is in them
		if e.Kind == symlink {
			continue
		}
		if err := errors.Join(u.root.Chtimes(e.Path, at, at), u.root.Chmod(e.Path, e.perm())); err != nil {
			return err
		}
	}
	if err := u.root.Chmod(".", 0o555); err != nil {
		return err
	}
	return syncTree(u.root, entries)
}

// place gives the finished tree its name.
func (u *unpacking) place(dir string, h v1.Hash) error {
	err := os.Rename(u.tmp, dir)
	if errors.Is(err, os.ErrExist) || errors.Is(err, syscall.ENOTEMPTY) {
		_, err = holds(dir, h) // somebody else was faster
		return err
	}
	if err != nil {
		return err
	}
	u.tmp = ""
	return atomicfile.SyncDir(filepath.Dir(dir))
}

// syncEach makes files and directories durable one by one.
func syncEach(root *os.Root, entries []entry) error {
	names := []string{recordName, "."}
	for _, e := range entries {
		if e.Kind != symlink {
			names = append(names, e.Path)
		}
	}
	for _, name := range names {
		f, err := root.Open(name)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}
