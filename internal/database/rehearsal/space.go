//go:build unix

package rehearsal

import "golang.org/x/sys/unix"

// space is how many bytes the file system of a directory has for noon.
func space(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:gosec,unconvert // the types differ between systems
}
