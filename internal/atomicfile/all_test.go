package atomicfile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/noon-deploy/noon/internal/atomicfile"
)

// together notes in which order files are synced and named.
type together struct {
	atomicfile.OS
	mu     sync.Mutex
	log    []string
	broken error // of SyncDir
}

func (o *together) note(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.log = append(o.log, text)
}

func (o *together) CreateTemp(dir, pattern string) (atomicfile.File, error) {
	f, err := o.OS.CreateTemp(dir, pattern)
	return &syncedFile{f, o}, err
}

func (o *together) Rename(from, to string) error {
	o.note("rename " + filepath.Base(from))
	return o.OS.Rename(from, to)
}

func (o *together) SyncDir(dir string) error {
	o.note("syncdir")
	return errors.Join(o.broken, o.OS.SyncDir(dir))
}

type syncedFile struct {
	atomicfile.File
	o *together
}

func (f *syncedFile) Sync() error {
	err := f.File.Sync()
	f.o.note("sync " + filepath.Base(f.Name()))
	return err
}

// TestWriteAll: each file is synced before it gets its name, the directory once
// after all of them; one that can not be written is nobody else's problem.
func TestWriteAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var all []atomicfile.Content
	for i := range 8 {
		all = append(all, atomicfile.Content{Path: filepath.Join(dir, fmt.Sprint("f", i)), Data: []byte(fmt.Sprint("content ", i))})
	}
	if err := os.WriteFile(all[2].Path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(all[5].Path, "in", "the", "way"), 0o700); err != nil {
		t.Fatal(err)
	}
	o := &together{}
	for i, err := range atomicfile.WriteAllFS(o, all, 0o640) {
		if (err != nil) != (i == 5) {
			t.Errorf("%d: %v", i, err)
		}
	}
	for i, c := range all {
		if data, err := os.ReadFile(c.Path); i != 5 && (err != nil || string(data) != string(c.Data)) {
			t.Errorf("%d: %q %v", i, data, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v %v", left, err)
	}
	if last := len(o.log) - 1; o.log[last] != "syncdir" || slices.Index(o.log, "syncdir") != last {
		t.Errorf("the directory is not synced once, at the end: %v", o.log)
	}
	for i, what := range o.log {
		var name string
		if _, err := fmt.Sscanf(what, "rename %s", &name); err == nil && !slices.Contains(o.log[:i], "sync "+name) {
			t.Errorf("%s got its name before it was synced: %v", name, o.log)
		}
	}
	o.broken = errors.New("disk on fire")
	for i, err := range atomicfile.WriteAllFS(o, all, 0o640) {
		if err == nil {
			t.Errorf("%d: acknowledged, and the directory is not synced", i)
		}
	}
}
