//go:build !linux

package process

import "syscall"

func limitProcesses(*syscall.Rlimit) error { return errNotLinux }

func joinGroup(string) error { return errNotLinux }

func dup(from, to int) error { return syscall.Dup2(from, to) }
