package ledger_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/ledger"
)

func TestKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret.key")
	first := must(ledger.LoadKey(path))(t)
	if second := must(ledger.LoadKey(path))(t); second != first {
		t.Error("the key changed")
	}
	if first == (ledger.Key{}) {
		t.Error("the key is not random")
	}
	if other := must(ledger.LoadKey(filepath.Join(t.TempDir(), "secret.key")))(t); other == first {
		t.Error("two keys are the same")
	}
	if mode := must(os.Stat(path))(t).Mode().Perm(); mode != 0o600 {
		t.Errorf("mode is %04o, want 0600", mode)
	}
	if data := must(os.ReadFile(path))(t); !bytes.Equal(data, first[:]) {
		t.Error("the file does not hold the key")
	}
	if left := must(os.ReadDir(filepath.Dir(path)))(t); len(left) != 1 {
		t.Errorf("left over: %v", left)
	}
}

func TestKeysRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		size int
		mode os.FileMode
		hint string
	}{
		"empty":            {0, 0o600, "from a backup"},
		"short":            {31, 0o600, "from a backup"},
		"long":             {33, 0o600, "from a backup"},
		"read by a group":  {32, 0o640, "chmod 600"},
		"read by all":      {32, 0o604, "chmod 600"},
		"written by all":   {32, 0o602, "chmod 600"},
		"empty and public": {0, 0o644, "chmod 600"},
	} {
		path := filepath.Join(t.TempDir(), "secret.key")
		noErr(t, os.WriteFile(path, make([]byte, c.size), 0o600))
		noErr(t, os.Chmod(path, c.mode))
		key, err := ledger.LoadKey(path)
		if err == nil || key != (ledger.Key{}) {
			t.Errorf("%s: taken", name)
			continue
		}
		wantHint(t, err, noon.Invalid, c.hint)
		if info := must(os.Stat(path))(t); info.Size() != int64(c.size) || info.Mode().Perm() != c.mode {
			t.Errorf("%s: the file was changed", name)
		}
	}
	_, err := ledger.LoadKey(t.TempDir())
	wantKind(t, err, noon.Invalid)
	_, err = ledger.LoadKey(filepath.Join(t.TempDir(), "missing", "secret.key"))
	wantHint(t, err, noon.Invalid, "data directory exists")
}
