package migration

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// lockFile takes a lock that the kernel gives back when the process ends. The
// file stays and tells who has it.
func lockFile(path, who string) (unlock func() error, h *holder, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, nil, fmt.Errorf("lock %s: %w", path, err)
		}
		text, e := io.ReadAll(io.LimitReader(f, 1000))
		if e != nil {
			return nil, nil, fmt.Errorf("read %s: %w", path, e)
		}
		return nil, &holder{who: cmp.Or(strings.TrimSpace(string(text)), "another process")}, nil
	}
	err = errors.Join(f.Truncate(0), writeAt(f, fmt.Sprintf("%s, since %s\n", who, timestamp())))
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f.Close, nil, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}
