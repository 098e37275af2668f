package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/atomicfile"
)

var errNotRegular = errors.New("it is not a regular file")

// readers is the number of connections that read beside the writer.
const readers = 4

// dsn names the database for the driver. mode=rw: a missing file is never
// silently replaced by an empty one. busy_timeout is for a copy or a shell
// that somebody runs beside the controller.
func dsn(path string, extra ...string) string {
	q := url.Values{"mode": {"rw"}, "_error_rc": {"1"}, "_dqs": {"0"}}
	q["_pragma"] = append([]string{
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)",
		"fullfsync(ON)", "checkpoint_fullfsync(ON)", // on macOS fsync alone does not reach the disk
	}, extra...)
	q.Set("_txlock", "immediate")
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

func openPools(path string) (writer, reader *sql.DB) {
	writer = openPool(dsn(path), 1)
	reader = openPool(dsn(path, "query_only(ON)"), readers)
	return writer, reader
}

func openPool(dsn string, conns int) *sql.DB {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		panic("ledger: the driver imported above is not there: " + err.Error())
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db
}

// ensureFile makes sure that a database is at path: it creates one whole or
// refuses what can not be one. A file of length zero is never a new ledger,
// because new ones are put in place by a rename.
func ensureFile(ctx context.Context, path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createFile(ctx, path)
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &noon.Error{Kind: noon.Invalid, Err: errNotRegular, Hint: "Move it away, or use another data directory."}
	}
	if info.Size() == 0 {
		return corrupt(path, errors.New("it is empty"))
	}
	if info.Mode().Perm()&0o077 != 0 {
		return os.Chmod(path, 0o600)
	}
	return nil
}

func createFile(ctx context.Context, path string) error {
	if _, err := os.Stat(path + "-wal"); err == nil {
		return corrupt(path, fmt.Errorf("it is missing, but its log %s-wal is there", filepath.Base(path)))
	}
	fresh := path + ".new"
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} { // left by a crash at this very place
		if err := os.Remove(fresh + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := fillFile(ctx, fresh); err != nil {
		return errors.Join(err, removeIfThere(fresh))
	}
	if err := os.Rename(fresh, path); err != nil {
		return errors.Join(err, removeIfThere(fresh))
	}
	return atomicfile.SyncDir(filepath.Dir(path))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// fillFile makes an empty database with the first table, durable.
func fillFile(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	db := openPool(dsn(path), 1)
	_, err = db.ExecContext(ctx, versionTable)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	return syncFile(path)
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// examine refuses a damaged file and an engine that would not be durable, such
// as on a file system without shared memory where WAL silently stays off.
func examine(ctx context.Context, db *sql.DB, path string) error {
	var mode string
	var sync int
	if err := db.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil {
		return err
	}
	if err := db.QueryRowContext(ctx, `PRAGMA synchronous`).Scan(&sync); err != nil {
		return err
	}
	if mode != "wal" || sync != 2 {
		return &noon.Error{
			Kind: noon.Invalid, Err: fmt.Errorf("journal_mode is %s and synchronous %d, want wal and 2", mode, sync),
			Hint: "The file system does not support a durable ledger. Put the data directory on a local disk (ext4, xfs, btrfs, zfs, apfs).",
		}
	}
	findings, err := collect(ctx, db, scanString, `PRAGMA quick_check`)
	if err != nil {
		return err
	}
	if len(findings) != 1 || findings[0] != "ok" {
		return corrupt(path, fmt.Errorf("it is damaged: %s", findings[0]))
	}
	return nil
}

func scanString(rows *sql.Rows) (string, error) {
	var s string
	err := rows.Scan(&s)
	return s, err
}

func corrupt(path string, err error) *noon.Error {
	return &noon.Error{
		Kind: noon.Invalid, Err: err,
		Hint: "Stop noon, move " + path + " and its -wal and -shm files aside, and put a backup (made by noon backup) in its place. What runs goes on running meanwhile.",
	}
}

// explain turns an error of the engine into one that its reader can act on.
// An error that already has a kind keeps it.
func explain(op, subject string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*noon.Error](err); ok {
		return &noon.Error{Kind: e.Kind, Op: op, Subject: subject, Err: err}
	}
	e := &noon.Error{Kind: noon.Internal, Op: op, Subject: subject, Err: err}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		e.Kind = noon.Unavailable
		return e
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		e.Kind, e.Hint = noon.Invalid, "Check that the data directory exists and that noon's user may read and write it."
		return e
	}
	if engine, ok := errors.AsType[*sqlite.Error](err); ok {
		e.Kind, e.Hint = advice(engine.Code())
	}
	return e
}

// advice is by primary result code: https://sqlite.org/rescode.html
func advice(code int) (noon.ErrorKind, string) {
	switch code & 0xff {
	case codes.SQLITE_FULL:
		return noon.Failure, "The disk is full. Free space on the file system of the data directory; nothing of this step was written."
	case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB:
		return noon.Invalid, "The ledger is damaged. Stop noon, move the file and its -wal and -shm files aside, and put a backup (made by noon backup) in its place. What runs goes on running meanwhile."
	case codes.SQLITE_READONLY, codes.SQLITE_CANTOPEN, codes.SQLITE_PERM:
		return noon.Invalid, "Check that noon's user may write the data directory and that its file system is not mounted read-only."
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED:
		return noon.Conflict, "Another process holds the ledger. Close whatever has it open and try again."
	case codes.SQLITE_IOERR:
		return noon.Failure, "The disk reports errors. Look at the kernel's log (dmesg) and the disk's health; nothing of this step was written."
	default:
		return noon.Internal, ""
	}
}
