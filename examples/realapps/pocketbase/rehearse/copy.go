package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// Bytes of a "-shm" file at which users of a SQLite database in WAL mode lock
// each other out: who writes, who moves the log into the database, who is there
// at all. https://www.sqlite.org/walformat.html, "WAL Locks", and os_unix.c.
const (
	walWrite      = 120
	walCheckpoint = 121
	present       = 128
)

// copyData copies every database of a directory at a moment at which nobody
// writes it. PocketBase's own backup is not used: it opens and closes the files
// inside the process that serves, and by the rules of POSIX that process then
// holds none of its locks any more. A second process would truncate what the
// first has mapped.
func copyData(from, to string) error {
	files, err := filepath.Glob(filepath.Join(from, "*.db"))
	if err != nil || len(files) == 0 {
		return errors.Join(err, fmt.Errorf("no database in %q", from))
	}
	for _, file := range files {
		if err := copyDatabase(file, filepath.Join(to, filepath.Base(file))); err != nil {
			return fmt.Errorf("copy %s: %w", file, err)
		}
	}
	return nil
}

// copyDatabase copies a database and its log; writers wait that long.
func copyDatabase(from, to string) error {
	shm, err := os.OpenFile(from+"-shm", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer shm.Close() // and with it the locks
	for _, lock := range []syscall.Flock_t{
		{Type: syscall.F_RDLCK, Start: present, Len: 1},
		{Type: syscall.F_WRLCK, Start: walCheckpoint, Len: 1},
		{Type: syscall.F_WRLCK, Start: walWrite, Len: 1},
	} {
		if err := syscall.FcntlFlock(shm.Fd(), syscall.F_SETLKW, &lock); err != nil {
			return fmt.Errorf("lock: %w", err)
		}
	}
	return errors.Join(copyFile(from, to), copyFile(from+"-wal", to+"-wal"))
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
