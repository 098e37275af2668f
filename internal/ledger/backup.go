package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/atomicfile"
)

// Backup writes a whole, checked and durable copy of the ledger to a new file,
// while it is in use. Secrets in it stay sealed: keep the key with it, apart.
func (l *Ledger) Backup(ctx context.Context, to string) error {
	return explain("back up ledger to", to, l.backup(ctx, to))
}

func (l *Ledger) backup(ctx context.Context, to string) error {
	claim, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return &noon.Error{Kind: noon.Conflict, Err: errors.New("the file is there already"), Hint: "Choose another name; a backup never overwrites anything."}
	}
	if err != nil {
		return err
	}
	// The name is ours; the copy gets it only when it is whole.
	tmp := filepath.Join(filepath.Dir(to), "."+filepath.Base(to)+".part")
	err = errors.Join(claim.Close(), l.copyTo(ctx, tmp))
	if err == nil {
		err = os.Rename(tmp, to)
	}
	if err != nil {
		return errors.Join(err, removeIfThere(tmp), removeIfThere(to))
	}
	return atomicfile.SyncDir(filepath.Dir(to))
}

// copyTo uses a connection of its own, so that neither writer nor readers wait.
func (l *Ledger) copyTo(ctx context.Context, path string) error {
	if err := removeIfThere(path); err != nil { // left by a crash
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	db := openPool(dsn(l.path), 1)
	_, err = db.ExecContext(ctx, `VACUUM INTO $1`, path)
	if err := errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	if err := checkCopy(ctx, path); err != nil {
		return err
	}
	return syncFile(path)
}

// checkCopy opens the copy as a restored one would be.
func checkCopy(ctx context.Context, path string) error {
	db := openPool(dsn(path), 1)
	if err := errors.Join(examine(ctx, db, path), db.Close()); err != nil {
		return fmt.Errorf("check the copy: %w", err)
	}
	return nil
}
