package release

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Names of directories beside an unpacked release or a checkout that are not
// there for anybody to use.
const (
	unpackPrefix = ".noon-unpack-"
	trashPrefix  = ".noon-trash-"
)

// RemoveTree removes a directory with everything below it, read-only
// directories included. It is moved aside first, so that a crash in the middle
// leaves no half release under its name.
func RemoveTree(dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	trash, err := os.MkdirTemp(filepath.Dir(dir), trashPrefix)
	if err != nil {
		return wrap("remove", dir, err)
	}
	err = os.Rename(dir, filepath.Join(trash, "tree"))
	if errors.Is(err, os.ErrPermission) {
		// Some systems write to a directory that gets another parent.
		err = errors.Join(os.Chmod(dir, 0o700), os.Rename(dir, filepath.Join(trash, "tree")))
	}
	return wrap("remove", dir, errors.Join(err, removeInPlace(trash)))
}

// removeInPlace makes directories writable on its way down.
func removeInPlace(dir string) error {
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(p, 0o700)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil // somebody else removes the same
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(dir))
}
