// Package atomicfile replaces a file so that after a crash or a power loss
// either the old or the new content is there, whole.
//
// The order is what makes it so: the content is synced before the rename, or
// the new name may come to hold a torn file; the directory is synced after it,
// or an acknowledged write may be undone.
package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// FS is the part of a file system that [WriteFS] needs. It is a seam for
// tests, which lose power at every point of it; it has four methods because
// each is one such point.
type FS interface {
	CreateTemp(dir, pattern string) (File, error)
	Rename(from, to string) error
	Remove(path string) error
	SyncDir(dir string) error
}

// File is the part of an *os.File that [WriteFS] needs. It has five methods
// because writing a file durably takes as many calls.
type File interface {
	io.WriteCloser
	Name() string
	Chmod(perm os.FileMode) error
	Sync() error
}

// OS is the real file system.
type OS struct{}

// CreateTemp is os.CreateTemp.
func (OS) CreateTemp(dir, pattern string) (File, error) { return os.CreateTemp(dir, pattern) }

// Rename is os.Rename.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove is os.Remove.
func (OS) Remove(path string) error { return os.Remove(path) }

// SyncDir is SyncDir.
func (OS) SyncDir(dir string) error { return SyncDir(dir) }

// Write replaces the content of path: temporary file in the same directory,
// fsync, rename, fsync of the directory. When it returns nil the new content
// outlasts a power loss. When it returns an error the old content is in place
// and nothing is left over, unless the directory could not be synced: then the
// new content is in place and may not outlast a power loss.
func Write(path string, data []byte, perm os.FileMode) error {
	return WriteFS(OS{}, path, data, perm)
}

// WriteFS is Write on another file system.
func WriteFS(fsys FS, path string, data []byte, perm os.FileMode) error {
	if err := replace(fsys, path, data, perm); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func replace(fsys FS, path string, data []byte, perm os.FileMode) error {
	tmp, err := prepare(fsys, path, data, perm)
	if err != nil {
		return err
	}
	if err := take(fsys, tmp, path); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(path))
}

// prepare makes the content durable beside the file and gives the name it has
// there. After an error nothing is left over.
func prepare(fsys FS, path string, data []byte, perm os.FileMode) (name string, err error) {
	tmp, err := fsys.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+suffix+"*")
	if err != nil {
		return "", err
	}
	if err := errors.Join(fill(tmp, data, perm), tmp.Close()); err != nil {
		return "", errors.Join(err, fsys.Remove(tmp.Name()))
	}
	return tmp.Name(), nil
}

// take gives a prepared file its real name.
func take(fsys FS, tmp, path string) error {
	if err := fsys.Rename(tmp, path); err != nil {
		return errors.Join(err, fsys.Remove(tmp))
	}
	return nil
}

func fill(f File, data []byte, perm os.FileMode) error {
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chmod(perm); err != nil {
		return err
	}
	return f.Sync()
}

// SyncDir makes the entries of a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// suffix is between a file's name and the random part of its temporary one.
const suffix = ".tmp-"

// Sweep removes the temporary files that writers of a directory left behind
// when they were killed. Nobody may be writing there meanwhile.
func Sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("sweep %s: %w", dir, err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !strings.HasPrefix(e.Name(), ".") || !strings.Contains(e.Name(), suffix) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("sweep %s: %w", dir, err)
		}
	}
	return nil
}
