//go:build !linux

package process

import (
	"context"
	"errors"
	"syscall"
	"time"
)

var errNotLinux = errors.New("instances run on Linux only")

func bootID() string { return "" }

func startTime(int) (uint64, error) { return 0, errNotLinux }

func runs(int, uint64) bool { return false }

func became(int, dir) bool { return false }

func age(uint64) time.Duration { return 0 }

func kin(int, int) []int { return nil }

func adoptOrphans() error { return errNotLinux }

type handle struct{}

func openHandle(int) (*handle, error) { return nil, errNotLinux }

func (h *handle) wait(context.Context) error { return errNotLinux }

func (h *handle) close() {}

func (h *handle) waitStatus(context.Context, claim) (syscall.WaitStatus, bool) { return 0, false }

func selfPID() int { return 0 }

func othersPID(claim) bool { return true }
