package atomicfile

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestPairOutlivesPower: whatever part of a write has reached the disk when the
// power went, in whatever order, the content is the one before or the new one,
// whole, and the next write goes on from there.
func TestPairOutlivesPower(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		path := filepath.Join(dir, "pair")
		_ = os.Remove(path) // of the round before
		content := rapid.SliceOfN(rapid.Byte(), 0, 6<<10)
		var last []byte
		for i := range rapid.IntRange(1, 6).Draw(rt, "writes") {
			before, _ := os.ReadFile(path)
			next := content.Draw(rt, "content")
			if err := NewPair(path, 0o600).Write(next); err != nil {
				rt.Fatal(err)
			}
			after, err := os.ReadFile(path)
			if err != nil {
				rt.Fatal(err)
			}
			if i > 0 && len(before) == len(after) && rapid.Bool().Draw(rt, "power fails") {
				const sector = 512
				for at := 0; at < len(after); at += sector {
					if rapid.Bool().Draw(rt, "lost") {
						copy(after[at:at+sector], before[at:])
					}
				}
				if err := os.WriteFile(path, after, 0o600); err != nil {
					rt.Fatal(err)
				}
			}
			got, err := ReadPair(path)
			if err != nil || !bytes.Equal(got, next) && !bytes.Equal(got, last) {
				rt.Fatalf("write %d: %d bytes, %v; it was %d bytes and was to be %d", i, len(got), err, len(last), len(next))
			}
			last = bytes.Clone(got)
		}
	})
}

// TestPairIsCheap: a write that has room makes no file and moves nothing.
func TestPairIsCheap(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pair")
	var files []os.FileInfo
	for _, size := range []int{100, 2000, 0, 9000, 10000} {
		if errs := WritePairs([]Content{{NewPair(path, 0o640), bytes.Repeat([]byte("x"), size)}}); errs[0] != nil {
			t.Fatal(errs[0])
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o640 {
			t.Error(info.Mode())
		}
		files = append(files, info)
	}
	for i, same := range []bool{true, true, false, true} {
		if os.SameFile(files[i], files[i+1]) != same {
			t.Errorf("from write %d to the next: the same file is %v", i, !same)
		}
	}
}

// TestPairDamaged: what is not whole is never content; the file is replaced by
// the next write.
func TestPairDamaged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pair")
	if err := NewPair(path, 0o600).Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range copyHead + len("content") {
		whole[n] ^= 1
		if got, _, err := newestOf(whole); err == nil {
			t.Errorf("byte %d was changed and %q was taken", n, got.content)
		}
		whole[n] ^= 1
	}
	for _, row := range []struct {
		data []byte
		want error
	}{
		{whole[:len(whole)-1], ErrDamaged},
		{append(whole, 0), ErrDamaged},
		{[]byte("noon-routing 1 something else"), ErrNoPair},
		{nil, ErrNoPair},
		{make([]byte, 2*block), ErrNoPair},
	} {
		if err := os.WriteFile(path, row.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadPair(path); !errors.Is(err, row.want) {
			t.Errorf("%d bytes: %v, not %v", len(row.data), err, row.want)
		}
		if err := NewPair(path, 0o600).Write([]byte("new")); err != nil {
			t.Error(err)
		}
		if got, err := ReadPair(path); err != nil || string(got) != "new" {
			t.Errorf("%q %v", got, err)
		}
	}
	if err := NewPair(filepath.Join(path, "below", "a file"), 0o600).Write(nil); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
}

// brokenFile fails to sync, or takes only a part.
type brokenFile struct {
	data  []byte
	takes int
}

var errBroken = errors.New("disk on fire")

func (f *brokenFile) WriteAt(p []byte, at int64) (int, error) {
	n := copy(f.data[at:], p[:min(len(p), f.takes)])
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

func (f *brokenFile) syncData() error { return errBroken }

// TestPairRefused: a write that has failed leaves the content that was there,
// also for a reader who comes before the next start of the machine.
func TestPairRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pair")
	if err := NewPair(path, 0o600).Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, takes := range []int{1 << 20, copyHead + 2, copyHead} {
		f := &brokenFile{data: bytes.Clone(data), takes: takes}
		if err := overwrite(f, int64(len(data)/2), encodeCopy(2, []byte("not acknowledged"))); !errors.Is(err, errBroken) && !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("%v", err)
		}
		if got, _, err := newestOf(f.data); err != nil || string(got.content) != "content" {
			t.Errorf("%q %v", got.content, err)
		}
	}
}

// FuzzPair: whatever is in a file, it is content that somebody has written, or
// an error.
func FuzzPair(f *testing.F) {
	f.Add([]byte{})
	f.Add(append(append(encodeCopy(1, []byte("a")), make([]byte, 2*block)...)[:block], encodeCopy(2, []byte("b"))...))
	f.Add([]byte(copyMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		newest, at, err := newestOf(data)
		if err != nil {
			return
		}
		if part := data[at*len(data)/2:]; !bytes.HasPrefix(part, encodeCopy(newest.number, newest.content)) {
			t.Errorf("%d %q is not what is written", newest.number, newest.content)
		}
	})
}
