package release

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// lock takes the lock of the whole store, shared (readers that open several
// blobs) or exclusive (who changes index.json or removes blobs). It is held
// for moments, never while a command runs or a stream is read.
func (s *Store) lock(ctx context.Context, how int) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(ctx, f, how); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// flock waits for a kernel lock on an open file or directory. The lock goes
// with the file: closing it, or the death of the process, ends it.
func flock(ctx context.Context, f *os.File, how int) error {
	pause := time.Millisecond
	for {
		ok, err := tryFlock(f, how)
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		pause = min(2*pause, 10*time.Millisecond)
	}
}

// tryFlock reports whether the lock was to be had at once.
func tryFlock(f *os.File, how int) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, os.NewSyscallError("flock", err)
		}
	}
}

// lockedDir opens a directory and locks it for as long as it is in use.
func lockedDir(ctx context.Context, dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := flock(ctx, f, syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// removeAbandoned removes the directories in dir with this prefix whose lock
// nobody holds: their owner has died. New ones are made and locked under the
// store's exclusive lock, which the caller holds.
func removeAbandoned(dir, prefix string) error {
	return eachWithPrefix(dir, prefix, removeIfUnlocked)
}

func removeFiles(dir, prefix string) error {
	return eachWithPrefix(dir, prefix, os.Remove)
}

func eachWithPrefix(dir, prefix string, do func(string) error) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range list {
		if strings.HasPrefix(d.Name(), prefix) {
			errs = append(errs, do(filepath.Join(dir, d.Name())))
		}
	}
	return errors.Join(errs...)
}

func removeIfUnlocked(dir string) error {
	f, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	free, err := tryFlock(f, syscall.LOCK_EX)
	if !free || err != nil {
		return err
	}
	return removeInPlace(dir)
}
