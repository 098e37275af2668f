package migration

import (
	"io"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// ReadFiles is Read for files that are in memory: name without a directory →
// content.
func ReadFiles(files map[string]string, d sqltext.Dialect) (Set, error) {
	return Read(memory(files), d)
}

// memory is a directory without directories.
type memory map[string]string

func (m memory) ReadDir(string) ([]fs.DirEntry, error) {
	list := make([]fs.DirEntry, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, fs.FileInfoToDirEntry(entry{name, int64(len(m[name]))}))
	}
	return list, nil
}

func (m memory) ReadFile(name string) ([]byte, error) {
	text, ok := m[name]
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	return []byte(text), nil
}

// Open is what fs.FS asks for; files are read whole.
func (m memory) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: io.ErrNoProgress}
}

type entry struct {
	name string
	size int64
}

func (e entry) Name() string       { return e.name }
func (e entry) Size() int64        { return e.size }
func (e entry) Mode() fs.FileMode  { return 0o444 }
func (e entry) ModTime() time.Time { return time.Time{} }
func (e entry) IsDir() bool        { return false }
func (e entry) Sys() any           { return nil }
