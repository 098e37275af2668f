//go:build !linux

package sockets

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
)

// Holding sockets needs handles of processes, which only Linux has.

func errNoLinux() error {
	return fmt.Errorf("sockets can not be held on %s: hosts are Linux", runtime.GOOS)
}

func adoptOrphans() error                          { return errNoLinux() }
func spawn(Command, []int) (int, *os.File, error)  { return 0, nil, errNoLinux() }
func openProcess(int) (*os.File, error)            { return nil, errNoLinux() }
func awaitEnd(*os.File) error                      { return errNoLinux() }
func signalProcess(*os.File, syscall.Signal) error { return errNoLinux() }
func reap() map[int]string                         { return nil }
func peerOf(*net.UnixConn) (int, error)            { return 0, errNoLinux() }
func memoryFile([]byte) (int, error)               { return -1, errNoLinux() }
