//go:build !linux

package host

import "syscall"

func endWithParent(*syscall.SysProcAttr) {}
