//go:build !linux

package dbtest

import (
	"errors"
	"os"
	"syscall"
)

func account() (*syscall.SysProcAttr, error) {
	if os.Getuid() == 0 {
		return nil, errors.New("database servers refuse to run as root: run the tests as another user")
	}
	return &syscall.SysProcAttr{Setpgid: true}, nil
}

func give(string, *syscall.SysProcAttr) error { return nil }

// children are found out about by the death of their parent here.
func children(int) []int { return nil }

func alive(int) bool { return false }
