package meter

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// logMode keeps the access log from others: it tells who looked at what.
const logMode = 0o640

// rotating is a file that begins anew at a size: the one before becomes
// path.1, that path.2, and so on. It is used by one goroutine.
type rotating struct {
	path string
	most int64 // less than 0: no limit
	keep int
	file *os.File // nil after an error: the next write tries again
	size int64
}

func (r *rotating) open() error {
	file, err := os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, logMode)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	r.file, r.size = file, info.Size()
	return nil
}

func (r *rotating) close() error {
	if r.file == nil {
		return nil
	}
	file := r.file
	r.file = nil
	return file.Close()
}

func (r *rotating) reopen() error { return errors.Join(r.close(), r.open()) }

// write writes whole lines, and begins a new file where the next would not fit.
// It tells how many of them are in a file.
func (r *rotating) write(text []byte) (lines int64, err error) {
	for len(text) > 0 {
		if r.file == nil {
			if err := r.open(); err != nil {
				return lines, err
			}
		}
		piece := r.fitting(text)
		if len(piece) == 0 {
			if err := r.rotate(); err != nil {
				return lines, err
			}
			continue
		}
		if err := r.writePiece(piece); err != nil {
			return lines, err
		}
		lines += int64(bytes.Count(piece, []byte{'\n'}))
		text = text[len(piece):]
	}
	return lines, nil
}

// fitting gives the lines that fit into the file, at least one into an empty
// one.
func (r *rotating) fitting(text []byte) []byte {
	room := r.most - r.size
	if r.most < 0 || int64(len(text)) <= room {
		return text
	}
	end := bytes.LastIndexByte(text[:max(room, 0)], '\n') + 1
	if end == 0 && r.size == 0 {
		end = bytes.IndexByte(text, '\n') + 1
	}
	return text[:end]
}

func (r *rotating) writePiece(piece []byte) error {
	n, err := r.file.Write(piece)
	if err == nil {
		r.size += int64(n)
		return nil
	}
	// What was written of the piece may end within a line.
	return errors.Join(err, r.file.Truncate(r.size), r.close())
}

// rotate renames from the oldest on, so that a crash between two renames loses
// nothing but the oldest. Where another process, the successor mostly, has begun
// a new file already, that is gone on with.
func (r *rotating) rotate() error {
	mine, err := r.file.Stat()
	if err != nil {
		return errors.Join(err, r.close())
	}
	if err := r.close(); err != nil {
		return err
	}
	if at, err := os.Stat(r.path); err == nil && !os.SameFile(mine, at) {
		return r.open()
	}
	for i := r.keep; i > 0; i-- {
		from := r.path
		if i > 1 {
			from = r.numbered(i - 1)
		}
		if err := os.Rename(from, r.numbered(i)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("begin a new file: %w", err)
		}
	}
	return r.open()
}

func (r *rotating) numbered(i int) string { return r.path + "." + strconv.Itoa(i) }
