package atomicfile

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// Content is a file and what it is to hold.
type Content struct {
	Path string
	Data []byte
}

// WriteAll is [Write] for several files, each of its own path: what the disk
// has to be waited for is waited for together. It gives the error of each.
func WriteAll(all []Content, perm os.FileMode) []error {
	return WriteAllFS(OS{}, all, perm)
}

// WriteAllFS is WriteAll on another file system, whose methods are called from
// several goroutines.
func WriteAllFS(fsys FS, all []Content, perm os.FileMode) []error {
	errs, names := make([]error, len(all)), make([]string, len(all))
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() { names[i], errs[i] = prepare(fsys, c.Path, c.Data, perm) })
	}
	wg.Wait()
	synced := map[string]error{}
	for i, c := range all {
		if errs[i] == nil {
			if errs[i] = take(fsys, names[i], c.Path); errs[i] == nil {
				synced[filepath.Dir(c.Path)] = nil
			}
		}
	}
	for dir := range synced {
		synced[dir] = fsys.SyncDir(dir)
	}
	for i, c := range all {
		if errs[i] == nil {
			errs[i] = synced[filepath.Dir(c.Path)]
		}
		if errs[i] != nil {
			errs[i] = fmt.Errorf("write %s: %w", c.Path, errs[i])
		}
	}
	return errs
}
