//go:build !linux

package atomicfile

func (f dataFile) syncData() error { return f.Sync() }
