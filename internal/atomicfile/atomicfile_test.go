package atomicfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/noon-deploy/noon/internal/atomicfile"
)

const (
	oldText = "the old content, four pages long"
	newText = "what is new, which has some more"
)

// record replaces a file through r and returns the disk as it was before.
func record(t *testing.T, r *recorder, replaces bool) disk {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state")
	before := disk{names: map[string]int{}, inodes: map[int]file{}}
	if replaces {
		if err := os.WriteFile(path, []byte(oldText), 0o640); err != nil {
			t.Fatal(err)
		}
		before.names["state"] = 0
		before.inodes[0] = file{data: []byte(oldText), perm: 0o640}
	}
	if err := atomicfile.WriteFS(r, path, []byte(newText), 0o640); err != nil {
		t.Fatal(err)
	}
	return before
}

// violations loses the power after every operation in every possible way and
// returns what is found that is neither the old nor the new file.
func violations(before disk, log []op) (found []string, disks int) {
	seen := map[string]bool{}
	for cut := range len(log) + 1 {
		powerLoss(before, log[:cut], func(d disk) {
			disks++
			if v := wrong(before, d, cut == len(log)); v != "" && !seen[v] {
				seen[v] = true
				found = append(found, fmt.Sprintf("after %d operations: %s", cut, v))
			}
		})
	}
	return found, disks
}

func wrong(before, after disk, acknowledged bool) string {
	inode, there := after.names["state"]
	was, wasThere := before.names["state"]
	f := after.inodes[inode]
	isNew := there && string(f.data) == newText && f.perm == 0o640
	isOld := there == wasThere && (!there || inode == was && bytes.Equal(f.data, before.inodes[was].data))
	switch {
	case acknowledged && !isNew:
		return fmt.Sprintf("acknowledged, but the file holds %q", f.data)
	case !isNew && !isOld:
		return fmt.Sprintf("the file holds %q with mode %04o", f.data, f.perm)
	}
	return ""
}

func TestPowerLossLeavesOldOrNew(t *testing.T) {
	t.Parallel()
	for _, replaces := range []bool{true, false} {
		r := &recorder{}
		found, disks := violations(record(t, r, replaces), r.log)
		if len(found) != 0 {
			t.Errorf("replacing %t: %q", replaces, found)
		}
		// 4 pages of 4 fates each before the fsync, at the least.
		if disks < 256 {
			t.Errorf("replacing %t: only %d disks were looked at, the model has lost its teeth", replaces, disks)
		}
	}
}

// TestPowerLossFindsCarelessWriters shows that the test above can fail.
func TestPowerLossFindsCarelessWriters(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*recorder{
		"no fsync":                  {skipSync: true},
		"no fsync of the directory": {skipSyncDir: true},
		"no fsync at all":           {skipSync: true, skipSyncDir: true},
	} {
		if found, _ := violations(record(t, r, true), r.log); len(found) == 0 {
			t.Errorf("%s: nothing was found", name)
		}
	}
	// A file that is written in place, synced as it should be.
	inPlace := []op{
		{kind: opWrite, inode: 0, data: []byte(newText)},
		{kind: opFsync, inode: 0},
		{kind: opSyncDir},
	}
	before := record(t, &recorder{}, true)
	if found, _ := violations(before, inPlace); len(found) == 0 {
		t.Error("in place: nothing was found")
	}
}

// failing is a file system on which the nth operation fails.
type failing struct {
	atomicfile.OS
	left int
	err  error
}

func (f *failing) fails() bool {
	f.left--
	return f.left == 0
}

func (f *failing) CreateTemp(dir, pattern string) (atomicfile.File, error) {
	if f.fails() {
		return nil, f.err
	}
	file, err := f.OS.CreateTemp(dir, pattern)
	return &failingFile{File: file, f: f}, err
}

func (f *failing) Rename(from, to string) error {
	if f.fails() {
		return f.err
	}
	return f.OS.Rename(from, to)
}

func (f *failing) SyncDir(dir string) error {
	if f.fails() {
		return f.err
	}
	return f.OS.SyncDir(dir)
}

type failingFile struct {
	atomicfile.File
	f *failing
}

func (f *failingFile) Write(data []byte) (int, error) {
	if f.f.fails() {
		n, err := f.File.Write(data[:len(data)/2]) // a full disk takes what it can
		return n, errors.Join(f.f.err, err)
	}
	return f.File.Write(data)
}

func (f *failingFile) Chmod(perm os.FileMode) error {
	if f.f.fails() {
		return f.f.err
	}
	return f.File.Chmod(perm)
}

func (f *failingFile) Sync() error {
	if f.f.fails() {
		return f.f.err
	}
	return f.File.Sync()
}

func (f *failingFile) Close() error {
	err := f.File.Close()
	if f.f.fails() {
		return f.f.err
	}
	return err
}

func TestFailureLeavesOldAndNothingElse(t *testing.T) {
	t.Parallel()
	const operations = 7 // create, write, chmod, sync, close, rename, sync of the directory
	for _, cause := range []error{syscall.ENOSPC, syscall.EIO} {
		for n := 1; n <= operations+1; n++ {
			dir := t.TempDir()
			path := filepath.Join(dir, "state")
			if err := atomicfile.Write(path, []byte(oldText), 0o600); err != nil {
				t.Fatal(err)
			}
			err := atomicfile.WriteFS(&failing{left: n, err: cause}, path, []byte(newText), 0o600)
			if n > operations {
				if err != nil {
					t.Fatalf("operation %d does not exist, yet: %v", n, err)
				}
				continue
			}
			if !errors.Is(err, cause) {
				t.Errorf("operation %d: error is %v, want %v", n, err, cause)
			}
			want := oldText
			if n == operations {
				want = newText // renamed already: only its durability is in doubt
			}
			wantOnly(t, dir, want)
		}
	}
}

func wantOnly(t *testing.T, dir, content string) {
	t.Helper()
	const name = "state"
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("the directory holds %v, want only %s", entries, name)
	}
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil || string(data) != content {
		t.Errorf("the file holds %q (%v), want %q", data, err, content)
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	for _, perm := range []os.FileMode{0o600, 0o644, 0o400, 0o755} {
		text := fmt.Sprintf("mode %o", perm)
		if err := atomicfile.Write(path, []byte(text), perm); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != perm {
			t.Errorf("mode is %04o, want %04o whatever the umask", info.Mode().Perm(), perm)
		}
		wantOnly(t, dir, text)
	}
	if err := atomicfile.Write(filepath.Join(dir, "missing", "state"), nil, 0o600); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v, want that the directory does not exist", err)
	}
	if err := atomicfile.Write(dir, nil, 0o600); err == nil {
		t.Error("a directory was replaced by a file")
	}
}

func TestConcurrentWritersLeaveOneOfThem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if err := atomicfile.Write(path, bytes.Repeat([]byte{byte('a' + i)}, 10_000), 0o600); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) != 10_000 || len(bytes.Trim(data, string(data[:1]))) != 0 {
		t.Error("the file is a mixture of two writers")
	}
	wantOnly(t, dir, string(data))
}

func TestSweep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := atomicfile.Write(filepath.Join(dir, "state"), []byte(oldText), 0o600); err != nil {
		t.Fatal(err)
	}
	killed, err := atomicfile.OS{}.CreateTemp(dir, ".state.tmp-*")
	if err != nil {
		t.Fatal(err)
	}
	if err := killed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Sweep(dir); err != nil {
		t.Fatal(err)
	}
	wantOnly(t, dir, oldText)
	if err := atomicfile.Sweep(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v, want that the directory does not exist", err)
	}
}
