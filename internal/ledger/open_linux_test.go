package ledger_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/ledger"
)

// asNobody runs fn without the right to override file modes, even for root.
func asNobody(t *testing.T, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if os.Geteuid() == 0 {
			if err := unix.Setfsuid(65534); err != nil {
				t.Error(err)
				return
			}
		}
		fn()
	}()
	<-done
}

func TestDirectoryThatCanNotBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	noErr(t, os.Chmod(filepath.Dir(dir), 0o755))
	noErr(t, os.Chmod(dir, 0o555))
	var err error
	asNobody(t, func() { _, err = ledger.Open(t.Context(), filepath.Join(dir, "ledger.db"), testKey()) })
	noErr(t, os.Chmod(dir, 0o755))
	wantHint(t, err, noon.Invalid, "read and write it")
	if left := must(os.ReadDir(dir))(t); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}
