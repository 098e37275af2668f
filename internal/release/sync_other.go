//go:build !linux

package release

import "os"

func syncTree(root *os.Root, entries []entry) error { return syncEach(root, entries) }
