package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/noon-deploy/noon/internal/host"
)

// However a stream is cut into segments, reading it gives its lines.
func TestReaderGivesLines(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(base, "r") //nolint:usetesting // one of many in it
		if err != nil {
			rt.Fatal(err)
		}
		lines := rapid.SliceOf(rapid.StringMatching(`[a-z]{0,5}`)).Draw(rt, "lines")
		text := strings.Join(lines, "\n")
		whole := text
		if len(lines) > 0 && rapid.Bool().Draw(rt, "ends with a newline") {
			whole += "\n"
		}
		at := 0
		for at < len(whole) {
			n := rapid.IntRange(1, len(whole)-at).Draw(rt, "segment")
			if err := os.WriteFile(segmentPath(dir, int64(at), logSuffix), []byte(whole[at:at+n]), 0o600); err != nil {
				rt.Fatal(err)
			}
			at += n
		}
		var want []string
		if whole != "" {
			want = strings.Split(strings.TrimSuffix(whole, "\n"), "\n")
		}
		n := rapid.IntRange(0, len(want)+2).Draw(rt, "last")
		rd := &reader{dir: dir}
		if rd.at, err = rd.before(n); err != nil {
			rt.Fatal(err)
		}
		var got []string
		if err := rd.emit(true, func(l host.Line) error { got = append(got, l.Text); return nil }); err != nil {
			rt.Fatal(err)
		}
		want = want[max(0, len(want)-n):]
		if len(want) == 0 {
			want = nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Errorf("last %d of %q:\n%s", n, whole, diff)
		}
	})
}

func TestReaderCutsEndlessLines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "00000000000000000000.log"), []byte(strings.Repeat("x", 3*maxLine+7)+"\nend\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rd := &reader{dir: dir}
	var sizes []int
	if err := rd.emit(true, func(l host.Line) error { sizes = append(sizes, len(l.Text)); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{maxLine, maxLine, maxLine, 7, 3}, sizes); diff != "" {
		t.Error(diff)
	}
}

func FuzzTimes(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), int64(3))
	f.Add([]byte{}, int64(0))
	f.Fuzz(func(t *testing.T, data []byte, offset int64) {
		dir := t.TempDir()
		if err := os.WriteFile(segmentPath(dir, 0, indexSuffix), data, 0o600); err != nil {
			t.Fatal(err)
		}
		loadTimes(dir, 0).of(offset) // does not panic
	})
}
