package migration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/noon-deploy/noon"
)

// Copy copies a SQLite database while it is in use, as it is at one moment, to
// a file that must not exist. The copy is on disk when Copy returns, and there
// is none when it fails.
func Copy(ctx context.Context, from, to string) error {
	err := copyTo(ctx, from, to)
	if err == nil {
		return nil
	}
	e := &noon.Error{Kind: noon.Failure, Op: "copy database", Subject: from, Err: err, Hint: "Check that the directory of the copy can be written and has room."}
	if errors.Is(err, fs.ErrExist) {
		e.Kind, e.Hint = noon.Conflict, "Move it away, or name another file: a copy never replaces one."
	}
	return e
}

func copyTo(ctx context.Context, from, to string) (err error) {
	if _, err := os.Stat(from); err != nil {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s: %w", to, fs.ErrExist)
	}
	fresh := to + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: from}).EscapedPath()+"?"+url.Values{"mode": {"rw"}, "_pragma": {"busy_timeout(5000)"}}.Encode())
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, fresh)
	if err = errors.Join(err, db.Close()); err == nil {
		err = errors.Join(syncPath(fresh), os.Link(fresh, to), os.Remove(fresh), syncPath(filepath.Dir(to)))
	}
	if err != nil {
		return errors.Join(err, removeIfThere(fresh))
	}
	return nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
