package atomicfile

import "golang.org/x/sys/unix"

// syncData waits for the content, not for the time of its change.
func (f dataFile) syncData() error {
	for {
		err := unix.Fdatasync(int(f.Fd())) //nolint:gosec // descriptors fit
		if err != unix.EINTR {
			return err
		}
	}
}
