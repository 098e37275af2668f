//go:build !linux

package sockets

// setOptions has nothing to set where accepted sockets do not inherit it.
func setOptions(int) error { return nil }
