package ledger_test

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/noon-deploy/noon"
)

func release(n int) noon.Release {
	return noon.Release{
		App: "shop", Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(fmt.Append(nil, n))), Commit: fmt.Sprintf("%040x", n),
		Title: fmt.Sprint("commit ", n), Size: int64(n), Added: noon2026(),
	}
}

func TestDurability(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	// 2 is FULL: every commit is synced.
	if n := must(l.WriterInt(t.Context(), `PRAGMA synchronous`))(t); n != 2 {
		t.Errorf("synchronous is %d, want 2", n)
	}
	if n := must(l.WriterInt(t.Context(), `SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'`))(t); n != 1 {
		t.Error("journal_mode is not wal")
	}
	if n := must(l.WriterInt(t.Context(), `PRAGMA foreign_keys`))(t); n != 1 {
		t.Error("foreign keys are not enforced")
	}
	if err := l.ReaderExec(t.Context(), `DELETE FROM event`); err == nil {
		t.Error("a reader could write")
	}
}
