//go:build !linux

package process

func reap(int) bool { return true }
