package release

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// manyFiles is from where on one sync of the file system is cheaper than one
// per file. It is the same promise: since Linux 5.8 it reports write errors.
const manyFiles = 256

func syncTree(root *os.Root, entries []entry) error {
	if len(entries) < manyFiles {
		return syncEach(root, entries)
	}
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(os.NewSyscallError("syncfs", unix.Syncfs(int(f.Fd()))), f.Close())
}
