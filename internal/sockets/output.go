package sockets

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// What is kept of the output of workers.
const (
	mostOutput = 16 << 20 // bytes in a file; then it becomes FILE.1
	tailBytes  = 2 << 10
	tailLines  = 8
)

// openOutput opens the file that a worker's output is appended to, and tells
// where it begins.
func openOutput(path string) (*os.File, int64, error) {
	if sizeOf(path) > mostOutput {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, 0, fmt.Errorf("rotate the output of workers: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("open the output of workers: %w", err)
	}
	return f, sizeOf(path), nil
}

// sizeOf is 0 for a file that is not there.
func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// tail is the last lines of a file after an offset, as much as can be read.
func tail(path string, offset int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if _, err := f.Seek(max(offset, sizeOf(path)-tailBytes), io.SeekStart); err != nil {
		return ""
	}
	data, err := io.ReadAll(io.LimitReader(f, tailBytes))
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(strings.ToValidUTF8(string(data), "")), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
